"""Keys: making, keeping and signing with them; X.509 certificates and SSH public keys as principals.

`cryptography` does all of the mathematics and reads the formats. A public key is 32 bytes for ed25519, and the DER encoding of its
SubjectPublicKeyInfo (RFC 5280) for the others, so that the same key from a certificate and from an SSH file is one principal.
What else is in a certificate (names, validity, issuer) says nothing here: a credential has to say it.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reference.records import dataclass
from vx32py.pki.credentials import Credential
from vx32py.pki.errors import BadKey
from vx32py.pki.logic import Body, Hashed, Key
from vx32py.pki.wire import signed_message, to_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes

#: The largest file that is looked at for a key or certificate.
MAX_FILE: Final = 64 << 10
#: How certificates and keys in DER begin (X.690, 8.9).
_DER_SEQUENCE: Final = b"\x30"
#: RSA keys of fewer bits are not safe, with more they are too slow to verify for somebody who did not choose them.
RSA_BITS: Final = (2048, 8192)
_CURVES: Final = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384", "secp521r1": "ecdsa-p521"}


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A private key that can sign credentials. ``principal`` is its public half."""

    principal: Key
    _private: Any

    @classmethod
    def generate(cls) -> SigningKey:
        """A new Ed25519 key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls._of(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """The Ed25519 key that RFC 8032 makes of 32 secret bytes. Raises BadKey."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if len(seed) != 32:
            raise BadKey(f"the seed of an Ed25519 key has 32 bytes, not {len(seed)}")
        return cls._of(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_bytes(cls, data: bytes, password: bytes | None = None) -> SigningKey:
        """A private key from PEM (PKCS #8, traditional, OpenSSH) or DER. Raises BadKey."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization

        if b"BEGIN OPENSSH PRIVATE KEY" in data:
            load: Any = serialization.load_ssh_private_key
        elif b"-----BEGIN" in data:
            load = serialization.load_pem_private_key
        else:
            load = serialization.load_der_private_key
        try:
            private = load(data, password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadKey(f"no private key: {_line(error)}") from None
        return cls._of(private)

    @classmethod
    def load(cls, path: str | os.PathLike[str], password: bytes | None = None) -> SigningKey:
        """A private key from a file. Raises BadKey with its name, also where others may read it; and OSError."""
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE + 1)
        if mode & 0o077:
            raise BadKey(f"{os.fspath(path)}: others may read this private key (mode {mode & 0o777:04o}): chmod 600 it")
        try:
            return cls.from_bytes(_bounded(data), password)
        except BadKey as error:
            raise BadKey(f"{os.fspath(path)}: {error}") from None

    @classmethod
    def _of(cls, private: Any) -> SigningKey:
        public = getattr(private, "public_key", None)
        if public is None:
            raise BadKey(f"a {type(private).__name__} signs nothing")
        return cls(principal_of(public()), private)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write PKCS #8 PEM to a new file that nobody else may read. Raises FileExistsError and OSError."""
        from cryptography.hazmat.primitives import serialization as form

        pem = self._private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(pem)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise

    def sign(self, message: bytes) -> bytes:
        """A signature of some bytes, as the scheme of the key has it."""
        from cryptography.hazmat.primitives.asymmetric import ec, padding

        scheme = self.principal.scheme
        signature: bytes
        if scheme == "ed25519":
            signature = self._private.sign(message)
        elif scheme == "rsa-pss":
            digest = _digest(scheme)
            signature = self._private.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        else:
            signature = self._private.sign(message, ec.ECDSA(_digest(scheme)))
        return signature

    def credential(self, body: Body) -> Credential:
        """The body under this key's signature."""
        return Credential(body, ((self.principal, self.sign(signed_message(self.principal, body))),))


def sign(body: Body, *signers: SigningKey) -> Credential:
    """The body under the signatures of several keys."""
    return Credential(body, tuple(pair for signer in signers for pair in signer.credential(body).signatures))


def verify(scheme: str, public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature under a native scheme is good; False for keys that make no sense, too."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, padding

    try:
        key = _public(scheme, public)
        if scheme == "ed25519":
            key.verify(signature, message)
        elif scheme == "rsa-pss":
            digest = _digest(scheme)
            key.verify(signature, message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        else:
            key.verify(signature, message, ec.ECDSA(_digest(scheme)))
    except (InvalidSignature, BadKey, ValueError, UnsupportedAlgorithm):
        return False
    return True


def principal_of(public: Any) -> Key:
    """The principal of a public key of `cryptography`. Raises BadKey."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, ed25519.Ed25519PublicKey):
        return Key("ed25519", public.public_bytes_raw())
    if isinstance(public, rsa.RSAPublicKey):
        least, most = RSA_BITS
        if not least <= public.key_size <= most:
            raise BadKey(f"an RSA key of {public.key_size} bits; {least} to {most} are taken")
        if public.public_numbers().e.bit_length() > 32:
            raise BadKey("an RSA key with a public exponent of more than 32 bits")
        scheme = "rsa-pss"
    elif isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.name not in _CURVES:
            raise BadKey(f"an elliptic curve that is not taken: {public.curve.name}")
        scheme = _CURVES[public.curve.name]
    else:
        raise BadKey(f"a kind of key that is not taken: {type(public).__name__.strip('_')}")
    return Key(scheme, public.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo))


def principal_from_bytes(data: bytes) -> Key:
    """The principal of an X.509 certificate (PEM or DER), an SSH public key (``ssh-ed25519 AAAA… comment``), or a public key in PEM
    or DER. Raises BadKey. The signature of a certificate is not looked at."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    data = _bounded(data)
    if data.startswith(_DER_SEQUENCE):  # first: anything may stand in a certificate, such as another key in PEM
        attempts: list[Any] = [
            lambda der: x509.load_der_x509_certificate(der).public_key(),
            serialization.load_der_public_key,
        ]
    elif data.lstrip().startswith((b"ssh-", b"ecdsa-sha2-", b"sk-")):
        attempts = [lambda line: serialization.load_ssh_public_key(line.strip())]
    elif b"-----BEGIN CERTIFICATE-----" in data:
        attempts = [lambda pem: x509.load_pem_x509_certificate(pem).public_key()]
    else:
        attempts = [serialization.load_pem_public_key]
    for attempt in attempts:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # about certificates that are not quite right: nothing else in them counts
                return principal_of(attempt(data))
        except BadKey:
            raise
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
            reason = _line(error)
    raise BadKey(f"no certificate and no public key: {reason}")


def principal_from_file(path: str | os.PathLike[str]) -> Key:
    """The same, from a file. Raises BadKey with its name, and OSError."""
    with open(path, "rb") as file:
        data = file.read(MAX_FILE + 1)
    try:
        return principal_from_bytes(data)
    except BadKey as error:
        raise BadKey(f"{os.fspath(path)}: {error}") from None


def fingerprint(key: Key) -> Hashed:
    """The key by the SHA-256 of its encoding: a principal that is short enough to be read aloud."""
    return Hashed("sha-256", hashlib.sha256(to_bytes(key)).digest())


def public_pem(key: Key) -> bytes:
    """A native key as PEM. Raises BadKey."""
    from cryptography.hazmat.primitives import serialization as form

    pem: bytes = _public(key.scheme, key.public).public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    return pem


def write_public(key: Key, path: str | os.PathLike[str]) -> None:
    """Write a native key as PEM. Raises BadKey and OSError."""
    Path(path).write_bytes(public_pem(key))


def _public(scheme: str, public: bytes) -> Any:
    """A key for `cryptography`. It must be of this scheme and have this one encoding. Raises BadKey."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    try:
        key = (
            ed25519.Ed25519PublicKey.from_public_bytes(public)
            if scheme == "ed25519"
            else serialization.load_der_public_key(public)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(f"no key: {_line(error)}") from None
    if principal_of(key) != Key(scheme, public):
        raise BadKey(f"no key of {scheme} in its one encoding")
    return key


def _digest(scheme: str) -> hashes.HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    return {"ecdsa-p384": hashes.SHA384, "ecdsa-p521": hashes.SHA512}.get(scheme, hashes.SHA256)()


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_FILE:
        raise BadKey(f"more than {MAX_FILE} bytes: no key is as long as that")
    return data


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
