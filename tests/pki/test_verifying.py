"""From a goal, credentials and a policy to a proof, or to a refusal that says why."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pki_people import (
    END,
    GOAL,
    NOW,
    START,
    TOY,
    TOY_ELF,
    Toy,
    bundle,
    grant,
    key,
    person,
    signed,
    toy_signed,
    trusting,
)

from reference.records import replace
from vx32py.pki import keys
from vx32py.pki.credentials import Bundle, Credential
from vx32py.pki.errors import BadTerm, ProofRefused, Refused, SchemeError
from vx32py.pki.logic import (
    VERIFIER,
    Body,
    Claim,
    Delegation,
    Hashed,
    Key,
    Principal,
    Quorum,
    RevocationList,
    Role,
    Says,
    Statement,
    Vouch,
    Withdrawal,
    principals_of,
    topic_of,
)
from vx32py.pki.policy import Policy
from vx32py.pki.prover import Prover
from vx32py.pki.revocation import State
from vx32py.pki.verifying import check, explain, verify
from vx32py.pki.wire import proof_from_bytes, proof_to_bytes, to_bytes

CHAIN = ("alice", "bob", "carol", "dave", "erin")


def proves(policy: Policy, *credentials: Credential, now: int = NOW, state: State | None = None, goal: Claim = GOAL,
           plugins: tuple[bytes, ...] = (), speaker: Principal = VERIFIER) -> Says:  # fmt: skip
    proof = verify(goal, bundle(*credentials, plugins=plugins), policy, now=now, state=state, load=Toy, speaker=speaker)
    assert isinstance(proof.conclusion, Says)
    assert (proof.conclusion.speaker, proof.conclusion.statement) == (speaker, goal)
    return proof.conclusion


def refuses(why: str, policy: Policy, *credentials: Credential, rule: str | None = None, blamed: Credential | None = None,
            now: int = NOW, state: State | None = None, plugins: tuple[bytes, ...] = (), goal: Claim = GOAL) -> None:  # fmt: skip
    with pytest.raises(Refused, match=why) as refusal:
        verify(goal, bundle(*credentials, plugins=plugins), policy, now=now, state=state, load=Toy)
    assert "\n" not in str(refusal.value)
    assert rule is None or refusal.value.rule == rule
    assert blamed is None or refusal.value.credential == blamed.label
    assert blamed is None or blamed.label in str(refusal.value)


def chain(length: int, depth: int = 0) -> list[Credential]:
    """Delegations from alice on, and the goal signed by the last."""
    names = [*CHAIN, *(f"person {number}" for number in range(length))][: length + 1]
    return [*(grant(by, to, depth=depth) for by, to in pairwise(names)), signed(names[length], GOAL)]


# ---- chains


def test_what_a_trusted_key_says() -> None:
    assert proves(trusting("alice"), signed("alice", GOAL)).hops == 1


def test_nobody_is_trusted_without_a_policy() -> None:
    refuses("nobody who is trusted to says: claim door/front: open", Policy(), signed("alice", GOAL))


def test_a_goal_that_nobody_states() -> None:
    refuses("nobody who is trusted to says", trusting("alice"))
    refuses("nobody who is trusted to says", trusting("alice"), signed("alice", Claim("door/front", text="Open")))
    refuses(
        "nobody who is trusted to says", trusting("alice"), signed("alice", Claim("door/front", key("alice"), "open"))
    )


@pytest.mark.parametrize("length", [0, 1, 2, 5, 32])
def test_a_chain_is_as_long_as_the_policy_allows(length: int) -> None:
    credentials = chain(length, depth=32)
    assert proves(trusting("alice", depth=length), *credentials).hops == length + 1
    if length:
        refuses(f"delegated {length} deep, where {length - 1} is allowed", trusting("alice", depth=length - 1), *credentials,
                rule="delegated", blamed=credentials[-1])  # fmt: skip


def test_a_chain_is_as_long_as_each_of_its_links_allows() -> None:
    for short in range(4):
        depths = [3 - number for number in range(4)]
        links = [grant(by, to, depth=depth) for (by, to), depth in zip(pairwise(CHAIN), depths, strict=True)]
        assert proves(trusting("alice", depth=4), *links, signed("erin", GOAL)).hops == 5
        if depths[short]:
            by, to = CHAIN[short], CHAIN[short + 1]
            links[short] = grant(by, to, depth=depths[short] - 1)
            refuses("deep", trusting("alice", depth=4), *links, signed("erin", GOAL), rule="delegated")


def test_a_chain_breaks_with_any_of_its_links() -> None:
    credentials = chain(4, depth=4)
    for number in range(len(credentials)):
        refuses(
            "nobody who is trusted to says",
            trusting("alice", depth=4),
            *credentials[:number],
            *credentials[number + 1 :],
        )


def test_the_order_of_credentials_does_not_matter() -> None:
    credentials = chain(4, depth=4)
    proof = verify(GOAL, bundle(*credentials), trusting("alice", depth=4), now=NOW)
    for turn in range(5):
        turned = credentials[turn:] + credentials[:turn]
        assert verify(GOAL, bundle(*turned[::-1]), trusting("alice", depth=4), now=NOW) == proof


def test_several_files_are_one_heap() -> None:
    files = [bundle(credential) for credential in chain(3, depth=3)]
    assert verify(GOAL, files, trusting("alice", depth=3), now=NOW).rule == "delegated"


def test_a_delegation_on_another_topic_is_none() -> None:
    window = grant("alice", "bob", "window", 3)
    refuses(
        "door/front is not within window", trusting("alice", depth=3), window, signed("bob", GOAL), rule="delegated"
    )
    refuses("door/front is not within window", trusting("alice", "window"), signed("alice", GOAL), rule="delegated")


def test_delegations_in_circles_end() -> None:
    circle = [grant(by, to, depth=32) for by in CHAIN for to in CHAIN]
    assert proves(trusting("alice", depth=9), *circle, signed("erin", GOAL)).hops == 2
    refuses("nobody who is trusted to says", trusting("alice", depth=9), *circle)
    refuses("deep", trusting("alice", depth=0), *circle, signed("erin", GOAL))


def test_a_short_chain_is_found_among_a_thousand_delegations_in_circles() -> None:
    names = [f"person {number}" for number in range(32)]
    circle = [grant(by, to, depth=32) for by in names for to in names]
    assert proves(trusting(names[0], depth=32), *circle, signed(names[-1], GOAL)).hops == 2
    refuses("nobody who is trusted to says", trusting(names[0], depth=32), *circle)


def test_delegations_for_somebody_else_in_circles_end() -> None:
    names = [f"person {number}" for number in range(6)]
    circle = [
        signed(by, Delegation(key(to), key(of), "door", depth))
        for by in names
        for to in names
        for of in names
        for depth in (0, 9)
    ]
    policy = replace(trusting(names[0], depth=9), steps=3000)
    assert proves(trusting(names[0], depth=9), *circle, signed(names[-1], GOAL)).hops >= 2
    refuses("more steps than the policy allows|nobody", policy, *circle)


def test_a_search_has_a_budget() -> None:
    credentials = chain(4, depth=4)
    refuses("took more steps than the policy allows", replace(trusting("alice", depth=4), steps=12), *credentials)


#: Who lets whom speak for it, on what, how deep.
EDGES = st.lists(
    st.tuples(st.sampled_from(CHAIN), st.sampled_from(CHAIN), st.sampled_from(["door", "*", "door/front", "window"]), st.integers(0, 3)),
    max_size=9,
)  # fmt: skip


def allowed(edges: list[tuple[str, str, str, int]], signer: str, most: int) -> bool:
    """Whether there is a walk from alice to the signer in which each link allows as many links as come after it. Written
    down without any logic: walks of every length are gone through."""

    def walk(at: str, budget: int) -> bool:
        if at == signer:
            return True
        return any(
            by == at and topic != "window" and budget > 0 and walk(to, min(budget - 1, depth))
            for by, to, topic, depth in edges
        )

    return walk("alice", most)


@settings(max_examples=150, deadline=None)
@given(EDGES, st.sampled_from(CHAIN), st.integers(0, 4))
def test_the_prover_finds_a_proof_if_and_only_if_there_is_a_chain(
    edges: list[tuple[str, str, str, int]], signer: str, depth: int
) -> None:
    credentials = [*(grant(by, to, topic, deep) for by, to, topic, deep in edges), signed(signer, GOAL)]
    try:
        proves(trusting("alice", depth=depth), *credentials)
        found = True
    except Refused:
        found = False
    assert found == allowed(edges, signer, depth)


# ---- principals of all kinds


def test_a_key_is_trusted_by_its_hash() -> None:
    by_hash = Policy.trusting((keys.fingerprint(key("alice")), "door", 1))
    assert proves(by_hash, signed("alice", GOAL)).hops == 1
    assert proves(by_hash, grant("alice", "bob"), signed("bob", GOAL)).hops == 2
    refuses("nobody who is trusted to says", by_hash, signed("bob", GOAL))


def test_a_delegate_is_named_by_its_hash() -> None:
    delegation = signed("alice", Delegation(keys.fingerprint(key("bob")), key("alice"), "door"))
    assert proves(trusting("alice", depth=1), delegation, signed("bob", GOAL)).hops == 2


def test_the_members_of_a_role_speak_for_it_and_not_for_its_owner() -> None:
    staff = Role(key("alice"), "staff")
    member = signed("alice", Delegation(key("bob"), staff, "door"))
    assert proves(Policy.trusting((staff, "door", 1)), member, signed("bob", GOAL)).hops == 2
    refuses("delegated 1 deep, where 0", Policy.trusting((staff, "door", 0)), member, signed("bob", GOAL))
    refuses("nobody who is trusted to says", trusting("alice", depth=5), member, signed("bob", GOAL))
    foreign = signed("bob", Delegation(key("bob"), staff, "door"))
    refuses("nobody who is trusted to says", Policy.trusting((staff, "door", 1)), foreign, signed("bob", GOAL))


def test_a_quorum_needs_enough_of_its_members() -> None:
    board = Quorum.of(2, *(key(name) for name in CHAIN[:4]))
    policy = Policy.trusting((board, "door", 1))
    assert proves(policy, signed("alice", GOAL), signed("dave", GOAL)).hops == 1
    assert proves(policy, signed("alice", GOAL), grant("bob", "erin"), signed("erin", GOAL)).hops == 2
    refuses("nobody who is trusted to says", policy, signed("alice", GOAL))
    refuses("nobody who is trusted to says", policy, signed("alice", GOAL), signed("erin", GOAL))
    together = keys.sign(Body(GOAL, START, END), person("alice"), person("carol"))
    assert proves(policy, together).hops == 1


def test_one_delegate_of_two_members_is_two_voices_of_the_quorum() -> None:
    """Members decide themselves who speaks for them: documented, and so pinned."""
    board = Quorum.of(2, key("alice"), key("bob"))
    proves(Policy.trusting((board, "door", 1)), grant("alice", "erin"), grant("bob", "erin"), signed("erin", GOAL))


def test_a_key_and_its_hash_were_two_voices_of_a_quorum() -> None:
    alice, bob = key("alice"), key("bob")
    named, crew = keys.fingerprint(alice), Role(keys.fingerprint(alice), "crew")
    policy = Policy.trusting((Quorum.of(2, alice, named, bob), "door", 2))
    refuses("one key, under different names", policy, signed("alice", GOAL))
    refuses(
        "one key, under different names",
        policy,
        signed("alice", GOAL),
        signed("alice", Delegation(key("carol"), named, "door")),
        signed("carol", GOAL),
    )
    assert proves(policy, signed("alice", GOAL), signed("bob", GOAL)).hops == 1
    assert proves(policy, grant("alice", "carol"), signed("carol", GOAL), signed("bob", GOAL)).hops == 2
    crews = Policy.trusting((Quorum.of(2, Role(alice, "crew"), crew, Role(alice, "board")), "door", 2))
    assert proves(crews, signed("alice", GOAL)).hops == 1  # crew and board: whose roles they are decides who has them
    refuses("one key", Policy.trusting((Quorum.of(2, Role(alice, "crew"), crew), "door", 2)), signed("alice", GOAL))


def test_a_key_of_two_schemes_was_two_voices_of_a_quorum() -> None:
    toy, alice = Key(TOY, key("alice").public), key("alice")
    policy = Policy.trusting((Quorum.of(2, toy, alice), "door", 1), (key("carol"), "pki/scheme/signature", 1))
    shown = toy_signed(toy.public, GOAL), signed("alice", GOAL), signed("carol", Vouch(TOY, "signature"))
    with pytest.raises(Refused, match="one key, under different names"):
        verify(GOAL, bundle(*shown, plugins=(TOY_ELF,)), policy, now=NOW, load=Toy)


def test_what_somebody_else_than_the_verifier_says() -> None:
    assert proves(Policy(), signed("alice", GOAL), speaker=key("alice")).hops == 0
    with pytest.raises(Refused):
        proves(Policy(), signed("alice", GOAL), speaker=key("bob"))


# ---- schemes


VOUCH = Vouch(TOY, "signature")
TOY_GOAL = toy_signed(b"toy key", GOAL)
TOY_POLICY = Policy.trusting((Key(TOY, b"toy key"), "door", 0), (key("carol"), "pki/scheme/signature", 1))


def test_a_new_scheme_comes_with_the_credentials() -> None:
    proves(TOY_POLICY, TOY_GOAL, signed("carol", VOUCH), plugins=(TOY_ELF,))


def test_a_new_scheme_is_refused_when_nobody_vouches_for_it() -> None:
    refuses(f"nobody who is trusted to vouches for it: signature scheme {TOY[:12]}… is good", TOY_POLICY, TOY_GOAL,
            plugins=(TOY_ELF,), rule="signed", blamed=TOY_GOAL)  # fmt: skip


@pytest.mark.parametrize(
    ("why", "voucher"),
    [
        ("not trusted", signed("mallory", VOUCH)),
        ("of the other kind", signed("carol", Vouch(TOY, "hash"))),
        ("of another plug-in", signed("carol", Vouch("elf:" + "0" * 64, "signature"))),
        ("expired", signed("carol", VOUCH, 1, 2)),
        ("for itself", toy_signed(b"toy key", VOUCH)),
        ("a claim that looks like one", signed("carol", Claim("scheme/signature", text=str(VOUCH)))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_voucher_that_does_not_count(why: str, voucher: Credential) -> None:
    asked: list[Toy] = []

    def load(elf: bytes) -> Toy:
        asked.append(Toy(elf))
        return asked[-1]

    with pytest.raises(Refused, match="nobody who is trusted to vouches for it"):
        verify(GOAL, bundle(TOY_GOAL, voucher, plugins=(TOY_ELF,)), TOY_POLICY, now=NOW, load=load)
    assert not asked, f"a plug-in ran, and its voucher is {why}"


def test_trust_in_everything_is_not_trust_in_schemes() -> None:
    policy = Policy.trusting((Key(TOY, b"toy key"), "door", 0), (key("carol"), "*", 5))
    refuses("vouches for it", policy, TOY_GOAL, signed("carol", VOUCH), plugins=(TOY_ELF,))


def test_a_voucher_through_a_delegate() -> None:
    passed_on = grant("carol", "dave", f"pki/scheme/signature/{TOY}")
    proves(TOY_POLICY, TOY_GOAL, passed_on, signed("dave", VOUCH), plugins=(TOY_ELF,))


def test_the_plugin_is_missing_or_another_one() -> None:
    for plugins in ((), (TOY_ELF + b"!",)):
        refuses(r"scheme elf:\w+…: nobody has brought the plug-in", TOY_POLICY, TOY_GOAL, signed("carol", VOUCH),
                plugins=plugins, rule="signed", blamed=TOY_GOAL)  # fmt: skip


def test_a_key_by_a_hash_of_a_new_scheme() -> None:
    name = Hashed(TOY, Toy(TOY_ELF).digest(to_bytes(key("alice"))))
    policy = Policy.trusting((name, "door", 0), (key("carol"), "pki/scheme/hash", 0))
    proves(policy, signed("alice", GOAL), signed("carol", Vouch(TOY, "hash")), plugins=(TOY_ELF,))
    refuses(f"hash scheme {TOY[:12]}… is good", policy, signed("alice", GOAL), plugins=(TOY_ELF,), rule="hashed")


def test_a_policy_may_take_fewer_native_schemes() -> None:
    policy = Policy(frozenset((Delegation(key("alice"), VERIFIER, "door", 0), Vouch("rsa-pss", "signature"))))
    refuses("nobody who is trusted to vouches for it: signature scheme ed25519", policy, signed("alice", GOAL))


def test_plugins_are_asked_so_often() -> None:
    credentials = [
        toy_signed(b"toy key", Delegation(Key(TOY, b"%d" % n), Key(TOY, b"toy key"), "door")) for n in range(9)
    ]
    policy = replace(TOY_POLICY, plugin_calls=5)
    refuses("asked plug-ins more often", policy, *credentials, signed("carol", VOUCH), plugins=(TOY_ELF,))


def test_forged_credentials_do_not_displace_good_ones() -> None:
    good = signed("alice", GOAL)
    forged = replace(good, signatures=((key("alice"), b"\0" * 64),))
    for order in ((good, forged), (forged, good)):
        proves(trusting("alice"), *order)
    refuses("no good signature of key:ed25519:", trusting("alice"), forged, rule="signed", blamed=forged)


def test_a_plugin_that_cannot_be_loaded_is_loaded_once() -> None:
    tried: list[bytes] = []

    def load(elf: bytes) -> Toy:
        tried.append(elf)
        raise SchemeError("not an ELF file")

    credentials = [toy_signed(b"toy key", GOAL, START, END + number) for number in range(5)]
    with pytest.raises(Refused, match="not an ELF file"):
        verify(GOAL, bundle(*credentials, signed("carol", VOUCH), plugins=(TOY_ELF,)), TOY_POLICY, now=NOW, load=load)
    assert tried == [TOY_ELF]


# ---- anything


#: Few, so that chance brings them together.
FEW = CHAIN[:3]
ONE, TWO, THREE = map(key, FEW)
CREW = Role(TWO, "crew")
EVERYBODY: list[Principal] = [
    ONE, TWO, THREE, keys.fingerprint(ONE), keys.fingerprint(THREE), Role(ONE, "crew"), CREW, Quorum.of(2, ONE, TWO),
    Quorum.of(2, ONE, keys.fingerprint(ONE), TWO), Quorum.of(1, CREW, THREE), Quorum.of(2, CREW, keys.fingerprint(ONE), THREE), Role(Quorum.of(2, ONE, TWO), "board"),
    Key(TOY, b"toy key"),
]  # fmt: skip
WHO = st.sampled_from(EVERYBODY)
FINGERPRINTS: dict[Principal, Hashed] = {key(name): keys.fingerprint(key(name)) for name in CHAIN}
KEYS: dict[Principal, Principal] = {hashed: signer for signer, hashed in FINGERPRINTS.items()}
OWN = {
    name: [who for who in EVERYBODY if key(name) in principals_of(who) or who == keys.fingerprint(key(name))]
    for name in FEW
}
TOPIC = st.sampled_from(["door", "door", "*", "door/front", "pki", "pki/scheme", "window"])


@st.composite
def anything_signed(draw: st.DrawFn) -> Credential:
    """Something that somebody might say, mostly of themselves, mostly with a good signature."""
    signers = draw(st.lists(st.sampled_from(FEW), min_size=1, max_size=2, unique=True))
    own = [
        who for who in EVERYBODY if key(signers[0]) in principals_of(who) or who == keys.fingerprint(key(signers[0]))
    ]
    statement: Statement = draw(
        st.one_of(
            st.just(GOAL),
            st.builds(Delegation, WHO, st.sampled_from(own) | WHO, TOPIC, st.integers(0, 3)),
            st.builds(Delegation, WHO, st.sampled_from(own), TOPIC, st.integers(0, 3)),
            st.builds(Vouch, st.sampled_from([TOY, "sha-256"]), st.sampled_from(["hash", "signature"])),
            st.builds(Withdrawal, st.sampled_from([signed(name, GOAL, 0, NOW + 2).identity for name in FEW])),
            st.builds(RevocationList, st.integers(0, 2), st.sampled_from([(), (signed("alice", GOAL).identity,)])),
        )
    )
    seldom = draw(st.integers(0, 19))
    revoker = draw(WHO) if seldom == 1 and not isinstance(statement, Withdrawal | RevocationList) else None
    body = Body(statement, NOW + 1 if seldom == 2 else 0, NOW + 2, revoker)
    if seldom in {3, 4}:
        return toy_signed(b"toy key", statement, body.start, body.end)
    made = keys.sign(body, *map(person, signers))
    return replace(made, signatures=((made.signatures[0][0], b"forged"),)) if seldom == 5 else made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(anything_signed(), min_size=3, max_size=12),
    st.lists(st.tuples(WHO, TOPIC, st.integers(0, 3)), min_size=1, max_size=4),
    st.sampled_from(["named", "always"]),
)
def test_from_anything_comes_a_proof_that_others_accept_or_a_refusal_of_one_line(
    credentials: list[Credential], trusted: list[tuple[Principal, str, int]], lists: str
) -> None:
    policy = Policy.trusting(*trusted, lists=lists, steps=2000)
    heap, state = bundle(*credentials, plugins=(TOY_ELF,)), State()
    try:
        proof = verify(GOAL, heap, policy, now=NOW, state=state, load=Toy)
        event("proved")
    except Refused as refusal:
        event("refused")
        assert str(refusal).isprintable()  # noqa: PT017 - whether it is raised is not the question
        return
    sent = proof_from_bytes(proof_to_bytes(proof))
    assert check(sent, heap, policy, now=NOW, state=state, load=Toy) == proof.conclusion


def consequences(credentials: list[Credential], policy: Policy) -> set[tuple[Principal, Statement, int]]:
    """Everything that follows by the rules of docs/pki-logic.md, revocation apart, written down as plainly as can be: every rule
    is tried on everything until there is nothing new."""
    everybody = {who for each in credentials for who in principals_of(each.body)} | {
        who for statement in policy.states for who in principals_of(statement)
    }
    said: set[tuple[Principal, Statement, int]] = {(VERIFIER, statement, 0) for statement in policy.states}
    while True:
        good = {statement for who, statement, _ in said if who == VERIFIER and isinstance(statement, Vouch)}
        new: set[tuple[Principal, Statement, int]] = {
            (who, each.body.statement, 0)
            for each in credentials
            for who, mark in each.signatures
            if mark != b"forged" and Vouch(who.scheme, "signature") in good and each.body.start <= NOW
        }
        for speaker, statement, hops in said:
            weight = hops + (1 + statement.depth if isinstance(statement, Delegation) else 0)
            for who in everybody:
                if isinstance(who, Role) and who.owner == speaker:
                    new.add((who, statement, hops))
                if isinstance(who, Hashed) and FINGERPRINTS.get(speaker) == who and Vouch("sha-256", "hash") in good:
                    new.add((who, statement, hops))
                if isinstance(who, Quorum) and speaker in who.members:
                    voices: dict[object, int] = {}
                    for voice, what, deep in said:
                        if voice in who.members and what == statement:
                            one = KEYS.get(voice, voice)  # a key and its hash are one member
                            voices[one] = min(deep, voices.get(one, deep))
                    others = list(voices.values())
                    if len(others) >= who.needed:
                        new.add((who, statement, sorted(others)[who.needed - 1]))
            for principal, grants, made in said:
                if isinstance(grants, Delegation) and (principal, speaker) == (grants.principal, grants.delegate):
                    topic = topic_of(statement)
                    below = topic == grants.topic or topic.startswith(grants.topic + "/")
                    anything = grants.topic == "*" and topic.split("/")[0] != "pki"
                    if (below or anything) and weight <= grants.depth:
                        new.add((principal, statement, made + hops + 1))
        if new <= said:
            return said
        said |= new


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(anything_signed(), min_size=3, max_size=12),
    st.lists(st.tuples(WHO, TOPIC, st.integers(0, 3)), min_size=1, max_size=4),
)
def test_what_is_proved_is_what_follows_by_the_rules(
    credentials: list[Credential], trusted: list[tuple[Principal, str, int]]
) -> None:
    credentials = [
        each for each in credentials
        if each.body.revoker is None and not isinstance(each.body.statement, Withdrawal | RevocationList)
    ]  # fmt: skip
    policy = Policy.trusting(*trusted)
    follows = [
        hops for who, statement, hops in consequences(credentials, policy) if (who, statement) == (VERIFIER, GOAL)
    ]
    event(f"follows: {bool(follows)}")
    try:
        proof = verify(GOAL, bundle(*credentials, plugins=(TOY_ELF,)), policy, now=NOW, load=Toy)
    except Refused:
        assert not follows
    else:
        assert isinstance(proof.conclusion, Says)
        assert proof.conclusion.hops == min(follows)


# ---- time


def test_every_credential_must_be_valid_now() -> None:
    late = signed("bob", GOAL, START, END + 5)
    policy = trusting("alice", depth=1)
    proves(policy, grant("alice", "bob"), late, now=END - 1)
    refuses("expired at 1970-01-01 00:33:20 UTC, and it is 1970-01-01 00:33:20 UTC", policy, grant("alice", "bob"), late,
            now=END, rule="current", blamed=grant("alice", "bob"))  # fmt: skip
    refuses("not valid before", policy, grant("alice", "bob"), late, now=START - 1, rule="current", blamed=late)
    proves(replace(policy, skew=1), grant("alice", "bob"), late, now=END)


@pytest.mark.parametrize("now", [-1, 1 << 60, 1.5, True])
def test_a_time_that_is_none(now: int) -> None:
    with pytest.raises(BadTerm, match="the time is from 0"):
        verify(GOAL, bundle(), Policy(), now=now)


# ---- revocation


def test_what_its_signer_withdraws_does_not_count() -> None:
    good = signed("alice", GOAL)
    withdrawal = signed("alice", Withdrawal(good.identity), START, START + 1)
    refuses("it has been withdrawn", trusting("alice"), good, withdrawal, rule="current", blamed=good)
    # It has no end; but it has a beginning.
    early = signed("alice", Withdrawal(good.identity), NOW + 1, NOW + 2)
    proves(trusting("alice"), good, early)


def test_nobody_else_can_withdraw_it() -> None:
    good = signed("alice", GOAL)
    for foreign in (signed("mallory", Withdrawal(good.identity)),
                    replace(signed("mallory", Withdrawal(good.identity)), signatures=((key("alice"), b"\0" * 64),))):  # fmt: skip
        proves(trusting("alice"), good, foreign)
    proves(trusting("alice"), good, grant("alice", "bob", "*"), signed("bob", Withdrawal(good.identity)))


def test_a_delegate_for_revocation_can_withdraw_it() -> None:
    good = signed("alice", GOAL)
    withdrawal = signed("bob", Withdrawal(good.identity))
    refuses("withdrawn", trusting("alice"), good, grant("alice", "bob", "pki/revocation"), withdrawal)


def test_a_withdrawn_delegation_takes_what_follows_with_it() -> None:
    link = grant("alice", "bob")
    withdrawal = signed("alice", Withdrawal(link.identity))
    refuses("withdrawn", trusting("alice", depth=1), link, signed("bob", GOAL), withdrawal, blamed=link)


def test_a_withdrawal_is_remembered_when_it_is_not_shown_again() -> None:
    good, state = signed("alice", GOAL), State()
    proves(trusting("alice"), good, state=state)
    refuses("withdrawn", trusting("alice"), good, signed("alice", Withdrawal(good.identity)), state=state)
    refuses("withdrawn", trusting("alice"), good, state=state)


def test_a_credential_with_a_revoker_needs_its_current_list() -> None:
    good = signed("alice", GOAL, revoker=key("bob"))
    policy = trusting("alice")
    refuses("a current revocation list of key:.* is needed", policy, good, rule="current", blamed=good)
    proves(policy, good, signed("bob", RevocationList(1)))
    refuses("is needed", policy, good, signed("alice", RevocationList(1)))
    refuses("expired|is needed", policy, good, signed("bob", RevocationList(1), 1, 2))
    refuses("revocation list 1 of .* has it", policy, good, signed("bob", RevocationList(1, (good.identity,))))
    refuses("withdrawn", policy, good, signed("bob", RevocationList(1)), signed("bob", Withdrawal(good.identity)))


def test_an_old_list_is_not_replayed() -> None:
    good = signed("alice", GOAL, revoker=key("bob"))
    policy, state = trusting("alice"), State()
    old, new = signed("bob", RevocationList(1)), signed("bob", RevocationList(2, (good.identity,)))
    proves(policy, good, old, state=state)
    refuses("revocation list", policy, good, old, new, state=State())
    refuses("list 2 of .* has it", policy, good, new, state=state)
    refuses(
        "list 1 of .* is older than 2, which has been seen", policy, good, old, state=state, rule="current", blamed=good
    )
    proves(policy, good, signed("bob", RevocationList(3)), state=state)


def test_two_lists_with_one_number_count_neither() -> None:
    good = signed("alice", GOAL, revoker=key("bob"))
    one, other = signed("bob", RevocationList(4)), signed("bob", RevocationList(4, (good.identity,)))
    state = State()
    proves(trusting("alice"), good, one, state=state)
    with pytest.raises(Refused) as refusal:
        verify(GOAL, bundle(good, one, other), trusting("alice"), now=NOW, state=state)
    assert any("two revocation lists with number 4: neither counts" in note.reason for note in refusal.value.notes)
    refuses("list 4 of .* is older than 5", trusting("alice"), good, one, state=state)
    proves(trusting("alice"), good, signed("bob", RevocationList(5)), state=state)


def test_the_policy_may_want_lists_always() -> None:
    policy = replace(trusting("alice", depth=1), lists="always")
    link, good = grant("alice", "bob"), signed("bob", GOAL)
    refuses("a current revocation list", policy, link, good)
    refuses("a current revocation list", policy, link, good, signed("bob", RevocationList(1)))
    lists = signed("alice", RevocationList(1)), signed("bob", RevocationList(1))
    proves(policy, link, good, *lists)
    proves(policy, good, *lists[::-1], link)


def test_strangers_cannot_fill_the_state() -> None:
    state = State()
    strangers = [signed("mallory", each) for each in (Withdrawal(bytes(32)), RevocationList(9))]
    proves(trusting("alice"), signed("alice", GOAL), *strangers, state=state)
    assert not state.withdrawn
    assert not state.numbers


# ---- proofs that others made, and proofs for people


def test_a_proof_can_be_sent_and_checked_elsewhere() -> None:
    heap, policy = bundle(*chain(3, depth=3)), trusting("alice", depth=3)
    sent = proof_to_bytes(verify(GOAL, heap, policy, now=NOW))
    assert check(proof_from_bytes(sent), heap, policy, now=NOW) == Says(VERIFIER, GOAL, 4)
    with pytest.raises(ProofRefused, match="expired"):
        check(proof_from_bytes(sent), heap, policy, now=END)
    with pytest.raises(ProofRefused, match="no good signature"):
        check(proof_from_bytes(sent), bundle(*heap.credentials[1:]), policy, now=NOW)
    with pytest.raises(ProofRefused, match="a signature alone"):
        check(proof_from_bytes(sent).premises[1].premises[0].premises[0], heap, policy, now=NOW)


def test_the_deepest_proof_can_be_sent() -> None:
    heap, policy = bundle(*chain(32, depth=32)), trusting("alice", depth=32)
    proof = verify(GOAL, heap, policy, now=NOW)
    assert proof_from_bytes(proof_to_bytes(proof)) == proof


def test_a_proof_is_explained_as_a_tree() -> None:
    names = {name: key(name) for name in ("alice", "bob")}
    policy = replace(trusting("alice", depth=1), names=names)
    proof = verify(GOAL, bundle(grant("alice", "bob"), signed("bob", GOAL)), policy, now=NOW)
    link, good = grant("alice", "bob").label, signed("bob", GOAL).label
    assert explain(proof, names) == [
        "verifier says: claim door/front: open  [delegated, 2 hops]",
        "├─ verifier says: alice speaks for verifier on door, depth 1  [policy]",
        "└─ alice says: claim door/front: open  [delegated, 1 hops]",
        "   ├─ alice says: bob speaks for alice on door, depth 0  [current]",
        f"   │  └─ alice signed: bob speaks for alice on door, depth 0  [signed, credential {link}: 1970-01-01 00:16:40 UTC to 1970-01-01 00:33:20 UTC]",
        "   │     └─ verifier says: signature scheme ed25519 is good  [policy]",
        "   └─ bob says: claim door/front: open  [current]",
        f"      └─ bob signed: claim door/front: open  [signed, credential {good}: 1970-01-01 00:16:40 UTC to 1970-01-01 00:33:20 UTC]",
        "         └─ verifier says: signature scheme ed25519 is good  [policy]",
    ]


def test_an_explanation_without_names_shortens_keys() -> None:
    proof = verify(GOAL, bundle(signed("alice", GOAL, revoker=key("bob")), signed("bob", RevocationList(1))),
                   trusting("alice"), now=NOW)  # fmt: skip
    lines = explain(proof)
    assert max(map(len, lines)) < 200
    assert any(f"revocable by {str(key('bob'))[:20]}…" in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_the_result_does_not_depend_on_what_the_prover_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prover that is wrong, or has been taken over, proves nothing."""
    good = verify(GOAL, bundle(signed("alice", GOAL)), trusting("alice"), now=NOW)
    monkeypatch.setattr(Prover, "run", lambda *_: good)
    with pytest.raises(Refused):
        verify(GOAL, bundle(signed("alice", GOAL)), trusting("bob"), now=NOW)


def test_a_heap_is_not_searched_for_what_cannot_matter() -> None:
    """Thousands of credentials of strangers cost no signature check."""
    strangers = [replace(grant("mallory", "erin"), signatures=((key("mallory"), b"%d" % n),)) for n in range(3000)]
    policy = replace(trusting("alice"), steps=100)
    proves(policy, *strangers, signed("alice", GOAL))
    assert isinstance(Bundle.of(strangers), Bundle)
