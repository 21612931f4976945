"""Hostile archives: the records of ZIP with forged fields, truncated, overlapping, in the wrong place."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from hostile import GOOD, Case, decoded_entry, good, good_decoder, made

from conformance.archives.forge import DEFLATED, DESCRIBED, UTF8, VX, Decoder, Entry, archive, deflate, extra

CONTENT = b"what is in the member " * 20
WHOLE = {"m": CONTENT, **GOOD}
ENCRYPTED, PATCHED, MASKED = 1, 1 << 5, 1 << 13


def member(**forged: Any) -> Entry:
    """The member whose headers are forged."""
    return Entry("m", CONTENT, DEFLATED, **forged)


def local() -> list[Case]:
    """One forged field of a local header. The directory is right, and is what counts where standard tools do not care either."""
    other = "local header"
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "no signature": ({"signature": b"PK\3\5"}, "no local header"), "zero signature": ({"signature": bytes(4)}, "no local header"),
        "a directory's signature": ({"signature": b"PK\1\2"}, "no local header"),
        "method stored": ({"method": 0}, "method"), "method unknown": ({"method": 0xFFFF}, "method"), "method VX": ({"method": VX}, "method"),
        "encrypted": ({"flags": UTF8 | ENCRYPTED}, "encrypt"),
        "crc": ({"crc": 1}, "CRC"), "size 0": ({"size": 0}, other), "size less": ({"size": 5}, other), "size more": ({"size": 1 << 30}, other),
        "size ZIP64 without": ({"size": 0xFFFF_FFFF}, other), "csize 0": ({"csize": 0}, other), "csize less": ({"csize": 3}, other),
        "csize more": ({"csize": 1 << 31}, other), "csize ZIP64 without": ({"csize": 0xFFFF_FFFF}, other),
        "name longer": ({"name_length": 2}, "another name"), "name shorter": ({"name_length": 0}, "another name"),
        "name longest": ({"name_length": 0xFFFF}, "another name"), "another name": ({"name": b"n"}, "another name"),
        "name that climbs": ({"name": b"../m", "name_length": 4}, "another name"),
        "extra longer": ({"extra_length": 3}, "."), "extra longest": ({"extra_length": 0xFFFF}, "."),
        "nothing": ({"raw": b"", "name": b""}, "."), "zeroes": ({"raw": bytes(30)}, "no local header"), "ones": ({"raw": b"\xff" * 30}, "no local header"),
    }  # fmt: skip
    found = [
        Case(f"local {what}", made(member(local=forged), good()), bad={"m": reason})
        for what, (forged, reason) in wrong.items()
    ]
    harmless: dict[str, dict[str, Any]] = {
        "needed version": {"needed": 0xFFFF}, "time": {"time": 0xFFFF, "date": 0}, "flag 15": {"flags": UTF8 | 1 << 15},
        "described": {"flags": UTF8 | DESCRIBED, "crc": 0, "size": 0, "csize": 0},
    }  # fmt: skip
    found += [Case(f"local {what}", made(member(local=forged), good()), WHOLE) for what, forged in harmless.items()]
    return found


def central() -> list[Case]:
    """One forged field of a directory's entry."""
    method = r"method|compress|decoder|inflate|two sizes|make decoders"
    size = "size|more bytes|times as many|end before|cut off"
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "encrypted": ({"flags": UTF8 | ENCRYPTED}, "encrypted"), "masked": ({"flags": UTF8 | MASKED}, "encrypted"), "patch": ({"flags": UTF8 | PATCHED}, "patch"),
        "method stored": ({"method": 0}, method), "method VX": ({"method": VX}, "decoder"), "crc": ({"crc": 1}, "CRC"), "size 0": ({"size": 0}, size),
        **{f"method {number}": ({"method": number}, method) for number in (1, 6, 9, 12, 14, 93, 95, 96, 97, 98, 99, 0xFFFF)},
        "size less": ({"size": 5}, size), "size more": ({"size": 1 << 31}, size), "size ZIP64 without": ({"size": 0xFFFF_FFFF}, "ZIP64"),
        "csize 0": ({"csize": 0}, size), "csize less": ({"csize": 3}, size), "csize more": ({"csize": 1 << 31}, "end before"),
        "csize ZIP64 without": ({"csize": 0xFFFF_FFFF}, "ZIP64"), "disk": ({"disk": 1}, "another part"), "last disk": ({"disk": 0xFFFF}, "."),
        "offset of the other": ({"offset": 0}, "another name|overlaps"), "offset in data": ({"offset": 100}, "end before"),
        "offset behind all": ({"offset": 1 << 30}, "end before"), "offset last": ({"offset": 0xFFFF_FFFE}, "end before"),
        "offset ZIP64 without": ({"offset": 0xFFFF_FFFF}, "ZIP64|end before"),
    }  # fmt: skip
    found = [
        Case(f"central {what}", made(good(), member(central=forged)), bad={"m": reason})
        for what, (forged, reason) in wrong.items()
    ]
    found += [
        Case(
            f"central {what} in both",
            made(good(), member(central=forged, local=forged)),
            bad={"m": reason},
        )
        for what, (forged, reason) in wrong.items()
        if forged.keys() <= {"flags", "method", "crc", "size", "csize"}
    ]
    harmless: dict[str, dict[str, Any]] = {
        "versions": {"needed": 0xFFFF}, "made by nobody": {"made_by": 0xFFFF, "external": 0xFFFF_FFFF},
        "made by DOS": {"made_by": 0, "external": 0xFFFF_FFFF}, "internal": {"internal": 0xFFFF}, "times": {"time": 0xFFFF, "date": 0xFFFF},
    }  # fmt: skip
    found += [Case(f"central {what}", made(member(central=forged), good()), WHOLE) for what, forged in harmless.items()]
    renamed = Case("central another name", made(member(central={"name": b"n"}), good()), bad={"n": "another name"})
    # Where the directory is damaged, local headers tell what was in the archive.
    damaged = "damaged"
    broken: dict[str, dict[str, Any]] = {
        "no signature": {"signature": b"PK\1\3"}, "zero signature": {"signature": bytes(4)}, "zeroes": {"raw": bytes(46)}, "nothing": {"raw": b"", "name": b""},
        "name longest": {"name_length": 0xFFFF}, "extra longest": {"extra_length": 0xFFFF}, "comment longest": {"comment_length": 0xFFFF},
    }  # fmt: skip
    found += [
        Case(
            f"central {what}",
            made(member(central=forged), good()),
            WHOLE,
            problem=f"{damaged}|says that it has",
        )
        for what, forged in broken.items()
    ]
    unlisted = Case(
        "central entry missing",
        made(member(), good(), end={"entries": 2, "here": 2, "size": 0}),
        WHOLE,
        problem=".",
    )
    return [*found, renamed, unlisted]


