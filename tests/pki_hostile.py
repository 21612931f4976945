"""Hostile credential sets: forged, damaged, replayed, misleading. Each is a case with the one outcome that is right.

A case is a set of credentials (a file's bytes, or what would be in one) that must not prove the goal. ``error`` is the class of the
refusal and ``says`` what its line has to say.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from pki_world import (
    ALICE,
    BOB,
    CAROL,
    GOAL,
    HONEST,
    MALLORY,
    NOW,
    POLICY,
    ROOT,
    behaving,
    body,
    claim,
    grant,
    honest_plugin,
    novel_hash,
    novel_key,
    novel_signature,
    trusting,
    vouch,
)  # fmt: skip

from vx32py.pki.credentials import MAGIC, Bundle, Credential
from vx32py.pki.errors import BadCredential, PkiError, Refused
from vx32py.pki.keys import SigningKey, principal_of, sign
from vx32py.pki.logic import (
    Body,
    Claim,
    Delegation,
    Hashed,
    Key,
    Quorum,
    RevocationList,
    Role,
    Statement,
    Vouch,
    Withdrawal,
)
from vx32py.pki.policy import Policy
from vx32py.pki.scheme import plugin_name
from vx32py.pki.wire import DOMAIN, identity, signed_message, to_bytes, to_data


@dataclass(frozen=True)
class Case:
    """``before`` are sets that the verifier has seen earlier, with a memory of revocations."""

    name: str
    given: bytes | Bundle
    error: type[PkiError] = Refused
    says: str = ""
    policy: Policy = POLICY
    goal: Statement = GOAL
    now: int = NOW
    before: tuple[Bundle, ...] = ()


NO_SIGNATURE = "rule signed: there is no good signature"
NOT_SAID = "nobody who is trusted to says"
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


# ---- the form of a file


def _parts(bundle: Bundle = HONEST) -> dict[str, Any]:
    decoded: dict[str, Any] = cbor2.loads(bundle.to_bytes()[len(MAGIC) :])
    return decoded


def _file(data: Any) -> bytes:
    return MAGIC + cbor2.dumps(data, canonical=True)


def _with_body(place: tuple[int, ...], value: Any) -> bytes:
    """The honest file with another value somewhere in the claim's body."""
    parts = _parts()
    target = parts["credentials"][1][0]
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    return _file(parts)


def cut_and_extended() -> Iterator[Case]:
    whole = HONEST.to_bytes()
    for size in [*range(len(MAGIC) + 6), *range(len(MAGIC) + 6, len(whole), 11), len(whole) - 1]:
        yield Case(f"cut at {size}", whole[:size], BadCredential)
    for name, more in {"zero": b"\0", "line": b"\n", "itself": whole, "null": b"\xf6", "break": b"\xff"}.items():
        yield Case(f"followed by {name}", whole + more, BadCredential)
    for name, first in {
        "another version": b"vx32py credentials 2\n", "capitals": b"VX32PY credentials 1\n", "crlf": b"vx32py credentials 1\r\n",
        "bom": b"\xef\xbb\xbfvx32py credentials 1\n", "none": b"", "twice": MAGIC + MAGIC, "state": b"vx32py revocation state 1\n",
    }.items():  # fmt: skip
        yield Case(f"magic: {name}", first + whole[len(MAGIC) :], BadCredential)


def flipped() -> Iterator[Case]:
    """Anything at all that is changed is noticed: there is nothing in this set that does not count."""
    whole = HONEST.to_bytes()
    dice = random.Random(7)
    for place in sorted(dice.sample(range(len(MAGIC), len(whole)), 60)):
        changed = bytearray(whole)
        changed[place] ^= 1 << dice.randrange(8)
        yield Case(f"bit flipped at {place}", bytes(changed), PkiError)


