"""The canonical encoding: deterministic CBOR (RFC 8949, section 4.2.1), and less of it than there is.

What is signed and hashed must have one encoding, or two readers may take the same signature for different things. So there are
integers from -2^64 to 2^64-1, byte strings, texts, arrays, maps with texts as keys, false, true and null; no tags, no floating
point, no undefined, no lengths left open. :func:`decode` looks at the structure before anything is built, with limits on
depth and number of items, has cbor2 decode it, and then demands that encoding the result gives the same bytes again.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from vx32py.pki.errors import BadEncoding

Data: TypeAlias = "bool | int | bytes | str | list[Any] | dict[str, Any] | None"

#: The most that is decoded at once, unless the caller says otherwise.
MAX_BYTES: Final = 1 << 20
MAX_NESTING: Final = 32
MAX_ITEMS: Final = 1 << 16

_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = 2, 3, 4, 5, 6, 7
_SIMPLE_VALUES: Final = frozenset({20, 21, 22})


def encode(value: Data, *, nesting: int = MAX_NESTING) -> bytes:
    """The encoding of a value. Raises BadEncoding where it has none."""
    import cbor2

    _check(value, nesting)
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, *, most: int = MAX_BYTES, nesting: int = MAX_NESTING, items: int = MAX_ITEMS) -> Data:
    """The value that has this encoding. Raises BadEncoding for every other input, in time and memory proportional to it.

    >>> decode(bytes.fromhex("1801"))
    Traceback (most recent call last):
    vx32py.pki.errors.BadEncoding: at offset 0: a number in more bytes than it needs
    """
    import cbor2

    if len(data) > most:
        raise BadEncoding(f"{len(data)} bytes; {most} are the most")
    _scan(data, nesting, items)
    try:
        value: Data = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, OverflowError) as error:
        raise BadEncoding(f"not CBOR: {str(error).splitlines()[0]:.200}") from None
    if encode(value, nesting=nesting) != data:
        raise BadEncoding("not canonical: the keys of a map are not in order, or not each there once")
    return value


def _scan(data: bytes, nesting: int, items: int) -> None:
    """Whether the bytes are exactly one item of the kinds there are. No recursion, and nothing is built."""
    at = 0
    # For each container that is open: how many items are still to come, and whether it is a map.
    still: list[int] = [1]
    maps: list[bool] = [False]
    while still:
        if still[-1] == 0:
            still.pop()
            maps.pop()
            continue
        if items == 0:
            raise BadEncoding(f"at offset {at}: too many items")
        items -= 1
        start, is_key = at, maps[-1] and still[-1] % 2 == 0
        still[-1] -= 1
        major, argument, at = _head(data, at)
        if is_key and major != _TEXT:
            raise BadEncoding(f"at offset {start}: the key of a map is not a text")
        if major in {_BYTES, _TEXT}:
            if argument > len(data) - at:
                raise BadEncoding(f"at offset {start}: a string of {argument} bytes, where {len(data) - at} are left")
            at += argument
        elif major in {_ARRAY, _MAP}:
            count = argument * (2 if major == _MAP else 1)
            if count > len(data) - at:
                raise BadEncoding(f"at offset {start}: a container of {count} items in {len(data) - at} bytes")
            if len(still) > nesting:
                raise BadEncoding(f"at offset {start}: nested deeper than {nesting}")
            still.append(count)
            maps.append(major == _MAP)
    if at != len(data):
        raise BadEncoding(f"at offset {at}: {len(data) - at} bytes too many")


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """The major type of the item at an offset, its argument, and where its content begins. RFC 8949, section 3."""
    if at >= len(data):
        raise BadEncoding(f"at offset {at}: it ends too early")
    major, short = divmod(data[at], 32)
    if major == _TAG:
        raise BadEncoding(f"at offset {at}: a tag; there are none here")
    if major == _SIMPLE and short not in _SIMPLE_VALUES:
        raise BadEncoding(f"at offset {at}: a floating-point or special value; there are none here")
    if short < 24 or major == _SIMPLE:
        return major, short, at + 1
    if short > 27:
        raise BadEncoding(f"at offset {at}: a length left open, or reserved")
    size = 1 << (short - 24)
    if at + 1 + size > len(data):
        raise BadEncoding(f"at offset {at}: it ends too early")
    argument = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    if argument < 24 or (size > 1 and argument < 1 << (4 * size)):
        raise BadEncoding(f"at offset {at}: a number in more bytes than it needs")
    return major, argument, at + 1 + size


def _check(value: object, nesting: int) -> None:
    """Types are compared exactly: cbor2 encodes much more, and some of it in surprising ways."""
    kind = type(value)
    if kind is list or kind is dict:
        if nesting == 0:
            raise BadEncoding("nested too deeply")
        assert isinstance(value, list | dict)
        if isinstance(value, dict):
            if any(type(key) is not str for key in value):
                raise BadEncoding("the key of a map is not a text")
            value = [*value, *value.values()]
        for item in value:
            _check(item, nesting - 1)
    elif kind is int:
        assert isinstance(value, int)
        if not -(1 << 64) <= value < 1 << 64:
            raise BadEncoding(f"an integer of {value.bit_length()} bits; 64 are the most")
    elif kind is str:
        assert isinstance(value, str)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadEncoding("a text with half a character (a lone surrogate)") from None
    elif not (value is None or kind is bool or kind is bytes):
        raise BadEncoding(f"{kind.__name__} has no encoding here")
