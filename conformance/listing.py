"""The instructions of a case, as the decoder reads them from beginning to end: what oracles judge by, and a listing."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from conformance.case import Case
from reference.isa.decode import decode
from reference.isa.format import format_instruction
from reference.isa.instruction import DecodeError, Instruction
from reference.policy import Group, Policy


def policy_of(case: Case) -> Policy:
    """The policy under which a case runs."""
    return _policy(case.groups, case.gs_base is not None)


@lru_cache(maxsize=64)
def _policy(groups: frozenset[Group], thread_pointer: bool) -> Policy:
    return Policy(groups, thread_pointer)


def instructions_of(case: Case) -> tuple[Instruction, ...]:
    """The instructions of a case's code one behind the other; up to the first bytes that are none."""
    return decode_all(case.code, case.eip, policy_of(case))


@lru_cache(maxsize=64)
def decode_all(code: bytes, eip: int, policy: Policy) -> tuple[Instruction, ...]:
    """The instructions of some code, in the order of addresses; up to the first bytes that are none."""
    found: list[Instruction] = []
    position = 0
    while position < len(code):
        try:
            instruction = decode(code[position : position + 15], eip + position, policy)
        except DecodeError:
            break
        found.append(instruction)
        position += instruction.length
    return tuple(found)


_UNKNOWN: Final = "(not an instruction)"


def listing(case: Case) -> list[tuple[int, bytes, str]]:
    """Address, bytes and text of each instruction, and what is left behind the last one."""
    found = [(each.eip, each.raw, format_instruction(each)) for each in instructions_of(case)]
    length = sum(len(raw) for _, raw, _ in found)
    if length < len(case.code):
        found.append((case.eip + length, case.code[length:], _UNKNOWN))
    return found
