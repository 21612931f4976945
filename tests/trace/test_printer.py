"""What the tracer prints of whole programs: several processes, calls that wait, ends, signals, counts, hostile arguments."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from images import image
from traced_programs import build

import vx32py
from vx32py import strace
from vx32py._calls import LINUX_REGISTERS, LINUX_TRAP, Call, SystemCalls
from vx32py.personality.linux.calls import known_calls

ROOT = Path(__file__).resolve().parents[2]

_CALL = r"""
static int call(int n, int b, int c, int d) {
  int r; __asm__ volatile("int $0x80" : "=a"(r) : "0"(n), "b"(b), "c"(c), "d"(d), "S"(n == 174 ? 8 : 0) : "memory"); return r;
}
static int fds[2], status; static char buf[16];
"""
#: The parent waits in read until the child has written, and then for its end.
PIPED = (
    _CALL
    + r"""
void _start(void) {
  call(42, (int)fds, 0, 0);
  int child = call(2, 0, 0, 0);
  if (child == 0) { call(158, 0, 0, 0); call(4, fds[1], (int)"hello", 5); call(1, 3, 0, 0); }
  call(3, fds[0], (int)buf, 16);
  call(114, child, (int)&status, 0);
  call(252, 7, 0, 0);
}
"""
)
#: Signals with handlers, one of which ends a wait; and two processes that die of one.
SIGNALLED = (
    _CALL
    + r"""
static void handler(int n) {}
__asm__("restorer: mov $173, %eax; int $0x80");
extern char restorer[];
static struct { void *handler; unsigned flags; void *restorer; unsigned mask[2]; } action = {handler, 0x04000004, restorer};
static int timer[4] = {0, 0, 0, 30000};
void _start(void) {
  call(174, 10, (int)&action, 0); call(174, 14, (int)&action, 0);
  call(37, call(20, 0, 0, 0), 10, 0);
  call(104, 0, (int)timer, 0);
  call(29, 0, 0, 0);
  int child = call(2, 0, 0, 0);
  if (child == 0) { *(volatile int *)0x10 = 1; }
  call(114, child, (int)&status, 0);
  call(37, call(20, 0, 0, 0), 15, 0);
}
"""
)
KILLED = _CALL + "void _start(void) { call(37, call(20, 0, 0, 0), 9, 0); }"


def traced(program: Path, **options: object) -> list[str]:
    pieces: list[str] = []
    box = vx32py.Sandbox(memory="64M", engine="auto")
    box.run(vx32py.Module.from_file(program), observers=[strace.printer(pieces.append, **options)])  # type: ignore[arg-type]
    return "".join(pieces).splitlines()


def plain(lines: list[str]) -> list[str]:
    """Without numbers of processes, which are the host's, and columns."""
    return [re.sub(r" += ", " = ", re.sub(r"^(\[pid +)?\d+\]? +", "", line)) for line in lines]


def by_process(lines: list[str]) -> list[list[str]]:
    """The lines of each process, with calls that were resumed in one piece, and processes by order of their numbers."""
    whole: dict[str, list[str]] = {}
    for line in lines:
        number, _, rest = line.removeprefix("[pid ").partition(" ")
        here = whole.setdefault(number.rstrip("]"), [])
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest.strip())
        if resumed:
            here[-1] = here[-1].replace(" <unfinished ...>", "") + resumed[1]
        else:
            here.append(rest.strip())
    numbers = {number: f"PID{index}" for index, number in enumerate(sorted(whole, key=int))}
    text = [[re.sub(r" += ", " = ", re.sub(r"\b\d{3,}\b", lambda m: numbers.get(m[0], m[0]), line)) for line in lines]
            for _, lines in sorted(whole.items(), key=lambda item: int(item[0]))]  # fmt: skip
    return [[_alike(line) for line in lines if not line.startswith("--- SIGCHLD")] for lines in text]


def _alike(line: str) -> str:
    """Without what the two cannot agree about: the user, and what sigreturn says of the mask that it sets."""
    return re.sub(r"si_uid=\d+", "si_uid=ID", re.sub(r"sigreturn\(.*\) = ", "sigreturn() = ", line))


@pytest.mark.parametrize(
    ("source", "code", "processes"), [(PIPED, 7, 2), (SIGNALLED, -15, 2)], ids=["pipes", "signals"]
)
def test_processes_and_their_calls_are_those_of_strace(tmp_path: Path, source: str, code: int, processes: int) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    program = build(source, tmp_path / "program")
    native = tmp_path / "native"
    done = subprocess.run(["strace", "-f", "-o", str(native), str(program)], check=False, timeout=60)
    assert done.returncode == code
    expected = by_process(native.read_text().splitlines()[1:])
    lines = traced(program)
    # The first process's number is not written before there is another one.
    first = min(re.findall(r"^\[pid (\d+)\]", "\n".join(lines), re.MULTILINE), key=int)
    numbered = [line if line.startswith("[pid") else f"[pid {first}] {line}" for line in lines]
    assert by_process(numbered) == expected
    assert len(expected) == processes