def end_of_directory() -> list[Case]:
    """The end of the central directory, and ZIP64's."""

    def ended(**forged: Any) -> Callable[[], bytes]:
        return made(member(), good(), **forged)

    wrong: dict[str, dict[str, Any]] = {
        "disk": {"disk": 1}, "entries 0": {"entries": 0, "here": 0}, "entries 1": {"entries": 1, "here": 1}, "entries more": {"entries": 60000, "here": 60000},
        "size less": {"size": 40}, "size more": {"size": 1 << 20}, "size most": {"size": 0xFFFF_FFFE}, "size odd": {"size": 93},
        "signature": {"signature": b"PK\5\7"}, "signature zero": {"signature": bytes(4)},
    }  # fmt: skip
    found = [Case(f"end {what}", ended(end=forged), WHOLE, problem=".") for what, forged in wrong.items()]
    harmless: dict[str, dict[str, Any]] = {
        "start disk": {"start_disk": 9}, "here": {"here": 0}, "offset 0": {"offset": 0}, "comment longer": {"comment_length": 0xFFFF},
    }  # fmt: skip
    del harmless["offset 0"]
    found += [Case(f"end {what}", ended(end=forged), WHOLE) for what, forged in harmless.items()]
    wrong64: dict[str, dict[str, Any]] = {
        "signature": {"signature": b"PK\6\5"}, "entries 0": {"entries": 0, "here": 0}, "entries most": {"entries": (1 << 64) - 1},
        "size most": {"size": (1 << 64) - 1}, "size less": {"size": 1}, "disk": {"disk": 1}, "size 2^63": {"size": 1 << 63},
    }  # fmt: skip
    found += [Case(f"end64 {what}", ended(end64=forged), WHOLE, problem=".") for what, forged in wrong64.items()]
    found += [
        Case("end64 locator out of the file", ended(locator={"offset": 1 << 40}), WHOLE)
    ]  # it is right before the locator, too
    found += [Case("end64 locator most", ended(locator={"offset": (1 << 64) - 1}), WHOLE)]
    found += [Case("end64 locator to the start", ended(locator={"offset": 0}), WHOLE)]
    found += [
        Case(
            "end64 twice lost", ended(locator={"offset": 1 << 40}, end64={"signature": b"none"}), WHOLE, problem="ZIP64"
        )
    ]
    found += [
        Case(
            "end64 all in it",
            ended(end64={}, end={"entries": 0xFFFF, "here": 0xFFFF, "size": 0xFFFF_FFFF, "offset": 0xFFFF_FFFF}),
            WHOLE,
        )
    ]
    found += [Case("end64 record size", ended(end64={"record_size": (1 << 64) - 1}), WHOLE)]
    second = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0)
    found += [
        Case("end of another archive in the comment", ended(comment=second), {}),  # the last one counts, as for all other tools
        Case("end with bytes behind", lambda: archive(member(), good()) + b"behind" * 100, WHOLE),
        Case("end twice", lambda: archive(member(), good()) + archive(member(), good())[-22:], WHOLE),
        Case("end with 65,535 bytes of signatures", ended(comment=(b"PK\5\6" * 16384)[:65535]), WHOLE),
        Case("bytes before", lambda: b"#!/bin/sh\n" * 50 + archive(member(), good()), WHOLE),
        Case("bytes between", ended(before_directory=b"between" * 99), WHOLE),
        Case("bytes behind the directory", ended(after_directory=b"PK\1\2" * 9), WHOLE),
    ]  # fmt: skip
    return found


