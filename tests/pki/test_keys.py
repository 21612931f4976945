"""Keys: the scheme's published vectors, storage, and certificates and SSH keys as principals."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from pki_people import GOAL, NOW, bundle, key, person, trusting

from vx32py.pki import keys
from vx32py.pki.errors import BadKey, Refused, SchemeError, UnknownScheme
from vx32py.pki.keys import SigningKey, principal_from_bytes, principal_of
from vx32py.pki.logic import Body, Delegation, Key
from vx32py.pki.policy import Policy
from vx32py.pki.scheme import NATIVE, Schemes
from vx32py.pki.verifying import verify
from vx32py.pki.wire import signed_message, to_bytes

#: RFC 8032, section 7.1: secret key, public key, message, signature.
RFC_8032 = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42", "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     hashlib.sha512(b"abc").hexdigest(),
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"), RFC_8032, ids=["empty", "one byte", "two", "sha-512"]
)
def test_ed25519_is_that_of_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    signer = SigningKey.from_seed(bytes.fromhex(seed))
    said, mark = bytes.fromhex(message), bytes.fromhex(signature)
    assert signer.principal == Key("ed25519", bytes.fromhex(public))
    assert signer.sign(said) == mark
    assert keys.verify("ed25519", signer.principal.public, said, mark)
    assert not keys.verify("ed25519", signer.principal.public, said + b"!", mark)
    for at in range(len(mark)):
        forged = bytearray(mark)
        forged[at] ^= 1 << (at % 8)
        assert not keys.verify("ed25519", signer.principal.public, said, bytes(forged))


def test_ed25519_refuses_the_other_signature_of_the_same_message() -> None:
    """S + L in place of S, which RFC 8032, section 5.1.7, has verifiers refuse."""
    seed, public, message, signature = (bytes.fromhex(part) for part in RFC_8032[1])
    assert seed
    order = 2**252 + 27742317777372353535851937790883648493
    other = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert not keys.verify("ed25519", public, message, other)


MAKERS: dict[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ecdsa-p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa-pss": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def private(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]()


def pem_of(private: Any, how: form.PrivateFormat = form.PrivateFormat.PKCS8) -> bytes:
    made: bytes = private.private_bytes(form.Encoding.PEM, how, form.NoEncryption())
    return made


def certificate_of(private: Any) -> x509.Certificate:
    """Signed by itself, long expired: nothing but the key in it counts."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    digest = None if isinstance(private, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key()).serial_number(1)
    )
    made = made.not_valid_before(datetime(2001, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2002, 1, 1, tzinfo=UTC))
    return made.sign(private, digest)


def test_a_native_scheme_signs_and_verifies(private: Any) -> None:
    signer = SigningKey.from_bytes(pem_of(private))
    mark = signer.sign(b"message")
    scheme = Schemes().get(signer.principal.scheme)
    assert scheme.verify(signer.principal.public, b"message", mark)
    assert not scheme.verify(signer.principal.public, b"messagf", mark)
    assert not scheme.verify(signer.principal.public, b"message", mark[:-1])
    assert not scheme.verify(signer.principal.public[:-1], b"message", mark)
    assert not scheme.verify(b"nonsense", b"message", mark)
    with pytest.raises(SchemeError):
        scheme.digest(b"message")


def test_every_native_signature_scheme_is_tested() -> None:
    assert set(NATIVE["signature"]) == set(MAKERS)


def test_a_key_is_the_same_principal_in_every_format(private: Any) -> None:
    public = private.public_key()
    principal = SigningKey.from_bytes(pem_of(private)).principal
    spki = form.PublicFormat.SubjectPublicKeyInfo
    certificate = certificate_of(private)
    for data in (
        public.public_bytes(form.Encoding.PEM, spki), public.public_bytes(form.Encoding.DER, spki),
        public.public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH) + b" somebody@somewhere\n",
        certificate.public_bytes(form.Encoding.PEM), certificate.public_bytes(form.Encoding.DER), keys.public_pem(principal),
    ):  # fmt: skip
        assert principal_from_bytes(data) == principal
    for how in (form.PrivateFormat.PKCS8, form.PrivateFormat.OpenSSH):
        assert SigningKey.from_bytes(pem_of(private, how)).principal == principal
    assert principal_of(public) == principal


