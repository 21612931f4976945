"""Ed25519 in the guest: RFC 8032's vectors, `cryptography` as an oracle, and what nobody should accept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pki_plugins import shipped

from reference.policy import Policy
from vx32py import Module, Sandbox
from vx32py.pki.guest import GuestScheme

pytestmark = pytest.mark.compiler

#: The order of the group, and the prime of the field (RFC 8032, 5.1).
ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
#: RFC 8032, 7.1: key, message, signature of tests 1, 2, 3 and SHA(abc).
VECTORS = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf", hashlib.sha512(b"abc").hexdigest(),
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"),
]  # fmt: skip
#: The edge cases of github.com/novifinancial/ed25519-speccheck ("Taming the many EdDSAs", 2020), and what a strict verifier
#: without a cofactor says: of all of them, only number 3 (components of small order beside large ones) is a signature.
EDGES = [
    ("8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000", False),
    ("9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", False),
    ("aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab", "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e", False),
    ("9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79", "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d", "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009", True),
    ("e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c", "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d", "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09", False),
    ("e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c", "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d", "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405", False),
    ("85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40", "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623", "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514", False),
    ("85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40", "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623", "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22", False),
    ("fdaebc429f4a735932a160da1301080c13280eea8bc280d1b392c6b9e6ba3a5a", "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f454d370c8d9fc323a41450f8d513eafeb5b0697390c1e505a0d4ddc71f566607", False),
    ("84b698d39be126ff55fe45079e6c8bf64a0d7db6994560b4e96b7021eb39c1a1", "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f084d5b99c2a9463d9c8bd5026916996984eeec87ddf1d3be329006ace1b37b09", False),
]  # fmt: skip


@pytest.fixture(scope="module")
def scheme() -> Iterator[GuestScheme]:
    with GuestScheme(shipped("ed25519")) as made:
        yield made


def key_pair(seed: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
    return private, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc_are_good(key: str, message: str, signature: str, scheme: GuestScheme) -> None:
    assert scheme.verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))


def test_every_engine_refuses_and_the_native_one_accepts(engine_name: str) -> None:
    """A whole signature takes the others five seconds and more."""
    key, message, signature = (bytes.fromhex(text) for text in VECTORS[1])
    box = Sandbox(engine=engine_name, memory="16M", policy=Policy.deterministic())
    with box.instantiate(Module.from_bytes(shipped("ed25519"))) as plugin:
        assert plugin.call("verify", key, message, signature[:63] + b"\xff") == 0
        assert plugin.call("verify", key, message, signature[:63]) == 0
        if engine_name == "jit":
            assert plugin.call("verify", b"\x02" + bytes(31), message, signature) == 0
            assert plugin.call("verify", key, message, signature) == 1


@pytest.mark.parametrize(("message", "key", "signature", "good"), EDGES)
def test_edge_cases_are_as_a_strict_verifier_has_them(
    message: str, key: str, signature: str, good: bool, scheme: GuestScheme
) -> None:
    assert scheme.verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)) is good


def test_a_signature_cannot_be_made_into_another_one(scheme: GuestScheme) -> None:
    private, key = key_pair(b"malleable")
    signature = private.sign(b"text")
    s = int.from_bytes(signature[32:], "little")
    assert scheme.verify(key, b"text", signature)
    for multiple in range(1, 15):
        if s + multiple * ORDER < 1 << 256:
            other = signature[:32] + (s + multiple * ORDER).to_bytes(32, "little")
            assert not scheme.verify(key, b"text", other)
    negative = signature[:32] + (ORDER - s).to_bytes(32, "little")
    assert not scheme.verify(key, b"text", negative)
    assert not scheme.verify(key, b"text", signature[:31] + bytes([signature[31] ^ 0x80]) + signature[32:])


@pytest.mark.parametrize("y", [0, 1, PRIME - 1, PRIME, PRIME + 1, PRIME + 3, 2**255 - 1])
def test_keys_of_small_order_or_in_a_second_form_sign_nothing(y: int, scheme: GuestScheme) -> None:
    for sign in (0, 1):
        key = (y | sign << 255).to_bytes(32, "little")
        for r in (1, PRIME - 1, 0):
            assert not scheme.verify(key, b"text", r.to_bytes(32, "little") + bytes(32))


def test_every_flipped_bit_spoils_a_signature(scheme: GuestScheme) -> None:
    private, key = key_pair(b"bits")
    signature = private.sign(b"text")
    for bit in range(0, 512, 3):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not scheme.verify(key, b"text", bytes(flipped))
    for bit in range(0, 256, 5):
        other = bytearray(key)
        other[bit // 8] ^= 1 << bit % 8
        assert not scheme.verify(bytes(other), b"text", signature)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64, 1000])
def test_keys_and_signatures_of_other_sizes_are_no_good(size: int, scheme: GuestScheme) -> None:
    private, key = key_pair(b"sizes")
    signature = private.sign(b"")
    assert not scheme.verify((key * 32)[:size], b"", signature)
    assert not scheme.verify(key, b"", (signature * 16)[: size if size != 64 else 65])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.binary(max_size=8), message=st.binary(max_size=400), flip=st.integers(0, 3))
def test_what_cryptography_signs_is_good_and_nothing_else(
    seed: bytes, message: bytes, flip: int, scheme: GuestScheme
) -> None:
    private, key = key_pair(seed)
    signature = private.sign(message)
    assert scheme.verify(key, message, signature)
    wrong = [
        (key_pair(seed + b"x")[1], message, signature),
        (key, message + b"\0", signature),
        (key, b"\0" + message, signature),
        (key, message, private.sign(message + b"!")),
    ]
    assert not scheme.verify(*wrong[flip])
