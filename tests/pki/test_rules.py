"""The checker: each rule accepts what is right, and refuses each single deviation from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from pki_people import GOAL, TOY, TOY_ELF, Toy, context, grant, key, person, signed, toy_signed, trusting

from reference.records import replace
from vx32py.pki import keys
from vx32py.pki.checker import MAX_DEPTH, MAX_NODES, RULES, Checker, Context
from vx32py.pki.errors import ProofRefused
from vx32py.pki.logic import (
    VERIFIER,
    Body,
    Claim,
    Delegation,
    Hashed,
    Judgement,
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
)
from vx32py.pki.policy import Policy
from vx32py.pki.wire import signed_message, to_bytes

ALICE, BOB = key("alice"), key("bob")
OTHER = Claim("door/back", text="open")


def states(statement: Statement) -> Proof:
    return Proof("policy", Says(VERIFIER, statement))


def leaf(who: str, statement: Statement, *listing: Proof, **others: int) -> Proof:
    """That somebody says what is signed in a credential."""
    body = signed(who, statement, **others).body
    return Proof("current", Says(key(who), statement), (signature(key(who), body), *listing))


def signature(who: Key, body: Body) -> Proof:
    return Proof("signed", Signed(who, body), (states(Vouch(who.scheme, "signature")),))


def accepts(proof: Proof, context: Context) -> None:
    assert Checker(context).check(proof) == proof.conclusion


def refuses(proof: Proof, context: Context, why: str, path: tuple[int, ...] = ()) -> None:
    with pytest.raises(ProofRefused, match=why) as refusal:
        Checker(context).check(proof)
    assert refusal.value.path == path
    assert "\n" not in str(refusal.value)


# ---- policy


def test_policy_what_it_states_the_verifier_says() -> None:
    policy = trusting("alice")
    accepts(states(Delegation(ALICE, VERIFIER, "door", 0)), context(policy))
    refuses(states(Delegation(ALICE, VERIFIER, "door", 1)), context(policy), "the policy does not state")
    refuses(states(GOAL), context(policy), "the policy does not state")
    stated = Delegation(ALICE, VERIFIER, "door", 0)
    refuses(Proof("policy", Says(ALICE, stated)), context(policy), "only the verifier")
    refuses(Proof("policy", Says(VERIFIER, stated, 1)), context(policy), "1 hops are stated, there are 0")
    refuses(Proof("policy", Says(VERIFIER, stated), (states(stated),)), context(policy), "1 premises where 0")
    refuses(Proof("policy", Signed(ALICE, Body(GOAL, 1, 2))), context(policy), "not yet a statement")


# ---- signed


GOOD = signed("alice", GOAL)


def test_signed_takes_a_good_signature() -> None:
    accepts(signature(ALICE, GOOD.body), context(trusting("alice"), GOOD))


def changed(mark: bytes) -> bytes:
    return mark[:-1] + bytes([mark[-1] ^ 1])


SIGNATURES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("one bit", changed),
    ("shorter", lambda mark: mark[:-1]),
    ("longer", lambda mark: mark + b"\0"),
    ("nothing", lambda mark: b"\0" * len(mark)),
    ("somebody else's", lambda mark: signed("bob", GOAL).signatures[0][1]),
    ("of something else", lambda mark: signed("alice", OTHER).signatures[0][1]),
    ("without the domain", lambda mark: person("alice").sign(signed_message(ALICE, GOOD.body)[24:])),
    ("of the key of another", lambda mark: person("alice").sign(signed_message(BOB, GOOD.body))),
]


@pytest.mark.parametrize("change", [change for _, change in SIGNATURES], ids=[name for name, _ in SIGNATURES])
def test_signed_refuses_every_other_signature(change: Callable[[bytes], bytes]) -> None:
    forged = replace(GOOD, signatures=((ALICE, change(GOOD.signatures[0][1])),))
    refuses(signature(ALICE, GOOD.body), context(trusting("alice"), forged), "no good signature")


def test_signed_finds_the_good_signature_among_others() -> None:
    marks = (b"forged", GOOD.signatures[0][1])
    accepts(signature(ALICE, GOOD.body), context(trusting("alice"), signatures={(ALICE, GOOD.identity): marks}))


@pytest.mark.parametrize(
    "body",
    [replace(GOOD.body, end=GOOD.body.end + 1), replace(GOOD.body, start=0), replace(GOOD.body, statement=OTHER),
     replace(GOOD.body, revoker=BOB), replace(GOOD.body, serial=b"1")],
    ids=["end", "start", "statement", "revoker", "serial"],
)  # fmt: skip
def test_signed_is_about_every_part_of_the_body(body: Body) -> None:
    refuses(signature(ALICE, body), context(trusting("alice"), GOOD), "no good signature")
    # Nor does it help to file the old signature under the new body.
    filed = {(ALICE, replace(GOOD, body=body).identity): (GOOD.signatures[0][1],)}
    refuses(signature(ALICE, body), context(trusting("alice"), signatures=filed), "no good signature")


def test_signed_needs_a_scheme_that_is_vouched_for() -> None:
    known = context(trusting("alice"), GOOD)
    proof = signature(ALICE, GOOD.body)
    refuses(replace(proof, premises=()), known, "0 premises where 1")
    refuses(replace(proof, premises=proof.premises * 2), known, "2 premises where 1")
    for premise in (states(Vouch("ecdsa-p256", "signature")), states(Vouch("sha-256", "hash"))):
        refuses(replace(proof, premises=(premise,)), known, "does not say that signature scheme ed25519 is good")
    alone = leaf("alice", Vouch("ed25519", "signature"))
    refuses(replace(proof, premises=(alone,)), context(trusting("alice"), GOOD, signed("alice", Vouch("ed25519", "signature"))),
            "the verifier does not say")  # fmt: skip


def test_signed_asks_no_plugin_before_it_is_vouched_for() -> None:
    credential = toy_signed(b"toy key", GOAL)
    proof = signature(Key(TOY, b"toy key"), credential.body)
    known = context(trusting("alice"), credential)
    refuses(proof, known, "the policy does not state", (0,))
    elsewhere = replace(proof, premises=(states(Vouch("ed25519", "signature")),))
    refuses(elsewhere, known, "does not say that signature scheme elf:")
    assert not known.schemes._loaded
    accepts(proof, context(Policy(frozenset((Vouch(TOY, "signature"),))), credential))


def test_signed_does_not_take_a_hash_scheme_for_one_of_signatures() -> None:
    credential = toy_signed(b"toy key", GOAL)
    proof = signature(Key(TOY, b"toy key"), credential.body)
    as_hash = replace(proof, premises=(states(Vouch(TOY, "hash")),))
    refuses(
        as_hash, context(Policy(frozenset((Vouch(TOY, "hash"),))), credential), "does not say that signature scheme"
    )


def test_signed_refuses_when_the_scheme_fails_or_is_missing() -> None:
    credential = toy_signed(b"toy key", GOAL)
    who = Key(TOY, b"toy key")
    policy = Policy(frozenset((Vouch(TOY, "signature"), Vouch("none-such", "signature"))))
    trapping = replace(credential, signatures=((who, b"trap"),))
    refuses(signature(who, credential.body), context(policy, trapping), f"scheme {TOY}: it trapped")
    missing = Key("none-such", b"key")
    refuses(signature(missing, credential.body), context(policy, replace(credential, signatures=((missing, b"1"),))),
            "there is no scheme none-such")  # fmt: skip


def test_signed_concludes_nothing_but_a_signature() -> None:
    refuses(replace(signature(ALICE, GOOD.body), conclusion=Says(ALICE, GOAL)), context(trusting("alice"), GOOD),
            "concludes that somebody signed")  # fmt: skip


# ---- current


def test_current_says_what_was_signed() -> None:
    known = context(trusting("alice"), GOOD)
    proof = leaf("alice", GOAL)
    accepts(proof, known)
    refuses(replace(proof, conclusion=Says(BOB, GOAL)), known, "the speaker is not the signer")
    refuses(replace(proof, conclusion=Says(Role(ALICE, "a"), GOAL)), known, "the speaker is not the signer")
    refuses(replace(proof, conclusion=Says(ALICE, OTHER)), known, "not the signed one")
    refuses(replace(proof, conclusion=Says(ALICE, GOAL, 1)), known, "1 hops are stated")
    refuses(replace(proof, conclusion=proof.premises[0].conclusion), known, "not yet a statement")
    refuses(replace(proof, premises=()), known, "its first premise")
    refuses(replace(proof, premises=(proof,)), known, "its first premise")
    refuses(replace(proof, premises=proof.premises * 2), known, "2 premises where 1")


@pytest.mark.parametrize(
    ("now", "skew", "why"),
    [(999, 0, "not valid before 1970-01-01 00:16:40 UTC, and it is 1970-01-01 00:16:39"), (1000, 0, None), (1999, 0, None),
     (2000, 0, "expired"), (0, 0, "not valid before"), (10**9, 0, "expired"), (990, 10, None), (989, 10, "not valid before"),
     (2009, 10, None), (2010, 10, "expired")],
)  # fmt: skip
def test_current_is_from_the_start_to_before_the_end(now: int, skew: int, why: str | None) -> None:
    known = context(trusting("alice"), GOOD, now=now, skew=skew)
    if why is None:
        accepts(leaf("alice", GOAL), known)
    else:
        refuses(leaf("alice", GOAL), known, why)


def test_current_refuses_what_was_withdrawn_by_the_signer_or_the_revoker_alone() -> None:
    for who, wrong in ((ALICE, True), (BOB, False)):
        known = context(trusting("alice"), GOOD, withdrawn=frozenset({(who, GOOD.identity)}))
        if wrong:
            refuses(leaf("alice", GOAL), known, "withdrawn")
        else:
            accepts(leaf("alice", GOAL), known)
    named = signed("alice", GOAL, revoker=BOB)
    listing = leaf("bob", RevocationList(1))
    known = context(trusting("alice"), named, signed("bob", RevocationList(1)))
    proof = leaf("alice", GOAL, listing, revoker=BOB)  # type: ignore[arg-type]
    accepts(proof, known)
    for who in (ALICE, BOB):
        refuses(proof, replace(known, withdrawn=frozenset({(who, named.identity)})), "withdrawn")


LISTED = signed("alice", GOAL, revoker=BOB)
LISTS = [RevocationList(7), RevocationList(8, (LISTED.identity,)), RevocationList(7, (GOOD.identity,))]


def listed(listing: Proof | None, conclusion: Judgement | None = None) -> Proof:
    first = signature(ALICE, LISTED.body)
    return Proof("current", conclusion or Says(ALICE, GOAL), (first,) if listing is None else (first, listing))


def test_current_wants_the_list_of_the_revoker_that_the_credential_names() -> None:
    known = context(trusting("alice"), LISTED, GOOD, *(signed(who, each) for who in ("alice", "bob") for each in LISTS))
    accepts(listed(leaf("bob", LISTS[0])), known)
    accepts(listed(leaf("bob", LISTS[2])), known)
    refuses(listed(None), known, "a current revocation list of key:ed25519:.* is needed")
    refuses(listed(leaf("bob", LISTS[1])), known, "revocation list 8 of .* has it")
    refuses(listed(leaf("alice", LISTS[0])), known, "the revocation list is not that of")
    refuses(listed(leaf("alice", GOAL)), known, "the revocation list is not that of")
    refuses(listed(leaf("bob", LISTS[0])), replace(known, numbers={BOB: 8}), "list 7 of .* is older than 8")
    accepts(listed(leaf("bob", LISTS[0])), replace(known, numbers={BOB: 7, ALICE: 9}))
    refuses(Proof("current", Says(ALICE, GOAL), (*listed(leaf("bob", LISTS[0])).premises, leaf("bob", LISTS[0]))), known,
            "is needed")  # fmt: skip
    no_list = Proof("current", Says(BOB, OTHER), (signature(BOB, signed("bob", OTHER).body),))
    refuses(listed(no_list), replace(known, signatures={**known.signatures, (BOB, signed("bob", OTHER).identity):
            (signed("bob", OTHER).signatures[0][1],)}), "its second premise is a revocation list")  # fmt: skip


def test_current_wants_the_signers_list_where_the_policy_says_always() -> None:
    mine = signed("alice", RevocationList(1))
    known = context(trusting("alice"), GOOD, mine, always_listed=True)
    refuses(leaf("alice", GOAL), known, "a current revocation list")
    accepts(leaf("alice", GOAL, leaf("alice", RevocationList(1))), known)


def test_current_wants_no_list_for_lists_and_withdrawals() -> None:
    for statement in (RevocationList(1), Withdrawal(GOOD.identity)):
        known = context(trusting("alice"), signed("alice", statement), always_listed=True)
        accepts(leaf("alice", statement), known)


def test_current_a_withdrawal_has_no_end_but_a_list_has() -> None:
    for statement, why in ((Withdrawal(GOOD.identity), None), (RevocationList(1), "expired")):
        known = context(trusting("alice"), signed("alice", statement), now=10**9)
        if why is None:
            accepts(leaf("alice", statement), known)
        else:
            refuses(leaf("alice", statement), known, why)
    early = context(trusting("alice"), signed("alice", Withdrawal(GOOD.identity)), now=1)
    refuses(leaf("alice", Withdrawal(GOOD.identity)), early, "not valid before")


# ---- delegated


def delegation(grant: Proof, spoken: Proof, speaker: Principal, statement: Statement = GOAL, hops: int = 1) -> Proof:
    return Proof("delegated", Says(speaker, statement, hops), (grant, spoken))


def test_delegated_what_the_delegate_says_the_principal_says() -> None:
    given = Delegation(BOB, ALICE, "door", 0)
    unsigned = [signed("alice", given), signed("bob", GOAL), signed("bob", OTHER), signed("carol", GOAL)]
    foreign = signed("carol", given)
    known = context(trusting("alice"), *unsigned, foreign, GOOD)
    grant, spoken = leaf("alice", given), leaf("bob", GOAL)
    proof = delegation(grant, spoken, ALICE)
    accepts(proof, known)
    accepts(delegation(grant, leaf("bob", OTHER), ALICE, OTHER), known)
    refuses(delegation(grant, spoken, ALICE, OTHER), known, "not the delegate's")
    refuses(delegation(grant, spoken, BOB), known, "the speaker is not the one who delegated")
    refuses(delegation(grant, leaf("carol", GOAL), ALICE), known, "the speaker is not the delegate")
    refuses(delegation(grant, leaf("alice", GOAL), ALICE), known, "the speaker is not the delegate")
    refuses(delegation(leaf("carol", given), spoken, ALICE), known, "nobody delegates for somebody else")
    refuses(delegation(spoken, grant, ALICE), known, "its first premise is a delegation")
    for hops in (0, 2):
        refuses(delegation(grant, spoken, ALICE, hops=hops), known, f"{hops} hops are stated, there are 1")
    refuses(replace(proof, premises=(grant,)), known, "1 premises where 2")
    refuses(replace(proof, premises=(grant, spoken, spoken)), known, "3 premises where 2")
    refuses(replace(proof, premises=(grant, spoken.premises[0])), known, "not yet a statement")


@pytest.mark.parametrize(
    ("granted", "topic", "right"),
    [("door", "door", True), ("door", "door/front", True), ("door/front", "door", False), ("door/front", "door/back", False),
     ("door", "doors", False), ("door", "doo", False), ("*", "door/front", True), ("door/front", "door/front/lock", True)],
)  # fmt: skip
def test_delegated_is_for_a_topic_and_what_is_below(granted: str, topic: str, right: bool) -> None:
    given, statement = Delegation(BOB, ALICE, granted, 0), Claim(topic)
    known = context(trusting("alice"), signed("alice", given), signed("bob", statement))
    proof = delegation(leaf("alice", given), leaf("bob", statement), ALICE, statement)
    if right:
        accepts(proof, known)
    else:
        refuses(proof, known, "is not within")


@pytest.mark.parametrize(
    ("granted", "statement", "right"),
    [("*", Vouch(TOY, "hash"), False), ("pki/scheme", Vouch(TOY, "hash"), True), ("pki/scheme/hash", Vouch(TOY, "hash"), True),
     ("pki/scheme/signature", Vouch(TOY, "hash"), False), (f"pki/scheme/hash/{TOY}", Vouch(TOY, "hash"), True),
     ("pki/scheme/hash/sha-256", Vouch(TOY, "hash"), False), ("*", RevocationList(1), False),
     ("pki/revocation", RevocationList(1), True), ("pki/revocation", Withdrawal(bytes(32)), True), ("pki", Withdrawal(bytes(32)), True),
     ("door", Withdrawal(bytes(32)), False), ("pki/scheme", Withdrawal(bytes(32)), False)],
)  # fmt: skip
def test_delegated_trust_in_anything_is_not_trust_in_schemes_or_revocation(
    granted: str, statement: Statement, right: bool
) -> None:
    given = Delegation(BOB, ALICE, granted, 0)
    known = context(trusting("alice"), signed("alice", given), signed("bob", statement))
    proof = delegation(leaf("alice", given), leaf("bob", statement), ALICE, statement)
    if right:
        accepts(proof, known)
    else:
        refuses(proof, known, "is not within")


@pytest.mark.parametrize(
    ("depth", "passed_on", "right"),
    [(0, 0, False), (1, 0, True), (1, 1, False), (2, 1, True), (32, 31, True), (32, 32, False), (2, 2, False)],
)
def test_delegated_a_delegation_is_passed_on_less_deep_than_it_came(depth: int, passed_on: int, right: bool) -> None:
    given, further = Delegation(BOB, ALICE, "door", depth), Delegation(key("carol"), ALICE, "door", passed_on)
    known = context(trusting("alice"), signed("alice", given), signed("bob", further))
    proof = delegation(leaf("alice", given), leaf("bob", further), ALICE, further)
    if right:
        accepts(proof, known)
    else:
        refuses(proof, known, f"delegated {1 + passed_on} deep, where {depth} is allowed")


def test_delegated_a_delegation_on_more_than_was_given_is_refused() -> None:
    given = Delegation(BOB, ALICE, "door", 5)
    for topic in ("*", "pki/scheme", "window"):
        further = Delegation(key("carol"), ALICE, topic, 0)
        known = context(trusting("alice"), signed("alice", given), signed("bob", further))
        refuses(delegation(leaf("alice", given), leaf("bob", further), ALICE, further), known, "is not within door")


def test_delegated_hops_through_a_delegates_own_delegates_count() -> None:
    """A delegate who lets others speak for itself gets no further than the depth that it was given."""
    names = ["alice", "bob", "carol", "dave"]
    grants = [grant(by, to, depth=32) for by, to in pairwise(names)]
    known = context(trusting("alice", depth=2), *grants, signed("dave", GOAL))
    proof = leaf("dave", GOAL)
    for hops, (by, given) in enumerate(zip(reversed(names[:-1]), reversed(grants), strict=True), 1):
        proof = delegation(leaf(by, given.body.statement), proof, key(by), hops=hops)
        accepts(proof, known)
    trusted = Delegation(ALICE, VERIFIER, "door", 2)
    refuses(delegation(states(trusted), proof, VERIFIER, hops=4), known, "delegated 3 deep, where 2 is allowed")
    enough = Delegation(ALICE, VERIFIER, "door", 3)
    accepts(delegation(states(enough), proof, VERIFIER, hops=4), replace(known, states=known.states | {enough}))


def test_delegated_hops_of_the_delegation_itself_count() -> None:
    """Bob makes carol a delegate of alice's: that is alice, bob, carol, and not alice, carol."""
    given, further = Delegation(BOB, ALICE, "door", 1), Delegation(key("carol"), ALICE, "door", 0)
    known = context(trusting("alice", depth=1), signed("alice", given), signed("bob", further), signed("carol", GOAL))
    on_behalf = delegation(leaf("alice", given), leaf("bob", further), ALICE, further)
    proof = delegation(on_behalf, leaf("carol", GOAL), ALICE, hops=2)
    accepts(proof, known)
    refuses(replace(proof, conclusion=Says(ALICE, GOAL, 1)), known, "1 hops are stated, there are 2")
    trusted = states(Delegation(ALICE, VERIFIER, "door", 1))
    refuses(delegation(trusted, proof, VERIFIER, hops=3), known, "delegated 2 deep, where 1 is allowed")


