"""A small world for tests of credentials: a few people, a policy, a goal, and the honest set of credentials that proves it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

from pki_plugins import compiled

from vx32py.pki.credentials import Bundle, Credential
from vx32py.pki.guest import GuestScheme, Limits
from vx32py.pki.keys import SigningKey
from vx32py.pki.logic import Body, Claim, Delegation, Hashed, Key, Principal, Statement, Vouch
from vx32py.pki.policy import Policy
from vx32py.pki.scheme import Scheme, plugin_name
from vx32py.pki.wire import signed_message, to_bytes

NOW = 1_800_000_000
#: Enough for every honest plug-in of these tests, and soon over.
LIMITS = Limits(memory=6 << 20, fuel=1_000_000, seconds=20.0)


def person(name: str) -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(name.encode()).digest())


ROOT, ALICE, BOB, CAROL, MALLORY = map(person, ("root", "alice", "bob", "carol", "mallory"))
GOAL = Claim("mail/lists", BOB.principal, "reader")


def trusting(*more: tuple[Principal, str, int], depth: int = 2, **others: object) -> Policy:
    """A policy that trusts the root about mail, about schemes and about revocation."""
    own = ROOT.principal
    return Policy.trusting((own, "mail", depth), (own, "pki/scheme", 1), (own, "pki/revocation", 1), *more, **others)


POLICY = trusting()


def body(
    statement: Statement,
    start: int = NOW - 100,
    end: int = NOW + 100,
    revoker: Principal | None = None,
    serial: bytes = b"",
) -> Body:
    return Body(statement, start, end, revoker, serial)


def grant(
    who: SigningKey | Principal, by: SigningKey = ROOT, topic: str = "mail", depth: int = 1, **more: object
) -> Credential:
    """``by`` delegates."""
    to = who.principal if isinstance(who, SigningKey) else who
    return by.credential(body(Delegation(to, by.principal, topic, depth), **more))  # type: ignore[arg-type]


def claim(by: SigningKey = ALICE, statement: Statement = GOAL, **more: object) -> Credential:
    return by.credential(body(statement, **more))  # type: ignore[arg-type]


HONEST = Bundle((grant(ALICE), claim()))


@functools.cache
def honest_plugin() -> bytes:
    """The plug-in of hostile.c, which is honest as it is compiled."""
    source = Path(__file__).parent / "pki" / "hostile.c"
    return compiled(source.read_text(), "-O1", "-fno-omit-frame-pointer", "-fno-builtin")


def behaving(how: str) -> bytes:
    """The plug-in that behaves like this: another ELF for each."""
    marker = b"BEHAVIOUR:-----"
    assert honest_plugin().count(marker) == 1
    assert len(how) == 5
    return honest_plugin().replace(marker, b"BEHAVIOUR:" + how.encode())


def novel_key(elf: bytes, public: bytes = b"novel") -> Key:
    """A key of the signature scheme that hostile.c is."""
    return Key(plugin_name(elf), public)


def novel_signature(key: Key, what: Body) -> Credential:
    """Signed as hostile.c has it: key and message, one after the other. (Anybody can, but that is not what is tested here.)"""
    return Credential(what, ((key, key.public + signed_message(key, what)),))


def novel_hash(elf: bytes, key: Key) -> Hashed:
    """A key by the hash that hostile.c is, computed apart from it."""
    words = []
    for i in range(4):
        word = 2166136261 + i
        for byte in to_bytes(key):
            word = (word ^ byte) * (16777619 + 2 * i) & 0xFFFF_FFFF
        words.append(word.to_bytes(4, "little"))
    return Hashed(plugin_name(elf), b"".join(words) * 2)


def vouch(elf: bytes, kind: str, by: SigningKey = ROOT, **more: object) -> Credential:
    return by.credential(body(Vouch(plugin_name(elf), kind), **more))  # type: ignore[arg-type]


def load(elf: bytes) -> Scheme:
    """How these tests run plug-ins."""
    return GuestScheme(elf, limits=LIMITS)


Load = Callable[[bytes], Scheme]