@pytest.mark.parametrize("blank", [b" ", b"\n", b"\t"])
def test_a_der_key_that_ends_with_a_blank_is_whole(blank: bytes) -> None:
    """Blanks around a text are cut off, and were cut off DER as well: one key in forty was none."""
    seeds = (number.to_bytes(32, "big") for number in range(100_000))
    private = next(
        private
        for private in map(ed25519.Ed25519PrivateKey.from_private_bytes, seeds)
        if private.public_key().public_bytes_raw().endswith(blank)
    )
    der = private.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    assert principal_from_bytes(der) == principal_of(private.public_key())


def test_any_of_these_keys_can_be_trusted_and_be_a_delegate(private: Any) -> None:
    signer = SigningKey.from_bytes(pem_of(private))
    good = signer.credential(Body(GOAL, 0, NOW + 1))
    delegation = person("alice").credential(Body(Delegation(signer.principal, key("alice"), "door"), 0, NOW + 1))
    for policy in (Policy.trusting((signer.principal, "door", 0)), Policy.trusting((keys.fingerprint(signer.principal), "door", 0)),
                   trusting("alice", depth=1)):  # fmt: skip
        verify(GOAL, bundle(good, delegation), policy, now=NOW)
    with pytest.raises(Refused, match="nobody"):
        verify(GOAL, bundle(good), trusting("alice", depth=1), now=NOW)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_what_ssh_keygen_makes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path), "-C", "a comment"], check=True)
    signer = SigningKey.load(path)
    assert keys.principal_from_file(path.with_suffix(".pub")) == signer.principal
    assert keys.verify(signer.principal.scheme, signer.principal.public, b"hello", signer.sign(b"hello"))
    told = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], check=True, capture_output=True)
    assert principal_from_bytes(told.stdout) == signer.principal
    if kind != "ed25519":  # which this ssh-keygen exports in no other format
        told = subprocess.run(["ssh-keygen", "-e", "-m", "PKCS8", "-f", str(path)], check=True, capture_output=True)
        assert principal_from_bytes(told.stdout) == signer.principal


def test_openssl_takes_a_credential_for_signed(tmp_path: Path) -> None:
    signer = person("alice")
    good = signer.credential(Body(GOAL, 1, 2))
    files = {"public": keys.public_pem(signer.principal), "message": signed_message(signer.principal, good.body),
             "signature": good.signatures[0][1]}  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-rawin",
        "-inkey",
        "public",
        "-in",
        "message",
        "-sigfile",
        "signature",
    ]
    assert b"Verified Successfully" in subprocess.run(command, check=True, capture_output=True, cwd=tmp_path).stdout
    (tmp_path / "message").write_bytes(files["message"] + b"!")
    assert subprocess.run(command, check=False, capture_output=True, cwd=tmp_path).returncode != 0


def test_a_fingerprint_is_the_sha_256_of_the_canonical_key() -> None:
    who = SigningKey.from_seed(bytes.fromhex(RFC_8032[0][0])).principal
    encoded = b"\x83" + b"\x63key" + b"\x67ed25519" + b"\x58\x20" + bytes.fromhex(RFC_8032[0][1])
    assert to_bytes(who) == encoded
    assert keys.fingerprint(who).digest == hashlib.sha256(encoded).digest()


REFUSED_KEYS: dict[str, Any] = {
    "DSA": lambda: dsa.generate_private_key(1024),  # noqa: S505 - refused, as it should be
    "Ed448": ed448.Ed448PrivateKey.generate,
    "X25519": x25519.X25519PrivateKey.generate,
    "another curve": lambda: ec.generate_private_key(ec.SECP256K1()),
    "1024 bits": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505
}


@pytest.mark.parametrize("make", REFUSED_KEYS.values(), ids=REFUSED_KEYS)
def test_a_kind_of_key_that_is_not_taken(make: Any) -> None:
    private = make()
    with pytest.raises(BadKey):
        SigningKey.from_bytes(pem_of(private))
    with pytest.raises(BadKey):
        principal_from_bytes(
            private.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        )


def test_an_rsa_key_that_takes_long_to_verify_is_refused() -> None:
    modulus = (1 << 16384) - 1
    for numbers in (rsa.RSAPublicNumbers(65537, modulus), rsa.RSAPublicNumbers((1 << 2047) + 1, (1 << 2048) - 1)):
        with pytest.raises(BadKey, match="RSA key"):
            principal_of(numbers.public_key())