# ---- role


def test_role_what_the_owner_says_its_roles_say() -> None:
    known = context(trusting("alice"), GOOD)
    staff = Role(ALICE, "staff")
    proof = Proof("role", Says(staff, GOAL), (leaf("alice", GOAL),))
    accepts(proof, known)
    accepts(Proof("role", Says(Role(staff, "night"), GOAL), (proof,)), known)
    refuses(replace(proof, conclusion=Says(Role(BOB, "staff"), GOAL)), known, "not one of the speaker's")
    refuses(replace(proof, conclusion=Says(Role(staff, "night"), GOAL)), known, "not one of the speaker's")
    refuses(replace(proof, conclusion=Says(ALICE, GOAL)), known, "the speaker is not a role")
    refuses(replace(proof, conclusion=Says(staff, OTHER)), known, "not the owner's")
    refuses(replace(proof, conclusion=Says(staff, GOAL, 1)), known, "1 hops are stated")
    refuses(replace(proof, premises=()), known, "0 premises where 1")
    refuses(replace(proof, premises=proof.premises * 2), known, "2 premises where 1")
    # What a role says, its owner does not say.
    refuses(Proof("role", Says(ALICE, GOAL), (proof,)), known, "the speaker is not a role")


# ---- hashed


def test_hashed_what_a_key_says_its_hash_says() -> None:
    known = context(trusting("alice"), GOOD, signed("bob", GOAL))
    name = keys.fingerprint(ALICE)
    good = states(Vouch("sha-256", "hash"))
    proof = Proof("hashed", Says(name, GOAL), (good, leaf("alice", GOAL)))
    accepts(proof, known)
    refuses(replace(proof, premises=(good, leaf("bob", GOAL))), known, "this is not the hash of")
    for wrong in (Hashed("sha-256", changed(name.digest)), Hashed("sha-256", name.digest[:16]), keys.fingerprint(BOB)):
        refuses(replace(proof, conclusion=Says(wrong, GOAL)), known, "this is not the hash of")
    refuses(
        replace(proof, conclusion=Says(Hashed("sha3-256", name.digest), GOAL)), known, "hash scheme sha3-256 is good"
    )
    refuses(replace(proof, conclusion=Says(ALICE, GOAL)), known, "the speaker is not a hash")
    refuses(replace(proof, conclusion=Says(name, OTHER)), known, "not the key's")
    refuses(replace(proof, conclusion=Says(name, GOAL, 1)), known, "1 hops are stated")
    refuses(replace(proof, premises=proof.premises[::-1]), known, "does not say|only keys")
    refuses(replace(proof, premises=proof.premises[:1]), known, "1 premises where 2")
    refuses(replace(proof, premises=(states(Vouch("ed25519", "signature")), proof.premises[1])), known, "does not say")
    role = Proof("role", Says(Role(ALICE, "a"), GOAL), (leaf("alice", GOAL),))
    refuses(replace(proof, premises=(good, role)), known, "only keys")


