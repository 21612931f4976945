"""Spoiling images: a case is a function of the seed and its number, so that it can be made again.

Four families: fields of a valid image set to what hurts; structures added, moved and made to lie; bytes flipped, cut out
and spliced; and what is no image for i386 at all.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from conformance.malformed.elf import (
    HEADER,
    HEADER_FIELDS,
    PAGE,
    PROGRAM_HEADER,
    PT_DYNAMIC,
    PT_GNU_RELRO,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    PT_NOTE,
    PT_PHDR,
    PT_TLS,
    SECTION_HEADER,
    SYMBOL,
    fields,
)  # fmt: skip

#: Numbers at which arithmetic changes its mind.
EDGES: Final = (
    0, 1, 2, 3, 4, 7, 8, 31, 32, 33, 51, 52, 53, 0x7F, 0x80, 0xFF, 0x100, 0xFFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0xFFFE,
    0xFFFF, 0x1_0000, 0xF_FFFF, 0x10_0000, 0x40_0000, 0x0804_8000, 0x0FFF_FFFF, 0x4000_0000, 0x7FFF_F000, 0x7FFF_FFFF,
    0x8000_0000, 0x8000_0001, 0xBFFF_FFFF, 0xC000_0000, 0xFFFF_0000, 0xFFFF_E000, 0xFFFF_EFFF, 0xFFFF_F000, 0xFFFF_F001,
    0xFFFF_FFF0, 0xFFFF_FFFC, 0xFFFF_FFFE, 0xFFFF_FFFF,
)  # fmt: skip
_KINDS: Final = (
    0,
    PT_LOAD,
    PT_DYNAMIC,
    PT_INTERP,
    PT_NOTE,
    5,
    PT_PHDR,
    PT_TLS,
    PT_GNU_STACK,
    PT_GNU_RELRO,
    0xFFFF_FFFF,
)
_MACHINES: Final = (0, 2, 3, 8, 20, 40, 62, 183, 243, 0xFFFF)
#: How many program headers there are where there are many of them.
_MANY: Final = (64, 64, 1000, 1000, 5000, 65534)

Case = tuple[str, bytes]


def case(seed: int, number: int, sources: Mapping[str, bytes]) -> Case:
    """The case with this number: what was done, on one line, and the image."""
    rng = random.Random(f"{seed}:{number}")  # noqa: S311 - reproducible, not secret
    name = rng.choice(sorted(sources))
    family = rng.choices((_spoil_fields, _spoil_structure, _spoil_bytes, _no_image), (8, 8, 6, 1))[0]
    what, data = family(rng, sources[name], sources)
    return f"{name}: {what}", data


def _value(rng: random.Random, before: int, length: int) -> int:
    """Something to put in the place of a number in a file of so many bytes."""
    match rng.randrange(8):
        case 0 | 1 | 2:
            return rng.choice(EDGES)
        case 3:
            return before + rng.choice((-PAGE, -2, -1, 1, 2, PAGE, 1 << 31))
        case 4:
            return length + rng.choice((-PAGE, -32, -1, 0, 1, PAGE))
        case 5:
            return before ^ 1 << rng.randrange(32)
        case 6:
            return (1 << 32) - before + rng.choice((-1, 0, 1))
        case _:
            return rng.getrandbits(32)


def _spoil_fields(rng: random.Random, source: bytes, sources: Mapping[str, bytes]) -> Case:
    data, done = bytearray(source), []
    every = fields(source)
    # The header's fields and those of few program headers must not drown among those of many symbols.
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(every):
        groups.setdefault(one.name.partition(" of ")[2] or "header", []).append(index)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        one = every[rng.choice(groups[rng.choice(sorted(groups))])]
        before = int.from_bytes(data[one.offset : one.offset + one.size], "little")
        value = _value(rng, before, len(data))
        if one.name.startswith("p_type"):
            value = rng.choice(_KINDS)
        elif one.name == "e_machine":
            value = rng.choice(_MACHINES)
        elif one.name.startswith(("p_flags", "e_type", "ei_", "sh_type")) and rng.random() < 0.8:
            value = rng.randrange(12)
        value &= (1 << 8 * one.size) - 1
        data[one.offset : one.offset + one.size] = value.to_bytes(one.size, "little")
        done.append(f"{one.name} = {value:#x}")
    return ", ".join(done), bytes(data)


# -- structures --------------------------------------------------------------------------------------------------------


def _program_headers(data: bytes) -> list[list[int]]:
    header = HEADER.unpack_from(data)
    return [list(PROGRAM_HEADER.unpack_from(data, header[5] + i * PROGRAM_HEADER.size)) for i in range(header[10])]


def _with_program_headers(data: bytes, headers: Sequence[Sequence[int]]) -> bytes:
    """The same image with another table, at the end of the file."""
    words = [word & 0xFFFF_FFFF for header in headers for word in header]
    table = struct.pack(f"<{len(words)}I", *words)
    front = bytearray(data)
    struct.pack_into("<I", front, HEADER_FIELDS["e_phoff"][0], len(data))
    struct.pack_into("<H", front, HEADER_FIELDS["e_phnum"][0], len(headers) & 0xFFFF)
    return bytes(front) + table


def _spoil_structure(rng: random.Random, source: bytes, sources: Mapping[str, bytes]) -> Case:
    spoil = rng.choice((
        _shuffle, _many_headers, _odd_header, _odd_header, _overlap, _overlap, _wrap, _huge, _rights, _symbol_lies,
        _symbol_lies, _symbol_lies, _string_lies, _place_anew,
    ))  # fmt: skip
    return spoil(rng, source)


def _shuffle(rng: random.Random, source: bytes) -> Case:
    headers = _program_headers(source)
    rng.shuffle(headers)
    if rng.random() < 0.5:
        headers += rng.sample(headers, rng.randint(1, len(headers)))
    return "program headers shuffled", _with_program_headers(source, headers)


def _many_headers(rng: random.Random, source: bytes) -> Case:
    headers, count = _program_headers(source), rng.choice(_MANY)
    kind = rng.choice((PT_LOAD, PT_LOAD, PT_LOAD, PT_NOTE, 0))
    start, step = rng.choice((0x1000_0000, 0x0900_0000)), rng.choice((0, 1, 0x10, PAGE, 0x3000))
    size = rng.choice((0, 1, step, min(step, 8) or PAGE, len(source)))
    rights = [rng.choice((4, 5, 6, 7)) for _ in range(16)]
    align, length = rng.choice((0, 1)), min(size, len(source))
    more = [
        (kind, 0, (start + i * step) & 0xFFFF_FFFF, 0, length, size, rights[i & 15], align)
        for i in range(count - len(headers))
    ]
    table = [*(tuple(header) for header in headers), *more]
    if rng.random() < 0.3:
        table.reverse()
    return f"{count} program headers of type {kind}, {step:#x} apart", _with_program_headers(source, table)


def _odd_header(rng: random.Random, source: bytes) -> Case:
    headers, kind = _program_headers(source), rng.choice(_KINDS)
    words = [kind, *(_value(rng, 0, len(source)) for _ in range(7))]
    if rng.random() < 0.5:  # plausible: within the file, and small
        words[1:6] = [rng.randrange(len(source)), words[2], words[3], rng.randrange(64), rng.randrange(0x4000)]
    headers.insert(rng.randrange(len(headers) + 1), words)
    return f"an odd program header of type {kind:#x}", _with_program_headers(source, headers)


def _overlap(rng: random.Random, source: bytes) -> Case:
    headers = _program_headers(source)
    loads = [header for header in headers if header[0] == PT_LOAD]
    one, other = rng.choice(loads), rng.choice(loads)
    distance = rng.choice((-PAGE, -0x800, -1, 0, 1, 0x10, 0x800, PAGE - 1, PAGE))
    one[2] = other[2] + distance
    one[1] = rng.choice((one[1], other[1], 0, len(source)))
    one[5] = rng.choice((one[5], one[4], 0x10, 0, 0x10_0000))
    one[4] = min(one[4], one[5], max(0, len(source) - one[1]))
    one[7] = rng.choice((0, 1, one[7]))
    return f"segments {distance:#x} apart", _with_program_headers(source, headers)


def _wrap(rng: random.Random, source: bytes) -> Case:
    headers = _program_headers(source)
    header = rng.choice(headers)
    header[2] = rng.choice((0xFFFF_F000, 0xFFFF_0000, 0xF000_0000, 0x8000_0000, header[2], 0xFFBF_F000, 0xFFFF_FFFF))
    header[5] = -header[2] + rng.choice((-2 * PAGE, -PAGE, -1, 0, 1, PAGE, 2 * PAGE, 0x40_0000))
    header[7] = rng.choice((0, 1, PAGE))
    return f"a segment that ends at {(header[2] & 0xFFFFFFFF) + (header[5] & 0xFFFFFFFF):#x}", _with_program_headers(
        source, headers
    )


def _huge(rng: random.Random, source: bytes) -> Case:
    headers = _program_headers(source)
    header = rng.choice(headers)
    header[5] = rng.choice((0x100_0000, 0xFF_0000, 0x1000_0000, 0x7000_0000, 0xF000_0000, 0xFFFF_FFFF, 0xFF_F000))
    return f"p_memsz {header[5]:#x}", _with_program_headers(source, headers)


def _rights(rng: random.Random, source: bytes) -> Case:
    headers = _program_headers(source)
    for header in headers:
        header[6] = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 0xFFFF_FFF8, 0xFFFF_FFFF))
    return "other rights", _with_program_headers(source, headers)


def _place_anew(rng: random.Random, source: bytes) -> Case:
    """The whole image somewhere else: at the bottom, at the top, around where the stack or a static-PIE goes."""
    headers = _program_headers(source)
    shift = rng.choice(
        (0x1000, 0x1_0000, 0xF000, 0x10_0000, 0x11_0000, 0x3F_F000, 0x4000_0000, 0xF700_0000, 0xFFFE_0000)
    )
    lowest = min((header[2] for header in headers if header[0] == PT_LOAD), default=0)
    for header in headers:
        header[2] += shift - (lowest & -PAGE)
    data = bytearray(source)
    at = HEADER_FIELDS["e_entry"][0]
    entry = struct.unpack_from("<I", data, at)[0] + shift - (lowest & -PAGE)
    struct.pack_into("<I", data, at, entry & 0xFFFF_FFFF)
    return f"placed at {shift:#x}", _with_program_headers(bytes(data), headers)


def _sections(source: bytes) -> tuple[int, list[list[int]]]:
    header = HEADER.unpack_from(source)
    return header[6], [
        list(SECTION_HEADER.unpack_from(source, header[6] + i * SECTION_HEADER.size)) for i in range(header[12])
    ]


def _symbol_lies(rng: random.Random, source: bytes) -> Case:
    """A symbol table of the case's own, at the end of the file: many symbols, of one name or at one address."""
    count = rng.choice((0, 1, 3, 100, 3000))
    length = rng.choice((1, 20, 5000, 100_000))
    strings = bytearray(rng.choice((b"a", b"\xff", b"\n", b"_Z", b"\x1b[2J", b"\xc3\xa9")) * length)[:length]
    if rng.random() < 0.7:
        strings += b"\0"
    names = rng.choice(("one", "all", "wild"))
    addresses = rng.choice(("one", "all", "wild"))
    table = bytearray()
    for index in range(count):
        name = {"one": 1, "all": index % len(strings), "wild": rng.choice(EDGES)}[names]
        value = {"one": 0x0804_8000, "all": 0x0804_8000 + index, "wild": rng.choice(EDGES)}[addresses]
        section = rng.choice((0, 1, 1, 1, 0xFFF1, 0xFFFF))
        table += SYMBOL.pack(
            name, value, rng.choice((0, 0, 1, 0xFFFF_FFFF)), rng.choice((0x12, 0x12, 1, 0, 3, 0xFF)), 0, section
        )
    start = len(source)
    link = rng.choice((2, 2, 2, 2, 1, 0, 3, 0xFFFF_FFFF))
    size = rng.choice((len(table), len(table), len(table), 0xFFFF_FFF0, len(table) + 1))
    kind = rng.choice((2, 11))
    sections = b"".join((
        bytes(SECTION_HEADER.size),
        SECTION_HEADER.pack(0, kind, 0, 0, start, size, link, 1, 4, rng.choice((16, 16, 16, 0, 1, 32))),
        SECTION_HEADER.pack(0, 3, 0, 0, start + len(table), rng.choice((len(strings), len(strings), 0, 0xFFFF_FFFF)),
                            0, 0, 1, 0),
    ))  # fmt: skip
    data = bytearray(source + table + strings + sections)
    struct.pack_into("<I", data, HEADER_FIELDS["e_shoff"][0], start + len(table) + len(strings))
    struct.pack_into(
        "<HHH", data, HEADER_FIELDS["e_shentsize"][0], SECTION_HEADER.size, rng.choice((3, 3, 3, 4, 0xFFFF)), 0
    )
    what = f"{count} symbols with {names} of the names in {len(strings)} bytes, at {addresses} address"
    return what, bytes(data)