def test_a_call_that_waits_is_printed_once(tmp_path: Path) -> None:
    lines = plain(traced(build(PIPED, tmp_path / "piped")))
    assert [line for line in lines if line.startswith("read(")] == ["read(3,  <unfinished ...>"]
    assert [line for line in lines if "read resumed" in line] == ['<... read resumed>"hello", 16) = 5']
    assert lines.index("read(3,  <unfinished ...>") < lines.index('write(4, "hello", 5) = 5')
    assert lines.count("+++ exited with 3 +++") == 1
    assert lines[-2:] == ["exit_group(7) = ?", "+++ exited with 7 +++"]


def test_a_process_that_is_killed_is_said_to_be(tmp_path: Path) -> None:
    lines = plain(traced(build(KILLED, tmp_path / "killed")))
    assert re.fullmatch(r"kill\(\d+, SIGKILL\) = [0?]", lines[-2])
    assert lines[-1] == "+++ killed by SIGKILL +++"


class _Signals:
    """An observer that tells a printer of a signal in the middle of the first call, as if it had waited."""

    def __init__(self, printer: strace.Printer) -> None:
        self.printer = printer
        self.done = False

    def entered(self, call: Call) -> None:
        if not self.done:
            self.done = True
            self.printer.signalled(call.process, bytes([1]) + bytes(127))
            self.printer.repeated(call)

    def returned(self, call: Call, result: int | None) -> None:
        pass


def test_a_signal_ends_the_line_of_the_call_that_waited(tmp_path: Path) -> None:
    pieces: list[str] = []
    printer = strace.printer(pieces.append)
    program = build(_CALL + "void _start(void) { call(3, 0, (int)buf, 16); call(1, 0, 0, 0); }", tmp_path / "p")
    box = vx32py.Sandbox(memory="64M")
    box.run(vx32py.Module.from_file(program), stdin=b"abc", observers=[printer, _Signals(printer)])
    lines = plain("".join(pieces).splitlines())
    assert re.fullmatch(
        r"read\(0, 0x[0-9a-f]+, 16\) = \? ERESTARTSYS \(To be restarted if SA_RESTART is set\)", lines[0]
    )
    assert lines[1:] == [
        "--- SIGHUP {si_signo=SIGHUP, si_code=SI_USER, si_pid=0, si_uid=0} ---",
        'read(0, "abc", 16) = 3',
        "exit(0) = ?",
        "+++ exited with 0 +++",
    ]


def test_a_signal_is_a_line_with_its_siginfo(tmp_path: Path) -> None:
    """Of a fault and of the end of a child, laid out as the kernel does."""
    pieces: list[str] = []
    printer = strace.printer(pieces.append)
    program = build(PIPED, tmp_path / "piped")
    with vx32py.Sandbox(memory="64M").spawn(vx32py.Module.from_file(program)) as process:
        fault = b"".join(n.to_bytes(4, "little") for n in (11, 0, 1, 0x1234)) + bytes(112)
        child = b"".join(n.to_bytes(4, "little") for n in (17, 0, 1, 77, 1000, 3)) + bytes(104)
        printer.signalled(process, fault)
        printer.signalled(process, child)
    assert "".join(pieces).splitlines() == [
        "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x1234} ---",
        "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=77, si_uid=1000, si_status=3, si_utime=0, si_stime=0} ---",
    ]


def test_calls_are_chosen_by_name_and_class(tmp_path: Path) -> None:
    program = build(PIPED, tmp_path / "piped")
    lines = plain(traced(program, calls="write,%process"))
    names = [line.partition("(")[0] for line in lines if "(" in line and not line.startswith("<")]
    assert sorted(names) == ["exit", "exit_group", "fork", "wait4", "write"]
    with pytest.raises(ValueError, match="'nonsense'"):
        strace.printer(print, calls="read,nonsense")


def test_strings_are_shown_as_far_as_is_wished(tmp_path: Path) -> None:
    program = build(PIPED, tmp_path / "piped")
    assert 'write(4, "he"..., 5) = 5' in plain(traced(program, string_limit=2))