def encodings() -> Iterator[Case]:
    """CBOR that means the same, or nothing, and is not the one encoding."""
    whole = HONEST.to_bytes()[len(MAGIC) :]
    parts = _parts()
    credentials, plugins = (cbor2.dumps(parts[key], canonical=True) for key in ("credentials", "plugins"))
    names = b"\x6bcredentials", b"\x67plugins"
    assert whole == b"\xa2" + names[1] + plugins + names[0] + credentials
    deep = b"\x81" * 10_000 + b"\xf6"
    both = names[1] + plugins + names[0] + credentials
    rows = {
        "keys in another order": b"\xa2" + names[0] + credentials + names[1] + plugins,
        "key twice": b"\xa3" + names[1] + plugins + both,
        "map left open": b"\xbf" + both + b"\xff",
        "long length of map": b"\xb8\x02" + both,
        "longer length of map": b"\xb9\x00\x02" + both,
        "list left open": b"\xa2" + names[1] + b"\x9f\xff" + names[0] + credentials,
        "long length of list": b"\xa2" + names[1] + b"\x98\x00" + names[0] + credentials,
        "text left open": b"\xa2\x7f" + names[1] + b"\xff" + plugins + names[0] + credentials,
        "long length of text": b"\xa2\x78\x07plugins" + plugins + names[0] + credentials,
        "tagged": b"\xd9\xd9\xf7" + whole,
        "tagged inside": b"\xa2" + names[1] + b"\xc1" + plugins + names[0] + credentials,
        "undefined": b"\xa2" + names[1] + b"\xf7" + names[0] + credentials,
        "simple value": b"\xa2" + names[1] + b"\xe0" + names[0] + credentials,
        "float": b"\xa2" + names[1] + b"\xf9\x00\x00" + names[0] + credentials,
        "reserved length": b"\xa2" + names[1] + b"\x9c" + names[0] + credentials,
        "break alone": b"\xff",
        "two maps": whole + whole,
        "bytes as key": b"\xa2\x47plugins" + plugins + names[0] + credentials,
        "number as key": b"\xa2\x01" + plugins + names[0] + credentials,
        "text not UTF-8": b"\xa2\x67plug\xff\xfes" + plugins + names[0] + credentials,
        "surrogate": b"\xa2\x67plu\xed\xa0\x80s"[:9] + plugins + names[0] + credentials,
        "list of 2^63": b"\xa2" + names[1] + b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff" + names[0] + credentials,
        "bytes of 2^63": b"\xa2" + names[1] + b"\x81\x5b\x7f\xff\xff\xff\xff\xff\xff\xff" + names[0] + credentials,
        "bytes of 2 GiB": b"\xa2" + names[1] + b"\x81\x5a\x7f\xff\xff\xff" + names[0] + credentials,
        "map of 2^64-1": b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        "very deep": b"\xa2" + names[1] + deep + names[0] + credentials,
        "very deep left open": b"\x9f" * 10_000,
        "very many items": b"\xa2" + names[1] + b"\x9a\x00\x02\x00\x00" + b"\xf6" * 0x20000 + names[0] + credentials,
        "big number": b"\xa2" + names[1] + b"\xc2\x49\x01" + bytes(8) + names[0] + credentials,
        "shared reference": b"\xd8\x1c\x81\xd8\x1d\x00",
    }
    for name, data in rows.items():
        yield Case(f"encoding: {name}", MAGIC + data, BadCredential)


def shapes() -> Iterator[Case]:
    """The right encoding of the wrong thing."""
    one = _parts()["credentials"][0]
    elf = b"\x7fELF"
    rows: dict[str, Any] = {
        "a list": [], "null": None, "a number": 1, "no plug-ins": {"credentials": []}, "no credentials": {"plugins": []},
        "one key more": {**_parts(), "more": 1}, "plug-ins no list": {**_parts(), "plugins": {}},
        "credentials no list": {**_parts(), "credentials": {}}, "plug-in a text": {**_parts(), "plugins": ["elf"]},
        "plug-in empty": {**_parts(), "plugins": [b""]}, "plug-in twice": {**_parts(), "plugins": [elf, elf]},
        "65 plug-ins": {**_parts(), "plugins": [elf + bytes([i]) for i in range(65)]},
        "credential twice": {**_parts(), "credentials": [one, one]},
        "credential null": {**_parts(), "credentials": [None]}, "credential alone": {**_parts(), "credentials": [one[:1]]},
        "credential of three": {**_parts(), "credentials": [[*one, 1]]},
        "unsigned": {**_parts(), "credentials": [[one[0], []]]},
        "signed twice by one key": {**_parts(), "credentials": [[one[0], one[1] * 2]]},
        "65 signatures": {**_parts(), "credentials": [[one[0], [[to_data(Key("ed25519", bytes([i]) * 32)), b"x"] for i in range(65)]]]},
        "empty signature": {**_parts(), "credentials": [[one[0], [[one[1][0][0], b""]]]]},
        "long signature": {**_parts(), "credentials": [[one[0], [[one[1][0][0], bytes(65_537)]]]]},
        "signature a text": {**_parts(), "credentials": [[one[0], [[one[1][0][0], "x"]]]]},
        "signature without key": {**_parts(), "credentials": [[one[0], [[one[1][0][1]]]]]},
        "signed by a hash": {**_parts(), "credentials": [[one[0], [[to_data(Hashed("sha-256", bytes(32))), one[1][0][1]]]]]},
        "signed by the verifier": {**_parts(), "credentials": [[one[0], [[["verifier"], one[1][0][1]]]]]},
        "1025 credentials": {**_parts(), "credentials": [one] * 1025},
    }  # fmt: skip
    for name, data in rows.items():
        yield Case(f"shape: {name}", _file(data), BadCredential)
    with_another = [one, [one[0], [[one[1][0][0], bytes(64)]]]]
    yield Case("shape: credential with other signatures", _file({**_parts(), "credentials": with_another}))
    yield Case("shape: more than 32 MiB", MAGIC + bytes(32 << 20), BadCredential, "are the most")


