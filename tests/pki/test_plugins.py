"""The plug-ins that come with the PKI compute what they say: against hashlib, and against published vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pki_plugins import shipped

from reference.policy import Policy
from vx32py import Module, Sandbox
from vx32py.pki import plugins
from vx32py.pki.guest import GuestScheme

TEXT = bytes((i * 7 + 1) & 0xFF for i in range(300))
#: SHA-256 of the digests of TEXT[:0] to TEXT[:300], one after the other, by OpenSSL 3.0's `openssl dgst` with its legacy
#: provider: what hashlib may not have.
OPENSSL = {
    "whirlpool": "ff17da370bb561ba5df427e69914943653bed7f4206000a73cef259043897da6",
    "ripemd160": "5c35d1ad5cfa5354dd3cb492c99369ed10653a1449b4507f047870a1bbc3155d",
}
#: ISO/IEC 10118-3's, of "", "a", "abc", "message digest", the small letters, and 1,000,000 times "a".
WHIRLPOOL = {
    b"": "19fa61d75522a4669b44e39c1d2e1726c530232130d407f89afee0964997f7a73e83be698b288febcf88e3e03c4f0757ea8964e59b63d93708b138cc42a66eb3",
    b"a": "8aca2602792aec6f11a67206531fb7d7f0dff59413145e6973c45001d0087b42d11bc645413aeff63a42391a39145a591a92200d560195e53b478584fdae231a",
    b"abc": "4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce721ae1b303d97e6d4c7181eebdb6c57e277d0e34957114cbd6c797fc9d95d8b582d225292076d4eef5",
    b"message digest": "378c84a4126e2dc6e56dcc7458377aac838d00032230f53ce1f5700c0ffb4d3b8421557659ef55c106b4b52ac5a4aaa692ed920052838f3362e86dbd37a8903e",
    b"a"
    * 1_000_000: "0c99005beb57eff50a7cf005560ddf5d29057fd86b20bfd62deca0f1ccea4af51fc15490eddc47af32bb2b66c34ff9ad8c6008ad677f77126953b226e4ed8b01",
}
#: The authors', of the same and of 1,000,000 times "a".
RIPEMD160 = {
    b"": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
    b"a": "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe",
    b"abc": "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
    b"message digest": "5d0689ef49d2fae572b881b123a85ffa21595f36",
    b"a" * 1_000_000: "52783243c1697bdbe16d37f97f68f08325dc1528",
}


@pytest.fixture(scope="module")
def schemes() -> Iterator[dict[str, GuestScheme]]:
    made: dict[str, GuestScheme] = {}
    yield made
    for scheme in made.values():
        scheme.close()


def scheme_of(schemes: dict[str, GuestScheme], name: str) -> GuestScheme:
    if name not in schemes:
        schemes[name] = GuestScheme(shipped(name))
    return schemes[name]


def expected(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data).digest()


def hashlib_has(name: str) -> bool:
    try:
        hashlib.new(name)
    except ValueError:
        return False
    return True


@pytest.mark.compiler
@pytest.mark.parametrize("name", plugins.HASHES)
def test_a_hash_of_every_length_is_hashlibs(name: str, schemes: dict[str, GuestScheme]) -> None:
    scheme = scheme_of(schemes, name)
    digests = [scheme.digest(TEXT[:length]) for length in range(301)]
    if hashlib_has(name):
        assert digests == [expected(name, TEXT[:length]) for length in range(301)]
    else:
        assert hashlib.sha256(b"".join(digests)).hexdigest() == OPENSSL[name]


@pytest.mark.compiler
@pytest.mark.parametrize(("name", "vectors"), [("whirlpool", WHIRLPOOL), ("ripemd160", RIPEMD160)])
def test_a_hash_that_hashlib_may_lack_has_the_published_digests(
    name: str, vectors: dict[bytes, str], schemes: dict[str, GuestScheme]
) -> None:
    scheme = scheme_of(schemes, name)
    assert {text: scheme.digest(text).hex() for text in vectors} == vectors
    all_lengths = b"".join(scheme.digest(TEXT[:length]) for length in range(301))
    assert hashlib.sha256(all_lengths).hexdigest() == OPENSSL[name]


@pytest.mark.compiler
@pytest.mark.parametrize("name", plugins.HASHES)
def test_a_hash_is_the_same_on_every_engine(name: str, engine_name: str, schemes: dict[str, GuestScheme]) -> None:
    native = scheme_of(schemes, name)
    box = Sandbox(engine=engine_name, memory="16M", policy=Policy.deterministic())
    with box.instantiate(Module.from_bytes(shipped(name))) as plugin:
        for length in (0, 129) if engine_name == "jit" else (129,):
            assert plugin.call("digest", TEXT[:length]) == native.digest(TEXT[:length])


@pytest.mark.compiler
@pytest.mark.parametrize("name", plugins.HASHES)
def test_pieces_of_any_size_have_the_digest_of_the_whole(name: str, schemes: dict[str, GuestScheme]) -> None:
    scheme = scheme_of(schemes, name)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.binary(max_size=300), max_size=8))
    def check(pieces: list[bytes]) -> None:
        hasher = scheme.hasher()
        for piece in pieces:
            hasher.update(piece)
        whole = b"".join(pieces)
        assert hasher.digest() == (expected(name, whole) if hashlib_has(name) else scheme.digest(whole))

    check()


@pytest.mark.compiler
@pytest.mark.parametrize("name", plugins.HASHES)
def test_megabytes_go_in_pieces(name: str, schemes: dict[str, GuestScheme]) -> None:
    data = hashlib.shake_128(b"seed").digest((1 << 20) + 5)
    scheme = scheme_of(schemes, name)
    hasher = scheme.hasher()
    for start in range(0, len(data), 65_537):
        hasher.update(data[start : start + 65_537])
    digest = hasher.digest()
    assert scheme.digest(data) == digest
    if hashlib_has(name):
        assert digest == expected(name, data)


@pytest.mark.compiler
@pytest.mark.parametrize("name", plugins.NAMES)
def test_a_plugin_says_what_it_is(name: str, schemes: dict[str, GuestScheme]) -> None:
    titles = {
        "md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512", "ripemd160": "RIPEMD-160",
        "whirlpool": "Whirlpool", "blake2b": "BLAKE2b-512", "blake2s": "BLAKE2s-256", "sha3_256": "SHA3-256",
        "sha3_512": "SHA3-512", "ed25519": "Ed25519",
    }  # fmt: skip
    scheme = scheme_of(schemes, name)
    assert scheme.name == titles[name]
    assert scheme.identity == f"elf:{hashlib.sha256(shipped(name)).hexdigest()}"
    assert scheme.kinds == (("signature",) if name in plugins.SIGNATURES else ("hash",))