def extras() -> list[Case]:
    """Extra fields that are cut, twice there, or nonsense."""
    zip64 = extra(1, struct.pack("<QQQ", len(CONTENT), len(deflate(CONTENT)), 0))
    big = 0xFFFF_FFFF
    wrong: dict[str, tuple[bytes, dict[str, Any], str]] = {
        "cut header": (b"\1", {}, "extra part"), "cut header of three": (b"UT\5", {}, "extra part"), "longer than the rest": (extra(0x5455, b"\1", length=99), {}, "longer"),
        "longest": (extra(0x9999, b"", length=0xFFFF), {}, "longer"), "ZIP64 twice": (zip64 * 2, {"size": big, "csize": big}, "two extra"),
        "ZIP64 cut": (extra(1, b"\1\2\3"), {"size": big}, "too short"), "ZIP64 empty": (extra(1, b""), {"csize": big}, "too short"),
        "ZIP64 size most": (extra(1, b"\xff" * 24), {"size": big}, "size|ZIP64"), "ZIP64 csize most": (extra(1, b"\xff" * 8), {"csize": big}, "end before|ZIP64"),
        "ZIP64 offset most": (extra(1, b"\xff" * 8), {"offset": big}, "end before|ZIP64"), "ZIP64 offset 2^63": (extra(1, struct.pack("<Q", 1 << 63)), {"offset": big}, "end before"),
        "Unix owner cut": (extra(0x7875, b"\1\4\0"), {}, "owner"), "Unix owner of 255 bytes": (extra(0x7875, b"\1\xff\1\1"), {}, "owner|short"),
        "Unicode path not UTF-8": (extra(0x7075, b"\1" + struct.pack("<I", zlib.crc32(b"m")) + b"\xff\xfe"), {}, "UTF-8"),
    }  # fmt: skip
    found = [
        Case(f"extra {what}", made(good(), member(extra_central=field, central=forged)), bad={"m": reason})
        for what, (field, forged, reason) in wrong.items()
    ]  # fmt: skip
    harmless = {
        "unknown": extra(0x9999, b"?" * 1000), "unknown, many": extra(0x9999, b"") * 5000, "padding": bytes(3), "time of the wrong length": extra(0x5455, b"\1"),
        "NTFS cut": extra(0x000A, b"\0\0\0\0\1\0\x18\0"), "NTFS in a circle": extra(0x000A, bytes(4) + b"\2\0\0\0" * 1000), "owner version 9": extra(0x7875, b"\x09\4"),
        "ASi with a wrong CRC": extra(0x756E, bytes(4) + b"\xff" * 20), "Unicode path of another name": extra(0x7075, b"\1" + bytes(4) + b"../evil"),
        "Unicode path empty": extra(0x7075, b"\1"), "owner huge": extra(0x7875, b"\1\x08" + b"\xff" * 8 + b"\x08" + b"\xff" * 8), "ZIP64 unasked": zip64,
    }  # fmt: skip
    found += [
        Case(f"extra {what}", made(good(), member(extra_central=field)), WHOLE) for what, field in harmless.items()
    ]
    unicode = extra(0x7075, b"\1" + struct.pack("<I", zlib.crc32(b"m")) + b"../evil")
    found.append(
        Case(
            "extra Unicode path that climbs",
            made(good(), member(extra_central=unicode)),
            bad={"../evil": r"'\.\.'"},
        )
    )
    asi = struct.pack("<HIHH", 0o120777, 0, 0, 0) + b"/etc/passwd"
    asi_field = extra(0x756E, struct.pack("<I", zlib.crc32(asi)) + asi)
    found.append(
        Case(
            "extra ASi link out",
            made(good(), Entry("evil", b"", extra_central=asi_field, made_by=0, external=0)),
            bad={"evil": "absolute"},
        )
    )
    return found


