"""The compiled translator makes the specification's fragments, byte for byte, and the same errors."""

from __future__ import annotations

import functools
import random
import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import get_args

import needs
import pytest

pytest.importorskip("numba")

import capstone
from asm import assemble
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conformance import busybox, guest_code
from jit import compiled
from jit.engine import JitEngine, Translator
from jit.packed import PackedFragment
from jit.translate import NumbaTranslator
from reference.isa.encoding import Space
from reference.isa.instruction import DecodeError, InvalidOpcode, TruncatedCode
from reference.isa.lookup import FORMS
from reference.policy import Policy
from reference.translator import FETCH_BYTES, Fragment, translate
from reference.traps import Access, Vector

ROOT = Path(__file__).resolve().parents[2]
WITH_GS = Policy(Policy.everything().groups, thread_pointer=True)


@functools.cache
def translator() -> NumbaTranslator:
    try:
        return NumbaTranslator(compiled.build())
    except compiled.BuildError as error:
        pytest.skip(f"no compiled translator: {error}")


def listing(code: bytes, address: int) -> str:
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    disassembler.skipdata = True
    return "\n".join(
        f"    {line.address:08x}  {line.bytes.hex(' '):<36}  {line.mnemonic} {line.op_str}"
        for line in disassembler.disasm(code, address)
    )


def outcome(
    make: object, code: bytes, eip: int, policy: Policy, **where: int | bool | None
) -> Fragment | tuple[object, ...]:
    """A fragment, or an error and all that it says."""
    try:
        return make(code, eip, policy, **where)  # type: ignore[operator,no-any-return]
    except InvalidOpcode as error:
        return InvalidOpcode, error.eip, str(error)
    except TruncatedCode as error:
        return TruncatedCode, error.eip, error.missing


def assert_same(
    code: bytes,
    eip: int,
    policy: Policy,
    *,
    offset: int,
    gs_base: int | None = None,
    origin: int = 0,
    window: int | None = None,
    metered: bool = False,
) -> Fragment | tuple[object, ...]:
    where = {"offset": offset, "gs_base": gs_base, "origin": origin, "window": window, "metered": metered}
    expected = outcome(translate, code, eip, policy, **where)
    found = outcome(translator().translate, code, eip, policy, **where)
    refused = isinstance(expected, Fragment) and not isinstance(found, PackedFragment)
    if found != expected or expected != found or refused:
        lines = [
            f"translators differ at {eip:#x} {where} {policy}",
            "refused" * refused,
            "guest code:",
            listing(code, eip),
        ]
        for name, result in (("reference", expected), ("compiled", found)):
            lines.append(f"{name}:")
            if isinstance(result, Fragment):
                lines += [listing(result.code, offset), f"    {result.spans} {result.exits} {result.landings}"]
                lines.append(f"    length {result.length} tail {result.tail:#x}")
            else:
                lines.append(f"    {result}")
        pytest.fail("\n".join(lines))
    return expected


# -- code to order ---------------------------------------------------------------------------------------------------

OFFSETS = st.one_of(st.sampled_from((0x200, 0x1_2340, 0xFF_F000)), st.integers(0x20, 0xF_FFFF).map(lambda n: 16 * n))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    code=guest_code.fetches(),
    eip=guest_code.guest_addresses(),
    policy=guest_code.policies(),
    offset=OFFSETS,
    gs_base=guest_code.thread_pointers(),
    origin=st.sampled_from((0, 0x4000_0000, 0xF000_0000)),
    window=st.none() | guest_code.guest_addresses(),
    metered=st.booleans(),
)
@example(b"", 0x1000, WITH_GS, 0x200, None, 0, 0, False)
@example(b"\x65\xff\x15\x10\x00\x00\x00", 0x1000, WITH_GS, 0x200, 0xFFFF_F000, 0, 0x1000, True)  # call gs:[16]
@example(b"\xf3\x65\xa5\xc3", 0x1000, WITH_GS, 0x200, 0x1000, 0, None, True)  # rep movs from gs
@example(
    b"\x67\xe3\xfd", 0xFFFF_FFFE, WITH_GS, 0x200, None, 0, None, True
)  # jcxz to itself, across the end of the address space
def test_any_code_becomes_the_same_fragment(
    code: bytes, eip: int, policy: Policy, offset: int, gs_base: int | None, origin: int, window: int | None,
    metered: bool,
) -> None:  # fmt: skip
    assert_same(code, eip, policy, offset=offset, gs_base=gs_base, origin=origin, window=window, metered=metered)


def test_thousands_of_random_programs_become_the_same_fragments() -> None:
    for seed in range(2000):
        rng = random.Random(seed)
        code = guest_code.random_program(rng)[:FETCH_BYTES]
        gs_base = rng.choice((None, rng.randrange(1 << 32)))
        assert_same(code, rng.randrange(1 << 32), WITH_GS, offset=0x200, gs_base=gs_base, metered=seed % 2 == 1)


@pytest.mark.parametrize("space", list(Space), ids=lambda space: space.name)
def test_every_row_is_decoded_alike(space: Space) -> None:
    for form in FORMS:
        if form.encoding.space is space:
            rng = random.Random(form.row.index)
            for _ in range(8):
                code = guest_code.encode(form, rng)
                for policy in (WITH_GS, Policy.default()):
                    assert_same(
                        code + b"\xc3", 0x0804_8000, policy, offset=0x200, gs_base=rng.choice((None, 0x0001_0000))
                    )
                assert_same(code[: rng.randrange(len(code))], 0x0804_8000, WITH_GS, offset=0x200)


