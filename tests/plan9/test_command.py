"""``vx32py plan9``: options, what is booted, how it ends, bad trees and programs, the trace; and its terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import click
import pytest
from plan9_programs import aout, compiled, main

from vx32py import Grant
from vx32py.commands.plan9 import plan9
from vx32py.plan9.errors import Error
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.tracing import Tracer, flags_text
from vx32py.vfs.host import HostTree

pytestmark = pytest.mark.compiler

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0

#: In place of a shell: says how it was started; with -c it executes the words of the command, else lines until "exit".
SHELL = r"""
char *slot(char *s, char **words, int most) {
	int n = 0;
	for(;;){
		while(*s == ' ') s++;
		if(!*s || n == most - 1) break;
		words[n++] = s;
		while(*s && *s != ' ') s++;
		if(*s) *s++ = 0;
	}
	words[n] = nil;
	return words[0];
}
char *env(char *name, char *to, int size) {
	char path[64]; int fd, n;
	sprint(path, "/env/%s", name);
	if((fd = open(path, OREAD)) < 0) return "?";
	n = read(fd, to, size - 1); close(fd); to[n < 0 ? 0 : n] = 0;
	return to;
}
int main(int argc, char **argv) {
	char b[512], b2[64], *words[16]; int i, n, fd;
	for(i = 0; i < argc; i++) print("%s%s", i ? " " : "", argv[i]);
	fd = open(".", OREAD); fd2path(fd, b, sizeof b); close(fd);
	print(";%s;%s\n", b, env("home", b2, sizeof b2));
	for(i = 1; i < argc; i++) if(argv[i][0] == '-' && argv[i][1] == 'c') {
		slot(argv[i+1], words, 16);
		sprint(b, "/bin/%s", words[0]);
		exec(b, words); print("%s: %r\n", words[0]); exits("exec");
	}
	while((n = read(0, b, sizeof b)) > 0){
		b[n-1] = 0;
		if(strcmp(b, "exit") == 0) exits("said so");
		print("<%s>\n", b);
	}
	return 0;
}
"""
#: Waits for notes and says which came; ends at the end of its input. A child does the same.
LISTENER = r"""
char *who = "parent";
void handler(void *u, char *note) { char b[64]; sprint(b, "%s has %s.", who, note); write(1, b, strlen(b)); noted(NCONT); }
int main(int argc, char **argv) {
	char c; int n;
	notify(handler);
	if(fork() == 0){ who = "child"; print("ready"); for(;;) sleep(60000); }
	for(;;){ n = read(0, &c, 1); if(n == 0) exits(nil); if(n < 0) print("{%r}"); }
}
"""
#: Asks for keys as they are pressed and says their numbers, until "q"; what follows "c" it reads as lines.
KEYS = r"""
int main(int argc, char **argv) {
	char c, b[64]; int n, fd = open("/dev/consctl", OWRITE);
	if(fd < 0 || write(fd, "rawon", 5) != 5) exits("rawon");
	print("ready");
	while(read(0, &c, 1) == 1 && c != 'q'){
		print("[%d]", c);
		if(c == 'c'){
			if(argc > 1) close(fd); else write(fd, "rawoff", 6);
			print("cooked"); n = read(0, b, sizeof b); b[n < 0 ? 0 : n] = 0; print("(%s)", b);
			if(argc > 1) exits(nil);
			write(fd, "rawon", 5); print("again");
		}
	}
	return 0;
}
"""


def install(path: Path, content: bytes) -> None:
    """A program where it can be executed."""
    path.write_bytes(content)
    path.chmod(0o755)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a shell and some programs."""
    root = tmp_path_factory.mktemp("plan9")
    programs = {
        "rc": SHELL, "listener": LISTENER, "keys": KEYS,
        "status": main("exits(argv[1]);"),
        "cat": main('char b[64]; int n, fd = argc > 1 ? open(argv[1], OREAD) : 0; if(fd < 0){ print("%r"); exits("open"); } while((n = read(fd, b, sizeof b)) > 0) write(1, b, n);'),
        "both": main('write(1, "out", 3); write(2, "err", 3);'),
        "spin": main('write(1, "ready", 5); for(;;);'),
        "fault": main("*(int*)8 = 1;"),
        "create": main('int fd = create(argv[1], OWRITE, 0644); if(fd < 0){ print("%r"); exits("create"); } write(fd, "made", 4);'),
        "where": main('char b[64]; int i; for(i = 0; i < 3; i++){ fd2path(i, b, sizeof b); print("%s ", b); }'),
        "yes": main('for(;;) write(1, "y\\n", 2);'),
        "forks": main('for(;;){ int pid = fork(); if(pid < 0) exits("no more"); if(pid == 0) for(;;) sleep(60000); }'),
    }  # fmt: skip
    binaries = root / "386" / "bin"
    binaries.mkdir(parents=True)
    for name, source in programs.items():
        install(binaries / name, compiled(source))
    (root / "rc" / "lib").mkdir(parents=True)
    (root / "rc" / "lib" / "rcmain").write_text("nothing of this is read by this shell\n")
    (root / "usr" / "glenda" / "lib").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "lib" / "file").write_text("in the tree\n")
    return root


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tree: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
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


