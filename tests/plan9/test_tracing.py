"""The trace: a line for each call, with what it was told and what it said."""

from __future__ import annotations

import pytest
from plan9_programs import compiled, main

from conformance.plan9.kernels import put
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.tracing import Tracer, flags_text

pytestmark = pytest.mark.compiler

PATIENCE = 60.0


def traced(engine: str, body: str) -> list[str]:
    """The lines of a program's calls, without its number and name."""
    lines: list[str] = []
    with Kernel(engine=engine, timeout=PATIENCE, memory="32M") as kernel:
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
        'sleep(20); int fds[2], me = _tos->pid; char c; pipe(fds); if(fork() == 0){ until(me, "Pread"); write(fds[0], "x", 1); exits(nil); } read(fds[1], &c, 1);',
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


def test_flags_have_names() -> None:
    assert flags_text(0, ((1, "ONE"),)) == "0x0"
    assert flags_text(0x109, ((1, "ONE"), (8, "EIGHT"))) == "ONE|EIGHT|0x100"
