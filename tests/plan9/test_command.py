"""``vx32py plan9``: options, what is booted, how it ends, bad trees and programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from plan9_programs import aout, compiled, main
from plan9_tree import SHELL, install, make_tree

from vx32py import Grant
from vx32py.commands.plan9 import plan9
from vx32py.plan9.errors import Error
from vx32py.plan9.kernel import Kernel
from vx32py.vfs.host import HostTree

pytestmark = pytest.mark.compiler

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("plan9"))


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tree: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command, in this process: exit code, stdout and stderr."""

    def run(*arguments: str, stdin: bytes = b"", root: Path | None = tree) -> tuple[int, str, str]:
        theirs, ours = os.pipe()
        os.write(ours, stdin)
        os.close(ours)
        saved = os.dup(0)
        os.dup2(theirs, 0)
        os.close(theirs)
        capfd.readouterr()
        try:
            given = ["--root", str(root)] if root is not None else []
            plan9.main([*given, *arguments], prog_name="vx32py plan9", standalone_mode=True)
        except SystemExit as end:
            code = end.code
        finally:
            os.dup2(saved, 0)
            os.close(saved)
        out, err = capfd.readouterr()
        assert isinstance(code, int)
        return int(code), out, err

    return run


# -- what is run, and how it ends --------------------------------------------------------------------------------------


def test_a_command_is_run_by_the_trees_shell_in_the_users_home(run: Run, engine_name: str) -> None:
    code, out, err = run("--engine", engine_name, "-c", "cat /lib/file", "one")
    assert (code, err) == (0, "")
    assert out == "rc -m /rc/lib/rcmain -c cat /lib/file one;/usr/glenda;/usr/glenda\nin the tree\n"


def test_without_a_command_the_shell_reads_its_input(run: Run) -> None:
    code, out, err = run(stdin=b"a line\n")
    assert (code, err) == (0, "")
    assert out == "rc -m /rc/lib/rcmain;/usr/glenda;/usr/glenda\n<a line>\n"


def test_a_user_without_a_home_is_at_the_root(run: Run) -> None:
    assert run("--user", "sys", "-c", "status")[1] == "rc -m /rc/lib/rcmain -c status;/;/\n"
    assert run("--user", "sys", "cat", "/dev/user")[1] == "sys"


def test_a_program_of_the_tree_needs_no_shell(run: Run, engine_name: str) -> None:
    assert run("--engine", engine_name, "cat", "/lib/file") == (0, "in the tree\n", "")
    assert run("--engine", engine_name, "/386/bin/cat", stdin=b"some input") == (0, "some input", "")


def test_a_program_of_the_hosts_is_run_without_a_tree_or_in_one(run: Run, tree: Path, tmp_path: Path) -> None:
    file = tmp_path / "8.out"
    file.write_bytes(
        compiled(
            main(
                'char b[32]; int fd = open("/lib/file", OREAD), n = read(fd, b, 32); print("%s %s %d", argv[0], argv[1], n);'
            )
        )
    )
    assert run(str(file), "x", root=None) == (0, f"{file} x -1", "")
    assert run("--aout", str(file), "x") == (0, f"{file} x 12", "")


def test_a_status_is_an_exit_code_and_a_line(run: Run, engine_name: str) -> None:
    assert run("--engine", engine_name, "status") == (0, "", "")
    assert run("--engine", engine_name, "status", "") == (0, "", "")
    assert run("--engine", engine_name, "status", "not today") == (1, "", "vx32py: status: not today\n")
    code, _, err = run("--engine", engine_name, "fault")
    assert code == 1
    why = r"sys: trap: fault write addr=0x8 pc=0x\w+"
    assert re.fullmatch(rf"fault \d+: suicide: {why}\nvx32py: fault: {why}\n", err)


def test_a_status_does_not_command_the_terminal(run: Run) -> None:
    assert run("status", "\x1b[2J\n!")[2] == "vx32py: status: \\x1b[2J\\n!\n"


def test_the_shells_status_is_the_commands(run: Run) -> None:
    assert run(stdin=b"exit\n")[::2] == (1, "vx32py: rc: said so\n")
    assert run("-c", "status bad")[::2] == (1, "vx32py: rc: bad\n")


def test_streams_that_are_no_terminal_are_streams(run: Run) -> None:
    assert run("both") == (0, "out", "err")
    assert "cons" not in run("where")[1]


def test_what_is_written_to_the_console_comes_to_stdout_and_its_input_is_stdin(run: Run) -> None:
    assert run("cat", "/dev/cons", stdin=b"from the pipe") == (0, "from the pipe", "")


