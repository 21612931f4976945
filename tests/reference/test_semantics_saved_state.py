"""LDMXCSR, FXSAVE, XSAVE and their reverses: what is written, what is left alone, what is refused; on every engine, and
compared with the processor."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from asm import assemble
from one_instruction import CODE, DATA, DATA_END, LIMIT, After, Bench, image, register

from reference.policy import Group, Policy
from reference.registers import CPU
from reference.traps import Access, Vector
from vx32py._engines import unavailable

INITIAL = bytes(CPU().fp)
PROTECTION = (Vector.PAGE_FAULT, CODE, 0, Access.NONE, Vector.GENERAL_PROTECTION)
#: A pattern under what is stored.
UNTOUCHED = 0xA5


@pytest.fixture
def bench(engine_name: str) -> Iterator[Bench]:
    with Bench(engine_name) as made:
        yield made


def full_image(rng: random.Random | None = None) -> bytes:
    """Every register different from its initial state and from every other."""
    rng = rng or random.Random(1)
    registers: dict[str, int | bytes] = {f"st{i}": rng.randbytes(10) for i in range(8)}
    registers |= {f"xmm{i}": rng.randbytes(16) for i in range(8)}
    registers |= {f"ymm{i}": rng.randbytes(16) for i in range(8)}
    return image(fcw=0x0340, fsw=0x2800, ftw=0xA5, mxcsr=0x1FA5, **registers)


def header(present: int = 7, layout: int = 0, rest: bytes = b"") -> bytes:
    """The header of an XSAVE area."""
    return struct.pack("<QQ", present, layout) + rest.ljust(48, b"\0")


def area(state: bytes, head: bytes) -> bytes:
    """A state as XSAVE lays it out, with another header."""
    return state[:512] + head + state[576:]


def written(after: After, size: int = 1024) -> list[tuple[int, int]]:
    """Where the pattern has gone, in multiples of eight bytes: what was stored may contain it by chance."""
    memory = after.memory[:size]
    places = [i for i in range(0, size, 8) if memory[i : i + 8] != bytes([UNTOUCHED]) * 8]
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place:
            found[-1] = (found[-1][0], place + 8)
        else:
            found.append((place, place + 8))
    return found


# -- MXCSR -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "v"])
def test_mxcsr_goes_to_memory_and_back(bench: Bench, prefix: str) -> None:
    after = bench.run(assemble(f"{prefix}stmxcsr [ebx]"), fp=image(mxcsr=0xFFBF), ebx=DATA + 3)
    assert after.memory[:8].hex() == "000000bfff000000"
    after = bench.run(assemble(f"{prefix}ldmxcsr [ebx]"), data=struct.pack("<I", 0x5FC0), at=DATA + 3, ebx=DATA + 3)
    assert after.trap is None
    assert register(after.fp, "mxcsr") == 0x5FC0


@pytest.mark.parametrize("bit", [16, *range(18, 32)])
def test_reserved_bits_of_mxcsr_are_a_protection_fault(bench: Bench, bit: int) -> None:
    """Bit 17 is left out: AMD's processors have it, and the native engine lets the processor decide."""
    for text in ("ldmxcsr [ebx]", "vldmxcsr [ebx]"):
        after = bench.run(assemble(text), data=struct.pack("<I", 0x1F80 | 1 << bit), ebx=DATA)
        assert after.trap == PROTECTION
        assert register(after.fp, "mxcsr") == 0x1F80


def test_mxcsr_bit_17_is_reserved_too() -> None:
    with Bench("reference") as reference:
        assert reference.run(assemble("ldmxcsr [ebx]"), data=struct.pack("<I", 0x21F80), ebx=DATA).trap == PROTECTION


# -- FXSAVE, FXRSTOR -------------------------------------------------------------------------------------------------


def test_fxsave_writes_the_legacy_region_and_nothing_else(bench: Bench) -> None:
    state = full_image()
    after = bench.run(assemble("fxsave [ebx]"), fp=state, data=bytes([UNTOUCHED]) * 1024, ebx=DATA)
    assert after.trap is None
    assert written(after) == [(0, 288)]
    memory = after.memory
    assert memory[:6].hex() == "40030028a500"
    assert memory[6:24] == bytes(18)
    assert memory[24:32] == struct.pack("<II", 0x1FA5, 0xFFFF)
    for i in range(8):
        assert memory[32 + 16 * i : 48 + 16 * i] == state[32 + 16 * i : 42 + 16 * i] + bytes(6)
    assert memory[160:288] == state[160:288]


