"""Bugs of our own: each test is named after what went wrong."""

from __future__ import annotations

import pytest
from machine import CODE, guest

from reference.traps import Vector


@pytest.mark.parametrize("fillers", [62, 63, 64])
def test_call_that_ends_a_full_fragment_jumped_to_itself_for_ever(engine_name: str, fillers: int) -> None:
    """The landing behind such a call held only the jump to the next fragment, and that jump was linked to the landing."""
    code = "inc eax\n" * fillers + "call f; inc ebx; int3; f: ret"
    with guest(engine_name, code, eax=0, ebx=0) as engine:
        trap = engine.run()
        assert (trap.number, trap.eip) == (Vector.BREAKPOINT, CODE + fillers + 7)
        assert (engine.cpu.eax, engine.cpu.ebx) == (fillers, 1)