def terms() -> Iterator[Case]:
    """Bodies outside the logic; not one of their signatures is looked at."""
    key, good = to_data(BOB.principal), to_data(GOAL)
    assert isinstance(good, list)
    nested: Any = key
    for _ in range(9):
        nested = ["role", nested, "x"]
    texts = {
        "empty": "", "slash first": "/mail", "slash last": "mail/", "two slashes": "mail//lists", "star": "*", "star in it": "mail/*",
        "dots?": "mail/\u2024\u2028", "blank": "mail lists", "newline": "mail\nlists", "zero": "mail\0lists", "tab": "mail\tlists",
        "right to left": "mail/\u202elists", "zero width": "mail/\u200blists", "soft hyphen": "mail/\u00adlists", "bom": "\ufeffmail/lists",
        "no-break space": "mail\u00a0lists", "long": "m" * 257, "reserved": "pki/scheme", "reserved root": "pki", "escape": "mail\x1b[2J",
        "private use": "mail/\ue000", "unassigned": "mail/\U000e0080", "ideographic space": "mail\u3000lists",
    }  # fmt: skip
    for name, topic in texts.items():
        yield Case(f"topic: {name}", _with_body((1,), ["claim", topic, key, "reader"]), BadCredential)
    rows: dict[str, tuple[tuple[int, ...], Any]] = {
        "unknown statement": ((1,), ["order", "mail", key, "reader"]), "statement a key": ((1,), key), "statement null": ((1,), None),
        "statement of no word": ((1,), []), "word a number": ((1,), [1, 2]), "claim short": ((1,), good[:3]), "claim long": ((1,), [*good, 1]),
        "text a number": ((1, 3), 7), "text long": ((1, 3), "x" * 1025), "text of two lines": ((1, 3), "reader\nadmin"),
        "about a text": ((1, 2), "bob"), "about the verifier": ((1, 2), ["verifier"]), "about nobody's role": ((1, 2), ["role", ["verifier"], "x"]),
        "key empty": ((1, 2), ["key", "ed25519", b""]), "key long": ((1, 2), ["key", "ed25519", bytes(8193)]), "key a text": ((1, 2), ["key", "ed25519", "x"]),
        "scheme in capitals": ((1, 2), ["key", "ED25519", bytes(32)]), "scheme empty": ((1, 2), ["key", "", bytes(32)]),
        "scheme with blank": ((1, 2), ["key", "ed25519 ", bytes(32)]), "plug-in short": ((1, 2), ["key", "elf:" + "0" * 63, bytes(32)]),
        "plug-in in capitals": ((1, 2), ["key", "elf:" + "A" * 64, bytes(32)]), "plug-in with newline": ((1, 2), ["key", "elf:" + "0" * 64 + "\n", bytes(32)]),
        "hash short": ((1, 2), ["hash", "sha-256", bytes(15)]), "hash long": ((1, 2), ["hash", "sha-256", bytes(65)]), "hash a number": ((1, 2), ["hash", "sha-256", 1]),
        "role empty": ((1, 2), ["role", key, ""]), "role with slash": ((1, 2), ["role", key, "a/b"]), "role with blank": ((1, 2), ["role", key, "a b"]),
        "role with bracket": ((1, 2), ["role", key, "a)"]), "role with comma": ((1, 2), ["role", key, "a,b"]), "role long": ((1, 2), ["role", key, "x" * 65]),
        "role invisible": ((1, 2), ["role", key, "staff\u200b"]), "roles too deep": ((1, 2), nested), "quorum of one": ((1, 2), ["quorum", 1, [key]]),
        "quorum of nobody": ((1, 2), ["quorum", 1, []]), "quorum without need": ((1, 2), ["quorum", 0, [key, to_data(ROOT.principal)]]),
        "quorum of more than all": ((1, 2), ["quorum", 3, sorted([key, to_data(ROOT.principal)], key=str)]), "quorum twice one": ((1, 2), ["quorum", 2, [key, key]]),
        "quorum out of order": ((1, 2), ["quorum", 2, to_data(Quorum.of(2, BOB.principal, ROOT.principal))[2][::-1]]),  # type: ignore[index]
        "quorum with the verifier": ((1, 2), ["quorum", 1, [key, ["verifier"]]]), "quorum by truth": ((1, 2), ["quorum", True, to_data(Quorum.of(1, BOB.principal, ROOT.principal))[2]]),  # type: ignore[index]
        "start negative": ((2,), -1), "start after end": ((2,), NOW + 100), "start a text": ((2,), "now"), "start null": ((2,), None), "start truth": ((2,), True),
        "end too late": ((3,), 1 << 53), "end huge": ((3,), (1 << 64) - 1), "end bytes": ((3,), b"1"), "revoker the verifier": ((4,), ["verifier"]),
        "revoker a statement": ((4,), good), "serial long": ((5,), bytes(33)), "serial a text": ((5,), "x"), "serial null": ((5,), None),
        "depth negative": ((1,), ["delegation", key, key, "mail", -1]), "depth 33": ((1,), ["delegation", key, key, "mail", 33]),
        "depth truth": ((1,), ["delegation", key, key, "mail", True]), "delegation to the verifier": ((1,), ["delegation", ["verifier"], key, "mail", 0]),
        "delegation for the verifier": ((1,), ["delegation", key, ["verifier"], "mail", 0]), "vouch for a cipher": ((1,), ["vouch", "sha-256", "cipher"]),
        "vouch for a path": ((1,), ["vouch", "../../x", "hash"]), "withdrawal short": ((1,), ["withdrawal", bytes(31)]),
        "list out of order": ((1,), ["revocations", 1, [b"b" * 32, b"a" * 32]]), "list with doubles": ((1,), ["revocations", 1, [b"a" * 32] * 2]),
        "list of texts": ((1,), ["revocations", 1, ["a" * 32]]), "list number negative": ((1,), ["revocations", -1, []]),
        "list number huge": ((1,), ["revocations", 1 << 53, []]), "list of very many": ((1,), ["revocations", 1, [i.to_bytes(32, "big") for i in range(8193)]]),
        "body a proof": ((0,), "proof"), "body short": ((0,), "says"),
    }  # fmt: skip
    for name, (place, value) in rows.items():
        yield Case(f"term: {name}", _with_body(place, value), BadCredential)


