"""People with keys, and what they sign: made from fixed seeds, at a fixed time."""

from __future__ import annotations

import hashlib
from functools import cache

from vx32py.pki.checker import Context
from vx32py.pki.credentials import Bundle, Credential
from vx32py.pki.errors import SchemeError
from vx32py.pki.keys import SigningKey
from vx32py.pki.logic import Body, Claim, Delegation, Key, Principal, Statement
from vx32py.pki.policy import Policy
from vx32py.pki.scheme import Schemes, plugin_name
from vx32py.pki.wire import signed_message

#: When everything is looked at, and from when to when credentials are valid unless a test says otherwise.
NOW, START, END = 1_500, 1_000, 2_000
GOAL = Claim("door/front", text="open")


@cache
def person(name: str) -> SigningKey:
    """Somebody with an Ed25519 key."""
    return SigningKey.from_seed(hashlib.sha256(name.encode()).digest())


def key(name: str) -> Key:
    return person(name).principal


@cache
def signed(name: str, statement: Statement, start: int = START, end: int = END, revoker: Principal | None = None,
           serial: bytes = b"") -> Credential:  # fmt: skip
    return person(name).credential(Body(statement, start, end, revoker, serial))


def grant(by: str, to: str, topic: str = "door", depth: int = 0, **others: int) -> Credential:
    """``by`` lets ``to`` speak for it."""
    return signed(by, Delegation(key(to), key(by), topic, depth), **others)


def bundle(*credentials: Credential, plugins: tuple[bytes, ...] = ()) -> Bundle:
    return Bundle.of(credentials, plugins)


def trusting(name: str, topic: str = "door", depth: int = 0, **others: object) -> Policy:
    return Policy.trusting((key(name), topic, depth), **others)


class Toy:
    """A scheme of both kinds that anybody can compute, in place of a plug-in: what counts here is who may use it."""

    def __init__(self, elf: bytes) -> None:
        self.name = plugin_name(elf)
        self.asked = 0

    def digest(self, data: bytes) -> bytes:
        self.asked += 1
        return hashlib.sha256(b"toy" + data).digest()[:20]

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        self.asked += 1
        if signature == b"trap":
            raise SchemeError("it trapped")
        return signature == self.sign(key, message)

    @staticmethod
    def sign(key: bytes, message: bytes) -> bytes:
        return hashlib.sha256(key + message).digest()


TOY_ELF = b"\x7fELF a toy"
TOY = plugin_name(TOY_ELF)


def toy_signed(public: bytes, statement: Statement, start: int = START, end: int = END) -> Credential:
    """A credential under the toy scheme."""
    who, body = Key(TOY, public), Body(statement, start, end)
    return Credential(body, ((who, Toy.sign(public, signed_message(who, body))),))


def context(policy: Policy, *credentials: Credential, **others: object) -> Context:
    """What a checker needs to look at these credentials."""
    signatures = {(who, each.identity): (mark,) for each in credentials for who, mark in each.signatures}
    known = {"now": NOW, "states": policy.states, "signatures": signatures, "schemes": Schemes([TOY_ELF], Toy)}
    return Context(**(known | others))  # type: ignore[arg-type]