def data() -> list[Case]:
    """Compressed data that is not what the headers say."""
    stream = deflate(CONTENT)
    wrong: dict[str, tuple[bytes, str]] = {
        "empty": (b"", "cut off|CRC|inflate"), "cut": (stream[:-4], "cut off|CRC|inflate"), "one byte": (stream[:1], "cut off|CRC|inflate"), "zeroes": (bytes(50), "inflate|CRC"),
        "ones": (b"\xff" * 50, "inflate"), "of something else": (deflate(b"else"), "CRC"), "longer": (deflate(CONTENT + b"x"), "more bytes|CRC"),
        "bomb": (deflate(bytes(50 << 20)), "more bytes"), "zlib with a header": (zlib.compress(CONTENT), "inflate|CRC"),
        "far back": (b"\x63\x00\x82\x01", "inflate|CRC|cut"), "no Huffman code": (b"\x05\xe0\x81\x08", "inflate|cut"),
    }  # fmt: skip
    found = [
        Case(f"data {what}", made(member(payload=payload), good()), bad={"m": reason})
        for what, (payload, reason) in wrong.items()
    ]
    found += [
        Case("data stored, one bit off", made(Entry("m", CONTENT, payload=b"W" + CONTENT[1:]), good()), bad={"m": "CRC"}),
        Case("data stored, size of the next", made(Entry("m", CONTENT, central={"size": 450, "csize": 450}, local={"size": 450, "csize": 450}), good()), bad={"m": "reaches"}),
    ]  # fmt: skip
    return found


def overlaps() -> list[Case]:
    """Members that share bytes: a bomb needs few of them."""
    kernel = deflate(bytes(1 << 20))

    def sharing(count: int) -> Callable[[], bytes]:
        others = [Entry(f"n{i}", bytes(1 << 20), DEFLATED, kernel) for i in range(count)]
        return made(good(), Entry("m", bytes(1 << 20), DEFLATED, kernel, sharing=others))

    found = [
        Case(
            "overlap: one header for many members",
            sharing(200),
            {"m": bytes(1 << 20), **GOOD},
            {f"n{i}": "overlaps|end before|another name" for i in range(200)},
        ),
    ]

    def quoted() -> bytes:
        # D. Fifield, "A better zip bomb" (WOOT 2019): each member's data begins with the next one's header, quoted.
        inner = Entry("z", bytes(1 << 20), DEFLATED, kernel)
        header = archive(inner)[:31]
        payload = struct.pack("<BHH", 0, len(header), 0xFFFF ^ len(header)) + header + kernel
        inner.in_data, inner.central = False, {"offset": 31 + 5}
        return archive(Entry("m", header + bytes(1 << 20), DEFLATED, payload), inner, good())

    found.append(Case("overlap: quoted headers", quoted, {"z": bytes(1 << 20), **GOOD}, {"m": "reaches"}))
    hidden = archive(Entry("z", b"hidden"))[:37]
    listed = Entry("z", b"hidden", in_data=False, central={"offset": 31})
    found.append(
        Case(
            "overlap: a member of a member",
            made(Entry("m", hidden), listed, good()),
            {"z": b"hidden", **GOOD},
            {"m": "reaches"},
        )
    )
    nowhere = Entry("z", b"hidden", in_data=False, central={"offset": 40})
    found.append(
        Case(
            "overlap: nothing in a member",
            made(Entry("m", CONTENT), nowhere, good()),
            WHOLE,
            {"z": "no local header"},
        )
    )
    return found