# ---- signatures


def _signed(key: Key, signature: bytes, what: Body | None = None) -> Bundle:
    return Bundle((grant(ALICE), Credential(body(GOAL) if what is None else what, ((key, signature),))))


@functools.cache
def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def signatures() -> Iterator[Case]:
    key, good = ALICE.principal, ALICE.credential(body(GOAL)).signatures[0][1]
    what, message = body(GOAL), signed_message(ALICE.principal, body(GOAL))
    scalar = int.from_bytes(good[32:], "little")
    rows = {
        "by another key": MALLORY.sign(message), "zeros": bytes(64), "ones": b"\xff" * 64, "cut": good[:-1], "longer": good + b"\0",
        "halves swapped": good[32:] + good[:32], "of nothing": ALICE.sign(b""), "of the body alone": ALICE.sign(to_bytes(what)),
        "of the identity": ALICE.sign(identity(what)), "without a domain": ALICE.sign(message[len(DOMAIN) :]),
        "of another domain": ALICE.sign(b"ssh\0" + message[len(DOMAIN) :]), "of the next version": ALICE.sign(DOMAIN.replace(b"1", b"2") + message[len(DOMAIN) :]),
        "of a hash of it": ALICE.sign(hashlib.sha256(message).digest()), "for another key": ALICE.sign(signed_message(MALLORY.principal, what)),
        "of another person": ALICE.sign(signed_message(key, body(Claim("mail/lists", MALLORY.principal, "reader")))),
        "of another time": ALICE.sign(signed_message(key, body(GOAL, end=NOW + 99))), "of another serial": ALICE.sign(signed_message(key, body(GOAL, serial=b"1"))),
        "with the order added": good[:32] + (scalar + ED25519_ORDER).to_bytes(32, "little"), "of a text that looks like it": ALICE.sign(message.hex().encode()),
    }  # fmt: skip
    for name, signature in rows.items():
        yield Case(f"signature: {name}", _signed(key, signature), says=NO_SIGNATURE)
    yield Case(
        "signature: of mallory under alice's name",
        _signed(key, MALLORY.credential(what).signatures[0][1]),
        says=NO_SIGNATURE,
    )
    point = Key("ed25519", b"\x01" + bytes(31))
    small = Bundle((grant(point, ROOT), Credential(what, ((point, bytes(64)),))))
    yield Case("signature: by a key that is no point of full order", small, says=NO_SIGNATURE)
    for name, other in {
        "a scheme that there is not": Key("rot13", key.public), "a scheme of another kind": Key("sha-256", key.public),
        "a key of 31 bytes": Key("ed25519", key.public[:31]), "a key of 33 bytes": Key("ed25519", key.public + b"\0"),
        "the same key as another scheme": Key("ecdsa-p256", key.public), "no point": Key("ed25519", b"\x02" * 32),
    }.items():  # fmt: skip
        yield Case(
            f"signature: {name}", Bundle((grant(other, ROOT), Credential(what, ((other, good),)))), says="rule signed: "
        )
    private = _rsa(2048)
    public = principal_of(private.public_key())
    old = private.sign(signed_message(public, what), padding.PKCS1v15(), hashes.SHA256())
    yield Case(
        "signature: RSA as of PKCS 1.5",
        Bundle((grant(public, ROOT), Credential(what, ((public, old),)))),
        says=NO_SIGNATURE,
    )
    curve = ec.generate_private_key(ec.SECP256R1())
    point256 = principal_of(curve.public_key())
    wrong = curve.sign(signed_message(point256, what), ec.ECDSA(hashes.SHA512()))
    yield Case(
        "signature: ECDSA of another digest",
        Bundle((grant(point256, ROOT), Credential(what, ((point256, wrong),)))),
        says=NO_SIGNATURE,
    )
    renamed = Key("ecdsa-p384", point256.public)
    right = curve.sign(signed_message(renamed, what), ec.ECDSA(hashes.SHA384()))
    yield Case(
        "signature: a curve under another's name",
        Bundle((grant(renamed, ROOT), Credential(what, ((renamed, right),)))),
        says=NO_SIGNATURE,
    )


