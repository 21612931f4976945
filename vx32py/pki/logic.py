"""The terms of the logic: principals, statements, and what a proof is made of. docs/pki-logic.md has the rules.

All of these are immutable values that were checked when they were made: one that exists is within the limits below, its
texts are printable, and two that mean the same are equal. ``str()`` of each is its notation (:mod:`vx32py.pki.notation`
reads principals back).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from reference.records import dataclass
from vx32py.pki.errors import BadTerm

#: Limits on terms, so that everything that is done with one is done soon.
MAX_NESTING: Final = 8
MAX_MEMBERS: Final = 32
MAX_KEY: Final = 8192
MAX_TEXT: Final = 1024
MAX_TOPIC: Final = 256
MAX_DEPTH: Final = 32
MAX_REVOKED: Final = 8192
#: Numbers of revocation lists are below this: every language has such integers.
MAX_NUMBER: Final = 1 << 53
#: The last second of the year 9999.
MAX_TIME: Final = 253_402_300_799

#: The topic that covers every other but those of the PKI itself.
ANYTHING: Final = "*"
#: Topics of statements about schemes and revocation. Only a delegation that says so covers them.
SCHEMES: Final = "pki/scheme"
REVOCATION: Final = "pki/revocation"

Kind: TypeAlias = Literal["hash", "signature"]
KINDS: Final[tuple[Kind, ...]] = ("hash", "signature")
_NATIVE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PLUGIN = re.compile(r"elf:[0-9a-f]{64}")
_RESERVED = re.compile(r"[/,()\s]")


# ---- principals: who can say something


@dataclass(frozen=True, slots=True)
class Verifier:
    """Whoever checks the proof. Says what its policy says; never appears in a credential."""

    def __str__(self) -> str:
        return "verifier"


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of a signature scheme: who has the private one. ``scheme`` is a native name ("ed25519"), or "elf:" and the
    SHA-256 of a plug-in in hexadecimal."""

    scheme: str
    public: bytes

    def __post_init__(self) -> None:
        check_scheme(self.scheme)
        _demand(_is(self.public, bytes) and 1 <= len(self.public) <= MAX_KEY, f"a key has 1 to {MAX_KEY} bytes")

    def __str__(self) -> str:
        return f"key:{self.scheme}:{base64.urlsafe_b64encode(self.public).rstrip(b'=').decode()}"


@dataclass(frozen=True, slots=True)
class Hashed:
    """The key whose canonical encoding has this digest under a hash scheme."""

    scheme: str
    digest: bytes

    def __post_init__(self) -> None:
        check_scheme(self.scheme)
        _demand(_is(self.digest, bytes) and 16 <= len(self.digest) <= 64, "a digest has 16 to 64 bytes")

    def __str__(self) -> str:
        return f"hash:{self.scheme}:{self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class Role:
    """``owner/name``: what a principal is called by another one, who decides alone who speaks for it."""

    owner: Principal
    name: str

    def __post_init__(self) -> None:
        _demand(
            is_principal(self.owner) and not _is(self.owner, Verifier),
            "the owner of a role is a key, hash, role or quorum",
        )
        _check_text(self.name, "the name of a role", 64)
        _demand(self.name != "" and not _RESERVED.search(self.name), f"{self.name!r} is no name for a role")
        _check_nesting(self)

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class Quorum:
    """Any ``needed`` of ``members`` together; all of them: a conjunction. Members are kept in one order, that of their notation."""

    needed: int
    members: tuple[Principal, ...]

    def __post_init__(self) -> None:
        _demand(
            _is(self.members, tuple) and all(map(is_principal, self.members)), "the members of a quorum are principals"
        )
        _demand(2 <= len(self.members) <= MAX_MEMBERS, f"a quorum has 2 to {MAX_MEMBERS} members")
        _demand(not any(_is(member, Verifier) for member in self.members), "the verifier is in no quorum")
        _check_number(self.needed, "how many of a quorum are needed", len(self.members))
        _demand(self.needed >= 1, "a quorum needs at least one member")
        names = [str(member) for member in self.members]
        _demand(names == sorted(set(names)), "the members of a quorum are sorted, each once")
        _check_nesting(self)

    @classmethod
    def of(cls, needed: int, *members: Principal) -> Quorum:
        """A quorum of members in any order."""
        return cls(needed, tuple(sorted(members, key=str)))

    def __str__(self) -> str:
        return f"{self.needed}of({','.join(map(str, self.members))})"


Principal: TypeAlias = Verifier | Key | Hashed | Role | Quorum
VERIFIER: Final = Verifier()


# ---- statements: what can be said


