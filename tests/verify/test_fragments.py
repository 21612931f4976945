"""What the verifier accepts and refuses."""

from __future__ import annotations

import random

import pytest
from machine import CODE, guest

from conformance import mutants
from reference.dispatch import TranslatingEngine
from reference.errors import VerificationError
from reference.policy import Policy
from reference.translator import Exit, Fragment, Landing, Span, translate
from reference.traps import Access
from vx32py import verify
from vx32py.verify import problems

POLICY = Policy(Policy.everything().groups, thread_pointer=True)
#: Every template, one behind the other in memory.
EVERY_TEMPLATE = [
    "c3", "c20800", "ffe0", "ffd0c3", "ff2490c3", "ff54240490c3", "e8fbffffff90c3", "75fe90c3", "e2fdc3", "67e3fcc3",
    "0f84f0000000c3", "eb10", "cc", "cd80", "0f05", "0f0b", "f4", "ce90c3", "0fa2c3", "9dc3", "65a100000000c3",
    "658b440810c3", "65ff5508c3", "f3a4c3", "f2aec3", "f00fb10ac3", "c5f858c1c3", "0f1f440000c3", "66f390c3",
]  # fmt: skip


@pytest.mark.parametrize("window", [0x1000, None], ids=["direct", "hashed"])
@pytest.mark.parametrize("metered", [False, True], ids=["plain", "metered"])
@pytest.mark.parametrize("digits", EVERY_TEMPLATE)
def test_every_template_is_accepted(digits: str, window: int | None, metered: bool) -> None:
    guest_code = bytes.fromhex(digits)
    for gs_base in (None, 0x1234_5678):
        for origin in (0, 0xF000_0000):
            fragment = translate(
                guest_code,
                0x2000,
                POLICY,
                offset=0x1000,
                gs_base=gs_base,
                origin=origin,
                window=window,
                metered=metered,
            )
            where = {"origin": origin, "gs_base": gs_base, "window": window, "metered": metered}
            assert problems(fragment, guest=guest_code, **where) == []  # type: ignore[arg-type]
            assert problems(fragment, **where) == []  # type: ignore[arg-type]
            assert problems(fragment, **where | {"metered": not metered})  # type: ignore[arg-type]


def test_no_instruction_is_free_in_a_metered_fragment() -> None:
    """A meter that counts too few, or too many; a branch past one."""
    code = bytes.fromhex("90 40 43 75fc c3")
    made = translate(code, 0x1000, POLICY, offset=0x1000, window=0, metered=True)
    assert problems(made, window=0, guest=code, metered=True) == []
    charges = [index for index in range(len(made.code)) if made.code[index : index + 2] == b"\x8d\x49"]
    assert len(charges) == 3
    for charge in charges:
        for change in (1, 2, 0x7F, 0x80, 0xFF):
            changed = bytearray(made.code)
            changed[charge + 2] = changed[charge + 2] + change & 0xFF
            assert problems(made.with_code(bytes(changed)), window=0, metered=True)
    last = made.code.rindex(b"\x75")
    for past in range(1, 43):
        changed = bytearray(made.code)
        changed[last + 1] = changed[last + 1] + past & 0xFF
        assert problems(made.with_code(bytes(changed)), window=0, metered=True)


def test_fragments_of_generated_code_are_accepted() -> None:
    count = 0
    for fragment, context, code in mutants.fragments(7, 3000, translator="reference"):
        assert problems(fragment, guest=code, **context) == []  # type: ignore[arg-type]
        count += 1
    assert count > 2000


def test_a_fragment_of_other_code_is_refused() -> None:
    """It is safe, but it is not what the guest says."""
    rng = random.Random(5)
    refused = 0
    for fragment, context, code in mutants.fragments(8, 600, translator="reference"):
        other = bytearray(code[: fragment.length])
        other[rng.randrange(len(other))] ^= rng.randrange(1, 256)
        assert problems(fragment, **context) == []  # type: ignore[arg-type]
        refused += bool(problems(fragment, guest=bytes(other), **context))  # type: ignore[arg-type]
    assert refused > 350


def tampered() -> list[tuple[str, Fragment]]:
    code = bytes.fromhex("750a e8f5000000 90 40 ffd0 c3 0000000000000000")
    made = translate(code, 0x1000, POLICY, offset=0x1000, window=0)
    spans, exits, landings = made.spans, made.exits, made.landings

    def changed(**fields: object) -> Fragment:
        fragment = made.with_code(made.code)
        for name, value in fields.items():
            setattr(fragment, name, value)
        return fragment

    return [
        ("not where fragments are", changed(offset=0x40)),
        ("another EIP", changed(eip=0x1001)),
        ("no spans", changed(spans=())),
        ("a span too many", changed(spans=(*spans, Span(made.tail, 0x1100)))),
        ("a span inside an instruction", changed(spans=(spans[0], Span(spans[0].offset + 1, 0x1001), *spans[1:]))),
        ("a span missing", changed(spans=(spans[0], *spans[2:]))),
        ("spans in disorder", changed(spans=(spans[1], spans[0], *spans[2:]))),
        ("another tail", changed(tail=made.tail - 1)),
        ("a tail behind the end", changed(tail=made.end + 1)),
        ("an exit too few", changed(exits=exits[1:])),
        ("an exit too many", changed(exits=(*exits, Exit(made.offset, 0x5000, made.end)))),
        ("another trampoline", changed(exits=(exits[0]._replace(trampoline=made.tail + 1), *exits[1:]))),
        ("a landing too few", changed(landings=landings[:1])),
        ("a landing too many", changed(landings=(*landings, Landing(0x1002, made.tail, made.tail)))),
        ("a crooked landing", changed(landings=(landings[0], landings[1]._replace(offset=landings[1].offset + 1)))),
        ("a crooked entry", changed(landings=(landings[0]._replace(body=landings[0].body + 1), *landings[1:]))),
        ("a byte too few", made.with_code(made.code[:-1])),
        ("a byte too many", made.with_code(made.code + b"\x90")),
        ("no code", made.with_code(b"")),
    ]


