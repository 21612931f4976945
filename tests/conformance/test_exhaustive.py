"""The exhaustive enumeration of encodings: nothing is left out, what is wrong is found, and a sample of it is right."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import fake_exhaustive
import needs
import pytest

from conformance.campaign.isolation import Isolated
from conformance.encodings import POLICY_WITH_GS
from conformance.exhaustive import campaign, judge, run, space
from conformance.exhaustive.campaign import Campaign, report, run_with_deaths
from conformance.exhaustive.run import UnitResult, run_unit
from conformance.exhaustive.space import CONTEXTS, MAPS, PREFIXES, Leaf, Unit, leaves, units
from jit import compiled
from reference.isa.decode import decode
from reference.isa.instruction import InvalidOpcode
from reference.isa.semantics.registry import SEMANTICS


def quietly(number: int) -> None:
    pass


def covers(found: list[Leaf], start: bytes) -> bool:
    """Whether an encoding, or what is refused altogether, begins with ``start`` or is a beginning of it."""
    return any(
        each.code.startswith(start)
        or start.startswith(each.code[: each.stem] if each.instruction is None else each.code)
        for each in found
    )


# -- what is enumerated ----------------------------------------------------------------------------------------------


def test_the_units_are_as_many_as_the_documentation_says() -> None:
    found = Counter(unit.part for unit in units())
    assert found == {
        "legacy": 168 * 4, "vex": 3 * 16 + 2, "vex third": 3 * 16 + 1, "vex prefixed": 17 * 2, "sib": 38, "order": 11 * 4, "length": 4, "openings": 3,
    }  # fmt: skip
    assert len(set(units())) == len(units())
    assert len(set(CONTEXTS)) == 168
    with pytest.raises(ValueError, match="part must be one of legacy, vex"):
        units(["mmx"])


@pytest.mark.parametrize("map_name", MAPS)
@pytest.mark.parametrize("context", ["none", "f3"])
def test_every_opcode_with_every_modrm_is_there(map_name: str, context: str) -> None:
    head = (b"" if context == "none" else bytes.fromhex(context)) + MAPS[map_name]
    by_opcode: dict[int, list[Leaf]] = {}
    for leaf in leaves(Unit("legacy", f"{map_name}: {context}")):
        assert leaf.code.startswith(head)
        by_opcode.setdefault(leaf.code[len(head)], []).append(leaf)
    absent = {"one byte": {*PREFIXES, 0x0F}, "0f": {0x38, 0x3A}}.get(map_name, set())
    assert by_opcode.keys() == set(range(256)) - absent
    for opcode, found in by_opcode.items():
        starts = {bytes(leaf.code[: len(head) + 2]) for leaf in found}
        if len(found) > 1:
            last = 0xC0 if map_name == "one byte" and opcode in (0x62, 0xC4, 0xC5) else 0x100
            assert starts == {head + bytes([opcode, modrm]) for modrm in range(last)}, f"{opcode:02x}"
        else:
            assert covers(found, head + bytes([opcode]))


def test_every_value_of_every_vex_field_is_there() -> None:
    """Of C5 the second byte and of C4 the second and the third, up to where another prefix or LES and LDS begin."""
    heads: Counter[bytes] = Counter()
    for unit in units(["vex", "vex third"]):
        for each in space._products(unit):
            *fields, opcodes, modrm = each.levels
            assert (tuple(opcodes), tuple(modrm)) == (tuple(range(256)), tuple(range(256)))
            heads.update(each.head + bytes(field) for field in product(*fields))
    expected = {bytes([0xC5, second]) for second in range(0xC0, 0x100)}
    expected |= {bytes([0xC4, second, third]) for second in range(0xC0, 0x100) for third in range(256)}
    assert heads == Counter(expected)


def test_a_refused_stem_counts_for_all_that_it_stands_for() -> None:
    push_es = next(leaf for leaf in leaves(Unit("legacy", "one byte: none")) if leaf.code[0] == 0x06)
    assert (push_es.instruction, push_es.stem, push_es.weight) == (None, 1, 256)
    no_map = next(leaf for leaf in leaves(Unit("vex", "c4 other")))
    assert (no_map.instruction, no_map.stem, no_map.weight) == (None, 3, 256 * 256)


def test_a_refused_stem_is_refused_whatever_follows() -> None:
    rng = random.Random(1)
    chosen = [unit for unit in units() if unit.part in ("legacy", "vex", "openings")]
    count = 0
    for unit in rng.sample(chosen, 8):
        for number, leaf in enumerate(leaves(unit)):
            if number > 3000:
                break
            if leaf.instruction is None and (leaf.weight > 1 or number % 16 == 0):
                with pytest.raises(InvalidOpcode):
                    decode((leaf.code[: leaf.stem] + rng.randbytes(15))[:15], 0x1000, POLICY_WITH_GS)
                count += 1
    assert count > 500


def test_every_sib_byte_is_there_for_instructions_of_all_kinds() -> None:
    for opcode in ("8b", "660f3800", "c4e26990"):
        stem = bytes.fromhex(opcode)
        codes = [leaf.code for leaf in leaves(Unit("sib", opcode)) if leaf.code.startswith(stem)]
        assert {code[len(stem) : len(stem) + 2] for code in codes} == {
            bytes([mod << 6 | reg << 3 | 4, sib]) for mod in range(3) for reg in range(8) for sib in range(256)
        }


# -- what is found ---------------------------------------------------------------------------------------------------


@pytest.fixture
def equipment() -> Iterator[None]:
    """A native engine in this process, closed again."""
    needs.engine("jit")
    try:
        compiled.build()
    except compiled.BuildError as error:
        pytest.skip(str(error))
    run._equipment.cache_clear()
    yield
    for bench in run._equipment()[1:]:
        bench.close()
    run._equipment.cache_clear()


def of_one_opcode(monkeypatch: pytest.MonkeyPatch, code: str, modrm: tuple[int, ...]) -> UnitResult:
    only = space._Product(b"", ((int(code, 16),), modrm))
    monkeypatch.setattr(space, "_products", lambda unit: iter([only]))
    return run_unit("legacy", "one byte: none", 1, frozenset(), 0, quietly)


@pytest.mark.usefixtures("equipment")
def test_a_sample_of_all_units_is_right() -> None:
    total = campaign.Total()
    chosen = units()
    for number in range(0, len(chosen), 40):
        result = run_unit(*chosen[number], 1, frozenset(), 300, quietly)
        total.add(result, [])
    assert total.clean, report(total)
    assert total.executed > 1000
    assert total.sum("agreed to the last bit") + total.sum("agreed where defined") == total.executed
    assert total.sum("refused and executed") > 50


@pytest.mark.usefixtures("equipment")
@pytest.mark.parametrize("name", ["one byte: none", "0f: 66", "0f38: none", "0f3a: 66"])
def test_the_beginning_of_each_map_is_right(name: str) -> None:
    total = campaign.Total()
    total.add(run_unit("legacy", name, 2, frozenset(), 1000, quietly), [])
    assert total.clean, report(total)


@pytest.mark.usefixtures("equipment")
def test_most_encodings_succeed_in_a_good_state_and_operands_fault_in_a_bad_one() -> None:
    counts = run_unit("legacy", "one byte: none", 1, frozenset(), 1500, quietly).counts
    assert counts["all/good state: completed"] > 20 * counts["all/good state: trap 0xe"]
    assert counts["all/bad state: trap 0xe"] > counts["all/bad state: completed"]


@pytest.mark.usefixtures("equipment")
def test_an_instruction_that_behaves_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not of_one_opcode(monkeypatch, "37", (0,)).findings
    monkeypatch.setitem(SEMANTICS, "aaa", SEMANTICS["aas"])
    found = of_one_opcode(monkeypatch, "37", (0,)).findings
    assert any(name.startswith("aaa: ") for name in found), found


@pytest.mark.usefixtures("equipment")
def test_a_wrong_byte_in_a_fragment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    translate = judge._Compiled.translate

    def planted(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = translate(self, *args, **kwargs)
        made.code = made.code[:8] + bytes([made.code[8] ^ 1]) + made.code[9:]
        return made

    monkeypatch.setattr(judge._Compiled, "translate", planted)
    for opcode in ("89", "cd", "e9"):  # copied, a trap, rewritten
        found = of_one_opcode(monkeypatch, opcode, (0xC3,)).findings
        assert [name for name in found if name.startswith("fragment of")], opcode


@pytest.mark.usefixtures("equipment")
def test_what_the_verifier_complains_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "problems", lambda fragment, **about: ["I do not like it"])
    found = of_one_opcode(monkeypatch, "89", (0xC3,)).findings
    assert found == {"fragment of mov": [1, "89 c3: the verifier: I do not like it"]}


@pytest.mark.usefixtures("equipment")
def test_what_only_one_decoder_refuses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge._Compiled, "admits", lambda self, code, eip: True)
    found = of_one_opcode(monkeypatch, "06", (0,)).findings
    assert "refused by the decoder, admitted by the compiled translator" in found


# -- deaths, and going on --------------------------------------------------------------------------------------------


def test_what_kills_the_process_is_named_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "_RUN", "fake_exhaustive:run_unit")
    with Isolated(["fake_exhaustive"]) as process:
        result, deaths = run_with_deaths(process, Unit("legacy", "any"), 1, 0, quietly)
    assert deaths == [
        "legacy, any, number 3: killed the process: SIGSEGV",
        "legacy, any, number 7: killed the process: SIGILL",
    ]
    assert result.counts["one byte/enumerated"] == 10 - len(fake_exhaustive.DEADLY)


def test_a_campaign_goes_on_where_it_was_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(campaign, "_RUN", "fake_exhaustive:run_unit")
    monkeypatch.setattr(campaign, "PRELOAD", ("fake_exhaustive",))
    monkeypatch.setattr(compiled, "build", lambda: None)
    store = tmp_path / "all.jsonl"
    chosen = [Unit("legacy", str(number)) for number in range(4)]

    def run_all(count: int, seed: int = 1) -> Campaign:
        made = Campaign(chosen[:count], 2, seed, 0, store)
        try:
            assert len(list(made.run(lambda: None))) == len(made.left)
        finally:
            made.close()
        return made

    assert len(run_all(3).left) == 3
    last = run_all(4)
    assert last.left == chosen[3:]
    assert last.total.units == 4
    assert len(last.total.deaths) == 8
    assert not last.total.clean
    assert "killed the process: 8" in report(last.total)
    with pytest.raises(ValueError, match="another seed"):
        Campaign(chosen, 1, 2, 0, store)
    store.write_text("nonsense\n")
    with pytest.raises(ValueError, match="line 1: not the result of a unit"):
        Campaign(chosen, 1, 1, 0, store)