def test_fxrstor_brings_back_what_fxsave_has_stored(bench: Bench) -> None:
    state = full_image()
    saved = bench.run(assemble("fxsave [ebx]"), fp=state, ebx=DATA).memory[:512]
    upper = image(ymm0=1, ymm7=2)
    after = bench.run(assemble("fxrstor [ebx]"), fp=upper, data=saved, ebx=DATA)
    assert after.trap is None
    assert after.fp[:5] == state[:5]
    assert after.fp[24:28] == state[24:28]
    assert all(after.fp[32 + 16 * i : 42 + 16 * i] == state[32 + 16 * i : 42 + 16 * i] for i in range(8))
    assert after.fp[160:288] == state[160:288]
    assert after.fp[576:704] == upper[576:704]


@pytest.mark.parametrize(
    ("control", "status", "loaded_control", "loaded_status"),
    [
        (0xFFFF, 0, 0x1F7F, 0),
        (0, 0, 0x0040, 0),
        (0x037F, 0x8080, 0x037F, 0),
        (0x037F, 0x003F, 0x037F, 0x003F),
        (0x037E, 0x0001, 0x037E, 0x8081),
        (0x037F, 0xFFFF, 0x037F, 0x7F7F),
        (0x0000, 0x0040, 0x0040, 0x0040),
    ],
)
@pytest.mark.parametrize("instruction", ["fxrstor", "xrstor"])
def test_whether_an_x87_exception_is_pending_follows_from_flags_and_masks(
    bench: Bench, instruction: str, control: int, status: int, loaded_control: int, loaded_status: int
) -> None:
    stored = area(image(fcw=control, fsw=status), header())
    after = bench.run(assemble(f"{instruction} [ebx]"), data=stored, ebx=DATA, eax=7)
    assert after.trap is None
    assert struct.unpack_from("<HH", after.fp) == (loaded_control, loaded_status)


@pytest.mark.parametrize("instruction", ["fxsave", "fxrstor", "xsave", "xrstor", "xsaveopt", "xsavec"])
def test_misaligned_areas_are_a_protection_fault(bench: Bench, instruction: str) -> None:
    alignment = 16 if instruction.startswith("fx") else 64
    data = area(INITIAL, header())
    for wrong in (1, 4, alignment // 2):
        after = bench.run(assemble(f"{instruction} [ebx]"), data=data, at=DATA + wrong, ebx=DATA + wrong, eax=7)
        assert after.trap == PROTECTION
    right = DATA + alignment
    assert bench.run(assemble(f"{instruction} [ebx]"), data=data, at=right, ebx=right, eax=7).trap is None


def test_a_misaligned_area_beyond_the_limit_of_the_stack_is_a_protection_fault(bench: Bench) -> None:
    assert bench.run(assemble("fxsave [ebp]"), ebp=LIMIT + 4).trap == PROTECTION
    assert bench.run(assemble("fxsave [ebp]"), ebp=LIMIT).trap == (*PROTECTION[:4], Vector.STACK_FAULT)


@pytest.mark.parametrize(
    ("instruction", "mask", "size"),
    [
        ("fxsave", 0, 512), ("fxrstor", 0, 512), ("xsave", 7, 832), ("xsave", 3, 576), ("xsave", 4, 832), ("xsave", 0, 576),
        ("xsaveopt", 7, 832), ("xsavec", 7, 832), ("xsavec", 1, 576), ("xrstor", 7, 832), ("xrstor", 1, 576),
    ],
)  # fmt: skip
def test_all_of_an_area_must_be_there_or_nothing_happens(bench: Bench, instruction: str, mask: int, size: int) -> None:
    access = Access.READ if "rstor" in instruction else Access.WRITE
    code, data = assemble(f"{instruction} [ebx]"), area(full_image(), header(0))
    assert bench.run(code, data=data[:size], at=DATA_END - size, ebx=DATA_END - size, eax=mask).trap is None
    short = DATA_END - size + 64
    before = bench.run(b"\x90", fp=full_image(), data=data[: size - 64], at=short, ebx=short, eax=mask)
    after = bench.run(code, fp=full_image(), data=data[: size - 64], at=short, ebx=short, eax=mask)
    assert after.trap == (Vector.PAGE_FAULT, CODE, DATA_END, access, Vector.PAGE_FAULT)
    assert (after.state, after.memory) == (before.state, before.memory)


def test_a_bad_mxcsr_is_refused_before_anything_is_loaded(bench: Bench) -> None:
    bad = image(mxcsr=0x11F80, xmm0=b"x" * 16, fcw=0x340)
    for instruction in ("fxrstor", "xrstor"):
        after = bench.run(assemble(f"{instruction} [ebx]"), data=area(bad, header()), ebx=DATA, eax=7)
        assert after.trap == PROTECTION
        assert after.state == bench.run(b"\x90").state


# -- XSAVE, XRSTOR ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "stored"),
    [
        (0, [(512, 520)]),
        (1, [(0, 24), (32, 160), (512, 520)]),
        (2, [(24, 32), (160, 288), (512, 520)]),
        (4, [(24, 32), (512, 520), (576, 704)]),
        (7, [(0, 288), (512, 520), (576, 704)]),
        (0xFFFF_FFFF, [(0, 288), (512, 520), (576, 704)]),
    ],
)
def test_xsave_writes_the_components_that_are_requested(bench: Bench, mask: int, stored: list[tuple[int, int]]) -> None:
    pattern = bytearray([UNTOUCHED]) * 1024
    pattern[512:520] = struct.pack("<Q", 1 << 60 | 7)
    after = bench.run(assemble("xsave [ebx]"), fp=full_image(), data=bytes(pattern), ebx=DATA, eax=mask, edx=mask >> 31)
    assert after.trap is None
    assert written(after) == stored
    assert struct.unpack_from("<Q", after.memory, 512)[0] == 1 << 60 | 7

    after = bench.run(assemble("xsave [ebx]"), fp=INITIAL, data=bytes(pattern), ebx=DATA, eax=mask)
    assert written(after) == stored
    assert struct.unpack_from("<Q", after.memory, 512)[0] == 1 << 60 | 7 & ~mask


