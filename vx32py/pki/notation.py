"""Principals as text, for policies, command lines and proofs that are read by people.

key:ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo     a key, in base64url
hash:sha-256:9f86d081884c7d65…                              a key by its digest, in hexadecimal
key:…/staff                                                 a role: what the principal before the / calls it
2of(key:…,hash:…,key:…/staff)                               a quorum
verifier                                                    whoever checks the proof
alice                                                       a name that the policy gives to one of these
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from vx32py.pki.errors import BadTerm
from vx32py.pki.logic import MAX_NESTING, VERIFIER, Hashed, Key, Principal, Quorum, Role

MAX_TEXT: Final = 64 << 10
_QUORUM = re.compile(r"(\d{1,3})of\(")
_ATOM = re.compile(r"[^/,()\s]+")


def parse_principal(text: str, names: Mapping[str, Principal] | None = None) -> Principal:
    """The principal that a text stands for. Raises BadTerm.

    >>> print(parse_principal("hash:sha-256:00112233445566778899aabbccddeeff/staff"))
    hash:sha-256:00112233445566778899aabbccddeeff/staff
    """
    if len(text) > MAX_TEXT:
        raise BadTerm(f"a principal of {len(text)} characters")
    principal, end = _principal(text, 0, names or {}, MAX_NESTING)
    if end != len(text):
        raise BadTerm(f"no principal: what does {text[end : end + 40]!r} mean?")
    return principal


def _principal(text: str, at: int, names: Mapping[str, Principal], nesting: int) -> tuple[Principal, int]:
    quorum = _QUORUM.match(text, at)
    if quorum is not None:
        if nesting == 0:
            raise BadTerm(f"principals are at most {MAX_NESTING} deep")
        members: list[Principal] = []
        at = quorum.end() - 1
        while text[at : at + 1] in {"(", ","}:
            member, at = _principal(text, at + 1, names, nesting - 1)
            members.append(member)
        if text[at : at + 1] != ")":
            raise BadTerm("no principal: a quorum without its )")
        principal: Principal = Quorum.of(int(quorum[1]), *members)
        at += 1
    else:
        atom = _ATOM.match(text, at)
        if atom is None:
            raise BadTerm(f"no principal: {text[at : at + 40]!r}" if text[at:] else "no principal: an empty text")
        principal, at = _atom(atom[0], names), atom.end()
    while text[at : at + 1] == "/":
        name = _ATOM.match(text, at + 1)
        if name is None:
            raise BadTerm("no principal: a role without a name")
        principal, at = Role(principal, name[0]), name.end()
    return principal, at


def _atom(text: str, names: Mapping[str, Principal]) -> Principal:
    if text in names:
        return names[text]
    if text == "verifier":
        return VERIFIER
    if text.startswith("key:"):
        scheme, colon, encoded = text[4:].rpartition(":")
        try:
            public = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise BadTerm(f"no key: {encoded!r:.40} is not base64url") from None
        key = Key(scheme, public)
        if not colon or str(key) != text:
            raise BadTerm(f"no key in its one notation: {text!r:.80}")
        return key
    if text.startswith("hash:"):
        scheme, _, digits = text[5:].rpartition(":")
        if not re.fullmatch(r"([0-9a-f]{2})+", digits):
            raise BadTerm(f"no digest: {digits!r:.40} is not in hexadecimal digits")
        return Hashed(scheme, bytes.fromhex(digits))
    raise BadTerm(f"no principal: {text!r:.80} (key:…, hash:…, verifier, or a name that the policy gives)")


def shorten(text: str, names: Mapping[Principal, str] | None = None) -> str:
    """Text with the names of principals that have one, and with the middle of every long key and digest left out."""
    for principal, name in sorted((names or {}).items(), key=lambda pair: -len(str(pair[0]))):
        text = text.replace(str(principal), name)
    return re.sub(r"(:[\w-]{8})[\w-]{8,}(?=[^\w-]|$)", r"\1…", text)
