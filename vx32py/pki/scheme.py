"""Hash and signature schemes: what the checker calls for the rules ``hashed`` and ``signed``.

A scheme is native (this table: what `cryptography` and hashlib do) or a guest plug-in, named "elf:" and the SHA-256 of its ELF.
Whether one may be used is not decided here: the checker demands a proof that the verifier takes it for good, native or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeAlias

from vx32py._errors import Vx32Error
from vx32py.pki.errors import SchemeError, UnknownScheme
from vx32py.pki.logic import Kind, is_plugin


class Scheme(Protocol):
    """A hash scheme has ``digest``, a signature scheme ``verify``; asked for the other one, it raises SchemeError."""

    name: str

    def digest(self, data: bytes) -> bytes:
        """The digest of some bytes. Raises SchemeError."""
        ...

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a signature is good; False too for keys and signatures that make no sense. Raises SchemeError where the
        scheme itself failed."""
        ...


Load: TypeAlias = Callable[[bytes], Scheme]


class NativeHash:
    """A hash function of hashlib's."""

    def __init__(self, name: str, algorithm: str) -> None:
        self.name = name
        self._algorithm = algorithm

    def digest(self, data: bytes) -> bytes:
        """The digest of some bytes."""
        return hashlib.new(self._algorithm, data).digest()

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """There is none: raises SchemeError."""
        raise SchemeError(f"{self.name} is a hash; it verifies no signatures")


class NativeSignature:
    """Signatures that `cryptography` verifies."""

    def __init__(self, name: str) -> None:
        self.name = name

    def digest(self, data: bytes) -> bytes:
        """There is none: raises SchemeError."""
        raise SchemeError(f"{self.name} is for signatures; it is no hash")

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a signature is good."""
        from vx32py.pki import keys

        return keys.verify(self.name, key, message, signature)


HASHES: Final = {
    "sha-256": "sha256",
    "sha-384": "sha384",
    "sha-512": "sha512",
    "sha3-256": "sha3_256",
    "sha3-512": "sha3_512",
}
SIGNATURES: Final = ("ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-pss")
#: The schemes that there are without any plug-in, by kind. A policy takes all of them unless it says otherwise.
NATIVE: Final[Mapping[Kind, tuple[str, ...]]] = {"hash": tuple(HASHES), "signature": SIGNATURES}


def plugin_name(elf: bytes) -> str:
    """The name of the scheme that this ELF is.

    >>> plugin_name(b"")
    'elf:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    return f"elf:{hashlib.sha256(elf).hexdigest()}"


class Schemes:
    """The schemes at hand, by name: the native ones, and those of the plug-ins that came with the credentials.

    ``load`` makes a scheme of an ELF; by default it is :class:`vx32py.pki.guest.GuestScheme` in a sandbox of its own. Plug-ins are
    loaded when they are first asked for, which the checker does after it has seen that they are vouched for.
    """

    def __init__(self, plugins: Iterable[bytes] = (), load: Load | None = None) -> None:
        self._elves = {plugin_name(elf): elf for elf in plugins}
        self._load = load or _guest
        self._loaded: dict[str, Scheme] = {}
        self._failed: dict[str, Vx32Error] = {}

    def get(self, name: str) -> Scheme:
        """A scheme by its name. Raises UnknownScheme, and SchemeError where its plug-in cannot be loaded, which is tried once."""
        if name in self._failed:
            raise self._failed[name].with_traceback(None)
        if name not in self._loaded:
            try:
                self._loaded[name] = self._make(name)
            except Vx32Error as error:
                self._failed[name] = error
                raise
        return self._loaded[name]

    def _make(self, name: str) -> Scheme:
        if name in HASHES:
            return NativeHash(name, HASHES[name])
        if name in SIGNATURES:
            return NativeSignature(name)
        if not is_plugin(name):
            raise UnknownScheme(f"there is no scheme {name} here")
        elf = self._elves.get(name)
        if elf is None:
            raise UnknownScheme(f"nobody has brought the plug-in {name}")
        return self._load(elf)

    def close(self) -> None:
        """End the plug-ins that were started."""
        for scheme in self._loaded.values():
            end = getattr(scheme, "close", None)
            if end is not None:
                end()
        self._loaded.clear()


def _guest(elf: bytes) -> Scheme:
    from importlib import import_module

    made: Scheme = import_module("vx32py.pki.guest").GuestScheme(elf)
    return made
