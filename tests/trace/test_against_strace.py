"""Lines of the tracer are strace's: the same program under both, and every call answered with the same made-up result.

Nothing is carried out: strace injects the result, and here every handler is one that returns it. So the decoder of every
call is compared, whether the jail has the call or not.
"""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from traced_programs import build

import vx32py
from vx32py import strace
from vx32py._calls import LINUX_REGISTERS, LINUX_TRAP, SystemCalls
from vx32py.personality.linux.calls import known_calls

SOURCE = Path(__file__).with_name("arguments.c")
ENOSYS = -38


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    return build(SOURCE.read_text(), tmp_path_factory.mktemp("arguments") / "arguments")


def theirs(program: Path, result: int) -> list[str]:
    """What strace prints of the program's calls when it answers them all."""
    answer = "error=ENOSYS" if result == ENOSYS else f"retval={result}"
    out = program.with_name(f"strace{result}")
    # The program's own execve, which comes first, is the real one.
    without = "!exit" if result == ENOSYS else "!exit,execve,execveat"
    command = ["strace", "-o", str(out), "-e", f"inject={without}:{answer}", str(program)]
    done = subprocess.run(command, check=False, timeout=60)
    assert done.returncode == 0
    lines = out.read_text().splitlines()[1:]
    # Two devices share numbers of requests; a name for the terminal's is enough.
    return [re.sub(r" \(INJECTED\)$|SNDCTL_\w+ or ", "", line) for line in lines]


def ours(program: Path, result: int) -> list[str]:
    """What the tracer prints when handlers answer so."""
    table = SystemCalls("linux", LINUX_TRAP, LINUX_REGISTERS)
    for number, call in known_calls().items():
        if call.name == "exit":
            table.define(number, "exit")(lambda process, code: process.exit(code))
        elif result != ENOSYS and call.name in {"execve", "execveat"}:
            table.define(number, call.name)(lambda process: -2)
        else:
            table.define(number, call.name)(lambda process: result)
    pieces: list[str] = []
    box = vx32py.Sandbox(calls=(table,), engine="auto", memory="64M")
    done = box.run(vx32py.Module.from_file(program), observers=[strace.printer(pieces.append)])
    assert done.exit_code == 0
    return "".join(pieces).splitlines()


@pytest.mark.parametrize("result", [ENOSYS, 0, 3])
def test_lines_are_those_of_strace(program: Path, result: int) -> None:
    expected, got = theirs(program, result), ours(program, result)
    assert len(expected) > 2000
    different = list(difflib.unified_diff(expected, got, "strace", "vx32py", lineterm="", n=0))
    assert not different, "\n".join(different[:40])
