"""Generated cases: every row of the instruction table, on the processor and on the modelled one, against the reference.

The native engine makes the processor the oracle: what the semantics say is what it does, to the flag, the rounded bit, the
fault address and the kind of access.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from conformance import operands, sequences, undefined
from conformance.case import CODE_END, DATA, DATA_END, MUTABLE, MUTABLE_END, Case
from conformance.cases import BATCH, Batch, batch, cases, shapes
from conformance.encodings import Encoded, Shape, encode
from conformance.oracles import available, open_oracle
from conformance.oracles.bench import INITIAL_FP
from conformance.oracles.engines import EngineBench, EngineOracle, bench_of, missing_groups
from conformance.outcome import differences, report
from reference.flags import AF, CF, OF
from reference.isa.instruction import Kind
from reference.isa.opcodes import ROWS
from reference.policy import Policy
from reference.traps import Access, Vector

#: Cases of each shape, by engine and way.
PER_SHAPE = {"jit running": 10, "jit stepping": 2, "translated running": 3}

SHAPES: dict[str, list[Shape]] = defaultdict(list)
for _shape in shapes():
    SHAPES[_shape.form.row.group.value].append(_shape)


def shape_named(mnemonic: str, **wanted: object) -> Shape:
    return next(
        shape
        for shape in shapes()
        if shape.mnemonic == mnemonic and all(getattr(shape, name) == value for name, value in wanted.items())
    )


@pytest.fixture(scope="module")
def reference() -> Iterator[EngineOracle]:
    found = EngineOracle("reference")
    yield found
    found.close()


# -- agreement -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", sorted(SHAPES))
@pytest.mark.parametrize("way", sorted(PER_SHAPE))
def test_instructions_agree_with_the_reference(way: str, group: str, reference: EngineOracle) -> None:
    name, manner = way.split()
    reason = available(name)
    if reason is not None:
        pytest.skip(f"the {name} engine cannot run here: {reason}")
    missing = missing_groups() if name == "jit" else frozenset()
    benches: dict[bool, EngineBench] = {}
    failures: list[str] = []
    try:
        for shape in SHAPES[group]:
            if shape.form.groups & missing:
                continue
            made = batch(shape, random.Random(f"2 {shape.label}"), PER_SHAPE[way])
            thread = made.gs_base is not None
            if thread not in benches:
                policy = Policy(Policy.everything().groups, thread_pointer=thread)
                benches[thread] = bench_of(name, policy, stepping=manner == "stepping")
            failures += _disagreements(made, reference, benches[thread])
    finally:
        for bench in benches.values():
            bench.close()
    assert not failures, f"{len(failures)} cases differ (reference first):\n" + "\n".join(failures[:5])


def _disagreements(made: Batch, reference: EngineOracle, bench: EngineBench) -> Iterator[str]:
    bench.point_to(made.gs_base)
    for number in range(len(made)):
        case = made.case(number)
        if case.needs_low_memory and not bench.low_memory:
            continue
        found = differences(case, reference.run(case), bench.run(case))
        if found:
            yield report(case, found)


@pytest.mark.ldt
@pytest.mark.parametrize("make", sequences.KINDS, ids=lambda make: make.__name__)
def test_sequences_agree_with_the_reference(make: sequences.Maker, reference: EngineOracle) -> None:
    if available("jit") is not None:
        pytest.skip(f"the jit engine cannot run here: {available('jit')}")
    jit = open_oracle("jit")
    failures: list[str] = []
    ended: Counter[bool] = Counter()
    for seed in range(40):
        made = make(random.Random(seed), 8)
        for number in range(len(made)):
            case = made.case(number)
            if jit.cannot_judge(case) is None:
                expected = reference.run(case)
                ended[expected.trap is None] += 1
                found = differences(case, expected, jit.run(case))
                if found:
                    failures.append(report(case, found))
    jit.close()
    assert not failures, f"{len(failures)} cases differ (reference first):\n" + "\n".join(failures[:5])
    assert ended[make is not sequences.cut], "none ends as most should"


# -- what there is ---------------------------------------------------------------------------------------------------


def test_every_row_that_can_be_admitted_has_a_shape() -> None:
    assert {shape.row for shape in shapes()} == {row.index for row in ROWS if row.kind is not Kind.REFUSE}


def test_no_two_shapes_share_a_name() -> None:
    assert len({shape.label for shape in shapes()}) == len(shapes())


def test_a_row_has_all_its_guises() -> None:
    guises = {(s.operand_size, s.memory, s.lock, s.address_size) for s in shapes() if s.form.row.opcode == "01 /r"}
    assert guises >= {(4, False, False, 4), (2, True, False, 4), (4, True, True, 4), (4, True, False, 2)}
    vex = {(s.width, s.length, s.memory) for s in shapes() if s.form.row.opcode == "VEX.0F.WIG 58 /r"}
    assert vex == {(w, length, memory) for w in (0, 1) for length in (0, 1) for memory in (False, True)}


def test_cases_are_the_same_every_time() -> None:
    for shape in (SHAPES["base"][0], SHAPES["avx"][50], SHAPES["x87"][3]):
        assert list(cases(shape, 20)) == list(cases(shape, 20))
        assert list(cases(shape, 20, seed=2)) != list(cases(shape, 20))


def test_an_encoding_decodes_to_its_shape() -> None:
    rng = random.Random(1)
    for shape in shapes():
        encoded = encode(shape, rng)
        instruction = encoded.instruction
        assert instruction.row.index == shape.row
        assert instruction.raw == encoded.code
        assert instruction.lock == shape.lock
        if shape.vex:
            assert instruction.vector_length == 16 << shape.length
        elif shape.operand_size == 2 and shape.form.encoding.classes != (1,):
            assert instruction.operand_size == 2, shape.label
        assert instruction.address_size == shape.address_size, shape.label


def test_encodings_have_prefixes_that_mean_nothing() -> None:
    rng = random.Random(1)
    shape = shape_named("add", memory=True)
    first = Counter(encode(shape, rng).code[0] for _ in range(1000))
    assert {0x26, 0x36, 0x3E, 0x65, 0xF2, 0xF3} <= set(first)
    assert sum(first[prefix] for prefix in (0x26, 0x36, 0x3E, 0x65, 0xF2, 0xF3)) < 200


# -- states ----------------------------------------------------------------------------------------------------------


def _made(shape: Shape, count: int = 400) -> list[Case]:
    rng = random.Random(shape.label)
    return [made.case(i) for _ in range(count // BATCH + 1) for made in [batch(shape, rng)] for i in range(len(made))]


def test_most_memory_operands_are_there_and_some_are_at_every_edge(reference: EngineOracle) -> None:
    found: Counter[str] = Counter()
    row = next(row.index for row in ROWS if row.mnemonic == "add" and row.operands == ("Ev", "Gv"))
    for case in _made(shape_named("add", row=row, memory=True, operand_size=4, address_size=4, lock=False), 2000):
        trap = reference.run(case).trap
        if trap is None:
            found["done"] += 1
        elif trap.vector == Vector.PAGE_FAULT:
            found[f"{Access(trap.access).name} {'end' if trap.address == DATA_END else 'elsewhere'}"] += 1
        else:
            found[f"vector {trap.vector}"] += 1
    total = sum(found.values())
    assert found["done"] > 0.8 * total, found
    assert found["WRITE end"] or found["READ end"], found
    assert found["vector 13"], found


def test_vector_operands_are_special_values_and_often_related() -> None:
    shape = shape_named("addps", memory=False)
    seen: Counter[str] = Counter()
    for case in _made(shape, 1000):
        assert case.fp is not None
        mxcsr = int.from_bytes(case.fp[24:28], "little")
        seen[f"rounding {mxcsr >> 13 & 3}"] += 1
        seen[f"ftz {mxcsr >> 15} daz {mxcsr >> 6 & 1}"] += 1
        seen["unmasked"] += mxcsr & 0x1F80 != 0x1F80
        a, b = (operand.number for operand in _encoded(shape, case).instruction.operands)  # type: ignore[union-attr]
        for lane in range(4):
            one, other = (
                int.from_bytes(case.fp[160 + 16 * r + 4 * lane : 164 + 16 * r + 4 * lane], "little") for r in (a, b)
            )
            exponent = one >> 23 & 0xFF
            seen["nan"] += exponent == 0xFF and one & 0x7F_FFFF != 0
            seen["infinity"] += one & 0x7FFF_FFFF == 0x7F80_0000
            seen["denormal"] += exponent == 0 and one & 0x7F_FFFF != 0
            seen["zero"] += one & 0x7FFF_FFFF == 0
            seen["equal"] += a != b and one == other
            seen["opposite"] += one ^ other == 1 << 31
    wanted = {"unmasked", "nan", "infinity", "denormal", "zero", "equal", "opposite"}
    wanted |= {f"rounding {i}" for i in range(4)} | {f"ftz {i} daz {j}" for i in (0, 1) for j in (0, 1)}
    assert all(seen[name] > 5 for name in wanted), seen


def _encoded(shape: Shape, case: Case) -> Encoded:
    from conformance.listing import instructions_of

    return Encoded(shape, case.code, instructions_of(case)[0])


def test_x87_registers_hold_every_class_of_value() -> None:
    """Also those that no other unit has: pseudo-denormals, and formats that have not been supported since the 387."""
    seen: Counter[str] = Counter()
    for case in _made(shape_named("fadd", memory=False), 1000):
        assert case.fp is not None
        control, status = (int.from_bytes(case.fp[i : i + 2], "little") for i in (0, 2))
        seen[f"rounding {control >> 10 & 3}"] += 1
        seen[f"precision {control >> 8 & 3}"] += 1
        seen[f"top {status >> 11 & 7}"] += 1
        seen["pending"] += status >> 7 & 1
        assert (status >> 7 & 1) == bool(status & ~control & 0x3F)
        seen["empty"] += case.fp[4] != 0xFF
        for at in range(32, 160, 16):
            exponent = int.from_bytes(case.fp[at + 8 : at + 10], "little") & 0x7FFF
            mantissa = int.from_bytes(case.fp[at : at + 8], "little")
            integer = mantissa >> 63
            if exponent == 0:
                seen["zero" if mantissa == 0 else "pseudo-denormal" if integer else "denormal"] += 1
            elif not integer:
                seen["unsupported"] += 1
            elif exponent == 0x7FFF:
                seen["infinity" if mantissa == 1 << 63 else "quiet" if mantissa >> 62 == 3 else "signalling"] += 1
    wanted = {
        "pending",
        "empty",
        "zero",
        "pseudo-denormal",
        "denormal",
        "unsupported",
        "infinity",
        "quiet",
        "signalling",
    }
    wanted |= (
        {f"rounding {i}" for i in range(4)} | {f"precision {i}" for i in range(4)} | {f"top {i}" for i in range(8)}
    )
    assert all(seen[name] > 5 for name in wanted), seen


def test_repetitions_divisions_and_comparisons_have_operands_that_suit_them(reference: EngineOracle) -> None:
    """Most random operands would end in the same way."""
    divisions = [reference.run(case).trap for case in _made(shape_named("div", memory=False, operand_size=4), 400)]
    assert 0.3 < sum(trap is None for trap in divisions) / len(divisions) < 1
    strings = _made(shape_named("cmps", repeat=0xF3, address_size=4))
    assert {case.words[1] for case in strings} >= {0, 1, 2, 3}
    lengths = {reference.run(case).words[1] for case in strings}
    assert len(lengths) > 5
    exchanged = [reference.run(case) for case in _made(shape_named("cmpxchg", memory=False, operand_size=4))]
    assert 0.2 < sum(bool(outcome.words[9] & 0x40) for outcome in exchanged) / len(exchanged) < 0.9


def test_gathers_mostly_find_their_elements(reference: EngineOracle) -> None:
    outcomes = [reference.run(case) for case in _made(shape_named("vpgatherdd", length=1))]
    assert 0.3 < sum(outcome.trap is None for outcome in outcomes) / len(outcomes) < 1


def test_sequences_modify_themselves_across_pages_too() -> None:
    places: Counter[str] = Counter()
    for seed in range(60):
        case = sequences.mutable(random.Random(seed), 1).case(0)
        end = case.eip + len(case.code)
        assert MUTABLE <= case.eip < end <= MUTABLE_END
        places["across" if case.eip < MUTABLE + 0x1000 < end else "within"] += 1
    assert min(places["across"], places["within"]) > 5


def test_what_is_cut_off_ends_with_its_page() -> None:
    for seed in range(10):
        case = sequences.cut(random.Random(seed), 1).case(0)
        assert case.eip + len(case.code) == CODE_END


# -- what is undefined -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mnemonic", "count", "flags"),
    [("shl", 0, 0), ("shl", 1, AF), ("shl", 5, AF | OF), ("shr", 31, AF | OF), ("rol", 1, 0), ("rol", 2, OF)],
)
def test_flags_after_a_shift_depend_on_the_count(mnemonic: str, count: int, flags: int) -> None:
    shape = shape_named(mnemonic, memory=False, operand_size=4)
    instruction = next(
        encoded.instruction
        for encoded in (encode(shape_named(mnemonic, row=_row_with_cl(mnemonic)), random.Random(i)) for i in range(3))
    )
    assert shape.mnemonic == mnemonic
    assert undefined.flags(instruction, (0, count)) == flags


def _row_with_cl(mnemonic: str) -> int:
    return next(row.index for row in ROWS if row.mnemonic == mnemonic and row.operands == ("Ev", "CL"))


def test_a_carry_shifted_out_of_a_narrow_operand_is_undefined() -> None:
    row = next(row.index for row in ROWS if row.mnemonic == "shl" and row.operands == ("Eb", "CL"))
    instruction = encode(shape_named("shl", row=row), random.Random(1)).instruction
    assert undefined.flags(instruction, (0, 8)) == AF | OF | CF
    assert undefined.flags(instruction, (0, 7)) == AF | OF


def test_integer_cases_have_no_floating_point_state_and_others_do() -> None:
    assert next(cases(shape_named("add"), 1)).fp is None
    for mnemonic in ("addps", "cvtss2si", "vzeroall", "ldmxcsr", "paddb", "fadd", "fxsave", "emms"):
        fp = next(cases(shape_named(mnemonic), 1)).fp
        assert fp is not None
        assert len(fp) == len(INITIAL_FP)


@pytest.mark.parametrize(
    ("mnemonic", "kind"),
    [
        ("addps", "single"), ("vfmadd231sd", "double"), ("cvtpd2ps", "double"), ("cvtdq2pd", "d"), ("vcvtph2ps", "half"),
        ("paddsw", "w"), ("packsswb", "w"), ("packssdw", "d"), ("pmovsxbq", "b"), ("psadbw", "b"), ("vpsllvq", "q"),
        ("fiadd", "d"), ("fadd", "single"), ("add", "b"),
    ],
)  # fmt: skip
def test_lanes_are_of_the_kind_that_the_instruction_works_with(mnemonic: str, kind: str) -> None:
    encoded = encode(shape_named(mnemonic, memory=mnemonic.startswith("f")), random.Random(1))
    assert operands.lane_kind(encoded.instruction) == kind


def test_nothing_is_placed_outside_the_data() -> None:
    """Benches write the content of memory without asking."""
    for shape in shapes()[::17]:
        made = batch(shape, random.Random(shape.label), 16)
        for memory in made.memory:
            for address, content in memory:
                inside = [(0x8000, 0xA000), (DATA, DATA_END), (0x30_0000, 0x30_1000)]
                assert any(low <= address and address + len(content) <= high for low, high in inside), shape.label
