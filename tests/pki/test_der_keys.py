"""Keys and certificates in DER: bytes, and nothing in them is text."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from vx32py.pki.keys import principal_from_bytes, principal_of

SPKI = form.PublicFormat.SubjectPublicKeyInfo


def key_ending_in(last: bytes) -> Ed25519PrivateKey:
    for number in range(10_000):
        private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"%d" % number).digest())
        if private.public_key().public_bytes_raw().endswith(last):
            return private
    raise AssertionError


def test_a_key_whose_last_byte_is_white_space_is_whole() -> None:
    """It was cut off, as the end of a line is: one key or certificate in forty could not be read."""
    for last in b" \t\n\r\v\f":
        public = key_ending_in(bytes([last])).public_key()
        assert principal_from_bytes(public.public_bytes(form.Encoding.DER, SPKI)) == principal_of(public)


def test_a_pem_key_within_a_certificate_is_not_the_certificates_key() -> None:
    """What looks like PEM anywhere in a certificate was taken for the whole: another key than everybody else sees in it."""
    private, other = key_ending_in(b"a"), key_ending_in(b"b")
    inner = other.public_key().public_bytes(form.Encoding.PEM, SPKI)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key()).serial_number(1)
        .not_valid_before(start).not_valid_after(start + timedelta(days=9))
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\n" + inner), critical=False)
        .sign(private, None)
    )  # fmt: skip
    data = certificate.public_bytes(form.Encoding.DER)
    assert inner in data
    assert principal_from_bytes(data) == principal_of(private.public_key())