def test_lines_begin_with_a_time_where_that_is_wished(tmp_path: Path) -> None:
    lines = traced(build(KILLED, tmp_path / "killed"), relative=True)
    assert all(re.match(r" +\d+\.\d{6} \S", line) for line in lines)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_guest_passes_is_printed_without_an_error(tmp_path: Path, seed: int) -> None:
    """Every call with numbers that mean something to somebody, in front of memory that ends and memory of random bytes."""
    dice = random.Random(seed)
    table = SystemCalls("linux", LINUX_TRAP, LINUX_REGISTERS)
    outcome = {"result": 0}
    for number, known in known_calls().items():
        table.define(number, known.name)(lambda process: outcome["result"])
    printed: list[str] = []
    printer = strace.printer(printed.append)
    box = vx32py.Sandbox(calls=(table,), engine="reference", memory="1M")
    program = build(
        _CALL + "static char big[0x3000]; void _start(void) { for (;;) call(0, (int)big, 0, 0); }", tmp_path / "p"
    )
    with box.spawn(vx32py.Module.from_file(program)) as process:
        regions = process.memory.regions()
        start, end = next((a, b) for a, b, access in regions if access & 2)
        process.memory.write(start, dice.randbytes(end - start))
        process.observers.append(printer)
        ends = [
            0,
            1,
            8,
            start,
            end - 1,
            end - 4,
            end,
            start + 0x1001,
            0xFFFF_FFFF,
            0xFFFF_FFFC,
            0x7FFF_FFFF,
            0x8000_0000,
        ]
        for number in known_calls():
            for _ in range(12):
                words = process.registers.words
                for register in LINUX_REGISTERS:
                    words[register] = dice.choice(
                        [*ends, dice.randrange(64), dice.randrange(start, end), dice.getrandbits(32)]
                    )
                words[0] = number
                outcome["result"] = dice.choice([0, 1, 3, 4096, -1, -14, -512, 0x7FFF_FFFF])
                table.dispatch(process, words)
    text = "".join(printed)
    assert text.isascii()
    assert all(line.isprintable() for line in text.splitlines())
    assert len(text.splitlines()) >= 12 * len(known_calls())
    assert max(map(len, text.splitlines())) < 60_000


def vx32py_command(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vx32py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120)


def test_the_summary_counts_calls_and_errors(tmp_path: Path) -> None:
    program = build(_CALL + "void _start(void) { for (int i = 0; i < 5; i++) call(6, 99, 0, 0); call(20,0,0,0); call(1, 0, 0, 0); }",
                    tmp_path / "p")  # fmt: skip
    done = vx32py_command("trace", "--summary", program)
    rows = [line.split() for line in done.stderr.decode().splitlines()]
    assert done.returncode == 0
    assert rows[0] == ["%", "time", "seconds", "usecs/call", "calls", "errors", "syscall"]
    found = {row[-1]: row[3:-1] for row in rows[2:-2]}
    assert found == {"close": ["5", "5"], "getpid": ["1"], "exit": ["1"]}
    assert rows[-1][3:] == ["7", "5", "total"]
    only = vx32py_command("trace", "-c", "--calls", "close", program).stderr.decode().splitlines()
    assert [line.split()[-1] for line in only[2:-2]] == ["close"]


def test_a_call_that_nobody_knows_is_an_error_of_the_command_line(tmp_path: Path) -> None:
    program = build(KILLED, tmp_path / "killed")
    done = vx32py_command("trace", "--calls", "reda", program)
    assert done.returncode == 2
    assert b"no system call and no class of calls is called 'reda'" in done.stderr


def test_calls_without_a_handler_have_their_names_in_trace_and_statistics(tmp_path: Path) -> None:
    program = build(_CALL + "void _start(void) { call(26, 0, 0, 0); call(462, 0, 0, 0); call(999, 1, 0, 0); call(1, 0, 0, 0); }",
                    tmp_path / "p")  # fmt: skip
    lines = plain(traced(program))
    assert lines[0] == "ptrace(PTRACE_TRACEME, 0, NULL, NULL) = -1 EPERM (Operation not permitted)"
    assert lines[1] == "mseal(NULL, 0, 0) = -1 ENOSYS (Function not implemented)"
    assert lines[2].startswith("call_999(1, 0, 0, 0, ")
    done = vx32py_command("run", "--stats", program)
    assert re.search(rb"unknown calls: +linux ptrace \(1\), linux mseal \(1\), linux call_999 \(1\)", done.stderr)


def test_an_unknown_call_of_the_vx_abi_was_an_error_of_the_printer() -> None:
    """It has five arguments, and six were looked for."""
    lines: list[str] = []
    with vx32py.Sandbox(engine="reference").spawn(image("mov eax, 77; mov edx, 5; syscall; int3")) as process:
        process.observers.append(strace.printer(lines.append))
        assert process.run().number == vx32py.Vector.BREAKPOINT
    assert "".join(lines).startswith("call_77(5, 0, 0, 0, 0) ")
