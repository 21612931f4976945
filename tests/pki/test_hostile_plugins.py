"""Plug-ins that lie, loop, trap, bomb or are no plug-ins: each is refused by one line that names it."""

from __future__ import annotations

import hashlib
import re
import struct

import pytest
from pki_world import behaving
from pki_world import honest_plugin as honest

from vx32py.pki.errors import SchemeError
from vx32py.pki.guest import GuestScheme, Limits

pytestmark = pytest.mark.compiler

#: Enough for all that is honest here, and soon over.
LIMITS = Limits(memory=6 << 20, fuel=1_000_000, seconds=20.0, patience=100)
KEY, MESSAGE = b"key", b"a message"
GOOD = KEY + MESSAGE


def ask(elf: bytes, kind: str) -> None:
    with GuestScheme(elf, limits=LIMITS) as scheme:
        if kind == "hash":
            scheme.digest(b"some text")
        else:
            scheme.verify(KEY, MESSAGE, GOOD)


def refusal(elf: bytes, kind: str) -> str:
    """What a plug-in is refused with."""
    with pytest.raises(SchemeError) as caught:
        ask(elf, kind)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    assert f"plug-in elf:{hashlib.sha256(elf).hexdigest()[:16]}" in message
    return message


def test_the_honest_one_is_taken() -> None:
    with GuestScheme(honest(), limits=LIMITS) as scheme:
        assert scheme.kinds == ("hash", "signature")
        assert scheme.name == "hostile"
        assert len(scheme.digest(b"some text")) == 32
        assert scheme.digest(b"some text") == scheme.digest(b"some text") != scheme.digest(b"some test")
        assert scheme.verify(KEY, MESSAGE, GOOD)
        assert not scheme.verify(KEY, MESSAGE + b"!", GOOD)


def test_one_that_counts_its_calls_is_put_back_before_each() -> None:
    with GuestScheme(behaving("count"), limits=LIMITS) as scheme, GuestScheme(honest(), limits=LIMITS) as other:
        assert {scheme.digest(b"text") for _ in range(5)} == {other.digest(b"text")}


#: What a function does when it is called, and what the refusal says about it.
DEEDS = {
    "loop": "used up its fuel", "ud2-": "invalid opcode", "null": "page fault", "high": "(page fault|general protection)",
    "code": "page fault", "div0": "divide error", "deep": "overflowed", "jump": "page fault", "data": "page fault",
    "exit": "exited with code 0", "int3": "breakpoint", "in70": "interrupt 0x70|returned", "in71": "interrupt 0x71",
    "in80": "interrupt 0x80", "rtsc": "invalid opcode", "rand": "invalid opcode", "far-": "invalid opcode",
    "gseg": "(invalid opcode|general protection|page fault)", "espx": "(page fault|stack|general protection)",
    "bomb": "(memory|page fault)", "talk": "wrote more than 65536 bytes to stdout", "rep-": "page fault",
}  # fmt: skip
#: The functions by the letter that they have in hostile.c, and what the scheme is asked for.
PLACES = {"c": "hash", "s": "hash", "i": "hash", "u": "hash", "f": "hash", "d": "hash", "v": "signature"}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("place", PLACES)
def test_one_that_does_something_else_than_answer(place: str, deed: str) -> None:
    message = refusal(behaving(place + deed), PLACES[place])
    assert re.search(DEEDS[deed], message), message


LIES = {
    "piece": "at once and in pieces are two different digests",
    "final": "at once and in pieces are two different digests",
    "whole": "at once and in pieces are two different digests",
    "const": "different texts have the same digest",
    "dsize": "a digest of (16|32) bytes, and before it had (16|32)",
    "size0": "a digest of 0 bytes; it has 16 to 64",
    "sizef": "a digest of 15 bytes; it has 16 to 64",
    "size+": "a digest of 65 bytes; it has 16 to 64",
    "sizeM": "0xffffffff bytes at .* are not in the plug-in's memory",
    "sizeG": "0x40000000 bytes at .* are not in the plug-in's memory",
    "nullp": "0x20 bytes at 0x00000000 are not in the plug-in's memory",
    "highp": "0x20 bytes at 0xfffffff8 are not in the plug-in's memory",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_hash_that_lies(lie: str) -> None:
    message = refusal(behaving(lie), "hash")
    assert re.search(LIES[lie], message), message


@pytest.mark.parametrize("lie", ["const", "dsize"])
def test_a_hash_that_was_found_out_once_is_not_taken_the_second_time(lie: str) -> None:
    """The first look at a hash counted as done also where it had failed."""
    with GuestScheme(behaving(lie), limits=LIMITS) as scheme:
        for _ in range(3):
            with pytest.raises(SchemeError, match=LIES[lie]):
                scheme.digest(b"some text")


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ("yes--", "takes the same signature for another message"),
        ("size-", "takes the same signature for another message"),
        ("two--", "answers 0x2, neither 0 nor 1"),
        ("minus", "answers 0xffffffff, neither 0 nor 1"),
    ],
)
def test_a_signature_scheme_that_lies(lie: str, what: str) -> None:
    assert what in refusal(behaving(lie), "signature")