def _string_lies(rng: random.Random, source: bytes) -> Case:
    """Section headers that point at one another, at themselves, and at nothing."""
    offset, sections = _sections(source)
    if not sections:
        return "unchanged", source
    for section in sections:
        if rng.random() < 0.5:
            section[rng.choice((1, 4, 5, 6, 9))] = rng.choice((0, 1, 2, 3, 11, len(sections), offset, *EDGES))
    table = b"".join(SECTION_HEADER.pack(*section) for section in sections)
    return "section headers that lie", source[:offset] + table + source[offset + len(table) :]


# -- bytes -------------------------------------------------------------------------------------------------------------


def _spoil_bytes(rng: random.Random, source: bytes, sources: Mapping[str, bytes]) -> Case:
    data = bytearray(source)
    match rng.randrange(6):
        case 0:
            length = rng.choice((rng.randrange(200), rng.randrange(len(data))))
            return f"cut to {length} bytes", bytes(data[:length])
        case 1:
            return _splice(rng, source, sources)
        case 2:
            at, count = rng.randrange(len(data)), rng.choice((1, 2, 4, 16, PAGE))
            del data[at : at + count]
            return f"{count} bytes less at {at:#x}", bytes(data)
        case 3:
            at, count = rng.randrange(len(data)), rng.choice((1, 2, 4, 16, PAGE))
            data[at:at] = rng.randbytes(count)
            return f"{count} bytes more at {at:#x}", bytes(data)
        case 4:  # in the code: what guests of these images do is anybody's guess
            used = [at for at in range(PAGE, len(data)) if data[at]]
            count = rng.randint(1, 8)
            for at in rng.choices(used, k=count):
                data[at] = rng.choice((rng.getrandbits(8), 0xCD, 0xCC, 0xEB, 0xF4, 0x0F))
            return f"{count} bytes of content", bytes(data)
        case _:
            count, reach = rng.randint(1, 12), rng.choice((52, 400, len(data)))
            for _ in range(count):
                data[rng.randrange(reach)] ^= 1 << rng.randrange(8)
            return f"{count} bits within {reach:#x}", bytes(data)