def test_hashed_takes_a_plugin_only_when_it_is_vouched_for_as_a_hash() -> None:
    name = Hashed(TOY, Toy(TOY_ELF).digest(to_bytes(ALICE)))
    proof = Proof("hashed", Says(name, GOAL), (states(Vouch(TOY, "hash")), leaf("alice", GOAL)))
    refuses(proof, context(trusting("alice"), GOOD), "the policy does not state", (0,))
    taken = replace(trusting("alice"), states=trusting("alice").states | {Vouch(TOY, "hash")})
    accepts(proof, context(taken, GOOD))
    for_signatures = replace(taken, states=trusting("alice").states | {Vouch(TOY, "signature")})
    wrong = replace(proof, premises=(states(Vouch(TOY, "signature")), proof.premises[1]))
    refuses(wrong, context(for_signatures, GOOD), "does not say that hash scheme")


# ---- quorum


def test_quorum_enough_members_say_it() -> None:
    members = sorted(("alice", "bob", "carol"), key=lambda name: str(key(name)))
    two = Quorum.of(2, *map(key, members))
    known = context(trusting("alice"), *(signed(who, GOAL) for who in [*members, "dave"]), signed(members[0], OTHER))
    first, second, third = (leaf(who, GOAL) for who in members)
    proof = Proof("quorum", Says(two, GOAL), (first, second))
    accepts(proof, known)
    accepts(replace(proof, premises=(first, third)), known)
    accepts(replace(proof, premises=(second, third)), known)
    refuses(replace(proof, premises=(second, first)), known, "not in order")
    refuses(replace(proof, premises=(first, first)), known, "one is there twice")
    refuses(replace(proof, premises=(first,)), known, "1 premises where 2")
    refuses(replace(proof, premises=()), known, "0 premises where 2")
    refuses(replace(proof, premises=(first, second, third)), known, "3 premises where 2")
    refuses(replace(proof, premises=(first, leaf("dave", GOAL))), known, "not a member")
    refuses(replace(proof, premises=(leaf(members[0], OTHER), second)), known, "not that of each member")
    refuses(replace(proof, conclusion=Says(two, OTHER)), known, "not that of each member")
    refuses(replace(proof, conclusion=Says(two, GOAL, 1)), known, "1 hops are stated")
    refuses(replace(proof, conclusion=Says(ALICE, GOAL)), known, "the speaker is not a quorum")
    all_of_them = Quorum.of(3, *map(key, members))
    refuses(replace(proof, conclusion=Says(all_of_them, GOAL)), known, "2 premises where 3")
    accepts(Proof("quorum", Says(all_of_them, GOAL), (first, second, third)), known)


