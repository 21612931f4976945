"""What is executed without the instruction table is executed as the semantics execute it, or left to them."""

from __future__ import annotations

import time
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.assist import assist
from reference.engines import execute_one
from reference.memory import AddressSpace
from reference.policy import Group, Policy
from reference.records import replace
from reference.registers import CPU
from reference.traps import Access

EIP = 0x1000
POLICIES = [
    Policy.default(),
    replace(Policy.default(), thread_pointer=True),
    replace(Policy.deterministic(), thread_pointer=True),
    Policy.default().without_groups(Group.CPUID),
]


def outcome(code: bytes, registers: list[int], selector: int | None, policy: Policy, *, quickly: bool) -> list[object]:
    space = AddressSpace(0x3000)
    space.map(EIP, 0x1000, Access.RX)
    space.store(EIP, code)
    cpu = CPU()
    cpu.words[:8] = memoryview(bytearray(b"".join(each.to_bytes(4, "little") for each in registers))).cast("I")
    cpu.eip, cpu.gs_selector, cpu.gs_base = EIP, selector, None if selector is None else 0x2000
    trap = None
    with patch("time.perf_counter_ns", lambda: 0x1234_5678_9ABC_DEF0):  # it is never the same twice
        if not (quickly and assist(cpu, space, policy)):
            trap = execute_one(cpu, space, policy, clock=time.perf_counter_ns)
    return [trap, bytes(cpu.words), cpu.gs_selector, cpu.gs_base]


@given(
    st.sampled_from([b"\x0f\xa2", *(bytes([0x8E, modrm]) for modrm in range(0xE0, 0xF8)), b"\x8c\xe8", b"\x0f\x31"]),
    st.lists(st.sampled_from([0, 1, 3, 4, 7, 0xD, 0x33, 0x1_0033, 0x8000_0000, 0xFFFF_FFFF]), min_size=8, max_size=8),
    st.sampled_from([None, 0x33, 3]),
    st.sampled_from(POLICIES),
)
def test_the_quick_way_is_the_semantics(
    code: bytes, registers: list[int], selector: int | None, policy: Policy
) -> None:
    quick = outcome(code, registers, selector, policy, quickly=True)
    assert quick == outcome(code, registers, selector, policy, quickly=False)


def assist_alone(code: bytes, policy: Policy) -> bool:
    space = AddressSpace(0x3000)
    space.map(EIP, 0x1000, Access.RX)
    space.store(EIP, code)
    cpu = CPU()
    cpu.eip = EIP
    return assist(cpu, space, policy)


@pytest.mark.parametrize("code", [b"\x0f\xa2", b"\x8e\xe8", b"\x0f\x31"])
def test_what_programs_start_with_is_done_here(code: bytes) -> None:
    assert assist_alone(code, POLICIES[1])


def test_code_that_cannot_be_fetched_is_left_to_the_semantics() -> None:
    space = AddressSpace(0x3000)
    cpu = CPU()
    for cpu.eip in (EIP, 0x2FFF, 0x3000, 0xFFFF_FFFF):
        assert not assist(cpu, space, POLICIES[1])