def _splice(rng: random.Random, source: bytes, sources: Mapping[str, bytes]) -> Case:
    name = rng.choice(sorted(sources))
    at, other = rng.randrange(min(len(source), 0x3000)), rng.randrange(min(len(sources[name]), 0x3000))
    return f"{at:#x} bytes, then {name} from {other:#x}", source[:at] + sources[name][other:]


def _no_image(rng: random.Random, source: bytes, sources: Mapping[str, bytes]) -> Case:
    noise = rng.randbytes(rng.choice((0, 1, 4, 16, 52, 100, 4000)))
    wide = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0x401000, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    swapped = struct.pack(">16sHHIIIIIHHHHHH", b"\x7fELF\1\2\1", 2, 8, 1, 0x401000, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    made: tuple[tuple[str, Callable[[], bytes]], ...] = (
        ("noise", lambda: noise),
        ("noise behind the magic", lambda: b"\x7fELF" + noise),
        ("noise behind the identification", lambda: source[:16] + noise),
        ("noise behind the header", lambda: source[:52] + noise),
        ("a script", lambda: b"#!/bin/sh\necho hello\n" + noise),
        ("an archive", lambda: b"!<arch>\n" + b"hello.o/".ljust(48) + b"52        `\n" + source),
        ("a 64-bit image", lambda: wide + noise),
        ("a big-endian image", lambda: swapped + noise),
        ("a DOS program", lambda: b"MZ" + noise),
        ("text", lambda: "Grüße\n".encode() * 20),
        ("zeros", lambda: bytes(len(noise))),
    )
    what, make = rng.choice(made)
    return what, make()