def test_quorum_a_key_and_its_hash_are_one_member() -> None:
    hashed = keys.fingerprint(ALICE)
    known = context(trusting("alice"), signed("alice", GOAL), signed("bob", GOAL))
    said: dict[Principal, Proof] = {ALICE: leaf("alice", GOAL), key("bob"): leaf("bob", GOAL)}
    said[hashed] = Proof("hashed", Says(hashed, GOAL), (states(Vouch("sha-256", "hash")), leaf("alice", GOAL)))
    for members, right in (((ALICE, hashed), False), ((ALICE, key("bob")), True), ((hashed, key("bob")), True)):
        two = Quorum.of(2, *members)
        proof = Proof("quorum", Says(two, GOAL), tuple(said[member] for member in two.members))
        if right:
            accepts(proof, known)
        else:
            refuses(proof, known, "two of the members are one key")


# ---- proofs as a whole


def whole() -> tuple[Proof, Context]:
    """A proof with every rule in it: the verifier trusts a quorum of a hash and a role; the role has a member, whose credential
    is revocable; the hash scheme is vouched for by carol."""
    hashed = Hashed(TOY, Toy(TOY_ELF).digest(to_bytes(ALICE)))
    staff = Role(BOB, "staff")
    both = Quorum.of(2, hashed, staff)
    policy = Policy.trusting((both, "door", 2), (key("carol"), "pki/scheme/hash", 0))
    member = Delegation(key("dave"), staff, "door/front", 1)
    revocable = signed("dave", GOAL, revoker=key("erin"))
    credentials = [
        signed("alice", GOAL), signed("bob", member), revocable, signed("carol", Vouch(TOY, "hash")),
        signed("erin", RevocationList(3)),
    ]  # fmt: skip
    vouch = Vouch(TOY, "hash")
    good = delegation(
        states(Delegation(key("carol"), VERIFIER, "pki/scheme/hash", 0)), leaf("carol", vouch), VERIFIER, vouch
    )
    one = Proof("hashed", Says(hashed, GOAL), (good, leaf("alice", GOAL)))
    staffed = Proof("role", Says(staff, member), (leaf("bob", member),))
    says = leaf("dave", GOAL, leaf("erin", RevocationList(3)), revoker=key("erin"))  # type: ignore[arg-type]
    other = delegation(staffed, says, staff)
    premises = sorted((one, other), key=lambda proof: str(proof.conclusion.speaker))  # type: ignore[union-attr]
    together = Proof("quorum", Says(both, GOAL, 1), tuple(premises))
    root = delegation(states(Delegation(both, VERIFIER, "door", 2)), together, VERIFIER, hops=2)
    return root, context(policy, *credentials)