# ---- who may say what


def _chain(*people: SigningKey, topic: str = "mail", depth: int = 32) -> tuple[Credential, ...]:
    """Each delegates to the next."""
    return tuple(grant(to, by, topic, max(depth - i, 0)) for i, (by, to) in enumerate(pairwise(people)))


def delegations() -> Iterator[Case]:
    me, by_me = MALLORY.principal, claim(MALLORY)
    rows: dict[str, tuple[Credential, ...]] = {
        "nothing": (), "no delegation": (claim(),), "no claim": (grant(ALICE),), "by nobody in particular": (by_me,),
        "to somebody else": (grant(ALICE), by_me), "by somebody else": (grant(MALLORY, ALICE), by_me), "by oneself": (grant(MALLORY, MALLORY), by_me),
        "in the root's name": (MALLORY.credential(body(Delegation(me, ROOT.principal, "mail", 2))), by_me),
        "with the root's signature from elsewhere": (Credential(body(Delegation(me, ROOT.principal, "mail", 2)), grant(ALICE).signatures), by_me),
        "passed on without leave": (grant(ALICE, depth=0), grant(MALLORY, ALICE, depth=0), by_me),
        "passed on too far": (grant(ALICE, depth=1), grant(CAROL, ALICE, depth=1), grant(MALLORY, CAROL, depth=0), by_me),
        "passed on with more depth": (grant(ALICE, depth=0), grant(MALLORY, ALICE, depth=32), by_me),
        "in a circle of one": (grant(MALLORY, MALLORY, depth=32), grant(ALICE, ALICE, depth=32), by_me),
        "in a circle of two": (grant(CAROL, MALLORY, depth=32), grant(MALLORY, CAROL, depth=32), by_me),
        "in a circle with the root": (grant(ROOT, MALLORY, depth=32), grant(ALICE, ROOT, depth=0), grant(ROOT, ALICE, depth=32), by_me),
        "of a narrower topic": (grant(ALICE, topic="mail/archive"), claim()), "of a longer word": (grant(ALICE, topic="mail/list"), claim()),
        "of a shorter word": (grant(ALICE, topic="mai"), claim()), "of what is below": (grant(ALICE, topic="mail/lists/x"), claim()),
        "of a word in capitals": (grant(ALICE, topic="Mail"), claim()), "of a word that looks the same": (grant(ALICE, topic="m\u0430il"), claim()),
        "of the PKI's own topics": (grant(ALICE, topic="pki/scheme"), claim()),
        "widened": (grant(ALICE, topic="mail/archive"), grant(MALLORY, ALICE, topic="mail", depth=0), by_me),
        "widened to everything": (grant(ALICE, topic="mail/archive"), grant(MALLORY, ALICE, topic="*", depth=0), by_me),
        "of everything, by somebody who has something": (grant(ALICE, topic="mail/archive", depth=2), grant(CAROL, ALICE, topic="*", depth=1), claim(CAROL)),
        "to a role": (grant(Role(me, "staff")), claim(CAROL)), "to the root's role": (grant(Role(ROOT.principal, "staff")), by_me),
        "by a role to oneself": (MALLORY.credential(body(Delegation(me, Role(ROOT.principal, "staff"), "mail", 1))), grant(Role(ROOT.principal, "staff")), by_me),
        "to a role of the same name": (grant(Role(ROOT.principal, "staff")), MALLORY.credential(body(Delegation(me, Role(me, "staff"), "mail", 1))), by_me),
        "to a role that looks the same": (grant(Role(ROOT.principal, "staff")), ROOT.credential(body(Delegation(me, Role(ROOT.principal, "st\u0430ff"), "mail", 1))), by_me),
        "to a quorum of which one speaks": (grant(Quorum.of(2, ALICE.principal, me)), by_me),
        "to a quorum of which one speaks twice": (grant(Quorum.of(2, ALICE.principal, me)), by_me, claim(MALLORY, serial=b"2")),
        "to a quorum, and one speaks as two": (grant(Quorum.of(2, Role(me, "x"), ALICE.principal)), by_me, grant(MALLORY, MALLORY)),
        "to a quorum of more": (grant(Quorum.of(3, ALICE.principal, CAROL.principal, me)), by_me, claim(CAROL)),
        "to a quorum, needed changed": (grant(Quorum.of(2, ALICE.principal, me)), by_me, grant(Quorum.of(1, ALICE.principal, me), MALLORY)),
        "to a quorum that says different things": (grant(Quorum.of(2, ALICE.principal, me)), by_me, claim(statement=Claim("mail/lists", BOB.principal, "writer"))),
    }  # fmt: skip
    for name, credentials in rows.items():
        yield Case(f"delegation: {name}", Bundle(credentials))
    crowd = [SigningKey.from_seed(hashlib.sha256(b"crowd%d" % i).digest()) for i in range(50)]
    yield Case(
        "delegation: through 40 hands",
        Bundle((*_chain(ROOT, *crowd[:40]), claim(crowd[39]))),
        policy=trusting(depth=32),
    )
    yield Case("delegation: in a circle of 50", Bundle((*_chain(*crowd, crowd[0]), claim(crowd[0]))))
    yield Case(
        "delegation: everybody to everybody",
        Bundle((*(grant(a, b) for a in crowd[:12] for b in crowd[:12]), claim(crowd[0]))),
    )
    others: dict[str, Statement] = {
        "another person": Claim("mail/lists", MALLORY.principal, "reader"), "nobody": Claim("mail/lists", None, "reader"),
        "a role of the person": Claim("mail/lists", Role(BOB.principal, "x"), "reader"), "the hash of the person": Claim("mail/lists", _sha256(BOB.principal), "reader"),
        "another text": Claim("mail/lists", BOB.principal, "writer"), "no text": Claim("mail/lists", BOB.principal), "a text with a blank": Claim("mail/lists", BOB.principal, "reader "),
        "a text in capitals": Claim("mail/lists", BOB.principal, "Reader"), "a text that looks the same": Claim("mail/lists", BOB.principal, "r\u0435ader"),
        "a text with an accent": Claim("mail/lists", BOB.principal, "re\u0301ader"), "the topic above": Claim("mail", BOB.principal, "reader"),
        "the topic below": Claim("mail/lists/all", BOB.principal, "reader"), "a topic that begins so": Claim("mail/listserver", BOB.principal, "reader"),
        "a topic that looks the same": Claim("mail/li\u0455ts", BOB.principal, "reader"), "a full-width topic": Claim("mail\uff0flists", BOB.principal, "reader"),
        "a vouch": Vouch("sha-256", "hash"), "a delegation": Delegation(BOB.principal, ALICE.principal, "mail/lists", 0),
    }  # fmt: skip
    for name, statement in others.items():
        yield Case(f"claim: {name}", Bundle((grant(ALICE), claim(statement=statement))))