NO_KEYS = {
    "nothing": b"",
    "text": b"hello\n",
    "an SSH key cut short": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
    "an SSH key of no kind": b"ssh-none AAAA",
    "an SSH key with another inside": b"ssh-ed25519 " + base64.b64encode(b"\0\0\0\7ssh-rsa" + bytes(40)),
    "a key on a token": b"sk-ssh-ed25519@openssh.com AAAA",
    "a certificate of nothing": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "a key of nothing": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "a PEM that does not end": b"-----BEGIN PUBLIC KEY-----\nAAAA",
    "nested ASN.1": b"\x30\x80" * 5000,
    "too long": b"\x30" * 100_000,
    "bytes": bytes(range(256)),
}


@pytest.mark.parametrize("data", NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_key_is_refused_in_one_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    path.chmod(0o600)
    for read in (keys.principal_from_file, SigningKey.load):
        with pytest.raises(BadKey) as refusal:
            read(path)
        assert str(refusal.value).startswith(f"{path}: ")
        assert "\n" not in str(refusal.value)


def test_a_certificate_with_any_byte_changed_is_a_certificate_or_refused() -> None:
    der = certificate_of(MAKERS["ed25519"]()).public_bytes(form.Encoding.DER)
    for at in range(len(der)):
        for change in (0x01, 0x80, 0xFF):
            changed = der[:at] + bytes([der[at] ^ change]) + der[at + 1 :]
            try:
                principal_from_bytes(changed)
            except BadKey:
                continue
        with pytest.raises(BadKey):
            principal_from_bytes(der[:at])


def test_a_private_key_is_kept_from_others(tmp_path: Path) -> None:
    path, signer = tmp_path / "alice.pem", person("alice")
    before = os.umask(0)
    try:
        signer.save(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).principal == signer.principal
    with pytest.raises(FileExistsError):
        signer.save(path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        signer.save(link)
    for mode in (0o640, 0o604, 0o622, 0o660):
        path.chmod(mode)
        with pytest.raises(BadKey, match=f"others may read this private key \\(mode {mode:04o}\\)"):
            SigningKey.load(path)


def test_a_private_key_with_a_password() -> None:
    private = MAKERS["ed25519"]()
    sealed = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"secret"))
    assert SigningKey.from_bytes(sealed, b"secret").principal == principal_of(private.public_key())
    for wrong in (None, b"wrong"):
        with pytest.raises(BadKey, match="no private key"):
            SigningKey.from_bytes(sealed, wrong)


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(BadKey, match="32 bytes, not 31"):
        SigningKey.from_seed(bytes(31))


def test_new_keys_are_new() -> None:
    assert SigningKey.generate().principal != SigningKey.generate().principal


def test_a_key_does_not_show_its_secret() -> None:
    seed = bytes(range(100, 132))
    assert SigningKey.from_seed(seed).principal.public != seed
    shown = repr(SigningKey.from_seed(seed))
    assert seed.hex() not in shown
    assert repr(seed)[2:-1] not in shown


@pytest.mark.parametrize("name", NATIVE["hash"])
def test_native_hashes_are_hashlibs(name: str) -> None:
    algorithm = {
        "sha-256": "sha256",
        "sha-384": "sha384",
        "sha-512": "sha512",
        "sha3-256": "sha3_256",
        "sha3-512": "sha3_512",
    }[name]
    scheme = Schemes().get(name)
    assert scheme.digest(b"abc") == hashlib.new(algorithm, b"abc").digest()
    with pytest.raises(SchemeError, match="verifies no signatures"):
        scheme.verify(b"", b"", b"")


@pytest.mark.parametrize("name", ["md5", "sha-1", "elf:" + "0" * 64, "none"])
def test_a_scheme_that_nobody_has_brought(name: str) -> None:
    with pytest.raises(UnknownScheme):
        Schemes([b"another"]).get(name)


def test_a_key_filed_under_another_scheme_is_no_key() -> None:
    p256 = SigningKey.from_bytes(pem_of(MAKERS["ecdsa-p256"]()))
    mark = p256.sign(b"message")
    assert keys.verify("ecdsa-p256", p256.principal.public, b"message", mark)
    for scheme in ("ecdsa-p384", "rsa-pss", "ed25519"):
        assert not keys.verify(scheme, p256.principal.public, b"message", mark)


def test_a_key_has_one_encoding() -> None:
    """A compressed point is the same key in other bytes; it would be another principal."""
    private = MAKERS["ecdsa-p256"]()
    point = private.public_key().public_bytes(form.Encoding.X962, form.PublicFormat.CompressedPoint)
    header = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    compressed = header + point
    assert principal_from_bytes(compressed) == principal_of(private.public_key())
    signer = SigningKey.from_bytes(pem_of(private))
    assert not keys.verify("ecdsa-p256", compressed, b"message", signer.sign(b"message"))