@pytest.mark.slow
def test_every_first_two_bytes_are_decoded_alike() -> None:
    behind = bytes.fromhex("24 85 11 22 33 44 55 66 77 88 99 aa bb")
    for first in range(256):
        for second in range(256):
            assert_same(bytes([first, second]) + behind, 0x0804_8000, WITH_GS, offset=0x200, gs_base=0x1234)


@pytest.mark.parametrize("metered", [False, True])
def test_branches_within_the_fragment_are_short_up_to_their_reach_exactly(metered: bool) -> None:
    sizes = set()
    for padding in range(40, 140):
        code = b"\x75" + bytes([padding]) + b"\x90" * padding
        fragment = assert_same(code, 0x1000, Policy.default(), offset=0x200, metered=metered)
        assert isinstance(fragment, Fragment)
        sizes.add(fragment.spans[1].offset - fragment.spans[0].offset if len(fragment.spans) > 1 else 0)
    forward = b"\x75\x3c" + b"\x8d\x84\x24\x00\x01\x00\x00" * 8 + b"\x90" * 4 + b"\x74\xc0\xc3"
    assert_same(forward, 0x1000, Policy.default(), offset=0x200, metered=metered)


def test_what_is_unpacked_late_survives_the_next_translation() -> None:
    first = translator().translate(b"\xe8\x00\x00\x00\x00\x74\x10\xc3", 0x1000, Policy.default(), offset=0x200)
    translator().translate(b"\x90" * 20 + b"\xc3", 0x2000, Policy.default(), offset=0x4000)
    assert first == translate(b"\xe8\x00\x00\x00\x00\x74\x10\xc3", 0x1000, Policy.default(), offset=0x200)
    assert first.span_at(first.spans[1].offset) == first.spans[1]


# -- code of real programs -------------------------------------------------------------------------------------------


def text_of(image: bytes) -> tuple[bytes, int]:
    section = ELFFile(BytesIO(image)).get_section_by_name(".text")
    assert section is not None
    return section.data(), section["sh_addr"]


def starts_of(text: bytes, base: int) -> Iterator[int]:
    """Where instructions start, from the beginning of the section on; one byte further where there is none."""
    position = 0
    while position < len(text):
        try:
            code = text[position : position + FETCH_BYTES]
            fragment = translator().translate(code, base + position, WITH_GS, offset=0x200, gs_base=0)
        except DecodeError:
            yield position
            position += 1
        else:
            yield from (span.eip - base for span in fragment.spans)
            position += fragment.length


def assert_same_in(text: bytes, base: int) -> None:
    """At every instruction, or evenly spread over a large program."""
    starts = list(starts_of(text, base))
    for number, position in enumerate(starts[:: 1 + len(starts) // 2000]):
        code = text[position : position + FETCH_BYTES]
        metered = number % 2 == 1
        assert_same(code, base + position, WITH_GS, offset=0x200, gs_base=0x0010_0000, metered=metered)


@pytest.mark.parametrize("source", sorted((ROOT / "examples").glob("*.c")), ids=lambda path: path.name)
@pytest.mark.parametrize("options", ["-O2", "-O0 -march=i486", "-O3 -mavx2 -mfma"])
def test_compiled_programs_become_the_same_fragments(source: Path, options: str, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    made = tmp_path / "program.o"
    command = ["gcc", "-m32", "-c", "-w", "-ffreestanding", "-I", str(ROOT / "vx32py/guest/include"), *options.split()]
    done = subprocess.run([*command, str(source), "-o", str(made)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"gcc -m32 cannot compile it here: {done.stderr.strip().splitlines()[:1]}")
    text, base = text_of(made.read_bytes())
    assert_same_in(text, base + 0x0804_8000)


@pytest.mark.slow
def test_a_large_program_becomes_the_same_fragments() -> None:
    """Debian's statically linked busybox: megabytes of code by another compiler's choices."""
    try:
        program = busybox.fetch()
    except busybox.Unavailable as error:
        pytest.skip(str(error))
    assert_same_in(*text_of(program.read_bytes()))


# -- the engine ------------------------------------------------------------------------------------------------------


@pytest.mark.ldt
def test_an_engine_has_the_same_code_in_its_cache_with_either_translator() -> None:
    needs.engine("jit")
    translator()
    program = "mov ecx, 5; again: call down; loop again; int3; down: test ecx, 1; jz even; inc eax; even: ret"
    for name in get_args(Translator):
        engine = JitEngine(limit=1 << 20, translator=name)
        try:
            engine.space.map(0x1_0000, 0x1000, Access.RX)
            engine.space.store(0x1_0000, assemble(program))
            engine.space.map(0x2_0000, 0x1000, Access.RW)
            engine.cpu.eip, engine.cpu.esp = 0x1_0000, 0x2_0800
            assert engine.run().number == Vector.BREAKPOINT
            assert engine.cpu.eax == 3
            fragments = engine._cache.fragments()
            assert fragments
            for made in fragments:
                code = engine.space.fetch(made.eip, FETCH_BYTES)
                where = {"offset": made.offset, "origin": engine._origin, "window": engine._cache.window}
                assert made == translate(code, made.eip, engine.policy, **where)  # type: ignore[arg-type]
        finally:
            engine.close()
