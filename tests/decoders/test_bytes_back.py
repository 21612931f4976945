"""General codecs give back whatever was compressed, and keep to what their formats say about streams and their ends."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import brotli
import pytest
import zstandard
from decoder_guests import box, complaint, decode, module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vx32py

pytestmark = pytest.mark.ldt


def _deflated(data: bytes, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _zstd(data: bytes, level: int) -> bytes:
    return zstandard.ZstdCompressor(level=2 * level + 1, write_checksum=True).compress(data)


PACKERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "deflate": _deflated,
    "gzip": gzip.compress,
    "bzip2": lambda data, level: bz2.compress(data, max(level, 1)),
    "xz": lambda data, level: lzma.compress(data, preset=level // 3),
    "zstd": _zstd,
    "brotli": lambda data, level: brotli.compress(data, quality=level),
}
#: Formats that may hold several streams, one after the other.
SEVERAL: Final = ("gzip", "bzip2", "xz", "zstd")


@pytest.fixture(scope="module")
def streams() -> Iterator[dict[str, vx32py.Stream]]:
    """A loaded decoder of each kind."""
    found = {name: box(name).stream(module(name)) for name in PACKERS}
    yield found
    for stream in found.values():
        stream.close()


#: Bytes with repetitions near and far, which is what these formats are about.
_PARTS = st.lists(st.tuples(st.binary(max_size=80), st.integers(1, 400)), max_size=8)
DATA = _PARTS.map(lambda parts: b"".join(part * times for part, times in parts))


@pytest.mark.parametrize("name", PACKERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=DATA, level=st.integers(0, 9))
def test_what_was_compressed_comes_back(streams: dict[str, vx32py.Stream], name: str, data: bytes, level: int) -> None:
    result = streams[name].run(PACKERS[name](data, level))
    assert (result.exit_code, result.stderr, result.trap) == (0, b"", None)
    assert result.stdout == data


@pytest.mark.parametrize("name", SEVERAL)
def test_streams_that_follow_one_another_are_one_file(streams: dict[str, vx32py.Stream], name: str) -> None:
    parts = [bytes([i]) * (i * 1000) for i in range(5)]
    result = streams[name].run(b"".join(PACKERS[name](part, 6) for part in parts))
    assert result.exit_code == 0
    assert result.stdout == b"".join(parts)


@pytest.mark.parametrize("name", PACKERS)
def test_nothing_else_may_follow(streams: dict[str, vx32py.Stream], name: str) -> None:
    result = streams[name].run(PACKERS[name](b"text", 6) + b"something else")
    assert result.exit_code == 1
    assert complaint(result, name) is None


@pytest.mark.parametrize("name", PACKERS)
def test_no_end_is_missed(streams: dict[str, vx32py.Stream], name: str) -> None:
    """Cut anywhere, the file is refused, after what was whole has been written."""
    data = b"".join(i.to_bytes(3) for i in range(3000))
    packed = PACKERS[name](data, 6)
    for end in (0, 1, 2, 5, len(packed) // 3, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        result = streams[name].run(packed[:end])
        assert result.exit_code == 1, end
        assert complaint(result, name) is None
        assert data.startswith(result.stdout)


def _member(flags: int, fields: bytes, data: bytes) -> bytes:
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\x00\x03" + fields
    if flags & 2:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + _deflated(data, 6) + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


def test_gzip_reads_every_field_of_a_header_and_checks_it() -> None:
    fields = b"\x06\x00extras" + b"name.txt\0" + b"a comment\0"
    good = _member(2 | 4 | 8 | 16, fields, b"text")
    assert decode("gzip", good).stdout == b"text"
    assert decode("gzip", good + _member(8, b"other\0", b" and more") + bytes(512)).stdout == b"text and more"
    wrong = good.replace(b"comment", b"content")
    assert decode("gzip", wrong).exit_code == 1
    assert b"header crc" in decode("gzip", wrong).stderr


@pytest.mark.parametrize(("at", "what"), [(-8, b"data check"), (-4, b"length check")])
def test_gzip_checks_sum_and_length(at: int, what: bytes) -> None:
    packed = bytearray(gzip.compress(b"text"))
    packed[at] ^= 1
    result = decode("gzip", bytes(packed))
    assert result.exit_code == 1
    assert what in result.stderr


def test_zstd_refuses_a_window_of_more_than_128_mib() -> None:
    for log, accepted in ((27, True), (28, False)):
        # A frame without a size, with a window descriptor; one raw block of one byte, the last.
        frame = bytes.fromhex("28b52ffd00") + bytes([(log - 10) << 3]) + bytes.fromhex("090000") + b"x"
        result = decode("zstd", frame)
        assert (result.exit_code == 0) is accepted
        assert result.stdout == (b"x" if accepted else b"")
        assert complaint(result, "zstd") is None


def test_xz_with_a_dictionary_that_does_not_fit_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    packed = lzma.compress(bytes(1000), filters=filters)
    result = decode("xz", packed)
    assert (result.exit_code, result.stderr) == (1, b"xz: not enough memory\n")