def test_a_stream_that_is_closed_is_nothing(tree: Path) -> None:
    command = [sys.executable, "-m", "vx32py", "plan9", "--root", str(tree), "cat"]
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- 2>&-', "sh", *command], capture_output=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_program_whose_output_nobody_reads_ends(tree: Path) -> None:
    command = [sys.executable, "-m", "vx32py", "plan9", "--root", str(tree), "--timeout", str(PATIENCE), "yes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(2) == b"y\n"
        process.stdout.close()
        assert process.wait(PATIENCE) == 1
        assert b"vx32py: yes: sys: write on closed pipe" in process.stderr.read()


# -- what is granted ---------------------------------------------------------------------------------------------------


def test_the_root_is_read_only_unless_it_is_granted(run: Run, tree: Path, tmp_path: Path) -> None:
    code, out, _ = run("create", "/lib/new")
    assert code == 1
    assert "permission denied" in out
    assert run("create", "/tmp/new")[0] == 0
    assert not (tree / "tmp").exists()
    assert run("--writable", "create", "/lib/new")[0] == 0
    assert (tree / "lib" / "new").read_text() == "made"


def test_other_trees_are_where_they_are_told_to_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("elsewhere\n")
    assert run("--tree", f"src={tmp_path}", "cat", "/mnt/src/file")[1] == "elsewhere\n"
    assert run("--tree", f"src={tmp_path}", "cat", "#Usrc/file")[1] == "elsewhere\n"
    assert run("--tree", f"src={tmp_path}", "create", "/mnt/src/new")[0] == 1
    assert run("--tree", f"src={tmp_path}:rw", "create", "/mnt/src/new")[0] == 0
    assert (tmp_path / "new").read_text() == "made"
    program = str(tmp_path / "8.out")
    Path(program).write_bytes(
        compiled(main('char b[32]; int fd = open("/mnt/src/file", OREAD); b[read(fd, b, 31)] = 0; print("%s", b);'))
    )
    assert run("--tree", f"src={tmp_path}", program, root=None)[1] == "elsewhere\n"


def test_links_out_of_a_tree_lead_nowhere(run: Run, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tree / "lib" / "absolute").symlink_to(tmp_path / "secret")
    (tree / "lib" / "upwards").symlink_to("../../../../../../../../" + str(tmp_path / "secret"))
    (tree / "lib" / "folder").symlink_to(tmp_path)
    (tree / "lib" / "inside").symlink_to("file")
    (tree / "386" / "bin" / "outside").symlink_to(sys.executable)
    for name in ("absolute", "upwards", "folder/secret", "../../../../../../../.." + str(tmp_path / "secret")):
        code, out, _ = run("cat", f"/lib/{name}")
        assert code == 1
        assert "does not exist" in out
    assert run("cat", "/lib/inside") == (0, "in the tree\n", "")
    assert run("outside") == (125, "", "vx32py: outside: '/bin/outside' file does not exist\n")


def test_there_is_a_network_where_it_is_granted(run: Run) -> None:
    assert run("cat", "/net/tcp/clone")[0] == 1
    assert run("--net", "127.0.0.1:1,listen:127.0.0.1:0", "--host", "me=127.0.0.1", "cat", "/net/tcp/clone") == (
        0,
        "0",
        "",
    )


def test_the_same_from_python(engine_name: str, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("elsewhere")
    trees: dict[str, str | os.PathLike[str] | Grant | HostTree] = {
        "one": tmp_path,
        "two": Grant(tmp_path, writable=True),
    }
    with Kernel(engine=engine_name, root=tree, trees=trees, timeout=PATIENCE, memory="32M") as kernel:
        result = kernel.rc("cat", ["ignored"], stdin=b"given", env={"x": "y"})
        assert result.status == ""
        assert result.stdout == b"rc -m /rc/lib/rcmain -c cat ignored;/usr/glenda;/usr/glenda\ngiven"
        assert kernel.run(["cat", "/mnt/one/file"]).stdout == b"elsewhere"
        assert kernel.run(["create", "/mnt/one/made"]).status == "create"
        assert kernel.run(["create", "/mnt/two/made"]).status == ""
    with Kernel(engine=engine_name) as kernel, pytest.raises(Error, match="there is no /386/bin/rc"):
        kernel.rc("cat")
    with pytest.raises(NotADirectoryError):
        Kernel(root=tree / "lib" / "file")
    with pytest.raises(FileNotFoundError):
        Kernel(trees={"one": tree / "nosuch"})


def test_the_environment_and_names_are_what_is_said(run: Run) -> None:
    assert run("--env", "x=a=b", "cat", "/env/x")[1] == "a=b"
    assert run("cat", "/env/objtype")[1] == "386"
    assert run("--sysname", "fnord", "cat", "/dev/sysname")[1] == "fnord"
    assert run("cat", "/env/home")[1] == "/usr/glenda"
    assert {"#c cons", "#e env", "#p proc", "#U tree"} <= set(run("cat", "/dev/drivers")[1].splitlines())


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_a_root_that_is_none_is_one_line(run: Run, tree: Path, tmp_path: Path) -> None:
    for path, why in ((tmp_path / "nosuch", "No such file or directory"), (tree / "lib" / "file", "Not a directory")):
        assert run("-c", "x", root=path) == (125, "", f"vx32py: {path}: {why}\n")
        assert run("--tree", f"n={path}", "cat") == (125, "", f"vx32py: {path}: {why}\n")


def test_a_root_without_a_shell_says_what_is_missing(run: Run, tmp_path: Path) -> None:
    none = f"vx32py: {tmp_path}: there is no /386/bin/rc, nor /bin/rc: not the root of a Plan 9 system for the 386\n"
    assert run("-c", "x", root=tmp_path) == (125, "", none)
    (tmp_path / "bin").mkdir()
    install(tmp_path / "bin" / "rc", b"\x7fELF" + bytes(100))
    assert run("-c", "x", root=tmp_path)[2].startswith(f"vx32py: {tmp_path}: there is no /rc/lib/rcmain:")
    (tmp_path / "rc" / "lib").mkdir(parents=True)
    (tmp_path / "rc" / "lib" / "rcmain").touch()
    elf = f"vx32py: {tmp_path}: /bin/rc: an ELF program, not an a.out file of Plan 9's for the 386\n"
    assert run("-c", "x", root=tmp_path) == (125, "", elf)
    install(tmp_path / "bin" / "rc", compiled(SHELL))
    assert run("-c", "x", root=tmp_path)[1].endswith("x: '/bin/x' file does not exist\n")


BAD_PROGRAMS = {
    "an ELF program, not": b"\x7fELF" + bytes(100),
    "an a.out file for amd64, not for the 386": aout(b"\x90" * 64, magic=0x8A97),
    "an a.out file for the ARM, not for the 386": aout(b"\x90" * 64, magic=0x647),
    "truncated": aout(b"\x90" * 64)[:20],
    "not an a.out file for the 386: its magic number is 0x78787878": b"x" * 100,
    "the entry point": aout(b"\x90" * 64, entry=0x3000),
}


@pytest.mark.parametrize("why", BAD_PROGRAMS)
def test_what_is_no_program_is_one_line_that_says_what_it_is(run: Run, tmp_path: Path, why: str) -> None:
    file = tmp_path / "program"
    file.write_bytes(BAD_PROGRAMS[why])
    (tmp_path / "bin").mkdir()
    install(tmp_path / "bin" / "it", BAD_PROGRAMS[why])
    for code, out, err, name in ((*run(str(file), root=None), str(file)), (*run("it", root=tmp_path), "it")):
        assert (code, out, err.count("\n")) == (125, "", 1)
        assert err.startswith(f"vx32py: {name}: {why}")


def test_a_program_that_the_host_would_not_execute_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "it").write_bytes(compiled(SHELL))
    why = "permission denied: no mode of execution on the host (chmod +x)"
    assert run("it", root=tmp_path) == (125, "", f"vx32py: it: {why}\n")


def test_a_program_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    assert run("nosuch") == (125, "", "vx32py: nosuch: '/bin/nosuch' file does not exist\n")
    assert run("/lib") == (125, "", "vx32py: /lib: file is a directory\n")
    missing = str(tmp_path / "nosuch")
    assert run(missing, root=None) == (125, "", f"vx32py: {missing}: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "neither --root nor PROGRAM"),
        (["-c", "x"], "no shell without --root"),
        (["--aout"], "there is no PROGRAM"),
        (["--roott", "x"], "no such option: --roott"),
        (["--env", "novalue", "x"], "NAME=VALUE"),
        (["--tree", "nopath", "x"], "NAME=DIR"),
        (["--tree", "a/b=/tmp", "x"], "NAME=DIR"),
        (["--user", "a/b", "x"], "no name"),
        (["--memory", "lots", "x"], "not a size"),
        (["--policy", "nosuch", "x"], "policy"),
        (["--processes", "0", "x"], "processes"),
        (["--net", "nonsense", "x"], "--net"),
        (["--host", "nonsense", "x"], "NAME=ADDRESS"),
    ],
)
def test_options_that_make_no_sense_are_refused(run: Run, arguments: list[str], why: str) -> None:
    code, out, err = run(*arguments, root=None)
    assert (code, out) == (2, "")
    assert why in err


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--timeout", "0.3"], "ran for more than 0.3 s"),
        (["--cpu-time", "0.2"], "processor time"),
        (["--fuel", "100000"], "fuel"),
    ],
)
def test_limits_end_it_with_their_exit_code(run: Run, options: list[str], why: str) -> None:
    code, out, err = run(*options, "spin")
    assert (code, out, err.count("\n")) == (124, "ready", 1)
    assert why in err


def test_more_processes_than_are_granted_are_an_error_for_who_forks(run: Run) -> None:
    assert run("--processes", "5", "--timeout", "60", "forks") == (1, "", "vx32py: forks: no more\n")


def test_statistics_are_shown_afterwards(run: Run) -> None:
    code, _, err = run("--stats", "cat", "/lib/file")
    assert code == 0
    assert re.search(r"system calls: .*open 1", err)


def test_a_trace_of_the_command_goes_to_stderr(run: Run) -> None:
    code, out, err = run("--trace", "cat", "/lib/file")
    assert (code, out) == (0, "in the tree\n")
    assert 'cat: open("/lib/file", OREAD) = 3\n' in err


def test_without_click_nothing_of_it_is_loaded_with_the_package() -> None:
    script = "import sys, vx32py; assert not [n for n in sys.modules if n.startswith('vx32py.plan9') or n == 'click']"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    assert isinstance(plan9, click.Command)