def _sha256(key: Key) -> Hashed:
    return Hashed("sha-256", hashlib.sha256(to_bytes(key)).digest())


def hashed_principals() -> Iterator[Case]:
    """A key, its hash, and what somebody might take for one of them."""
    key = ALICE.principal
    rows = {
        "of the bare key": hashlib.sha256(key.public).digest(), "of its notation": hashlib.sha256(str(key).encode()).digest(),
        "cut to 16 bytes": hashlib.sha256(to_bytes(key)).digest()[:16], "cut to 31 bytes": hashlib.sha256(to_bytes(key)).digest()[:31],
        "with a byte more": hashlib.sha256(to_bytes(key)).digest() + b"\0", "twice": hashlib.sha256(hashlib.sha256(to_bytes(key)).digest()).digest(),
        "by SHA-1": hashlib.sha1(to_bytes(key), usedforsecurity=False).digest(), "by SHA-384": hashlib.sha384(to_bytes(key)).digest(),
        "of mallory": hashlib.sha256(to_bytes(MALLORY.principal)).digest(), "zeros": bytes(32),
    }  # fmt: skip
    for name, digest in rows.items():
        yield Case(f"hash: {name}", Bundle((grant(Hashed("sha-256", digest)), claim())))
    right = _sha256(key).digest
    for scheme in ("sha3-256", "sha-512", "md5", "sha-1", "elf:" + "0" * 64):
        yield Case(f"hash: right digest as {scheme}", Bundle((grant(Hashed(scheme, right)), claim())))
    yield Case(
        "hash: the key has the digest as its bytes",
        Bundle((grant(_sha256(key)), Credential(body(GOAL), ((Key("ed25519", right), bytes(64)),)))),
    )
    yield Case(
        "hash: of a scheme that the policy does not take",
        Bundle((grant(_sha256(key)), claim())),
        policy=Policy.parse(
            f'[[trust]]\nprincipal = "{ROOT.principal}"\ntopic = "mail"\ndepth = 2\n[schemes]\nhash = ["sha-512"]\n'
        ),
    )
    yield Case(
        "hash: the delegation is to the key, the claim by its hash's role",
        Bundle((grant(Role(_sha256(key), "x")), claim(MALLORY))),
    )


# ---- time and revocation


def times() -> Iterator[Case]:
    for name, ends in {"now": NOW, "a second ago": NOW - 1, "long ago": NOW - 99}.items():
        yield Case(f"expired: claim {name}", Bundle((grant(ALICE), claim(end=ends))), says="rule current: expired at")
        yield Case(
            f"expired: delegation {name}",
            Bundle((grant(ALICE, end=ends), claim())),
            says="expired at|trusted to says|not ",
        )
    for name, begins in {"in a second": NOW + 1, "much later": NOW + 99}.items():
        yield Case(
            f"not yet valid: claim {name}",
            Bundle((grant(ALICE), claim(start=begins))),
            says="rule current: not valid before",
        )
        yield Case(f"not yet valid: delegation {name}", Bundle((grant(ALICE, start=begins), claim())))
    skewed = trusting(skew=10)
    yield Case(
        "expired: by all of the skew", Bundle((grant(ALICE), claim(end=NOW - 10))), policy=skewed, says="expired at"
    )
    yield Case(
        "not yet valid: by more than the skew",
        Bundle((grant(ALICE), claim(start=NOW + 11))),
        policy=skewed,
        says="not valid before",
    )
    for now in (0, 1, NOW - 101, NOW + 100, NOW + 101, 253_402_300_799):
        yield Case(f"clock at {now}", HONEST, now=now, says="rule current: ")