@dataclass(frozen=True, slots=True)
class Claim:
    """What applications ask for: under ``topic``, something about a principal (or nobody), with a text (or none)."""

    topic: str
    about: Principal | None = None
    text: str = ""

    def __post_init__(self) -> None:
        check_topic(self.topic)
        _demand(self.topic != ANYTHING, "a claim needs a topic of its own")
        _demand(not is_reserved(self.topic), "topics below pki are those of the PKI's own statements")
        _demand(self.about is None or is_principal(self.about), "a claim is about a principal")
        _check_text(self.text, "the text of a claim", MAX_TEXT)

    def __str__(self) -> str:
        about = "" if self.about is None else f" about {self.about}"
        return f"claim {self.topic}{about}" + (f": {self.text}" if self.text else "")


@dataclass(frozen=True, slots=True)
class Delegation:
    """``delegate`` speaks for ``principal`` on ``topic`` and what is below, and may pass that on through ``depth`` hands."""

    delegate: Principal
    principal: Principal
    topic: str
    depth: int = 0

    def __post_init__(self) -> None:
        _demand(is_principal(self.delegate) and is_principal(self.principal), "a delegation is between principals")
        _demand(not _is(self.delegate, Verifier), "the verifier speaks for nobody else")
        check_topic(self.topic)
        _check_number(self.depth, "the depth of a delegation", MAX_DEPTH)

    def __str__(self) -> str:
        return f"{self.delegate} speaks for {self.principal} on {self.topic}, depth {self.depth}"


