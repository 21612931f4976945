"""Credential files: signed statements, and the plug-ins that are needed to check them.

A file is ``MAGIC`` and one canonical map (:mod:`vx32py.pki.encoding`)::

    {"credentials": [[body, [[key, signature], …]], …], "plugins": [ELF, …]}

``body`` and ``key`` are terms (:mod:`vx32py.pki.wire`). A signature is over :func:`vx32py.pki.wire.signed_message`; plug-ins are
not signed, since whoever names one does so by its digest. Order says nothing, and nothing is there twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from reference.records import dataclass
from vx32py.pki.encoding import Data, decode, encode
from vx32py.pki.errors import BadCredential, BadEncoding, BadTerm
from vx32py.pki.logic import Body, Key
from vx32py.pki.wire import from_data, identity, to_data

MAGIC: Final = b"vx32py credentials 1\n"
#: The largest file, the largest signature and plug-in, and how many there may be of each.
MAX_FILE: Final = 32 << 20
MAX_SIGNATURE: Final = 64 << 10
MAX_PLUGIN: Final = 8 << 20
MAX_CREDENTIALS: Final = 1024
MAX_SIGNATURES: Final = 64
MAX_PLUGINS: Final = 64


@dataclass(frozen=True, slots=True)
class Credential:
    """A body and the signatures under it. Nothing is known about whether they are good."""

    body: Body
    signatures: tuple[tuple[Key, bytes], ...]

    @property
    def identity(self) -> bytes:
        """What it is revoked by: the digest of its body."""
        return identity(self.body)

    @property
    def label(self) -> str:
        """What messages call it: the beginning of its identity."""
        return self.identity.hex()[:16]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is in a file: credentials, and plug-ins as ELF images."""

    credentials: tuple[Credential, ...] = ()
    plugins: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, credentials: Iterable[Credential] = (), plugins: Iterable[bytes] = ()) -> Bundle:
        """A bundle with each credential and plug-in once."""
        return cls(tuple(dict.fromkeys(credentials)), tuple(dict.fromkeys(plugins)))

    def __add__(self, other: Bundle) -> Bundle:
        """Both together."""
        return Bundle.of((*self.credentials, *other.credentials), (*self.plugins, *other.plugins))

    def to_bytes(self) -> bytes:
        """The file."""
        credentials = [
            [to_data(each.body), [[to_data(key), signature] for key, signature in each.signatures]]
            for each in self.credentials
        ]
        return MAGIC + encode({"credentials": credentials, "plugins": list(self.plugins)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Bundle:
        """What is in a file, from its bytes. Raises BadCredential."""
        if len(data) > MAX_FILE:
            raise BadCredential(f"{len(data)} bytes; {MAX_FILE} are the most")
        if not data.startswith(MAGIC):
            raise BadCredential("not a file of credentials: it does not begin with the right words")
        try:
            return _bundle(decode(data[len(MAGIC) :], most=MAX_FILE))
        except (BadEncoding, BadTerm) as error:
            raise BadCredential(str(error)) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file. Raises OSError."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Bundle:
        """Read a file. Raises BadCredential with its name, and OSError."""
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
        try:
            return cls.from_bytes(data)
        except BadCredential as error:
            raise BadCredential(f"{os.fspath(path)}: {error}") from None


def _bundle(data: Data) -> Bundle:
    if not isinstance(data, dict) or set(data) != {"credentials", "plugins"}:
        raise BadCredential('not a map of "credentials" and "plugins"')
    credentials = tuple(_numbered("credential", data["credentials"], MAX_CREDENTIALS, _credential))
    plugins = tuple(_numbered("plug-in", data["plugins"], MAX_PLUGINS, _plugin))
    if len(set(credentials)) != len(credentials):
        raise BadCredential("the same credential twice")
    if len(set(plugins)) != len(plugins):
        raise BadCredential("the same plug-in twice")
    return Bundle(credentials, plugins)


def _numbered(what: str, data: Any, most: int, make: Any) -> Iterable[Any]:
    if not isinstance(data, list):
        raise BadCredential(f"no list of {what}s")
    if len(data) > most:
        raise BadCredential(f"{len(data)} {what}s; {most} are the most")
    for number, item in enumerate(data):
        try:
            yield make(item)
        except (BadCredential, BadEncoding, BadTerm) as error:
            raise BadCredential(f"{what} {number}: {error}") from None


def _credential(data: Any) -> Credential:
    if not isinstance(data, list) or len(data) != 2:
        raise BadCredential("not a pair of body and signatures")
    body: Body = from_data(data[0], Body)
    signatures = tuple(_numbered("signature", data[1], MAX_SIGNATURES, _signature))
    if not signatures:
        raise BadCredential("nobody has signed it")
    if len({key for key, _ in signatures}) != len(signatures):
        raise BadCredential("two signatures of one key")
    return Credential(body, signatures)


def _signature(data: Any) -> tuple[Key, bytes]:
    if not isinstance(data, list) or len(data) != 2:
        raise BadCredential("not a pair of key and signature")
    key, signature = data
    if not isinstance(signature, bytes) or not 1 <= len(signature) <= MAX_SIGNATURE:
        raise BadCredential(f"a signature has 1 to {MAX_SIGNATURE} bytes")
    return from_data(key, Key), signature


def _plugin(data: Any) -> bytes:
    if not isinstance(data, bytes) or not 1 <= len(data) <= MAX_PLUGIN:
        raise BadCredential(f"a plug-in has 1 to {MAX_PLUGIN} bytes")
    return data