def _listing(*revoked: Credential, number: int = 1, by: SigningKey = ROOT, **more: object) -> Credential:
    names = tuple(sorted(each.identity for each in revoked))
    return by.credential(body(RevocationList(number, names), **more))  # type: ignore[arg-type]


def revocations() -> Iterator[Case]:
    revocable = claim(revoker=ROOT.principal)
    own = claim(revoker=ALICE.principal)
    base = (grant(ALICE), revocable)
    rows: dict[str, tuple[Credential, ...]] = {
        "no list": base, "in the list": (*base, _listing(revocable)), "in a long list": (*base, _listing(revocable, *(claim(serial=bytes([i])) for i in range(50)))),
        "list of another": (*base, _listing(by=MALLORY)), "list of a delegate for other things": (*base, _listing(by=ALICE)), "list of the signer instead": (grant(ALICE), own, _listing()),
        "list expired": (*base, _listing(end=NOW)), "list not yet valid": (*base, _listing(start=NOW + 1)), "revoked in one's own list": (grant(ALICE), own, _listing(own, by=ALICE)),
        "two lists of one number": (*base, _listing(), _listing(claim(serial=b"9"))), "old list beside the new one": (*base, _listing(), _listing(revocable, number=2)),
        "new list beside a later one": (*base, _listing(number=7), _listing(revocable, number=8)), "withdrawn": (grant(ALICE), claim(), ALICE.credential(body(Withdrawal(claim().identity)))),
        "withdrawn by the revoker": (*base, _listing(), ROOT.credential(body(Withdrawal(revocable.identity)))),
        "list forged": (*base, Credential(body(RevocationList(1)), ((ROOT.principal, bytes(64)),))),
        "list of mallory in the root's name": (*base, Credential(body(RevocationList(1)), ((ROOT.principal, MALLORY.sign(b"x")),))),
        "delegation withdrawn": (grant(ALICE), claim(), ROOT.credential(body(Withdrawal(grant(ALICE).identity)))),
    }  # fmt: skip
    for name, credentials in rows.items():
        yield Case(f"revocation: {name}", Bundle(credentials))
    late = Bundle((_listing(revocable, number=5),))
    for number in (0, 1, 4):
        yield Case(
            f"revocation: rolled back to list {number}", Bundle((*base, _listing(number=number))), before=(late,)
        )
    yield Case("revocation: another list of the same number", Bundle((*base, _listing(number=5))), before=(late,))
    yield Case("revocation: the list that was seen, withheld", Bundle(base), before=(late,))
    empty = Bundle((_listing(number=5),))
    yield Case(
        "revocation: an older list, from before one without it",
        Bundle((*base, _listing(number=4))),
        before=(Bundle((*base, *empty.credentials)),),
    )
    gone = Bundle((grant(ALICE), claim(), ALICE.credential(body(Withdrawal(claim().identity)))))
    yield Case("revocation: a withdrawal that was seen, withheld", HONEST, before=(gone,))
    always = trusting(lists="always")
    yield Case("revocation: lists always wanted", HONEST, policy=always, says="revocation list")
    yield Case(
        "revocation: lists always wanted, of one",
        Bundle((*HONEST.credentials, _listing())),
        policy=always,
        says="revocation list",
    )


# ---- plug-ins


def _novel(elf: bytes, *more: Credential, attached: tuple[bytes, ...] | None = None) -> Bundle:
    key = novel_key(elf)
    credentials = (grant(novel_hash(elf, key)), novel_signature(key, body(GOAL)), *more)
    return Bundle(credentials, (elf,) if attached is None else attached)