@pytest.mark.parametrize(("name", "fragment"), tampered(), ids=[name for name, _ in tampered()])
def test_tables_that_do_not_fit_the_code_are_refused(name: str, fragment: Fragment) -> None:
    assert problems(fragment, window=0), name


def test_a_direct_branch_may_lead_to_the_fragment_that_is_said_to_be_there_and_to_no_other() -> None:
    code = bytes.fromhex("e9f5000000")
    made = translate(code, 0x1000, POLICY, offset=0x1000, window=0)
    field = made.exits[0].field - made.offset
    for destination, accepted in ((0x2000, True), (0x2001, False), (made.offset, False), (0xE6, False)):
        linked = bytearray(made.code)
        linked[field : field + 4] = (destination - (made.exits[0].field + 4) & 0xFFFF_FFFF).to_bytes(4, "little")
        fragment = made.with_code(bytes(linked))
        bodies = {made.exits[0].target: 0x2000}
        assert bool(problems(fragment, window=0, bodies=bodies)) is not accepted
        assert problems(fragment, window=0)


@pytest.mark.parametrize("limit", [1 << 20, 1 << 26], ids=["direct", "hashed"])
def test_a_guests_code_is_accepted_as_it_stands_and_no_change_to_it(translating_name: str, limit: int) -> None:
    """After loops, calls and returns have been linked: every byte of all fragments and each entry is as it must be."""
    text = """
        mov edi, 20
    2:  call 1f
        dec edi
        jnz 2b
        int3
    .balign 64
    1:  mov eax, edi
        and eax, 1
        jz 3f
        ret
    3:  nop
        ret
    """
    with guest(translating_name, text, limit=limit) as engine:
        assert isinstance(engine, TranslatingEngine)
        engine.run()
        if limit > 1 << 20:  # code at the other end
            far = limit - 0x1000
            engine.space.map(far, 0x1000, Access.RX)
            engine.space.store(far, b"\xcc")
            engine.cpu.eip = far
            engine.run()
            engine.cpu.eip, engine.cpu.esp = CODE, 0x4_0000 - 64
            engine.run()
            assert engine._cache.window is None
        translated = engine.translated()
        assert len(translated.fragments) >= 3
        assert verify.audit(translated) == []
        rng = random.Random(3)
        missed, step = 0, 1 if translated.window is not None else 7  # it takes longer to look at the hashed table
        for fragment in translated.fragments:
            for offset in range(fragment.offset, fragment.end, step):
                before = translated.code[offset]
                translated.code[offset] ^= rng.randrange(1, 256)
                missed += not verify.audit(translated)
                translated.code[offset] = before
        assert missed <= sum(len(fragment.spans) for fragment in translated.fragments)  # constants of MOV, AND
        bodies = dict(translated.bodies)
        (one, there), (_, elsewhere) = list(bodies.items())[:2]
        assert there != elsewhere
        assert verify.audit(translated._replace(bodies=bodies | {one: elsewhere})), "the code of another EIP"
        for index, entry in enumerate(translated.control[0x2000 >> 2 :], 0x2000 >> 2):
            if (entry and index % 977 in (0, 1, 2)) or (entry and translated.window is not None):
                translated.control[index] = entry + 1
                assert verify.audit(translated)
                translated.control[index] = entry
        assert verify.audit(translated) == []


def test_nothing_that_is_refused_becomes_reachable(translating_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest stands where it stood, and goes on when the verifier has nothing against it any more."""

    class Strict:
        def problems(self, *_: object, **__: object) -> list[str]:
            return ["no", "never"]

        def single_problems(self, *_: object) -> list[str]:
            return []

        def stub_problems(self, *_: object) -> list[str]:
            return []

        def audit(self, *_: object) -> list[str]:
            return []

    with guest(translating_name, "mov eax, 1\nint3") as engine:
        assert isinstance(engine, TranslatingEngine)
        engine.verify_with(Strict())
        for _ in range(2):
            with pytest.raises(VerificationError, match=r"refused by the verifier: no \(and 1 more\)"):
                engine.run()
            assert engine.cpu.eip == CODE
        engine.verify_with(verify)
        assert engine.run().eip == CODE + 6


def test_a_fragment_on_top_of_another_is_refused(translating_name: str) -> None:
    """However good it is: on its offset, in front of it and into it, behind its beginning, and beyond the code segment."""
    with guest(translating_name, "mov eax, 1\nint3") as engine:
        assert isinstance(engine, TranslatingEngine)
        engine.run()
        cache = engine._cache
        (there,) = cache.fragments()
        size = len(there.code)
        for offset in (there.offset, there.offset - size + 1, there.end - 1, 0x100, len(cache.code) - size + 1):
            code = engine.space.fetch(CODE, 64)
            made = translate(code, CODE, engine.policy, offset=offset, origin=engine._origin, window=cache.window)
            with pytest.raises(VerificationError, match=f"code offset {offset:#x} is not free|not where fragments are"):
                cache.install(made)
        assert cache.fragments() == [there]


def test_every_fragment_that_any_engine_makes_in_the_tests_is_verified(translating_name: str) -> None:
    """The tests' conftest.py sees to it: here is that it does."""
    assert TranslatingEngine.verifier is verify
    with guest(translating_name, "mov eax, 1\nint3") as engine:
        assert isinstance(engine, TranslatingEngine)
        assert engine._verifier is verify
