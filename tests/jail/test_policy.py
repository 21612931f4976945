"""A jail grants what it says, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from small_programs import compiled

import vx32py

#: Prints its arguments, its environment and where it is.
SHOW = r"""
#include <stdio.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    char here[4096];
    printf("cwd %s\n", getcwd(here, sizeof here) ? here : "?");
    for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]);
    for (char **e = environ; *e; e++) printf("env %s\n", *e);
    return 7;
}
"""
#: Runs another program: its arguments from the second on; 100 + errno where it cannot.
START = r"""
#include <errno.h>
#include <unistd.h>
int main(int argc, char **argv) { execv(argv[1], argv + 1); return 100 + errno; }
"""
#: Copies a file of the guest's to its standard output; 100 + errno where it cannot.
CAT = r"""
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char buffer[4096];
    int fd = open(argv[1], O_RDONLY), count;
    if (fd < 0) return 100 + errno;
    while ((count = read(fd, buffer, sizeof buffer)) > 0) write(1, buffer, count);
    return count < 0 ? 100 + errno : 0;
}
"""
#: Writes to a file; 100 + errno where it cannot.
PUT = r"""
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return 100 + errno;
    return write(fd, argv[2], strlen(argv[2])) < 0 ? 100 + errno : 0;
}
"""
#: Fills a file until it can no more; exits with 100 + errno.
FILL = r"""
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    static char block[65536];
    int fd = open(argv[1], O_WRONLY | O_CREAT, 0644);
    for (int n = 0; n < 10000; n++) if (write(fd, block, sizeof block) < 0) return 100 + errno;
    return 0;
}
"""
ENOENT, EACCES, ENOSPC, EROFS = 102, 113, 128, 130


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with the programs in its /bin."""
    made = tmp_path / "root"
    (made / "bin").mkdir(parents=True)
    (made / "etc").mkdir()
    (made / "etc" / "motto").write_text("sub rosa\n")
    for name, source in (("show", SHOW), ("start", START), ("cat", CAT), ("put", PUT)):
        shutil.copy(compiled(source), made / "bin" / name)
    return made


def test_a_program_of_the_root_runs_with_its_arguments_and_a_made_up_environment(root: Path, engine_name: str) -> None:
    result = vx32py.Jail(root, engine=engine_name).run(["/bin/show", "one", "two"])
    assert result.exit_code == 7
    lines = result.stdout.decode().splitlines()
    assert lines[:4] == ["cwd /", "arg /bin/show", "arg one", "arg two"]
    names = {line.split()[1].partition("=")[0] for line in lines[4:]}
    assert names == {"PATH", "HOME", "LANG"}


def test_a_name_without_a_slash_is_looked_for_in_the_guests_path(root: Path) -> None:
    assert vx32py.Jail(root).run(["show"]).stdout.startswith(b"cwd /\narg show\n")
    with pytest.raises(FileNotFoundError):
        vx32py.Jail(root, env={"PATH": "/etc:/sbin"}).run(["show"])


def test_the_environment_and_the_directory_are_what_was_asked_for(root: Path) -> None:
    result = vx32py.Jail(root, env={"A": "b"}, cwd="/etc").run(["../bin/show"])
    assert result.stdout == b"cwd /etc\narg ../bin/show\nenv A=b\n"


def test_a_static_program_of_the_host_runs_without_a_root() -> None:
    path = compiled(SHOW)
    result = vx32py.Jail(env={}).run([path, "x"])
    assert (result.exit_code, result.stdout) == (7, f"cwd /\narg {path}\narg x\n".encode())