def nodes(proof: Proof, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Proof]]:
    yield path, proof
    for number, premise in enumerate(proof.premises):
        yield from nodes(premise, (*path, number))


def put(proof: Proof, path: tuple[int, ...], node: Proof) -> Proof:
    """The proof with another node at a path."""
    if not path:
        return node
    premises = list(proof.premises)
    premises[path[0]] = put(premises[path[0]], path[1:], node)
    return replace(proof, premises=tuple(premises))


PROOF, CONTEXT = whole()
CONCLUSIONS = [node.conclusion for _, node in nodes(PROOF)]
SPEAKERS = {each.speaker for each in CONCLUSIONS if isinstance(each, Says)} | {key("mallory")}
STATEMENTS = {each.statement for each in CONCLUSIONS if isinstance(each, Says)} | {OTHER}


def mutations(node: Proof) -> Iterator[tuple[str, Proof]]:
    """Every small change of a node."""
    yield from ((f"rule {rule}", replace(node, rule=rule)) for rule in RULES if rule != node.rule)
    yield "no rule", replace(node, rule="trust-me")
    for number in range(len(node.premises)):
        rest = node.premises[:number] + node.premises[number + 1 :]
        yield f"premise {number} dropped", replace(node, premises=rest)
        yield f"premise {number} twice", replace(node, premises=(*node.premises, node.premises[number]))
        for path, other in nodes(PROOF):
            if other.conclusion != node.premises[number].conclusion:
                premises = (*node.premises[:number], other, *node.premises[number + 1 :])
                yield f"premise {number} from {path}", replace(node, premises=premises)
    if len(node.premises) > 1:
        yield "premises swapped", replace(node, premises=node.premises[::-1])
    said = node.conclusion
    if isinstance(said, Says):
        for speaker in SPEAKERS - {said.speaker}:
            yield "speaker", replace(node, conclusion=replace(said, speaker=speaker))
        for statement in STATEMENTS - {said.statement}:
            yield "statement", replace(node, conclusion=replace(said, statement=statement))
        for hops in {said.hops + 1, max(0, said.hops - 1), 0} - {said.hops}:
            yield "hops", replace(node, conclusion=replace(said, hops=hops))
    else:
        for who in {who for who in SPEAKERS if isinstance(who, Key)} - {said.key}:
            yield "key", replace(node, conclusion=Signed(who, said.body))
        body = said.body
        for other_body in (replace(body, start=body.start - 1), replace(body, end=body.end + 1), replace(body, serial=b"x"),
                           replace(body, statement=OTHER)):  # fmt: skip
            yield "body", replace(node, conclusion=Signed(said.key, other_body))
    for other_conclusion in CONCLUSIONS:
        if other_conclusion != said:
            yield "conclusion of another", replace(node, conclusion=other_conclusion)


