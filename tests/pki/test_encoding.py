"""The canonical encoding: what it says comes back, and every other spelling of the same is refused."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vx32py.pki.encoding import decode, encode
from vx32py.pki.errors import BadEncoding

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.binary(max_size=40)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("abcxyzé", max_size=30), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_comes_back(value: object) -> None:
    assert decode(encode(value)) == value  # type: ignore[arg-type]


@given(VALUES)
def test_a_general_decoder_reads_the_same(value: object) -> None:
    assert cbor2.loads(encode(value)) == value  # type: ignore[arg-type]


@given(VALUES, st.data())
def test_two_inputs_never_mean_the_same(value: object, data: st.DataObject) -> None:
    """Bytes that were changed anywhere are refused, or mean something else."""
    encoded = bytearray(encode(value))  # type: ignore[arg-type]
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != encoded[at]))
    try:
        read = decode(bytes(encoded))
    except BadEncoding:
        return
    assert encode(read) == encoded


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_are_the_encoding_of_what_they_mean(data: bytes) -> None:
    try:
        value = decode(data)
    except BadEncoding:
        return
    assert encode(value) == data


@given(VALUES, st.integers(1, 200))
def test_what_ends_too_early_is_refused(value: object, less: int) -> None:
    encoded = encode(value)  # type: ignore[arg-type]
    with pytest.raises(BadEncoding):
        decode(encoded[: max(0, len(encoded) - less)])


@given(VALUES, st.binary(min_size=1, max_size=5))
def test_what_goes_on_afterwards_is_refused(value: object, more: bytes) -> None:
    with pytest.raises(BadEncoding):
        decode(encode(value) + more)  # type: ignore[arg-type]


#: From the examples of RFC 8949, appendix A, where they are in what there is here.
EXAMPLES = [
    (0, "00"), (23, "17"), (24, "1818"), (1000, "1903e8"), (1000000, "1a000f4240"), (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"), (-1, "20"), (-1000, "3903e7"), (False, "f4"), (True, "f5"), (None, "f6"),
    (b"", "40"), (b"\1\2\3\4", "4401020304"), ("", "60"), ("IETF", "6449455446"), ("\u6c34", "63e6b0b4"), ([], "80"),
    ([1, [2, 3], [4, 5]], "8301820203820405"), ({}, "a0"), ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"), (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "encoded"), EXAMPLES)
def test_the_examples_of_the_rfc(value: object, encoded: str) -> None:
    assert encode(value).hex() == encoded  # type: ignore[arg-type]
    assert decode(bytes.fromhex(encoded)) == value


REFUSED = {
    "nothing at all": "",
    "0 in two bytes": "1800",
    "23 in two bytes": "1817",
    "255 in three bytes": "1900ff",
    "65535 in five bytes": "1a0000ffff",
    "2^32-1 in nine bytes": "1b00000000ffffffff",
    "-1 in two bytes": "3800",
    "a length in two bytes": "580161",
    "the length of a text in two bytes": "780161",
    "the length of an array in two bytes": "980100",
    "the length of a map in two bytes": "b801616100",
    "an array with its length left open": "9f01ff",
    "a map with its length left open": "bf616101ff",
    "bytes with their length left open": "5f4101ff",
    "a text with its length left open": "7f6161ff",
    "an end of nothing": "ff",
    "keys out of order": "a2616201616100",
    "a longer key first": "a262616100616201",
    "a key twice": "a2616100616100",
    "a key twice with other values": "a2616100616101",
    "an integer as a key": "a10000",
    "bytes as a key": "a1416100",
    "an array as a key": "a18000",
    "a tag": "c000",
    "the tag of canonical CBOR": "d9d9f700",
    "a big number": "c249010000000000000000",
    "a time": "c11a514b67b0",
    "a half": "f93800",
    "a single": "fa47c35000",
    "a double": "fb3ff199999999999a",
    "not a number": "f97e00",
    "undefined": "f7",
    "a simple value": "f0",
    "false in two bytes": "f814",
    "a reserved length": "1c",
    "a text that is not UTF-8": "61ff",
    "a text with a lone surrogate": "63eda080",
    "a text in more bytes than it needs": "62c080",
    "an array with less in it than it says": "8201",
    "a map with less in it than it says": "a16161",
    "bytes with less in them than they say": "4401",
    "2^64-1 bytes": "5bffffffffffffffff",
    "2^64-1 items": "9bffffffffffffffff",
    "2^64-1 pairs": "bbffffffffffffffff",
    "a number that ends too early": "1901",
}


@pytest.mark.parametrize("encoded", REFUSED.values(), ids=REFUSED)
def test_what_is_not_the_one_encoding_is_refused(encoded: str) -> None:
    with pytest.raises(BadEncoding) as refusal:
        decode(bytes.fromhex(encoded))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "options", [{"indefinite_containers": True}, {"string_referencing": True}, {"value_sharing": True}]
)
def test_other_output_of_the_library_is_refused(options: dict[str, bool]) -> None:
    value = {"credentials": [["one", "one", b"one"]], "a": []}
    encoded = cbor2.dumps(value, canonical=False, **options)  # type: ignore[arg-type]
    with pytest.raises(BadEncoding):
        decode(encoded)
    with pytest.raises(BadEncoding, match="not in order"):
        decode(cbor2.dumps(value, canonical=False))


def test_nesting_is_limited_before_anything_is_built() -> None:
    assert decode(b"\x81" * 31 + b"\x80", nesting=32) is not None
    with pytest.raises(BadEncoding, match="nested deeper than 32"):
        decode(b"\x81" * 32 + b"\x80", nesting=32)
    with pytest.raises(BadEncoding, match="nested deeper"):
        decode(b"\x81" * 1_000_000)


def test_items_and_bytes_are_limited() -> None:
    assert decode(b"\x83\0\0\0", items=4) == [0, 0, 0]
    with pytest.raises(BadEncoding, match="too many items"):
        decode(b"\x83\0\0\0", items=3)
    with pytest.raises(BadEncoding, match="4 bytes; 3 are the most"):
        decode(b"\x83\0\0\0", most=3)


@pytest.mark.parametrize(
    "value", [1.5, object(), (1,), {1: 2}, {b"a": 1}, 1 << 64, -(1 << 64) - 1, "\ud800", {1}, bytearray(b"a")]
)
def test_what_has_no_encoding_gets_none(value: object) -> None:
    with pytest.raises(BadEncoding):
        encode(value)  # type: ignore[arg-type]


def test_nobody_can_encode_what_nobody_can_decode() -> None:
    value: list[object] = []
    for _ in range(40):
        value = [value]
    with pytest.raises(BadEncoding, match="nested"):
        encode(value)