@pytest.mark.parametrize("how", ["name0", "name+", "nameM", "nameN", "name\n", "nameE", "nameU", "nameZ"])
def test_one_with_a_name_that_cannot_be_shown(how: str) -> None:
    assert "scheme: " in refusal(behaving(how), "hash")


def test_one_that_loops_gets_no_more_time_after_some_tries() -> None:
    with GuestScheme(behaving("vloop"), limits=Limits(memory=6 << 20, fuel=100_000, patience=2)) as scheme:
        for _ in range(2):
            with pytest.raises(SchemeError, match="used up its fuel"):
                scheme.verify(KEY, MESSAGE, GOOD)
        with pytest.raises(SchemeError, match="passed its limits too often"):
            scheme.verify(KEY, MESSAGE, GOOD)


def test_a_failure_leaves_nothing_for_the_next_question() -> None:
    with GuestScheme(honest(), limits=LIMITS) as scheme:
        before = scheme.digest(b"text")
        with pytest.raises(SchemeError):
            scheme.digest(bytes(8 << 20))  # more than its memory
        assert scheme.digest(b"text") == before


def patched(elf: bytes, offset: int, layout: str, value: int) -> bytes:
    return elf[:offset] + struct.pack(layout, value) + elf[offset + struct.calcsize(layout) :]


def test_a_file_that_is_no_plugin() -> None:
    elf = honest()
    (headers,) = struct.unpack_from("<I", elf, 28)
    files = {
        "nothing": b"", "one byte": b"\x7f", "text": b"#!/bin/sh\nrm -rf /\n", "zeros": bytes(4096),
        "header alone": elf[:52], "cut in the headers": elf[:100], "64-bit": patched(elf, 4, "<B", 2),
        "big-endian": patched(elf, 5, "<B", 2), "other machine": patched(elf, 18, "<H", 62),
        "shared library": patched(elf, 16, "<H", 3), "wild entry": patched(elf, 24, "<I", 0xFFFFFFF0),
        "entry in data": patched(elf, 24, "<I", 0), "headers far away": patched(elf, 28, "<I", 0x7FFFFFFF),
        "sections far away": patched(elf, 32, "<I", 0x7FFFFFFF), "very many headers": patched(elf, 44, "<H", 0xFFFF),
        "huge segment": patched(elf, headers + 20, "<I", 0xF0000000), "high segment": patched(elf, headers + 8, "<I", 0xFFFFF000),
        "negative file size": patched(elf, headers + 16, "<I", 0x80000000), "no mark": elf.replace(b"vxplugin 1", b"vxplugin 9"),
        "no plug-in": elf.replace(b".vx_plugin", b".vx_plugon"), "unknown word": elf.replace(b"export digest ", b"expert digest "),
        "no digest": elf.replace(b"export digest ", b"export digesX "), "no verify": elf.replace(b"export verify ", b"export verifX "),
        "other result": elf.replace(b"export final -> bytes", b"export final -> i32\0\0"),
        "other signature": elf.replace(b"-> u32", b"-> i64"), "no type": elf.replace(b"-> u32", b"-> u33"),
        "imports": elf.replace(b"export init -> none", b"import init -> none"),
        "symbols gone": elf.replace(b"\0digest\0", b"\0digesT\0"),
    }  # fmt: skip
    for what, file in files.items():
        assert file != elf, what
        assert refusal(file, "signature" if what in ("no verify", "other signature") else "hash"), what


@pytest.mark.parametrize("part", range(40))
def test_one_that_is_cut_off(part: int) -> None:
    elf = honest()
    refusal(elf[: part * len(elf) // 40], "hash")


def test_one_that_is_too_long() -> None:
    elf = honest() + bytes(4 << 20)
    with pytest.raises(SchemeError, match=r"plug-in elf:[0-9a-f]{16}: \d+ bytes long; 65536 are the most"):
        GuestScheme(elf, limits=Limits(size=65_536))


def test_a_question_of_the_other_kind() -> None:
    name = b"export verify bytes key, bytes message, bytes signature -> u32"
    hash_only = honest().replace(
        name,
        name.replace(b"verify", b"digest").replace(
            b"bytes key, bytes message, bytes signature -> u32",
            b"bytes data -> bytes".ljust(len(b"bytes key, bytes message, bytes signature -> u32")),
        ),
    )
    with GuestScheme(hash_only, limits=LIMITS) as scheme:
        assert scheme.kinds == ("hash",)
        with pytest.raises(SchemeError, match="it is no signature scheme"):
            scheme.verify(KEY, MESSAGE, GOOD)