def test_the_whole_proof_is_right_and_uses_every_rule() -> None:
    accepts(PROOF, CONTEXT)
    assert {node.rule for _, node in nodes(PROOF)} == RULES.keys()


@pytest.mark.parametrize("path", [path for path, _ in nodes(PROOF)], ids=str)
def test_every_mutation_of_every_node_is_refused(path: tuple[int, ...]) -> None:
    (node,) = (node for where, node in nodes(PROOF) if where == path)
    changed_nodes = list(mutations(node))
    assert len(changed_nodes) > 20
    assert [what for what, each in changed_nodes if is_right(put(PROOF, path, each))] == []


def is_right(proof: Proof) -> bool:
    try:
        Checker(CONTEXT).check(proof)
    except ProofRefused:
        return False
    return True


@pytest.mark.parametrize(
    "less",
    [{"signatures": {}}, {"states": frozenset()}, {"now": 0}, {"now": 10**9}, {"always_listed": True},
     {"numbers": {key("erin"): 4}}],
    ids=lambda less: str(next(iter(less))),
)  # fmt: skip
def test_the_proof_is_refused_where_less_is_known(less: dict[str, Any]) -> None:
    with pytest.raises(ProofRefused):
        Checker(replace(CONTEXT, **less)).check(PROOF)


