"""Credential files and the terms in them: round trips, and everything else refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pki_people import GOAL, TOY_ELF, bundle, grant, key, person, signed

from reference.records import replace
from vx32py.pki import credentials as module
from vx32py.pki import keys, wire
from vx32py.pki.credentials import MAGIC, Bundle, Credential
from vx32py.pki.encoding import decode, encode
from vx32py.pki.errors import BadCredential, BadEncoding, BadTerm
from vx32py.pki.logic import (
    MAX_DEPTH,
    MAX_NESTING,
    MAX_REVOKED,
    VERIFIER,
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
    Vouch,
    Withdrawal,
    covers,
)

ALICE, BOB = key("alice"), key("bob")

CHEAP = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# ---- any terms

WORDS = st.text("abcdefghij-", min_size=1, max_size=12)
SCHEMES = st.sampled_from(["ed25519", "sha-256", "elf:" + "0a" * 32])
LEAVES = st.builds(Key, SCHEMES, st.binary(min_size=1, max_size=40)) | st.builds(
    Hashed, SCHEMES, st.binary(min_size=16, max_size=64)
)


def wider(inner: st.SearchStrategy[Principal]) -> st.SearchStrategy[Principal]:
    members = st.lists(inner, min_size=2, max_size=3, unique_by=str)
    return st.builds(Role, inner, WORDS) | members.map(lambda them: Quorum.of(len(them) - 1, *them))


PRINCIPALS: st.SearchStrategy[Any] = st.recursive(LEAVES, wider, max_leaves=4)
TOPICS = st.lists(WORDS, min_size=1, max_size=3).map("/".join)
NUMBERS = st.integers(0, 1 << 52)
STATEMENTS: st.SearchStrategy[Statement] = st.one_of(
    st.builds(Claim, TOPICS, st.none() | PRINCIPALS, st.text("abc é:水", max_size=20)),
    st.builds(Delegation, PRINCIPALS, PRINCIPALS, TOPICS | st.just("*"), st.integers(0, MAX_DEPTH)),
    st.builds(Vouch, SCHEMES, st.sampled_from(["hash", "signature"])),
    st.builds(Withdrawal, st.binary(min_size=32, max_size=32)),
    st.builds(
        RevocationList,
        NUMBERS,
        st.sets(st.binary(min_size=32, max_size=32), max_size=4).map(lambda them: tuple(sorted(them))),
    ),
)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    start, length = draw(st.integers(0, 1 << 33)), draw(st.integers(1, 1 << 33))
    statement = draw(STATEMENTS)
    about_revocation = isinstance(statement, Withdrawal | RevocationList)
    revoker = None if about_revocation else draw(st.none() | PRINCIPALS)
    return Body(statement, start, start + length, revoker, draw(st.binary(max_size=32)))


MARKS = st.lists(
    st.tuples(st.builds(Key, SCHEMES, st.binary(min_size=1, max_size=9)), st.binary(min_size=1, max_size=9)),
    min_size=1, max_size=3, unique_by=lambda pair: pair[0],
)  # fmt: skip
CREDENTIALS = st.builds(Credential, bodies(), MARKS.map(tuple))
BUNDLES = st.builds(
    Bundle.of, st.lists(CREDENTIALS, max_size=3), st.lists(st.binary(min_size=1, max_size=20), max_size=3)
)


@CHEAP
@given(BUNDLES)
def test_a_file_comes_back_as_it_was(heap: Bundle) -> None:
    assert Bundle.from_bytes(heap.to_bytes()) == heap


@CHEAP
@given(bodies())
def test_a_term_comes_back_as_it_was(body: Body) -> None:
    assert wire.from_bytes(wire.to_bytes(body), Body) == body


@CHEAP
@given(BUNDLES, st.data())
def test_a_file_with_any_byte_changed_is_refused_or_another_one(heap: Bundle, data: st.DataObject) -> None:
    changed = bytearray(heap.to_bytes())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        read = Bundle.from_bytes(bytes(changed))
    except BadCredential as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017 - whether it is raised is not the question
        return
    assert read != heap
    assert read.to_bytes() == changed


@CHEAP
@given(BUNDLES, st.integers(1, 10_000))
def test_a_truncated_file_is_refused(heap: Bundle, less: int) -> None:
    data = heap.to_bytes()
    with pytest.raises(BadCredential):
        Bundle.from_bytes(data[: max(0, len(data) - less)])


@CHEAP
@given(bodies(), bodies())
def test_two_bodies_have_two_identities(one: Body, other: Body) -> None:
    assert (wire.identity(one) == wire.identity(other)) == (one == other)
    assert (wire.signed_message(ALICE, one) == wire.signed_message(ALICE, other)) == (one == other)
    assert wire.signed_message(ALICE, one) != wire.signed_message(BOB, one)


def test_the_format_by_hand() -> None:
    """The bytes of the simplest credential, put together from docs/pki-logic.md without the package."""
    public, mark = ALICE.public, signed("alice", GOAL).signatures[0][1]
    claim = b"\x84\x65claim\x6adoor/front\xf6\x64open"
    body = b"\x86\x64body" + claim + b"\x19\x03\xe8\x19\x07\xd0\xf6\x40"
    who = b"\x83\x63key\x67ed25519\x58\x20" + public
    credential = b"\x82" + body + b"\x81\x82" + who + b"\x58\x40" + mark
    file = b"vx32py credentials 1\n\xa2\x67plugins\x81\x4a" + TOY_ELF
    file += b"\x6bcredentials\x81" + credential
    assert bundle(signed("alice", GOAL), plugins=(TOY_ELF,)).to_bytes() == file
    assert wire.signed_message(ALICE, signed("alice", GOAL).body) == b"vx32py pki credential 1\0\x82" + who + body


# ---- what is refused


def file_of(change: Callable[[Any], object]) -> bytes:
    """A good file, with its data changed."""
    heap = Bundle((signed("alice", GOAL), grant("alice", "bob")), (TOY_ELF,))
    data = decode(heap.to_bytes()[len(MAGIC) :])
    changed = change(data)
    return MAGIC + encode(data if changed is None else changed)  # type: ignore[arg-type]


def body_of(change: Callable[[Any], object]) -> bytes:
    return file_of(lambda data: change(data["credentials"][0][0]))


def statement_of(statement: object) -> bytes:
    def change(body: Any) -> None:
        body[1] = statement

    return body_of(change)


def set_to(at: int | str, value: object) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        data[at] = value

    return change


KEY = wire.to_data(ALICE)


def nested(depth: int) -> object:
    term: object = KEY
    for _ in range(depth):
        term = ["role", term, "a"]
    return term


FILES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "does not begin with the right words"),
    "another file": (b"PK\3\4" + bytes(100), "does not begin with the right words"),
    "another version": (b"vx32py credentials 2\n\xa0", "does not begin with the right words"),
    "nothing behind the words": (MAGIC, "ends too early"),
    "no map": (MAGIC + encode([]), "not a map of"),
    "an empty map": (MAGIC + encode({}), "not a map of"),
    "a key too many": (file_of(lambda data: {**data, "more": 1}), "not a map of"),
    "credentials that are no list": (file_of(set_to("credentials", {})), "no list of credentials"),
    "plug-ins that are no list": (file_of(set_to("plugins", b"")), "no list of plug-ins"),
    "a plug-in that is no bytes": (file_of(set_to("plugins", ["elf"])), "plug-in 0: a plug-in has 1 to"),
    "an empty plug-in": (file_of(set_to("plugins", [b""])), "plug-in 0: a plug-in has 1 to"),
    "the same plug-in twice": (file_of(set_to("plugins", [b"1", b"1"])), "the same plug-in twice"),
    "the same credential twice": (file_of(lambda data: data["credentials"].append(data["credentials"][0])), "the same credential twice"),
    "too many credentials": (file_of(set_to("credentials", [0] * 1025)), "1025 credentials; 1024 are the most"),
    "too many plug-ins": (file_of(set_to("plugins", [b"1"] * 65)), "65 plug-ins; 64 are the most"),
    "a credential that is no pair": (file_of(lambda data: data["credentials"][1].append(0)), "credential 1: not a pair of body"),
    "a credential that nobody signed": (file_of(lambda data: data["credentials"][0].__setitem__(1, [])), "credential 0: nobody has signed it"),
    "two signatures of one key": (file_of(lambda data: data["credentials"][0][1].append([KEY, b"1"])), "two signatures of one key"),
    "too many signatures": (file_of(lambda data: data["credentials"][0].__setitem__(1, [0] * 65)), "65 signatures; 64 are the most"),
    "a signature of nothing": (file_of(lambda data: data["credentials"][0][1][0].__setitem__(1, b"")), "a signature has 1 to"),
    "a signature of a role": (file_of(lambda data: data["credentials"][0][1][0].__setitem__(0, nested(1))), "'role' where key should be"),
    "a body that is none": (body_of(set_to(0, "claim")), "'claim' where body should be"),
    "a body with a field too many": (body_of(lambda body: body.append(0)), "a body of 6 fields; it has 5"),
    "a body with a field too few": (body_of(lambda body: body.__delitem__(-1)), "a body of 4 fields; it has 5"),
    "a start that is a text": (body_of(set_to(2, "1000")), "the start of validity is from 0"),
    "a start that is true": (body_of(set_to(2, True)), "the start of validity is from 0"),
    "a start below zero": (body_of(set_to(2, -1)), "the start of validity is from 0"),
    "an end beyond time": (body_of(set_to(3, 1 << 62)), "the end of validity is from 0"),
    "an end before the start": (body_of(set_to(3, 1000)), "from a time to a later one"),
    "a long serial": (body_of(set_to(5, bytes(33))), "a serial has at most 32 bytes"),
    "a revoker that is none": (body_of(set_to(4, ["body"])), "'body' where hash or key"),
    "a revoker that is the verifier": (body_of(set_to(4, ["verifier"])), "does not speak of the verifier"),
    "no statement": (statement_of(None), "no term where claim or delegation"),
    "a statement that is a principal": (statement_of(KEY), "'key' where claim or"),
    "an unknown statement": (statement_of(["oath"]), "'oath' where claim or"),
    "a list for a word": (statement_of([["claim"]]), "no term where"),
    "a proof for a statement": (statement_of(["proof", "policy", 0, []]), "'proof' where claim or"),
    "a claim without a topic": (statement_of(["claim", "", None, ""]), "'' is no topic"),
    "a claim on everything": (statement_of(["claim", "*", None, ""]), "a topic of its own"),
    "a claim on schemes": (statement_of(["claim", "pki/scheme", None, ""]), "topics below pki"),
    "a claim on pki": (statement_of(["claim", "pki", None, ""]), "topics below pki"),
    "a claim with an empty word in its topic": (statement_of(["claim", "a//b", None, ""]), "is no topic"),
    "a claim with a star in its topic": (statement_of(["claim", "a/*", None, ""]), "is no topic"),
    "a claim with a space in its topic": (statement_of(["claim", "a b", None, ""]), "is no topic"),
    "a claim with a long topic": (statement_of(["claim", "a" * 257, None, ""]), "at most 256 characters"),
    "a claim with a topic of bytes": (statement_of(["claim", b"a", None, ""]), "a topic is a text"),
    "a claim with two lines": (statement_of(["claim", "a", None, "1\n2"]), "cannot be printed"),
    "a claim with a terminal's escape": (statement_of(["claim", "a", None, "\x1b[2J"]), "cannot be printed"),
    "a claim that is written backwards": (statement_of(["claim", "a", None, "\u202egood"]), "cannot be printed"),
    "a claim with a long text": (statement_of(["claim", "a", None, "a" * 1025]), "at most 1024 characters"),
    "a claim about a text": (statement_of(["claim", "a", "alice", ""]), "no term where hash or key"),
    "a claim about the verifier": (statement_of(["claim", "a", ["verifier"], ""]), "does not speak of the verifier"),
    "a delegation to the verifier": (statement_of(["delegation", ["verifier"], KEY, "a", 0]), "speaks for nobody else"),
    "a delegation for the verifier": (statement_of(["delegation", KEY, ["verifier"], "a", 0]), "does not speak of the verifier"),
    "a delegation that is too deep": (statement_of(["delegation", KEY, KEY, "a", 33]), "from 0 to 32"),
    "a delegation below zero": (statement_of(["delegation", KEY, KEY, "a", -1]), "from 0 to 32"),
    "a delegation with a list for a depth": (statement_of(["delegation", KEY, KEY, "a", [1]]), "a list where a single value"),
    "a voucher for no name": (statement_of(["vouch", "SHA 256", "hash"]), "is no name of a scheme"),
    "a voucher for a short digest": (statement_of(["vouch", "elf:00", "hash"]), "is no name of a scheme"),
    "a voucher for a digest in capitals": (statement_of(["vouch", "elf:" + "AA" * 32, "hash"]), "is no name of a scheme"),
    "a voucher for a line more": (statement_of(["vouch", "sha-256\n", "hash"]), "is no name of a scheme"),
    "a voucher for bytes": (statement_of(["vouch", b"sha-256", "hash"]), "is no name of a scheme"),
    "a voucher of no kind": (statement_of(["vouch", "sha-256", "cipher"]), "a hash or a signature, not 'cipher'"),
    "a withdrawal of a short name": (statement_of(["withdrawal", bytes(31)]), "a SHA-256, 32 bytes"),
    "a withdrawal of a text": (statement_of(["withdrawal", "0" * 32]), "a SHA-256, 32 bytes"),
    "a list out of order": (statement_of(["revocations", 1, [b"b" * 32, b"a" * 32]]), "sorted, each identity once"),
    "a list with one twice": (statement_of(["revocations", 1, [b"b" * 32, b"b" * 32]]), "sorted, each identity once"),
    "a list of numbers": (statement_of(["revocations", 1, [1]]), "a SHA-256, 32 bytes"),
    "a list of no list": (statement_of(["revocations", 1, 1]), "where a list should be"),
    "a list with a number below zero": (statement_of(["revocations", -1, []]), "from 0 to"),
    "a list with a huge number": (statement_of(["revocations", 1 << 53, []]), "from 0 to"),
    "a list that is too long": (statement_of(["revocations", 1, [n.to_bytes(32, "big") for n in range(MAX_REVOKED + 1)]]), "at most 8192 entries"),
    "a key without bytes": (statement_of(["claim", "a", ["key", "ed25519", b""], ""]), "a key has 1 to"),
    "a key that is too long": (statement_of(["claim", "a", ["key", "ed25519", bytes(8193)], ""]), "a key has 1 to"),
    "a digest that is too short": (statement_of(["claim", "a", ["hash", "sha-256", bytes(15)], ""]), "16 to 64 bytes"),
    "a digest that is too long": (statement_of(["claim", "a", ["hash", "sha-256", bytes(65)], ""]), "16 to 64 bytes"),
    "a role without a name": (statement_of(["claim", "a", ["role", KEY, ""], ""]), "no name for a role"),
    "a role with a slash": (statement_of(["claim", "a", ["role", KEY, "a/b"], ""]), "no name for a role"),
    "a role with a comma": (statement_of(["claim", "a", ["role", KEY, "a,b"], ""]), "no name for a role"),
    "a role with a long name": (statement_of(["claim", "a", ["role", KEY, "a" * 65], ""]), "at most 64 characters"),
    "a role of the verifier": (statement_of(["claim", "a", ["role", ["verifier"], "a"], ""]), "the owner of a role"),
    "a role that is too deep": (statement_of(["claim", "a", nested(MAX_NESTING), ""]), f"at most {MAX_NESTING} deep"),
    "a role that is far too deep": (statement_of(["claim", "a", nested(20), ""]), f"at most {MAX_NESTING} deep"),
    "a quorum of one": (statement_of(["claim", "a", ["quorum", 1, [KEY]], ""]), "2 to 32 members"),
    "a quorum with one twice": (statement_of(["claim", "a", ["quorum", 2, [KEY, KEY]], ""]), "sorted, each once"),
    "a quorum that needs nobody": (statement_of(["claim", "a", ["quorum", 0, sorted([KEY, wire.to_data(BOB)], key=str)], ""]), "at least one|sorted"),
    "a quorum that needs too many": (statement_of(["claim", "a", ["quorum", 3, [KEY, wire.to_data(BOB)]], ""]), "from 0 to 2"),
    "a quorum of too many": (statement_of(["claim", "a", ["quorum", 1, [["key", "ed25519", bytes([65 + n])] for n in range(33)]], ""]), "2 to 32 members"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "why"), FILES.values(), ids=FILES)
def test_a_file_that_is_none(data: bytes, why: str) -> None:
    with pytest.raises(BadCredential, match=why) as refusal:
        Bundle.from_bytes(data)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 400


def test_a_file_is_only_read_as_far_as_it_may_be_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(module, "MAX_FILE", 1000)
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadCredential, match="huge: 1001 bytes; 1000 are the most"):
        Bundle.load(path)


def test_a_file_that_is_saved_is_loaded(tmp_path: Any) -> None:
    heap = bundle(signed("alice", GOAL), plugins=(TOY_ELF,))
    heap.save(tmp_path / "file")
    assert Bundle.load(tmp_path / "file") == heap


def test_together_each_is_there_once() -> None:
    one, other = bundle(signed("alice", GOAL), plugins=(TOY_ELF,)), bundle(signed("bob", GOAL), signed("alice", GOAL))
    assert (one + other) == Bundle((signed("alice", GOAL), signed("bob", GOAL)), (TOY_ELF,))
    forged = replace(signed("alice", GOAL), signatures=((ALICE, b"forged"),))
    assert len((bundle(forged) + one).credentials) == 2


def test_several_sign_one_body() -> None:
    body = signed("alice", GOAL).body
    both = keys.sign(body, person("alice"), person("bob"))
    assert both.signatures == (signed("alice", GOAL).signatures[0], signed("bob", GOAL).signatures[0])
    assert both.identity == signed("alice", GOAL).identity


# ---- proofs that come from elsewhere

PROOF = Proof("current", Says(ALICE, GOAL), (Proof("signed", Signed(ALICE, signed("alice", GOAL).body)),))


def test_a_proof_comes_back_as_it_was() -> None:
    assert wire.proof_from_bytes(wire.proof_to_bytes(PROOF)) == PROOF
    about_the_verifier = Proof("policy", Says(VERIFIER, Delegation(ALICE, VERIFIER, "door")))
    assert wire.proof_from_bytes(wire.proof_to_bytes(about_the_verifier)) == about_the_verifier


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", encode(["proof"]), encode(["proof", "policy", wire.to_data(ALICE), []]),
     encode(["proof", "policy", wire.to_data(Says(ALICE, GOAL)), 0]), encode(["proof", ["policy"], wire.to_data(Says(ALICE, GOAL)), []]),
     encode(["proof", "policy", ["says", KEY, wire.to_data(GOAL), -1], []]),
     encode(["proof", "policy", ["signed", nested(1), wire.to_data(signed("alice", GOAL).body)], []]), b"\x81" * 5000],
)  # fmt: skip
def test_a_proof_that_is_none(data: bytes) -> None:
    with pytest.raises((BadEncoding, BadTerm)) as refusal:
        wire.proof_from_bytes(data)
    assert "\n" not in str(refusal.value)


def test_topics() -> None:
    assert covers("a", "a/b")
    assert not covers("a/b", "a")
    assert not covers("a", "ab")
    assert covers("*", "a/b")
    assert covers("*", "*")
    assert not covers("a", "*")
    assert not covers("*", "pki")
    assert not covers("*", "pki/revocation")
    assert covers("*", "pkiosk")
    assert covers("pki", "pki/scheme/hash/sha-256")
