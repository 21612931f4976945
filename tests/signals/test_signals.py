"""Signals, timers, children: each CASE of the C programs here says natively what it says as a guest.

The host's kernel is the oracle; what a case says is written so that it does not depend on when what happens.
"""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import host_state
import pytest
from small_programs import compiled

import vx32py
from reference.policy import Policy
from vx32py._result import signal_of

HERE = Path(__file__).resolve().parent
PROGRAMS = ("handlers", "faults", "processes", "timers")
#: Seconds; for what hangs.
PATIENCE = 60
#: Cases that are short also where instructions are interpreted, of every kind.
EVERYWHERE = (
    "handlers:a_handler_gets_the_sender", "handlers:blocked_signals_wait_and_collapse",
    "handlers:real_time_signals_queue_in_order", "handlers:registers_come_back", "handlers:alternate_stacks",
    "faults:segmentation_faults", "faults:addresses_of_nobody", "faults:arithmetic_and_other_faults",
    "faults:floating_point_exceptions", "faults:floating_point_state_in_frames", "faults:raw_handlers_without_restorers",
    "faults:layout_of_frames", "faults:stack_overflow_on_an_alternate_stack", "processes:stop_and_continue",
    "processes:a_read_is_restarted", "timers:a_timer_preempts_a_loop",
)  # fmt: skip
#: Of those, the ones that ask what an engine may do its own way where translated code is modelled: states at traps, and turns.
MODELLED = (
    "handlers:registers_come_back", "faults:segmentation_faults", "faults:floating_point_state_in_frames",
    "faults:layout_of_frames", "processes:a_read_is_restarted", "timers:a_timer_preempts_a_loop",
)  # fmt: skip


def program(name: str) -> Path:
    """One of the C programs, compiled."""
    source = (HERE / f"{name}.c").read_text().replace('#include "cases.h"', (HERE / "cases.h").read_text())
    return compiled(source, "-msse2", "-fno-omit-frame-pointer", "-Wno-unused", "-D_FILE_OFFSET_BITS=64")


def cases() -> list[str]:
    """The names of all cases."""
    found = [(name, (HERE / f"{name}.c").read_text()) for name in PROGRAMS]
    return [f"{name}:{case}" for name, text in found for case in re.findall(r"^CASE\((\w+)\)", text, re.MULTILINE)]


@functools.cache
def natively(case: str) -> tuple[list[str], int]:
    """What a case says as a process of the host, and its exit code (128 + n if signal n ended it)."""
    name, _, which = case.partition(":")
    done = subprocess.run(
        [program(name), which], capture_output=True, timeout=PATIENCE, check=False, start_new_session=True
    )
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return done.stdout.decode().splitlines(), code


def as_guest(case: str, engine: str) -> tuple[list[str], int | None]:
    """The same of a guest."""
    name, _, which = case.partition(":")
    path = program(name)
    box = vx32py.Sandbox(engine=engine, timeout=PATIENCE, files={"/program": path})
    result = box.run(path, args=[which], name="/program")
    code = 128 + signal_of(result.trap) if result.trap is not None else result.exit_code
    return result.stdout.decode(errors="replace").splitlines(), code


@pytest.mark.parametrize("case", cases())
def test_guests_see_what_processes_see(case: str) -> None:
    assert as_guest(case, "jit") == natively(case)


@pytest.mark.parametrize(
    ("case", "engine"), [(case, "reference") for case in EVERYWHERE] + [(case, "translated") for case in MODELLED]
)
def test_they_see_it_on_every_engine(case: str, engine: str) -> None:
    assert as_guest(case, engine) == natively(case)


@pytest.mark.parametrize("policy", [Policy.default(), Policy.host()], ids=["default", "host"])
@pytest.mark.parametrize("case", ["frames_at_random", "frames_that_may_be_the_end"])
@pytest.mark.parametrize("seed", range(2))
def test_no_frame_hurts_the_host(case: str, seed: int, policy: Policy) -> None:
    """The guest returns 400 times from a handler that never was. Where that leads is its own affair; time may run out."""
    host = host_state.Host()
    for timeout in (3, 30):  # on a busy host there may be few in the shorter one
        box = vx32py.Sandbox(engine="jit", timeout=timeout, env={"SEED": str(seed)}, policy=policy)
        result = box.run(program("malicious"), args=[case])
        assert not host.disturbed()
        if result.stats.calls["rt_sigreturn"] > 20:
            break
    assert result.stats.calls["rt_sigreturn"] > 20