@pytest.mark.parametrize("dropped", sorted(CONTEXT.signatures, key=str), ids=lambda pair: pair[1].hex()[:8])
def test_the_proof_needs_every_signature(dropped: tuple[Key, bytes]) -> None:
    left = {pair: mark for pair, mark in CONTEXT.signatures.items() if pair != dropped}
    with pytest.raises(ProofRefused, match="no good signature"):
        Checker(replace(CONTEXT, signatures=left)).check(PROOF)


@pytest.mark.parametrize("dropped", sorted(map(str, CONTEXT.states)))
def test_the_proof_needs_these_statements_of_the_policy_and_no_others(dropped: str) -> None:
    left = frozenset(each for each in CONTEXT.states if str(each) != dropped)
    needed = any(node.rule == "policy" and str(node.conclusion.statement) == dropped for _, node in nodes(PROOF))  # type: ignore[union-attr]
    if needed:
        with pytest.raises(ProofRefused):
            Checker(replace(CONTEXT, states=left)).check(PROOF)
    else:
        accepts(PROOF, replace(CONTEXT, states=left))


@pytest.mark.parametrize("more", [5, 5000])
def test_a_proof_that_is_too_deep_is_refused(more: int) -> None:
    tower = leaf("alice", GOAL)
    for _ in range(MAX_DEPTH + more):
        tower = Proof("role", tower.conclusion, (tower,))
    refuses(tower, context(trusting("alice"), GOOD), f"deeper than {MAX_DEPTH}", (0,) * MAX_DEPTH)


