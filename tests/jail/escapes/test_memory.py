"""Memory that is not the guest's: pointers that lead there, mappings over it, and registers that would reach it.

The programs are in memory.c. A native process that does the same is the oracle for what comes of it.
"""

from __future__ import annotations

import re
import subprocess

import pytest
from prison import SOURCES, TIMEOUT, World, build, jail

PROGRAM = "memory.c"
#: Attempts of which the native process prints the same, and ends in the same way.
AS_NATIVELY = [
    "straddle", "vectors", "futexes", "hostile_clone", "everything_unmapped", "everything_protected",
    "stack_at_zero", "stack_at_the_top", "stack_across_the_end", "signal_without_a_stack", "return_to_the_kernel",
    "return_to_nowhere", "return_from_a_frame_nowhere", "rt_return_from_a_frame_nowhere", "selectors", "hostile_exec",
]  # fmt: skip
#: Where the native kernel would give what the jail need not: what it may say.
OTHERWISE = {
    "everything": {"answered 1"},
    "fixed": {"moved 0", "zero -1", "top -12", "wrap -12", "all -12", "protect -12", "unmap -22", "unmap 0"},
    "remap": {
        "top -22",
        "top -12",
        "wrap -22",
        "wrap -12",
        "of nothing -14",
        "zero old -14",
        "zero old -22",
        "over itself -22",
        "brk 1",
    },
    "return_to_64_bits": {"going"},
    "return_to_an_ldt_entry": {"going"},
    "return_with_hostile_flags": {"going", "resumed"},
    "return_with_the_trap_flag": {"going", "resumed"},
    "return_with_fpu_state_nowhere": {"going"},
    "thread_area_above": {"set -22", "set 0"},
    "thread_area_that_wraps": {"set -22", "set 0", "read"},
}


def test_all_attempts_of_the_program_are_made() -> None:
    names = set(re.findall(r"\bf\((\w+)\)", (SOURCES / PROGRAM).read_text(encoding="utf-8")))
    assert names == {*AS_NATIVELY, *OTHERWISE}


def attempt(world: World, name: str) -> tuple[str, str]:
    """What an attempt prints in the jail, and how it ends: an exit code, or "killed"."""
    result = jail(world, build(PROGRAM), [name], memory="256M")
    code = result.exit_code
    text = b"".join(
        line for line in result.stdout.splitlines(keepends=True) if line.isascii() and len(line) > 1
    ).decode("ascii")
    return text, str(code) if code is not None and code < 128 else "killed"


@pytest.mark.parametrize("name", AS_NATIVELY)
def test_what_is_not_the_guests_is_out_of_reach_as_natively(world: World, name: str) -> None:
    native = subprocess.run([str(build(PROGRAM)), name], capture_output=True, timeout=TIMEOUT, check=False)
    ended = "killed" if native.returncode < 0 else str(native.returncode)
    assert attempt(world, name) == (native.stdout.decode("ascii"), ended)


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_not_the_guests_is_out_of_reach(world: World, name: str) -> None:
    text, _ = attempt(world, name)
    lines = set(text.splitlines())
    assert lines <= OTHERWISE[name]
    assert lines


def test_the_host_goes_on_with_other_guests_afterwards(world: World) -> None:
    """Of the same process, after all that: nothing of theirs has been written over."""
    assert world.jail(("write", 1, b"still here\n", 11))[0] == 11