def test_with_a_root_a_path_of_the_host_is_no_program(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        vx32py.Jail(root).run([compiled(SHOW)])


def test_other_programs_run_where_that_is_allowed_alone(root: Path) -> None:
    command = ["start", "/bin/show"]
    assert vx32py.Jail(root).run(command).exit_code == EACCES
    allowed = vx32py.Jail(root, allow_exec=True, env={"PATH": "/bin"}).run(command)
    assert allowed.stdout == b"cwd /\narg /bin/show\nenv PATH=/bin\n"


def test_a_program_may_start_itself_by_any_name(root: Path) -> None:
    os.symlink("start", root / "bin" / "alias")
    assert vx32py.Jail(root).run(["start", "/bin/alias", "/bin/show"]).exit_code == EACCES
    assert vx32py.Jail(root).run(["start", "/bin/alias", "/bin/none"]).exit_code == ENOENT


def test_the_root_is_read_only_and_a_directory_is_what_it_was_granted_as(root: Path, tmp_path: Path) -> None:
    for name in ("plain", "written"):
        (tmp_path / name).mkdir()
    jail = vx32py.Jail(root, [f"{tmp_path}/plain:/plain", f"{tmp_path}/written:/written:rw"])
    assert jail.run(["put", "/etc/motto", "x"]).exit_code == EROFS
    assert jail.run(["put", "/plain/new", "x"]).exit_code == EROFS
    assert jail.run(["put", "/written/new", "x"]).exit_code == 0
    assert (tmp_path / "written" / "new").read_text() == "x"
    assert (root / "etc" / "motto").read_text() == "sub rosa\n"
    assert not list((tmp_path / "plain").iterdir())


def test_nothing_of_the_host_is_there_unless_it_was_granted(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", root / "link")
    jail = vx32py.Jail(root)
    assert jail.run(["cat", "/etc/motto"]).stdout == b"sub rosa\n"
    for path in (str(tmp_path / "secret"), "/link", "/../secret", "../../secret"):
        assert jail.run(["cat", path]).exit_code == ENOENT, path


@pytest.mark.parametrize("text", ["", "/x:y", ":/x", "/a:/b:rx", "/a:b:rw"])
def test_a_directory_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST"):
        vx32py.Jail(dirs=[text])


def test_a_tmpfs_is_empty_and_the_guests_own_and_holds_what_it_may_hold(root: Path) -> None:
    jail = vx32py.Jail(root, tmpfs={"/tmp": "1M", "/run/lock": None}, disk="2M")  # noqa: S108 - the guest's
    for path in ("/tmp/x", "/run/lock/x"):  # noqa: S108
        assert jail.run(["put", path, "x"]).exit_code == 0
        assert jail.run(["cat", path]).exit_code == ENOENT
        assert jail.run([compiled_into(root, FILL), path]).exit_code == ENOSPC
    assert not (root / "tmp").exists()
    assert vx32py.Jail(root, ["/tmp:/tmp"]).run(["put", "/tmp/x", "x"]).exit_code == EROFS  # noqa: S108


def compiled_into(root: Path, source: str) -> str:
    """A program in a tree; its path for the guest."""
    name = compiled(source).name
    shutil.copy(compiled(source), root / "bin" / name)
    return f"/bin/{name}"


def test_an_overlay_keeps_the_root_as_it_is(root: Path) -> None:
    jail = vx32py.Jail(root, overlay=True)
    process = jail.spawn(["put", "/etc/motto", "changed"])
    assert jail.finish(process).exit_code == 0
    assert [tuple(change) for change in jail.changes(process)] == [("changed", "/etc/motto")]
    assert (root / "etc" / "motto").read_text() == "sub rosa\n"
    assert jail.run(["cat", "/etc/motto"]).stdout == b"sub rosa\n"
    assert vx32py.Jail(root, overlay=True, disk="1M").run([compiled_into(root, FILL), "/x"]).exit_code == ENOSPC


def test_an_overlay_that_is_saved_is_what_the_next_guest_finds(root: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    jail = vx32py.Jail(root, overlay=True, overlay_save=layer)
    assert jail.run(["put", "/etc/motto", "changed"]).exit_code == 0
    assert (layer / "etc" / "motto").read_text() == "changed"
    assert jail.run(["cat", "/etc/motto"]).stdout == b"changed"
    assert vx32py.Jail(root).run(["cat", "/etc/motto"]).stdout == b"sub rosa\n"


def test_an_overlay_that_cannot_be_saved_is_an_os_error(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    jail = vx32py.Jail(root, overlay=True, overlay_save=tmp_path / "file" / "layer")
    with pytest.raises(OSError, match="layer"):
        jail.run(["put", "/etc/motto", "changed"])


def test_what_a_root_has_of_etc_is_kept_and_what_it_has_not_is_made_up(root: Path) -> None:
    (root / "etc" / "hosts").write_text("mine\n")
    jail = vx32py.Jail(root, hostname="cell", uid=7)
    assert jail.run(["cat", "/etc/hosts"]).stdout == b"mine\n"
    assert jail.run(["cat", "/etc/hostname"]).stdout == b"cell\n"
    assert b"user:x:7:7:" in jail.run(["cat", "/etc/passwd"]).stdout
    assert b"root:x:0:0:" in jail.run(["cat", "/etc/passwd"]).stdout
    assert jail.run(["cat", "/etc/shadow"]).exit_code == ENOENT
    assert jail.run(["cat", "/dev/null"]).stdout == b""


def test_a_first_directory_that_is_not_there_is_said(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="/none"):
        vx32py.Jail(root, cwd="/none").run(["show"])