def test_a_part_that_was_seen_before_is_as_deep_as_it_is() -> None:
    circle = Delegation(ALICE, ALICE, "door", 32)
    checker = Checker(context(trusting("alice"), GOOD, signed("alice", circle)))
    grant, proof = leaf("alice", circle), leaf("alice", GOAL)
    for hops in range(1, 34):
        proof = delegation(grant, proof, ALICE, hops=hops)
        checker.check(proof)
    assert checker._right[id(proof)][1] == 3 + 33
    tower = proof
    for _ in range(MAX_DEPTH - 36):
        tower = Proof("role", tower.conclusion, (tower,))
    with pytest.raises(ProofRefused, match="the speaker is not a role"):
        checker.check(tower)
    with pytest.raises(ProofRefused, match=f"deeper than {MAX_DEPTH}"):
        checker.check(Proof("role", tower.conclusion, (tower,)))


def test_a_part_that_is_needed_in_many_places_is_looked_at_once() -> None:
    credential, who = toy_signed(b"toy key", GOAL), Key(TOY, b"toy key")
    known = context(Policy(frozenset((Vouch(TOY, "signature"),))), credential)
    says = Proof("current", Says(who, GOAL), (signature(who, credential.body),))
    roles = [Role(who, name) for name in "abcdefgh"]
    proof = Proof(
        "quorum", Says(Quorum.of(8, *roles), GOAL), tuple(Proof("role", Says(role, GOAL), (says,)) for role in roles)
    )
    accepts(proof, known)
    scheme = known.schemes.get(TOY)
    assert isinstance(scheme, Toy)
    assert scheme.asked == 1


def test_a_checker_looks_at_so_many_nodes() -> None:
    checker = Checker(context(trusting("alice")))
    stated = Delegation(ALICE, VERIFIER, "door", 0)
    for _ in range(MAX_NODES):
        checker.check(states(stated))
    with pytest.raises(ProofRefused, match=f"more than {MAX_NODES} nodes"):
        checker.check(states(stated))
