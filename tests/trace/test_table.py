"""The table of all Linux calls is right: against the kernel's header, against strace, against the handlers there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from traced_programs import ALL_CALLS, build

import vx32py
from conformance import calls as page
from vx32py.personality.linux import TABLE, refusals
from vx32py.personality.linux.calls import Status, known_calls, parameter, select

KNOWN = known_calls()
HEADERS = [Path(f"/usr/include/{folder}asm/unistd_32.h") for folder in ("x86_64-linux-gnu/", "")]


def test_names_and_numbers_are_the_kernels() -> None:
    header = next((path for path in HEADERS if path.is_file()), None)
    if header is None:
        pytest.skip("no asm/unistd_32.h here")
    numbers = {name: int(n) for name, n in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    assert len(numbers) > 400
    newest = max(numbers.values())
    assert {call.name: n for n, call in KNOWN.items() if n <= newest} == numbers


def test_every_handler_has_its_number_and_name() -> None:
    wrong = [entry for entry in TABLE if entry.number not in KNOWN or KNOWN[entry.number].name != entry.name]
    assert not wrong


def test_what_is_marked_is_so() -> None:
    """A call that is said to be done partly has a handler, one that is said to be refused has none."""
    handled = {entry.number for entry in TABLE}
    wrong = [call for call in KNOWN.values() if (call.number in handled and call.refused)]
    wrong += [call for call in KNOWN.values() if call.partial and call.number not in handled]
    assert not wrong, "mend their marks in vx32py/personality/linux/calls.txt, then run python -m conformance.calls"
    assert all(call.reason for call in KNOWN.values() if call.partial or call.refused)


def test_all_others_answer_the_error_that_the_table_names(tmp_path: Path) -> None:
    """The guest makes each call that has no handler, and sends what it got; the table is not asked how it answers."""
    others = [n for n in (*KNOWN, 251, 470, 0x7FFF_FFFF, 0xFFFF_FFFF) if TABLE.get(n) is None]
    program = build(_ASK, tmp_path / "ask")
    asked = b"".join(n.to_bytes(4, "little") for n in others)
    result = vx32py.Sandbox(engine="reference").run(vx32py.Module.from_file(program), stdin=asked)
    got = [int.from_bytes(result.stdout[i : i + 4], "little", signed=True) for i in range(0, len(result.stdout), 4)]
    expected = [-KNOWN[n].error if n in KNOWN else -38 for n in others]
    assert got == expected
    assert set(got) >= {-1, -38}
    assert all(refusals.error_of(n) == call.error for n, call in KNOWN.items())


_ASK = r"""
static int call(int n, int b, int c, int d) {
  int r; __asm__ volatile("int $0x80" : "=a"(r) : "0"(n), "b"(b), "c"(c), "d"(d) : "memory"); return r;
}
void _start(void) {
  int number, answer;
  while (call(3, 0, (int)&number, 4) == 4) { answer = call(number, 0, 0, 0); call(4, 1, (int)&answer, 4); }
  call(1, 0, 0, 0);
}
"""


@pytest.fixture(scope="module")
def strace_of_all(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """strace's own idea of every number: the tracer answers all calls itself, so that none of them is carried out."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("all")
    program = build(ALL_CALLS, folder / "all")

    def run(*options: str) -> list[str]:
        command = ["strace", "-o", str(folder / "out"), "-e", "raw=all", "-e", "inject=!exit:error=ENOSYS", *options]
        done = subprocess.run([*command, str(program)], check=False, timeout=60)
        assert done.returncode in {0, -11}  # a program that is not let exit runs into what comes behind
        return (folder / "out").read_text().splitlines()[1:]

    return run


def test_names_and_numbers_of_arguments_are_those_of_strace(strace_of_all: Callable[..., list[str]]) -> None:
    seen = 0
    for number, line in zip(range(451), strace_of_all(), strict=False):
        name, arguments = re.match(r"(\w+)\((.*?)\)", line).groups()  # type: ignore[union-attr]
        if number == 1:
            continue  # exit is the one that is carried out, at the end
        if name.startswith("syscall_"):
            assert number not in KNOWN
            continue
        call = KNOWN[number]
        assert call.name == name
        assert sum(p.registers for p in call.parameters) == len([a for a in arguments.split(", ") if a]), name
        seen += 1
    assert seen > 430


@pytest.mark.parametrize("kind", ["file", "desc", "process", "network", "signal", "memory", "ipc", "creds"])
def test_classes_are_those_of_strace(strace_of_all: Callable[..., list[str]], kind: str) -> None:
    lines = strace_of_all("-e", f"inject=%{kind}:error=EXDEV")
    theirs = {line.partition("(")[0] for line in lines if "EXDEV" in line} - {"exit"}
    ours = {call.name for number, call in KNOWN.items() if kind in call.classes and 1 < number <= 450}
    sockets = {call.name for call in KNOWN.values() if call.group == "sockets"}
    more = {
        "network": {"socketcall"},  # strace looks at which call it is
        "desc": sockets,  # strace counts them under x86-64 and not here
        "signal": {"restart_syscall", "sigreturn", "rt_sigreturn"},
        "memory": {"modify_ldt", "process_madvise"},
        "ipc": {name for name in ours if name.startswith("mq_")},
    }.get(kind, set())
    assert theirs
    assert ours - more == theirs - more


def test_calls_are_selected_by_name_and_class() -> None:
    assert select(["read", "write"]) == {"read", "write"}
    assert {"open", "execve", "statx"} <= select(["%file"]) == select(["file"])
    assert select(["memory", "exit"]) == select(["memory"]) | {"exit"}
    with pytest.raises(ValueError, match="'reda'"):
        select(["reda"])


def test_a_parameter_that_makes_no_sense_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a parameter"):
        parameter("a:b:c")
    assert all(p.name for call in KNOWN.values() for p in call.parameters)


def test_the_page_of_calls_is_up_to_date() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page(), "run python -m conformance.calls"
    written = page.PAGE.read_text(encoding="utf-8")
    assert all(f"| {n} | `{call.name}` |" in written for n, call in KNOWN.items())
    assert {page.status_of(call) for call in KNOWN.values()} >= {Status.FULL, Status.REFUSED, Status.ABSENT}