ONE_COMPONENT = [
    (1, image(fcw=0x340), [(0, 24), (32, 160)]),
    (1, image(ftw=1), [(0, 24), (32, 160)]),
    (1, image(st7=1), [(0, 24), (32, 160)]),
    (2, image(xmm7=1), [(160, 288)]),
    (4, image(ymm7=1), [(576, 704)]),
]


@pytest.mark.parametrize(("component", "state", "places"), ONE_COMPONENT)
def test_xsaveopt_and_xsavec_leave_out_initial_states(
    bench: Bench, component: int, state: bytes, places: list[tuple[int, int]]
) -> None:
    pattern = bytes([UNTOUCHED]) * 512 + bytes(16) + bytes([UNTOUCHED]) * 496
    after = bench.run(assemble("xsaveopt [ebx]"), fp=state, data=pattern, ebx=DATA, eax=7)
    assert after.memory[512:528] == struct.pack("<QQ", component, 0)
    stored = [place for place in written(after) if place[0] not in (24, 512)]
    assert stored == ([(0, 160)] if component == 1 else places)
    assert after.memory[24:32] == struct.pack("<II", 0x1F80, 0xFFFF)

    after = bench.run(assemble("xsavec [ebx]"), fp=state, data=pattern, ebx=DATA, eax=7)
    assert after.memory[512:528] == struct.pack("<QQ", component, 1 << 63 | 7)
    stored = [place for place in written(after) if place[0] != 512]
    assert stored == ([(24, 32), *places] if component == 2 else places)


def test_an_mxcsr_of_its_own_counts_for_xsavec_only(bench: Bench) -> None:
    state = image(mxcsr=0x1FA0)
    for instruction, present in (("xsave", 0), ("xsaveopt", 0), ("xsavec", 2)):
        after = bench.run(assemble(f"{instruction} [ebx]"), fp=state, ebx=DATA, eax=7)
        assert after.memory[512] == present
        assert after.memory[24:28] == struct.pack("<I", 0x1FA0)


@pytest.mark.parametrize("layout", [0, 1 << 63 | 7], ids=["standard", "compacted"])
@pytest.mark.parametrize("present", range(8))
@pytest.mark.parametrize("mask", range(8))
def test_xrstor_loads_what_is_present_and_resets_what_is_not(
    bench: Bench, mask: int, present: int, layout: int
) -> None:
    before, stored = full_image(random.Random(2)), image(full_image(random.Random(3)), mxcsr=0x1FC0, ftw=0x5A)
    after = bench.run(
        assemble("xrstor [ebx]"), fp=before, data=area(stored, header(present, layout)), ebx=DATA, eax=mask, edx=0xFFFF
    )
    assert after.trap is None
    for bit, start, end in ((1, 0, 5), (2, 160, 288), (4, 576, 704)):
        source = before if not mask & bit else stored if present & bit else INITIAL
        assert after.fp[start:end] == source[start:end]
    if not mask & (2 if layout else 6):
        assert register(after.fp, "mxcsr") == 0x1FA5
    else:
        assert register(after.fp, "mxcsr") == (0x1FC0 if present & 2 or not layout else 0x1F80)


