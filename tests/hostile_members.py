"""Hostile archives: names, kinds, links, and members that contradict one another."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import GOOD, Case, decoded_entry, good, good_decoder, made, xor

from conformance.archives.forge import DEFLATED, FILE, STORED, UTF8, Entry, extra

LINK = 0o120777 << 16
FOLDER = 0o40755 << 16

#: Names that must be refused, and why.
NAMES: dict[str, tuple[bytes, str]] = {
    "dotdot": (b"../evil", r"'\.\.'"),
    "many dotdots": (b"../" * 40 + b"tmp/evil", r"'\.\.'"),
    "dotdot in the middle": (b"a/../../evil", r"'\.\.'"),
    "dotdot that stays inside": (b"a/../evil", r"'\.\.'"),
    "dotdot at the end": (b"a/..", r"'\.\.'"),
    "dotdot alone": (b"..", r"'\.\.'"),
    "dotdot folder": (b"../evil/", r"'\.\.'"),
    "absolute": (b"/outside/evil", "absolute"),
    "absolute with two slashes": (b"//outside/evil", "absolute"),
    "absolute to a device": (b"/dev/null", "absolute"),
    "root": (b"/", "absolute"),
    "backslash dotdot": (b"..\\evil", r"'\.\."),
    "mixed slashes": (b"a\\../..\\evil", r"'\.\."),
    "backslash absolute": (b"\\evil", "absolute"),
    "UNC": (b"\\\\server\\share\\evil", "absolute"),
    "drive": (b"C:\\evil", "drive"),
    "drive with a slash": (b"C:/evil", "drive"),
    "drive relative": (b"c:evil", "drive"),
    "NUL": (b"evil\0.txt", "NUL|zero byte"),
    "NUL at the end": (b"evil\0", "NUL|zero byte"),
    "NUL alone": (b"\0", "NUL|zero byte"),
    "escape sequence": (b"\x1b[2J\x1b[31mevil", "control"),
    "newline": (b"evil\nextracted: all", "control"),
    "carriage return": (b"evil\rgood", "control"),
    "bell": (b"evil\x07", "control"),
    "delete": (b"evil\x7f", "control"),
    "C1 control": ("evil\x9b2J".encode(), "control"),
    "long component": (b"e" * 256, "255"),
    "long component of two-byte letters": ("é".encode() * 128, "255"),
    "longest name": (b"e" * 65535, "bytes"),
    "long path": (b"/".join([b"e" * 200] * 21), "bytes"),
    "deep path": (b"e/" * 257 + b"evil", "deep"),
    "deepest path": (b"e/" * 32767, "bytes|deep"),
    "cut UTF-8": (b"evil\xc3", "UTF-8"),
    "overlong UTF-8": (b"..\xc0\xafevil", "UTF-8"),
    "surrogate in UTF-8": (b"evil\xed\xa0\x80", "UTF-8"),
    "beyond Unicode": (b"evil\xf4\x90\x80\x80", "UTF-8"),
    "no name": (b"", "no name"),
    "dot": (b".", "target directory"),
    "dots and slashes": (b"./././.", "target directory"),
}


def names() -> list[Case]:
    """One member with a name that must be refused, before and behind a good one."""
    found = []
    for what, (raw, reason) in NAMES.items():
        flags = UTF8
        shown = raw.decode("utf-8", "backslashreplace")
        for place in ("before", "behind"):
            folder = raw.endswith(b"/")
            entry = Entry(raw, b"" if folder else b"evil", flags=flags, external=FOLDER if folder else FILE)
            parts = (entry, good()) if place == "before" else (good(), entry)
            found.append(Case(f"name {what}, {place}", made(*parts), bad={shown: reason}))
    return found


def odd_names() -> list[Case]:
    """Names that are odd and harmless: extracted as they are."""
    odd: dict[str, bytes] = {
        "backslash": b"a\\x2db", "only dots": b"...", "dots before": b"..a", "leading dash": b"-rf", "tilde": b"~root",
        "star": b"*", "dollar": b"$(id)", "colons": b"B::Deparse.3pm", "turned": "a\u202egpj".encode(), "space": b" ",
        "longest component": b"e" * 255, "Windows device": b"CON", "stream": b"name:stream", "quote": b"'\"`",
    }  # fmt: skip
    found = [
        Case(
            f"odd name {what}",
            made(Entry(raw, b"odd"), good()),
            files={raw.decode(): b"odd", **GOOD},
        )
        for what, raw in odd.items()
    ]
    foreign = Entry(b"evil\xff", b"", flags=0)
    found.append(Case("name not UTF-8 of a Unix", made(foreign, good()), bad={os.fsdecode(b"evil\xff"): "UTF-8"}))
    dos = Entry(b"\x81ber", b"odd", flags=0, made_by=20)
    found.append(Case("code page 437", made(dos, good()), files={"über": b"odd", **GOOD}))
    dots = Entry(b"./a//./b", b"odd")
    found.append(Case("dots and empty parts", made(dots, good()), files={"a/b": b"odd", **GOOD}))
    here = Entry(b"./", external=0o40000 << 16)
    found.append(Case("the target itself with mode 0", made(here, good())))
    return found


def kinds() -> list[Case]:
    """Members that are neither file nor folder nor link, or that contradict themselves."""
    types = {
        "character device": 0o020666,
        "block device": 0o060666,
        "FIFO": 0o010666,
        "socket": 0o140777,
        "type 15": 0o170777,
    }
    found = [
        Case(
            f"kind {what}", made(Entry("evil", b"", external=mode << 16), good()),
            bad={"evil": "neither file nor directory nor link"},
        )
        for what, mode in types.items()
    ]  # fmt: skip
    found += [
        Case("kind folder with content", made(Entry("evil/", b"x", external=FOLDER), good()), bad={"evil/": "content"}),
        Case("kind folder that is a file", made(Entry("evil/", external=0o100644 << 16), good()), bad={"evil/": "agree"}),
        Case("kind file that is a folder", made(Entry("evil", external=FOLDER), good()), bad={"evil": "agree"}),
        Case("kind folder that is a link", made(Entry("evil/", external=LINK), good()), bad={"evil/": "agree"}),
    ]  # fmt: skip
    special = {"set-user-id": 0o104755, "set-group-id": 0o102755, "sticky": 0o101755, "all": 0o107777, "none": 0o100000}
    found += [
        Case(
            f"mode {what}", made(Entry("tool", b"#!", external=mode << 16), good()),
            files={"tool": b"#!", **GOOD},
        )
        for what, mode in special.items()
    ]  # fmt: skip
    for what, content in {"min": -(1 << 31), "before 1970": -1, "max": (1 << 31) - 1}.items():
        stamp = extra(0x5455, b"\1" + content.to_bytes(4, "little", signed=True))
        found.append(
            Case(f"time {what}", made(Entry("old", b"x", extra_central=stamp), good()), {"old": b"x", **GOOD})
        )  # fmt: skip
    for what, ticks in {"0": 0, "max": (1 << 64) - 1, "1969": 116444736000000000 - 1}.items():
        stamp = extra(0x000A, bytes(4) + b"\1\0\x18\0" + ticks.to_bytes(8, "little") * 3)
        found.append(
            Case(f"NTFS time {what}", made(Entry("old", b"x", extra_central=stamp), good()), {"old": b"x", **GOOD})
        )  # fmt: skip
    for what, date in {"month 0": 0, "month 15": 0xFFFF, "February 31": 0x5F}.items():
        found.append(
            Case(f"date {what}", made(Entry("old", b"x", central={"date": date, "time": 0xFFFF}), good()), {"old": b"x", **GOOD})
        )  # fmt: skip
    return found


def link(name: str, text: bytes) -> Entry:
    """A member that is a symbolic link."""
    return Entry(name, text, external=LINK)


def links() -> list[Case]:
    """Links that lead out, and members that go through links."""
    texts: dict[str, tuple[bytes, str]] = {
        "absolute": (b"/etc/passwd", "absolute"), "to the root": (b"/", "absolute"), "up": (b"..", "out of the target"),
        "up and over": (b"../../outside/canary", "out of the target"), "through itself": (b"evil/../..", "after a name"),
        "down and up": (b"d/../../outside", "after a name"), "to nothing": (b"", "nothing"), "NUL": (b"a\0b", "NUL"),
        "very long": (b"x" * 4096, "possible|bytes"), "endless": (b"x" * 70000, "4096"), "dot up": (b"./../x", "out of the target"),
        "slashes up": (b".//.././/x", "out of the target"),
    }  # fmt: skip
    found = [
        Case(f"link {what}", made(link("evil", text), good()), bad={"evil": reason})
        for what, (text, reason) in texts.items()
    ]
    through = r"no folder|same name"
    found += [
        Case(
            "link, then a file through it", made(link("l", b"d"), Entry("l/evil", b"x"), Entry("d/ok", b"y"), good()),
            files={"l": "d", "d/ok": b"y", **GOOD}, bad={"l/evil": through},
        ),
        Case(
            "link out, then a file through it", made(link("l", b"../../outside"), Entry("l/evil", b"x"), good()),
            bad={"l": "out of the target", "l/evil": through},
        ),
        Case(
            "link to the outside, then a folder through it", made(link("l", b"/"), Entry("l/evil/", external=FOLDER), good()),
            bad={"l": "absolute", "l/evil/": through},
        ),
        Case(
            "link, then a file of its name", made(link("l", b"good"), Entry("l", b"evil"), good()),
            files={"l": "good", **GOOD}, bad={"l": "same name"},
        ),
        Case(
            "link of a folder's name", made(Entry("d/x", b"y"), link("d", b"good"), good()),
            files={"d/x": b"y", **GOOD}, bad={"d": "folder of this archive"},
        ),
        Case(
            "link behind a link", made(link("a", b"b"), link("b", b"c"), link("a/evil", b"x"), good()),
            files={"a": "b", "b": "c", **GOOD}, bad={"a/evil": through},
        ),
        Case("link to itself", made(link("l", b"l"), good()), files={"l": "l", **GOOD}),
        Case("links in a circle", made(link("a", b"b"), link("b", b"a"), good()), files={"a": "b", "b": "a", **GOOD}),
        Case(
            "link through another one and up", made(link("p/q/a", b"../.."), link("p/q/b", b"a/.."), good()),
            files={"p/q/a": "../..", **GOOD}, bad={"p/q/b": "after a name"},
        ),
        Case("link whose text is forged", made(link("evil", b"x"), good(), end=None), files={"evil": "x", **GOOD}),
        Case(
            "link whose text has another CRC", made(Entry("evil", b"x", external=LINK, central={"crc": 1}, local={"crc": 1}), good()),
            bad={"evil": "CRC"},
        ),
        Case(
            "link whose text is a bomb", made(Entry("evil", bytes(1 << 20), DEFLATED, external=LINK), good()),
            bad={"evil": "4096"},
        ),
        Case(
            "link whose text has an unknown method", made(Entry("evil", b"x", 97, b"x", external=LINK), good()),
            bad={"evil": "compressed"},
        ),
    ]  # fmt: skip
    return found


def _there(*entries: tuple[str, str]) -> Callable[[Path], None]:
    def prepare(target: Path) -> None:
        for name, what in entries:
            place = target / name
            if what == "fifo":
                os.mkfifo(place)
            elif what == "folder":
                place.mkdir()
            elif what.startswith("->"):
                os.symlink(what[2:], place)
            elif what.startswith("="):
                os.link(target.parent / what[1:], place)
            else:
                place.write_text(what)

    return prepare


def in_the_way() -> list[Case]:
    """What lies in the target directory already: never written through, never replaced."""
    kinds: dict[str, tuple[str, object]] = {
        "file": ("old", b"old"), "link out": ("->../../outside/canary", "../../outside/canary"), "dangling link": ("->../evil", "../evil"),
        "link to a folder": ("->../../outside", "../../outside"), "hard link": ("=canary", b"alive"), "FIFO": ("fifo", stat.S_IFIFO),
        "folder": ("folder", None), "link to itself": ("->evil", "evil"),
    }  # fmt: skip
    found = []
    for what, (kind, left) in kinds.items():
        there = {"evil/" if kind == "folder" else "evil": left, **GOOD}
        for entry, action in ((Entry("evil", b"new"), "file"), (link("evil", b"good"), "link")):
            found.append(
                Case(f"{action} where there is a {what}", made(entry, good()), there,
                     {"evil": "there is a"}, prepare=_there(("evil", kind)))
            )  # fmt: skip
        if kind != "folder":
            name = "evil/"
            found.append(
                Case(f"folder where there is a {what}", made(Entry("evil/", external=FOLDER), good()), there,
                     {name: "in the way at 'evil'"}, prepare=_there(("evil", kind)))
            )  # fmt: skip
            found.append(
                Case(f"file below a {what}", made(Entry("evil/x", b"y"), good()), there,
                     {"evil/x": "in the way at 'evil'"}, prepare=_there(("evil", kind)))
            )  # fmt: skip
    return found


def contradictions() -> list[Case]:
    """Members that cannot all be: the first one of a name has it."""

    def media(name: str, content: bytes, **forged: Any) -> Entry:
        return Entry(
            name, xor(content), decoder=shared, decoded=content, reference=forged, method=STORED, suffix=b".wav"
        )

    shared = good_decoder()
    found = [
        Case("two of one name", made(Entry("a", b"1"), Entry("a", b"2"), good()), {"a": b"1", **GOOD}, {"a": "same name"}),
        Case("two of one path", made(Entry("a/b", b"1"), Entry("a/./b", b"2"), good()), {"a/b": b"1", **GOOD}, {"a/./b": "same name"}),
        Case("two of one name in other cases", made(Entry("a", b"1"), Entry("A", b"2"), good()), {"a": b"1", "A": b"2", **GOOD}),
        Case("a file that must be a folder", made(Entry("a", b"1"), Entry("a/b", b"2"), good()), {"a": b"1", **GOOD}, {"a/b": "no folder"}),
        Case("a folder that must be a file", made(Entry("a/b", b"1"), Entry("a", b"2"), good()), {"a/b": b"1", **GOOD}, {"a": "folder of this archive"}),
        Case("a file with a folder's name", made(Entry("a", b"1"), Entry("a/", external=FOLDER), good()), {"a": b"1", **GOOD}, {"a/": "same name"}),
        Case("a file that must be a folder, with a long name", made(Entry("x" * 200 + "/" + "y" * 200, b"1"), Entry("x" * 200 + "/" + "y" * 200 + "/z", b"2"), good()),
             {"x" * 200 + "/" + "y" * 200: b"1", **GOOD}, {"x" * 200 + "/" + "y" * 200 + "/z": "no folder"}),
        Case("a folder twice", made(Entry("a/", external=FOLDER), Entry("./a/", external=FOLDER), good()), {"a/": None, **GOOD}),
        Case("a thousand of one name", made(*[Entry("a", b"%d" % i) for i in range(1000)], good()), {"a": b"0", **GOOD}, {"a": "same name"}),
        Case("a file below a file that fails", made(Entry("a", b"1", central={"crc": 5}, local={"crc": 5}), Entry("a/b", b""), good()), bad={"a": "CRC", "a/b": "no folder"}),
    ]  # fmt: skip
    clash = [
        ("of decoded names", made(shared, media("a.flac", b"1", cut=5), Entry("a.wav", b"2"), good()), {"a.wav": b"2", "a.flac.wav": b"1"}),
        ("of three decoded names", made(shared, media("a.flac", b"1", cut=5), Entry("a.wav", b"2"), Entry("a.flac.wav", b"3"), good()),
         {"a.wav": b"2", "a.flac.wav": b"3", "a.flac.1.wav": b"1"}),
        ("between decoded names", made(shared, media("a.flac", b"1", cut=5), media("a.fla", b"2", cut=4), good()), {"a.wav": b"1", "a.fla.wav": b"2"}),
        ("with a folder", made(shared, media("a.flac", b"1", cut=5), Entry("a.wav/x", b"2"), good()), {"a.wav/x": b"2", "a.flac.wav": b"1"}),
        ("that cuts all", made(shared, media("d/a.flac", b"1", cut=255), good()), {"d/a.flac.wav": b"1"}),
        ("without a suffix", made(shared, media("a", b"1", suffix=b""), good()), {"a.decoded": b"1"}),
    ]  # fmt: skip
    found += [Case(f"clash {what}", make, {**files, **GOOD}, decoded=True) for what, make, files in clash]
    dots = Case("decoded name that would be dots", made(shared, media("..x", b"1", cut=1, suffix=b""), good()), {"..x.decoded": b"1", **GOOD}, decoded=True)  # fmt: skip
    plain = Case("decoded where there is nothing to decode", made(shared, decoded_entry("a", b"1", shared), good()), {"a": b"1", **GOOD}, decoded=True)  # fmt: skip
    return [*found, dots, plain]


def all_cases() -> list[Case]:
    """Every case of this file."""
    return [*names(), *odd_names(), *kinds(), *links(), *in_the_way(), *contradictions()]