@dataclass(frozen=True, slots=True)
class Vouch:
    """The scheme is good: a hash without collisions, or signatures that nobody forges."""

    scheme: str
    kind: Kind

    def __post_init__(self) -> None:
        check_scheme(self.scheme)
        _demand(self.kind in KINDS, f"a scheme is a hash or a signature, not {self.kind!r:.40}")

    def __str__(self) -> str:
        return f"{self.kind} scheme {self.scheme} is good"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The credential with this identity is withdrawn, for ever."""

    identity: bytes

    def __post_init__(self) -> None:
        _check_identity(self.identity)

    def __str__(self) -> str:
        return f"credential {self.identity.hex()} is withdrawn"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """These credentials, by identity, and no others are revoked. A later list has a higher number."""

    number: int
    revoked: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        _check_number(self.number, "the number of a revocation list", MAX_NUMBER - 1)
        _demand(_is(self.revoked, tuple), "a revocation list has identities")
        _demand(len(self.revoked) <= MAX_REVOKED, f"a revocation list has at most {MAX_REVOKED} entries")
        for identity in self.revoked:
            _check_identity(identity)
        _demand(list(self.revoked) == sorted(set(self.revoked)), "a revocation list is sorted, each identity once")

    def __str__(self) -> str:
        return f"revocation list {self.number} of {len(self.revoked)} credentials"


Statement: TypeAlias = Claim | Delegation | Vouch | Withdrawal | RevocationList


# ---- credentials and judgements: what a proof goes from and to


@dataclass(frozen=True, slots=True)
class Body:
    """What is signed: a statement that holds from ``start`` to before ``end`` (seconds since 1970), and, where ``revoker`` is
    given, only as long as that principal's current revocation list does not have it. ``serial`` tells equal ones apart."""

    statement: Statement
    start: int
    end: int
    revoker: Principal | None = None
    serial: bytes = b""

    def __post_init__(self) -> None:
        _demand(
            _is(self.statement, Claim, Delegation, Vouch, Withdrawal, RevocationList), "a credential makes a statement"
        )
        check_time(self.start, "the start of validity")
        check_time(self.end, "the end of validity")
        _demand(self.start < self.end, "a credential is valid from a time to a later one")
        _demand(self.revoker is None or is_principal(self.revoker), "a revoker is a principal")
        _demand(self.revoker is None or not is_about_revocation(self.statement), "what revokes is not revocable itself")
        _demand(_is(self.serial, bytes) and len(self.serial) <= 32, "a serial has at most 32 bytes")
        _demand(
            not any(_is(who, Verifier) for who in principals_of(self)), "a credential does not speak of the verifier"
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """Judgement: the body bears a good signature of the key, under a scheme that the verifier takes."""

    key: Key
    body: Body

    def __str__(self) -> str:
        return f"{self.key} signed: {self.body.statement}"


@dataclass(frozen=True, slots=True)
class Says:
    """Judgement: ``speaker`` says ``statement``, through ``hops`` delegations."""

    speaker: Principal
    statement: Statement
    hops: int = 0

    def __post_init__(self) -> None:
        _check_number(self.hops, "a number of hops", MAX_NUMBER - 1)

    def __str__(self) -> str:
        return f"{self.speaker} says: {self.statement}"


Judgement: TypeAlias = Signed | Says


@dataclass(frozen=True, slots=True)
class Proof:
    """A tree: ``conclusion`` follows from the conclusions of ``premises`` by ``rule``. Worth nothing before it was checked."""

    rule: str
    conclusion: Judgement
    premises: tuple[Proof, ...] = ()


# ---- what is asked of terms


def is_principal(term: object) -> bool:
    """Whether this is a principal."""
    return isinstance(term, Verifier | Key | Hashed | Role | Quorum)


def is_about_revocation(statement: Statement) -> bool:
    """Whether a statement takes something back: such statements cannot be taken back themselves."""
    return isinstance(statement, Withdrawal | RevocationList)


def topic_of(statement: Statement) -> str:
    """What a delegation must cover so that its delegate may say this."""
    match statement:
        case Claim() | Delegation():
            return statement.topic
        case Vouch():
            return f"{SCHEMES}/{statement.kind}/{statement.scheme}"
        case _:
            return REVOCATION


def covers(granted: str, topic: str) -> bool:
    """Whether a delegation on one topic is one on the other: it is the same, or above it.

    >>> covers("mail", "mail/alice"), covers("mail", "mailman"), covers("*", "mail"), covers("*", "pki/scheme/hash")
    (True, False, True, False)
    """
    if granted == ANYTHING:
        return not is_reserved(topic)
    return topic == granted or topic.startswith(granted + "/")


def principals_of(term: Body | Statement | Principal | None) -> Iterator[Principal]:
    """Every principal in a term, the outermost first."""
    match term:
        case Verifier() | Key() | Hashed():
            yield term
        case Role():
            yield term
            yield from principals_of(term.owner)
        case Quorum():
            yield term
            for member in term.members:
                yield from principals_of(member)
        case Claim():
            yield from principals_of(term.about)
        case Delegation():
            yield from principals_of(term.delegate)
            yield from principals_of(term.principal)
        case Body():
            yield from principals_of(term.statement)
            yield from principals_of(term.revoker)


def is_plugin(scheme: str) -> bool:
    """Whether the scheme is named by the digest of a plug-in, rather than one of this package's own."""
    return scheme.startswith("elf:")


def moment(time: int) -> str:
    """Seconds since 1970 as people write them.

    >>> moment(1_000_000_000)
    '2001-09-09 01:46:40 UTC'
    """
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# ---- checks that all of them share


def check_time(time: int, what: str) -> None:
    """Raises BadTerm."""
    _check_number(time, what, MAX_TIME)


def check_scheme(scheme: str) -> None:
    """Raises BadTerm."""
    named = _is(scheme, str) and (_NATIVE.fullmatch(scheme) or _PLUGIN.fullmatch(scheme))
    _demand(bool(named), f"{scheme!r:.80} is no name of a scheme: NAME, or elf: and 64 hexadecimal digits")


def check_topic(topic: str) -> None:
    """Raises BadTerm."""
    _check_text(topic, "a topic", MAX_TOPIC)
    whole = topic == ANYTHING or all(part and ANYTHING not in part for part in topic.split("/"))
    _demand(whole and not re.search(r"\s", topic), f"{topic!r} is no topic: words with / between them, or *")


def is_reserved(topic: str) -> bool:
    """Whether a topic is one of the PKI's own, which nobody is believed on who is not named for it."""
    return topic == "pki" or topic.startswith("pki/")


def _check_text(text: str, what: str, most: int) -> None:
    """Printable: no line breaks, no control characters of terminals, no marks that turn the direction of writing."""
    _demand(_is(text, str) and len(text) <= most, f"{what} is a text of at most {most} characters")
    _demand(text.isprintable(), f"{what} has characters that cannot be printed: {text!r:.80}")


def _check_number(number: int, what: str, most: int) -> None:
    _demand(type(number) is int and 0 <= number <= most, f"{what} is from 0 to {most}")


def _check_identity(identity: bytes) -> None:
    _demand(_is(identity, bytes) and len(identity) == 32, "an identity is a SHA-256, 32 bytes")


def _nesting(principal: Principal) -> int:
    match principal:
        case Role():
            return 1 + _nesting(principal.owner)
        case Quorum():
            return 1 + max(map(_nesting, principal.members))
        case _:
            return 1


def _check_nesting(principal: Principal) -> None:
    _demand(_nesting(principal) <= MAX_NESTING, f"principals are at most {MAX_NESTING} deep")


def _is(value: object, *types: type) -> bool:
    """Values come from decoders: types are not to be taken on trust."""
    return isinstance(value, types)


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise BadTerm(otherwise)
