"""Terms as data for :mod:`vx32py.pki.encoding`, and back: one row for each kind of term.

A term is an array: its word, then its fields in the order in which the class has them. Decoding goes through the constructors,
which check, so nothing that is decoded is outside the logic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeAlias

from vx32py.pki.encoding import Data, decode, encode
from vx32py.pki.errors import BadEncoding
from vx32py.pki.logic import (
    Body,
    Claim,
    Delegation,
    Hashed,
    Key,
    Principal,
    Proof,
    Quorum,
    RevocationList,
    Role,
    Says,
    Signed,
    Statement,
    Verifier,
    Vouch,
    Withdrawal,
)  # fmt: skip

Term: TypeAlias = Principal | Statement | Body | Signed | Says | Proof
_Make: TypeAlias = Callable[[Any], Any]


def _plain(value: Any) -> Any:
    if isinstance(value, list | dict):
        raise BadEncoding("a list where a single value should be")
    return value


def _bytes_list(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise BadEncoding("a single value where a list should be")
    return tuple(value)


def _one_of(*classes: type) -> _Make:
    names = {_WORDS[kind] for kind in classes}
    return lambda value: _term(value, names)


def _optional(make: _Make) -> _Make:
    return lambda value: None if value is None else make(value)


def _many(make: _Make) -> _Make:
    return lambda value: tuple(map(make, _bytes_list(value)))


#: The word of each class. Words are for ever: they are in what has been signed.
_WORDS: Final[dict[type, str]] = {
    Verifier: "verifier", Key: "key", Hashed: "hash", Role: "role", Quorum: "quorum",
    Claim: "claim", Delegation: "delegation", Vouch: "vouch", Withdrawal: "withdrawal", RevocationList: "revocations",
    Body: "body", Signed: "signed", Says: "says", Proof: "proof",
}  # fmt: skip
_PRINCIPAL = _one_of(Verifier, Key, Hashed, Role, Quorum)
_STATEMENT = _one_of(Claim, Delegation, Vouch, Withdrawal, RevocationList)
#: How the fields of each class are read.
_FIELDS: Final[dict[type, tuple[_Make, ...]]] = {
    Verifier: (),
    Key: (_plain, _plain),
    Hashed: (_plain, _plain),
    Role: (_PRINCIPAL, _plain),
    Quorum: (_plain, _many(_PRINCIPAL)),
    Claim: (_plain, _optional(_PRINCIPAL), _plain),
    Delegation: (_PRINCIPAL, _PRINCIPAL, _plain, _plain),
    Vouch: (_plain, _plain),
    Withdrawal: (_plain,),
    RevocationList: (_plain, _bytes_list),
    Body: (_STATEMENT, _plain, _plain, _optional(_PRINCIPAL), _plain),
    Signed: (_one_of(Key), _one_of(Body)),
    Says: (_PRINCIPAL, _STATEMENT, _plain),
    Proof: (_plain, _one_of(Signed, Says), _many(_one_of(Proof))),
}
_CLASSES: Final = {word: kind for kind, word in _WORDS.items()}


def to_data(term: Term) -> Data:
    """The array that a term is written as."""
    return [_WORDS[type(term)], *(_field(getattr(term, name)) for name in type(term).__match_args__)]


def _field(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_field(item) for item in value]
    return to_data(value) if type(value) in _WORDS else value


def from_data(data: Data, *classes: type) -> Any:
    """The term of one of these classes that is written like this. Raises BadEncoding and BadTerm."""
    return _one_of(*classes)(data)


def _term(data: Any, words: set[str]) -> Any:
    word = data[0] if isinstance(data, list) and data and isinstance(data[0], str) else None
    if word not in words:
        _refuse(word, words)
    kind = _CLASSES[word]
    fields = _FIELDS[kind]
    if len(data) != 1 + len(fields):
        raise BadEncoding(f"a {word} of {len(data) - 1} fields; it has {len(fields)}")
    return kind(*(make(value) for make, value in zip(fields, data[1:], strict=True)))


def _refuse(word: str | None, words: set[str]) -> NoReturn:
    found = "no term" if word is None else f"{word!r:.40}"
    raise BadEncoding(f"{found} where {' or '.join(sorted(words))} should be")


def to_bytes(term: Term) -> bytes:
    """The canonical encoding of a term."""
    return encode(to_data(term))


def from_bytes(data: bytes, *classes: type, **limits: int) -> Any:
    """The term of one of these classes that has this encoding. Raises BadEncoding and BadTerm."""
    return from_data(decode(data, **limits), *classes)


#: Deep enough for a proof as deep as the checker takes, with terms at its leaves.
_PROOF: Final = {"nesting": 320}


def proof_to_bytes(proof: Proof) -> bytes:
    """A proof, to be sent to whoever shall check it."""
    return encode(to_data(proof), **_PROOF)


def proof_from_bytes(data: bytes) -> Proof:
    """A proof that somebody sent: worth nothing before it was checked. Raises BadEncoding and BadTerm."""
    proof: Proof = from_bytes(data, Proof, **_PROOF)
    return proof


def identity(body: Body) -> bytes:
    """What a credential is revoked by: the SHA-256 of its body, whoever signed it."""
    return hashlib.sha256(to_bytes(body)).digest()


#: What a signature in this format cannot be taken for one of, and the other way round.
DOMAIN: Final = b"vx32py pki credential 1\0"


def signed_message(key: Key, body: Body) -> bytes:
    """What the holder of a key signs. The key is in it: no signature can be passed off as one of another key."""
    return DOMAIN + encode([to_data(key), to_data(body)])
