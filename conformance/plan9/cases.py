"""Which Go programs there are, how they are run, and what is known of what they should say besides."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from reference.records import dataclass, field

PROGRAMS: Final = Path(__file__).resolve().parent / "programs"
#: In memory, or a directory of the host's that is granted.
RAM: Final = "ram"
HOST: Final = "host"
_DIGESTED: Final = 100 << 20

Check = Callable[[bytes, bytes], str]


def _nothing() -> bytes:
    return b""


def _no_check(_stdin: bytes, _stdout: bytes) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Case:
    """A program, and a way to build and run it.

    Where its source ends with a comment that begins with ``Output:``, that is what it should say, and ``Status:`` how it should
    end; else what the same source says on Linux. ``options`` are variables for the compiler. ``place`` is where its
    directory is. Each of its processes has so much ``memory``. ``net`` is what it may
    reach of the network, and ``peer`` whether there is somebody at the other end. ``check`` gets what it was given and what it has said, and says what is wrong.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    place: str = RAM
    memory: str = "128M"
    net: str = "none"
    peer: bool = False
    stdin: Callable[[], bytes] = _nothing
    check: Check = _no_check

    @property
    def title(self) -> str:
        """What it is called: with what is special about it."""
        return "-".join([self.name, *self.options.values(), *([self.place] if self.place != RAM else [])])

    @property
    def source(self) -> Path:
        """Its Go."""
        return PROGRAMS / f"{self.name}.go"

    def expected(self) -> tuple[str, str] | None:
        """The output and the status that its source says it should have, if it does."""
        text = self.source.read_text()
        output = re.search(r"^// Output:\n((?://.*\n?)*)", text, re.MULTILINE)
        if output is None:
            return None
        status = re.search(r"^// Status: (.*)$", text, re.MULTILINE)
        lines = [line.removeprefix("//").removeprefix(" ") for line in output[1].splitlines()]
        return "\n".join(lines), status[1] if status else ""


@functools.cache
def _plain() -> bytes:
    """100 MB in which no piece is like another."""
    piece = b"".join(hashlib.sha512(bytes([i])).digest() for i in range(256))
    return b"".join(number.to_bytes(4, "big") + piece for number in range(_DIGESTED // (len(piece) + 4) + 1))[
        :_DIGESTED
    ]


def _digests(stdin: bytes, stdout: bytes) -> str:
    expected = [f"bytes {len(stdin)} <nil>"]
    expected += [f"{name} {hashlib.new(name, stdin).hexdigest()}" for name in ("sha256", "sha1", "md5")]
    expected.append(f"crc32 {zlib.crc32(stdin):08x}")
    return "" if stdout.decode().splitlines() == expected else f"Python says {expected}"


def _text() -> bytes:
    lines = [
        f"line {number} of a text that {number % 7} {number**3 % 1009} repeats itself\n" for number in range(20000)
    ]
    return "".join(lines).encode() + bytes(range(256)) * 50


def _packed() -> bytes:
    return gzip.compress(_text(), 9)


def _compressed(stdin: bytes, stdout: bytes) -> str:
    data = gzip.decompress(stdin)
    first, *lines = stdout.decode().splitlines()
    if first.split()[0] != str(len(data)) or first.split()[-1] != hashlib.sha256(data).hexdigest():
        return f"it has unpacked something else: {first}"
    kinds = [line.split() for line in lines if line.startswith(("gzip ", "zlib "))]
    if len(kinds) != 6:
        return f"it has packed {len(kinds)} times, not 6"
    for kind, text in kinds:
        packed = base64.b64decode(text)
        unpacker = zlib.decompressobj(31) if kind == "gzip" else zlib.decompressobj(zdict=data[:1000])
        found = unpacker.decompress(packed)
        if found != data:
            return f"Python unpacks {len(found)} bytes that are not what was packed"
    return ""


_LOOPBACK: Final = "127.0.0.1:*/any,listen:127.0.0.1:*/any"
_MODES: Final = tuple(MappingProxyType({"GO386": mode}) for mode in ("sse2", "softfloat"))

CASES: Final = (
    Case("hello"), Case("threads"), Case("processes"), Case("goroutines"), Case("garbage", memory="512M"), Case("timers"), Case("pipes"),
    Case("children"), Case("files"), Case("files", place=HOST), Case("environment"), Case("notes"), Case("panics"),
    Case("statuses"), Case("digests", stdin=_plain, check=_digests), Case("compressed", memory="256M", stdin=_packed, check=_compressed),
    Case("networks", net=_LOOPBACK), Case("sockets", net=_LOOPBACK, peer=True), Case("encodings"), *(Case("floats", mode) for mode in _MODES),
)  # fmt: skip


def chosen(names: tuple[str, ...]) -> list[Case]:
    """Those with these titles or names; all without names. Raises KeyError with a name that is none."""
    found: dict[str, Case] = {} if names else {case.title: case for case in CASES}
    for name in names:
        matching = {case.title: case for case in CASES if name in (case.title, case.name)}
        if not matching:
            raise KeyError(name)
        found.update(matching)
    return list(found.values())