HEADERS = [
    *((f"component {bit}", header(1 << bit), True) for bit in (3, 5, 7, 9, 17, 18, 62, 63)),
    *((f"byte {at} of the header", header(7, 0, b"\0" * (at - 16) + b"\1"), at < 24) for at in range(16, 64, 8)),
    ("a layout without the bit for it", header(7, 1), True),
    ("compacted", header(7, 1 << 63 | 7), False),
    ("compacted, a component that is not located", header(7, 1 << 63 | 3), True),
    ("compacted, AVX alone", header(4, 1 << 63 | 4), False),
    ("compacted, component 3", header(7, 1 << 63 | 15), True),
    ("compacted, bit 62", header(7, 1 << 63 | 1 << 62 | 7), True),
    *(
        (f"compacted, byte {at}", header(7, 1 << 63 | 7, b"\0" * (at - 16) + b"\1"), True)
        for at in range(16, 64, 8)
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "head", "refused"), HEADERS, ids=[row[0] for row in HEADERS])
def test_a_header_that_makes_no_sense_is_a_protection_fault(
    bench: Bench, name: str, head: bytes, refused: bool
) -> None:
    for mask in (7, 0):
        after = bench.run(assemble("xrstor [ebx]"), fp=full_image(), data=area(INITIAL, head), ebx=DATA, eax=mask)
        assert (after.trap == PROTECTION) == refused
        assert refused or after.trap is None


def test_components_are_those_that_the_policy_admits(engine_name: str) -> None:
    with Bench(engine_name, Policy.everything().without_groups(Group.AVX)) as bench:
        after = bench.run(assemble("xgetbv"), ecx=0, edx=5)
        assert (after.words[0], after.words[2]) == (3, 0)
        pattern = bytes([UNTOUCHED]) * 512 + bytes(64) + bytes([UNTOUCHED]) * 448
        after = bench.run(assemble("xsave [ebx]"), fp=full_image(), data=pattern, ebx=DATA, eax=7)
        assert after.trap is None
        assert after.memory[512] == 3
        assert after.memory[576:832] == bytes([UNTOUCHED]) * 256
        assert bench.run(assemble("xrstor [ebx]"), data=area(INITIAL, header(4)), ebx=DATA, eax=7).trap == PROTECTION


def test_xgetbv_knows_only_xcr0(bench: Bench) -> None:
    after = bench.run(assemble("xgetbv"), ecx=0, eax=9, edx=9)
    assert (after.words[0], after.words[2]) == (7, 0)
    assert bench.run(assemble("xgetbv"), ecx=1).trap == PROTECTION


def test_restored_registers_are_those_that_the_next_instructions_see(bench: Bench) -> None:
    """The state goes from memory into the registers of whatever executes the guest, and from there back to memory."""
    code = f"""
        xor edx, edx; mov eax, 7; xrstor [ebx]
        vextractf128 xmm0, ymm2, 1; movups [{DATA + 0x1000}], xmm0
        movups [{DATA + 0x1010}], xmm3
        movq [{DATA + 0x1020}], mm3
        stmxcsr [{DATA + 0x1030}]
        vzeroupper; pxor xmm5, xmm5
        mov eax, 7; xsave [{DATA + 0x1400}]
    """
    state = image(full_image(), fsw=0, ftw=0xFF, mxcsr=0x1FA0)
    memory = bench.run(assemble(code), data=area(state, header()), ebx=DATA).memory[0x1000:]
    assert memory[0x00:0x10] == state[576 + 32 : 576 + 48]
    assert memory[0x10:0x20] == state[160 + 48 : 160 + 64]
    assert memory[0x20:0x28] == state[80:88]
    assert memory[0x30:0x34] == struct.pack("<I", 0x1FA0)
    saved = memory[0x400:]
    assert saved[576:704] == bytes(128)
    assert saved[160 + 16 * 5 : 160 + 16 * 6] == bytes(16)
    assert saved[160 + 16 * 4 : 160 + 16 * 5] == state[160 + 16 * 4 : 160 + 16 * 5]
    assert saved[512] == 3


def test_gs_relative_areas_are_checked_where_they_are(engine_name: str) -> None:
    policy = Policy(Policy.everything().groups, thread_pointer=True)
    with Bench(engine_name, policy) as bench:
        bench.engine.set_thread_pointer(0x33, DATA + 8)
        code = assemble("fxsave gs:[ebx]")
        assert bench.run(code, fp=full_image(), ebx=0).trap == PROTECTION
        after = bench.run(code, fp=full_image(), ebx=0xFFFF_FFF8)
        assert after.trap is None
        assert after.memory[:5] == full_image()[:5]