def plugins() -> Iterator[Case]:
    elf = honest_plugin()
    other = behaving("yes--")
    both = vouch(elf, "hash"), vouch(elf, "signature")
    key = novel_key(elf)
    rows: dict[str, Bundle] = {
        "nobody vouches": _novel(elf), "for the hash alone": _novel(elf, both[0]), "for the signature alone": _novel(elf, both[1]),
        "mallory vouches": _novel(elf, vouch(elf, "hash", MALLORY), vouch(elf, "signature", MALLORY)),
        "it vouches for itself": _novel(elf, novel_signature(key, body(Vouch(plugin_name(elf), "signature"))), novel_signature(key, body(Vouch(plugin_name(elf), "hash")))),
        "the delegate for mail vouches": _novel(elf, grant(ALICE), vouch(elf, "hash", ALICE), vouch(elf, "signature", ALICE)),
        "for another plug-in": _novel(elf, vouch(other, "hash"), vouch(other, "signature"), attached=(elf, other)),
        "voucher expired": _novel(elf, both[0], vouch(elf, "signature", end=NOW)), "voucher not yet valid": _novel(elf, both[0], vouch(elf, "signature", start=NOW + 1)),
        "voucher for a hash expired": _novel(elf, both[1], vouch(elf, "hash", end=NOW)), "not attached": _novel(elf, *both, attached=()),
        "another one attached": _novel(elf, *both, attached=(other,)), "one that is cut attached": _novel(elf, *both, attached=(elf[:-1],)),
        "one that is longer attached": _novel(elf, *both, attached=(elf + b"\0",)),
        "voucher revoked": _novel(elf, both[0], (revocable := vouch(elf, "signature", revoker=ROOT.principal)), _listing(revocable)),
        "voucher withdrawn": _novel(elf, *both, ROOT.credential(body(Withdrawal(both[1].identity)))),
        "forged under it": Bundle((grant(key), Credential(body(GOAL), ((key, key.public + b"something else"),)), *both), (elf,)),
        "of another key under it": Bundle((grant(key), novel_signature(novel_key(elf, b"mine"), body(GOAL)), *both), (elf,)),
        "hash of another key": Bundle((grant(novel_hash(elf, novel_key(elf, b"mine"))), novel_signature(key, body(GOAL)), *both), (elf,)),
        "a native signature as the plug-in's": Bundle((grant(Key(plugin_name(elf), ALICE.principal.public)), Credential(body(GOAL), ((Key(plugin_name(elf), ALICE.principal.public), claim().signatures[0][1]),)), *both), (elf,)),
        "the plug-in's signature as a native one": Bundle((grant(ALICE), Credential(body(GOAL), ((ALICE.principal, ALICE.principal.public + b"x"),)), *both), (elf,)),
        "many questions": Bundle((*both, *(grant(novel_key(elf, bytes([i]))) for i in range(20)), *(novel_signature(novel_key(elf, bytes([i])), body(Delegation(MALLORY.principal, novel_key(elf, bytes([i])), "mail/x", 0), serial=bytes([i]))) for i in range(20))), (elf,)),
    }  # fmt: skip
    for name, bundle in rows.items():
        yield Case(f"plug-in: {name}", bundle, policy=trusting(plugin_calls=16) if name == "many questions" else POLICY)
    for name, text in {
        "empty ELF header": b"\x7fELF",
        "a script": b"#!/bin/sh\n",
        "zeros": bytes(4096),
        "half of one": elf[: len(elf) // 2],
        "a header": elf[:52],
    }.items():
        good = vouch(text, "hash"), vouch(text, "signature")
        yield Case(f"plug-in: vouched for and {name}", _novel(text, *good), says="plug-in elf:")
    for how in (
        "vloop", "vud2-", "vnull", "vdeep", "vjump", "vexit", "vbomb", "vtalk", "vin70", "vrtsc", "vespx", "yes--", "size-", "two--", "minus",
        "dloop", "dud2-", "dbomb", "dexit", "iloop", "uloop", "floop", "fnull", "cloop", "cud2-", "cexit", "cbomb", "sloop", "sud2-",
        "piece", "final", "whole", "const", "dsize", "size0", "sizef", "size+", "sizeM", "nullp", "highp", "name0", "name+", "nameE", "nameU",
    ):  # fmt: skip
        bad = behaving(how)
        yield Case(
            f"plug-in: vouched for and {how}",
            _novel(bad, vouch(bad, "hash"), vouch(bad, "signature")),
            says=f"(plug-in|scheme) {plugin_name(bad)[:12]}",
        )


def budgets() -> Iterator[Case]:
    """Sets that are made to take long."""
    crowd = [SigningKey.from_seed(hashlib.sha256(b"many%d" % i).digest()) for i in range(32)]
    members = [each.principal for each in crowd]
    quorums = tuple(grant(Quorum.of(16, *members, Role(ROOT.principal, str(i)))) for i in range(8) if len(members) < 32)
    wide = Quorum.of(32, *members)
    yield Case("long: 31 of 32", Bundle((grant(wide), *(claim(each) for each in crowd[:31]), *quorums)))
    nested = Quorum.of(2, *members[:2])
    for i in range(6):
        nested = Quorum.of(2, nested, members[i + 2])
    yield Case("long: quorums in quorums", Bundle((grant(nested), *(claim(each) for each in crowd[1:9]))))
    chains = (grant(b, a, topic=f"mail/{i}", depth=9) for i, a in enumerate(crowd) for b in crowd[:8])
    many = Bundle((*(grant(each, topic="mail/0", depth=9) for each in crowd), *chains, claim(crowd[0])))
    few = trusting(steps=200, depth=32)
    yield Case("long: steps", many, policy=few, says="more steps than the policy allows")
    yield Case("long: everything at once", many, policy=trusting(depth=32))
    joined = sign(body(GOAL), *crowd)
    yield Case("long: signed by a crowd that nobody knows", Bundle((joined,)))


FAMILIES: tuple[Callable[[], Iterator[Case]], ...] = (
    cut_and_extended, flipped, encodings, shapes, terms, signatures, delegations, hashed_principals, times, revocations, plugins, budgets,
)  # fmt: skip