# -- the trace ---------------------------------------------------------------------------------------------------------


def traced(engine: str, body: str) -> list[str]:
    """The lines of a program's calls, without its number and name."""
    lines: list[str] = []
    with Kernel(engine=engine, timeout=PATIENCE, memory="32M") as kernel:
        from plan9_programs import put

        kernel.observers.append(Tracer(lines.append))
        put(kernel, "test", compiled(main(body)))
        kernel.run(["test"])
    assert all(line.endswith("\n") for line in lines)
    return [line.rstrip() for line in lines]


def test_each_call_is_a_line(engine_name: str) -> None:
    body = r"""
    char b[32]; int fds[2], fd;
    fd = create("/tmp/f", OWRITE|OTRUNC, 0640); pwrite(fd, "some \x01text", 10, 1LL<<20); close(fd);
    open("/nosuch", OREAD|OCEXEC);
    pipe(fds); write(fds[0], "abc", 3); read(fds[1], b, sizeof b);
    bind("/tmp", "/n", MAFTER|MCREATE);
    if(fork() == 0) exits("bad");
    wait(); seek(0, 5, 0); segattach(0, "nosuch", 0, 4096); fd2path(1, b, sizeof b);
    """
    lines = traced(engine_name, body)
    parent = [line.removeprefix("2 test: ") for line in lines if line.startswith("2 ")]
    child = [line.removeprefix("3 test: ") for line in lines if line.startswith("3 ")]
    assert parent[:3] == [
        'create("/tmp/f", OWRITE|OTRUNC, 0640) = 3', r'pwrite(3, "some \1text", 10, 1048576) = 10', "close(3) = 0",
    ]  # fmt: skip
    assert "open(\"/nosuch\", OREAD|OCEXEC) = -1 '/nosuch' file does not exist" in parent
    assert "pipe([3, 4]) = 0" in parent
    assert 'pread(4, "abc", 32, -1) = 3' in parent
    assert any(line.startswith('bind("/tmp", "/n", MAFTER|MCREATE) = ') for line in parent)
    assert "rfork(RFFDG|RFPROC|RFREND) = 3" in parent
    assert any(line.startswith(('await("3 ', '... await("3 ')) for line in parent)
    assert any(line.startswith('segattach(NULL, "nosuch", NULL, 4096) = -1 ') for line in parent)
    assert parent[-1] == 'ended: ""'
    assert child[-2:] == ['exits("bad")', 'ended: "bad"']


def test_a_call_that_waits_has_a_line_before_it_does(engine_name: str) -> None:
    lines = traced(
        engine_name,
        'sleep(20); int fds[2]; char c; pipe(fds); if(fork() == 0){ sleep(20); write(fds[0], "x", 1); exits(nil); } read(fds[1], &c, 1);',
    )
    assert "2 test: sleep(20 ..." in lines
    assert "2 test: ... sleep(20) = 0" in lines
    begun, done = lines.index("2 test: pread(4, ..., 1, -1 ..."), lines.index('2 test: ... pread(4, "x", 1, -1) = 1')
    assert begun < done


def test_bad_pointers_and_names_that_command_terminals_are_shown_as_they_are(engine_name: str) -> None:
    lines = traced(engine_name, r'open("\x1b[2J", OREAD); open((char*)0x30, 0);')
    assert r"""2 test: open("\33[2J", OREAD) = -1 bad character in file name: '\33[2J'""" in lines
    assert "\x1b" not in "".join(lines)
    assert any("open(0x30, OREAD) = -1" in line for line in lines)


def test_a_trace_of_the_command_goes_to_stderr(run: Run) -> None:
    code, out, err = run("--trace", "cat", "/lib/file")
    assert (code, out) == (0, "in the tree\n")
    assert 'cat: open("/lib/file", OREAD) = 3\n' in err


def test_flags_have_names() -> None:
    assert flags_text(0, ((1, "ONE"),)) == "0x0"
    assert flags_text(0x109, ((1, "ONE"), (8, "EIGHT"))) == "ONE|EIGHT|0x100"


