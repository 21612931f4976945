"""Fragments with one byte changed: the verifier finds what matters."""

from __future__ import annotations

import pytest

from conformance import mutants


def test_changed_fragments_are_refused_or_harmless() -> None:
    tally = mutants.judge(3, 600, per_fragment=10, translator="reference")
    assert tally.relevant > 3000
    assert tally.escapes == []
    assert tally.accepted_with_code == 0
    assert tally.accepted / tally.relevant < 0.005


def test_the_judge_sees_what_changes_control_flow_and_segments() -> None:
    """A jump one further, a prefix, another length; and no other constant, no other register."""
    from reference.policy import Policy
    from reference.translator import translate

    code = bytes.fromhex("b878563412 8b4308 7402 89c8 c3")
    made = translate(code, 0x1000, Policy.default(), offset=0x1000, window=0)
    before = mutants.effects(made)
    start = made.spans[0].offset - made.offset

    def relevant(position: int, value: int) -> bool:
        changed = bytearray(made.code)
        changed[position] = value
        return mutants.effects(made.with_code(bytes(changed))) != before

    assert not relevant(start + 1, 0x99)  # a constant
    assert not relevant(start, 0xB9)  # a register
    assert relevant(start, 0xE9)  # a jump
    assert relevant(start, 0xB0)  # a shorter instruction
    assert relevant(start + 5, 0x8E)  # a segment register
    assert relevant(start + 9, made.code[start + 9] + 1)  # a branch


def test_the_command_shows_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutants.main(["--fragments", "100", "--mutants", "3", "--seed", "2"]) == 0
    assert "relevant, with the guest's code" in capsys.readouterr().out