def test_pointers_to_the_last_x87_instruction_are_the_guests(bench: Bench) -> None:
    """Of translated code, too: what the processor has is an address in the code cache."""
    code = assemble(
        f"fninit; fld qword ptr [{DATA + 8}]; fxsave [{DATA + 64}]; xor edx, edx; mov eax, 7; xsavec [{DATA + 1024}]"
    )
    memory = bench.run(code).memory
    expected = struct.pack("<HIIII", 0x0505, CODE + 2, 0, DATA + 8, 0)
    assert memory[64 + 6 : 64 + 24] == expected
    assert memory[1024 + 6 : 1024 + 24] == expected


def test_loaded_pointers_are_kept_and_selectors_are_not(bench: Bench) -> None:
    stored = bytearray(image())
    stored[6:24] = struct.pack("<HIIII", 0xFD05, 0x4433_2211, 0x9999, 0x0877_6655, 0x8888)
    memory = bench.run(assemble(f"fxrstor [ebx]; fxsave [{DATA + 1024}]"), data=bytes(stored), ebx=DATA).memory
    assert memory[1024 + 6 : 1024 + 24] == struct.pack("<HIIII", 0x0505, 0x4433_2211, 0, 0x0877_6655, 0)


# -- the processor ---------------------------------------------------------------------------------------------------


def sometimes(rng: random.Random, state: bytes) -> bytes:
    """A state with some components in their initial state."""
    fp = bytearray(state)
    for start, end in ((0, 24), (32, 160), (160, 288), (576, 704)):
        if rng.randrange(3) == 0:
            fp[start:end] = INITIAL[start:end]
    if rng.randrange(3) == 0:
        fp[24:28] = INITIAL[24:28]
    return bytes(fp)


@pytest.mark.ldt
@pytest.mark.parametrize("instruction", ["fxsave", "xsave", "xsaveopt", "xsavec"])
def test_the_processor_saves_the_same(instruction: str) -> None:
    with _processor() as processor, Bench("reference") as reference:
        rng = random.Random(4)
        code = assemble(f"{instruction} [ebx]")
        for _ in range(200):
            state = sometimes(rng, full_image(rng))
            mask = rng.randrange(8)
            pattern = rng.randbytes(512) + header(rng.randrange(8), rng.getrandbits(64)) + rng.randbytes(256)
            native = processor.run(code, fp=state, data=pattern, ebx=DATA, eax=mask)
            ours = reference.run(code, fp=state, data=pattern, ebx=DATA, eax=mask)
            assert native.trap is None
            assert ours.trap is None
            # All but the mask of MXCSR, which on AMD's processors has one more bit.
            assert (ours.memory[:28], ours.memory[32:]) == (native.memory[:28], native.memory[32:]), mask


@pytest.mark.ldt
@pytest.mark.parametrize("instruction", ["fxrstor", "xrstor"])
def test_the_processor_loads_the_same(instruction: str) -> None:
    with _processor() as processor, Bench("reference") as reference:
        rng = random.Random(5)
        code = assemble(f"{instruction} [ebx]")
        for _ in range(600):
            before = full_image(rng)
            stored = image(
                full_image(rng), fcw=rng.getrandbits(16), fsw=rng.getrandbits(16), ftw=rng.getrandbits(8),
                mxcsr=rng.getrandbits(16) | (1 << rng.choice((16, *range(18, 32))) if rng.randrange(8) == 0 else 0),
            )  # fmt: skip
            present, layout = rng.randrange(8), rng.choice((0, 0, 1 << 63 | rng.randrange(8), rng.randrange(8)))
            if rng.randrange(8) == 0:
                present |= 1 << rng.choice((3, 4, 8, 10, 63))  # 5 to 7 and 9: the host's processor may have those
            rest = bytes(rng.randrange(6)) + b"\1" if rng.randrange(8) == 0 else b""
            data = area(stored, header(present, layout, rest))
            mask = rng.randrange(8)
            native = processor.run(code, fp=before, data=data, ebx=DATA, eax=mask)
            assert reference.run(code, fp=before, data=data, ebx=DATA, eax=mask) == native, (
                mask,
                data[:32].hex(),
                data[512:576].hex(),
            )


def _processor() -> Bench:
    reason = unavailable("jit")
    if reason is not None:
        pytest.skip(f"no processor to compare with: {reason}")
    policy = Policy.host()
    if not {Group.XSAVE, Group.AVX, Group.FXSR} <= policy.groups:
        pytest.skip("the processor has no XSAVE or no AVX")
    return Bench("jit", policy, alone=True)