# -- the terminal ------------------------------------------------------------------------------------------------------


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "vx32py", "plan9", *arguments])  # noqa: S606
        self.seen = b""
        self.before = termios.tcgetattr(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def expect(self, text: bytes) -> None:
        """Read until something has been said that was not there before."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert select.select([self.fd], [], [], max(end - time.monotonic(), 0))[0], self.seen
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            assert data, self.seen
            self.seen += data
        self.seen = self.seen.partition(text)[2]

    def rest(self) -> bytes:
        """All that comes until it ends."""
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                return self.seen
            if not data:
                return self.seen
            self.seen += data

    def ended(self, keys: bytes = b"") -> int:
        """The exit code. These keys are pressed again and again until then."""
        end = time.monotonic() + PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            if keys:
                self.type(keys)
            time.sleep(0.05 if keys else 0.01)

    @property
    def settings_are_back(self) -> bool:
        return termios.tcgetattr(self.fd) == self.before

    def wait_for_settings(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self.settings_are_back:
            assert time.monotonic() < end, "the terminal was left as it was"
            time.sleep(0.01)


def test_a_shell_on_a_terminal_is_interactive_and_ends_at_the_end_of_input(tree: Path) -> None:
    with Terminal("--root", str(tree)) as terminal:
        terminal.expect(b"rc -m /rc/lib/rcmain -i;/usr/glenda;")
        terminal.type(b"hello\n")
        terminal.expect(b"<hello>")
        terminal.type(b"\x04")
        assert terminal.ended() == 0


def test_a_user_with_a_profile_has_a_login_shell_and_the_window_has_a_size(tree: Path) -> None:
    profile = tree / "usr" / "glenda" / "lib" / "profile"
    profile.touch()
    try:
        with Terminal("--root", str(tree)) as terminal:
            terminal.expect(b"rc -m /rc/lib/rcmain -li;/usr/glenda;")
            terminal.type(b"exit\n")
            terminal.expect(b"vx32py: rc: said so")
            assert terminal.ended() == 1
    finally:
        profile.unlink()
    with Terminal("--root", str(tree), "where") as terminal:
        terminal.expect(b"/dev/cons /dev/cons /dev/cons")
        assert terminal.ended() == 0


def test_ctrl_c_is_a_note_for_the_consoles_note_group_and_three_end_the_kernel(tree: Path) -> None:
    with Terminal("--root", str(tree), "listener") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"\x03")
        for _ in range(2):  # in whichever order
            terminal.expect(b" has interrupt.")
        assert terminal.ended(b"\x03") == 128 + signal.SIGINT


def test_ctrl_c_ends_a_program_without_a_handler(tree: Path) -> None:
    with Terminal("--root", str(tree), "--stats", "spin") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"\x03")
        terminal.expect(b"vx32py: spin: interrupt")
        assert terminal.ended() == 1


def test_rawon_is_for_the_hosts_terminal_too_and_ends_with_the_program(tree: Path) -> None:
    with Terminal("--root", str(tree), "keys") as terminal:
        terminal.expect(b"ready")
        assert not terminal.settings_are_back
        for key, number in ((b"a", 97), (b"\x04", 4), (b"\x03", 3), (b"\x7f", 8), (b"\r", 10)):
            terminal.type(key)
            terminal.expect(b"[%d]" % number)
        terminal.type(b"c")
        terminal.expect(b"cooked")
        assert terminal.settings_are_back
        terminal.type(b"x\x7fline\n")
        terminal.expect(b"(line\r\n)")
        terminal.expect(b"again")
        assert not terminal.settings_are_back
        terminal.type(b"q")
        assert terminal.ended() == 0
        assert terminal.settings_are_back


def test_what_is_asked_of_consctl_ends_when_it_is_closed(tree: Path) -> None:
    with Terminal("--root", str(tree), "keys", "close") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"c")
        terminal.expect(b"cooked")
        assert terminal.settings_are_back
        terminal.type(b"line\n")
        assert terminal.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSEGV])
def test_a_raw_terminal_is_put_back_however_the_command_ends(tree: Path, number: signal.Signals) -> None:
    with Terminal("--root", str(tree), "keys") as terminal:
        terminal.expect(b"ready")
        assert not terminal.settings_are_back
        os.kill(terminal.pid, number)
        code = terminal.ended()
        assert code == (128 + number if number in (signal.SIGTERM, signal.SIGHUP) else -number)
        terminal.wait_for_settings()


def test_three_ctrl_c_end_the_kernel_on_a_raw_terminal_too(tree: Path) -> None:
    with Terminal("--root", str(tree), "keys") as terminal:
        terminal.expect(b"ready")
        assert terminal.ended(b"\x03") == 128 + signal.SIGINT
        assert terminal.settings_are_back


def test_without_click_nothing_of_it_is_loaded_with_the_package() -> None:
    script = "import sys, vx32py; assert not [n for n in sys.modules if n.startswith('vx32py.plan9') or n == 'click']"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    assert isinstance(plan9, click.Command)