def bombs() -> list[Case]:
    """Small archives that would fill a disk."""
    # 4 GB declared and present as a deflate stream of 4 MB would be honest; what is declared is judged before anything runs.
    decoder = good_decoder()
    huge = {"size": 0xFFFF_FFF0}
    return [
        Case("bomb declared", made(member(central=huge, local=huge), good()), bad={"m": "bombs|times as many"}),
        Case("bomb declared to a decoder", made(decoder, decoded_entry("m", b"x", decoder, reference={"size": 1 << 62}, central={"size": 0xFFFF_FFF0}), good()), bad={"m": "size|bombs"}),
        Case("bomb of bombs", made(Entry("42.zip", archive(*[Entry(f"{i}.zip", archive(Entry("0", bytes(1 << 20), DEFLATED)), DEFLATED) for i in range(16)])), good()),
             {"42.zip": archive(*[Entry(f"{i}.zip", archive(Entry("0", bytes(1 << 20), DEFLATED)), DEFLATED) for i in range(16)]), **GOOD}),
        Case("quine", made(Entry("r/r.zip", b"", DEFLATED, b"\0\0\0\xff\xff" * 3), good()), bad={"r/r.zip": "cut off|inflate|CRC"}, files={"r/": None, **GOOD}),
    ]  # fmt: skip


def truncations() -> list[Case]:
    """Cut at and around every border between records."""
    decoder = good_decoder()

    def parts() -> tuple[Decoder | Entry, ...]:
        return decoder, member(), decoded_entry("d", CONTENT, decoder), Entry("s", b"stored" * 30), good()

    whole = archive(*parts())
    borders = [
        at
        for at in range(len(whole))
        if whole[at : at + 2] == b"PK" and whole[at + 2 : at + 4] in (b"\1\2", b"\3\4", b"\5\6")
    ]
    locals_ = [at for at in borders if whole[at + 2] == 3]
    directory = next(at for at in borders if whole[at + 2] == 1)
    ends = dict(zip(("m", "d", "s", "good"), [*locals_[2:], directory], strict=True))
    files = {"m": CONTENT, "d": CONTENT, "s": b"stored" * 30, **GOOD}
    found = []
    lengths = sorted(
        {at + step for at in [*borders, len(whole)] for step in (-1, 0, 1, 4, 25, 30, 31)} & set(range(1, len(whole)))
    )
    begun = dict(zip(("m", "d", "s", "good"), locals_[1:], strict=True))
    for length in lengths:
        left = {name: content for name, content in files.items() if ends[name] <= length}
        # A member whose name is there is told of; of what was cut off before that, only the archive can tell.
        headers = {name: begun[name] + 30 + sum(struct.unpack_from("<HH", whole, begun[name] + 26)) for name in files}
        cut = {name: "." for name in files if name not in left and headers[name] <= length}
        if length < begun["m"] + 31:
            found.append(Case(f"cut to {length} bytes", partial(bytes, whole[:length]), unreadable="not a ZIP"))
        else:
            found.append(Case(f"cut to {length} bytes", partial(bytes, whole[:length]), left, cut, problem="."))
    return found


def no_archives() -> list[Case]:
    """Files that are no archives."""
    texts = {"empty": b"", "one byte": b"P", "text": b"hello\n" * 100, "gzip": b"\x1f\x8b\x08" + bytes(100), "signature": b"PK\3\4", "end cut": b"PK\5\6" + bytes(17),
             "zeroes": bytes(70000), "ones": b"\xff" * 70000, "ends": b"PK\5\6" * 5, "tar": b"good".ljust(512, b"\0") * 4}  # fmt: skip
    return [
        Case(f"no archive: {what}", partial(bytes, text), {}, unreadable="not a ZIP") for what, text in texts.items()
    ]


@cache
def all_cases() -> list[Case]:
    """Every case of this file."""
    return [
        *local(), *central(), *end_of_directory(), *extras(), *data(), *overlaps(), *bombs(), *truncations(), *no_archives(),
    ]  # fmt: skip
