"""Verifying: from a goal, credentials and a policy to a checked proof, or to a refusal that says why."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from vx32py.pki.checker import Checker, Context
from vx32py.pki.credentials import Bundle, Credential
from vx32py.pki.errors import Note, ProofRefused, Refused
from vx32py.pki.logic import (
    VERIFIER,
    Key,
    Principal,
    Proof,
    Says,
    Signed,
    Statement,
    check_time,
    is_about_revocation,
    moment,
)
from vx32py.pki.notation import shorten
from vx32py.pki.policy import Policy
from vx32py.pki.prover import OutOfBudget, Prover
from vx32py.pki.revocation import State
from vx32py.pki.scheme import Load, Schemes

#: The reasons nearest to the goal come first: a signature that is good and does not count says more than one that is not.
_ORDER: Final = ("current", "signed", "hashed", "delegated", "quorum", "role", "policy")


def verify(
    goal: Statement,
    credentials: Bundle | Iterable[Bundle],
    policy: Policy,
    *,
    now: int | None = None,
    speaker: Principal = VERIFIER,
    state: State | None = None,
    load: Load | None = None,
) -> Proof:
    """A checked proof that ``speaker``, by default the verifier, says the goal. Raises Refused.

    ``now`` is in seconds since 1970, the clock's time by default. ``state`` is what is remembered of earlier revocations; it learns
    from the credentials, also where the goal is refused, and saving it is the caller's. ``load`` makes schemes of plug-ins.

    >>> from vx32py.pki import Body, Claim, SigningKey
    >>> alice = SigningKey.from_seed(bytes(32))
    >>> credential = alice.credential(Body(Claim("door/front", text="open"), start=0, end=100))
    >>> policy = Policy.trusting((alice.principal, "door", 0))
    >>> proof = verify(Claim("door/front", text="open"), Bundle((credential,)), policy, now=50)
    >>> verify(Claim("door/front", text="open"), Bundle((credential,)), policy, now=100)
    Traceback (most recent call last):
    vx32py.pki.errors.Refused: credential 65638fadee974292: rule current: expired at 1970-01-01 00:01:40 UTC, and it is 1970-01-01 00:01:40 UTC
    """
    bundle = _together(credentials)
    now = int(time.time()) if now is None else now
    check_time(now, "the time")
    state = State() if state is None else state
    schemes = Schemes(bundle.plugins, load)
    names = {principal: name for name, principal in policy.names.items()}
    try:
        notes = _learn(bundle.credentials, policy, now, state, schemes, goal, speaker)
        context = _context(bundle.credentials, policy, now, state, schemes)
        prover = _prover(context, bundle.credentials, policy, goal, speaker)
        proof = prover.run((speaker, goal))
        if proof is None:
            raise _refusal(goal, bundle.credentials, [*notes, *prover.notes, *prover.missing()], names)
        # Once more by a checker that has not seen anything: what the prover did does not count.
        Checker(context).check(proof)
        return proof
    except OutOfBudget as error:
        raise Refused(str(error)) from None
    except ProofRefused as error:
        raise Refused(shorten(str(error), names), error.rule) from None
    finally:
        schemes.close()


def _learn(
    credentials: tuple[Credential, ...],
    policy: Policy,
    now: int,
    state: State,
    schemes: Schemes,
    goal: Statement,
    speaker: Principal,
) -> list[Note]:
    """Have the state learn what credentials say about revocation, as far as it concerns the goal, before anything is believed."""
    if not any(is_about_revocation(each.body.statement) for each in credentials):
        return []
    prover = _prover(_context(credentials, policy, now, state, schemes), credentials, policy, goal, speaker)
    prover.run()
    return state.learn(prover.about_revocation())


def check(proof: Proof, credentials: Bundle | Iterable[Bundle], policy: Policy, *, now: int, state: State | None = None,
          load: Load | None = None) -> Says:  # fmt: skip
    """What a proof that somebody else made proves. Raises ProofRefused."""
    bundle = _together(credentials)
    schemes = Schemes(bundle.plugins, load)
    try:
        judgement = Checker(_context(bundle.credentials, policy, now, state or State(), schemes)).check(proof)
    finally:
        schemes.close()
    if not isinstance(judgement, Says):
        raise ProofRefused(proof.rule, "a signature alone says nothing")
    return judgement


def explain(proof: Proof, names: Mapping[str, Principal] | None = None) -> list[str]:
    """A proof as a tree, a line for each node, the goal first; principals by the names that the policy gives them."""
    short = {principal: name for name, principal in (names or {}).items()}
    return list(_lines(proof, "", "", short))


def _lines(proof: Proof, first: str, others: str, names: Mapping[Principal, str]) -> Iterable[str]:
    yield f"{first}{shorten(str(proof.conclusion), names)}  [{_reason(proof, names)}]"
    for number, premise in enumerate(proof.premises, 1):
        last = number == len(proof.premises)
        yield from _lines(premise, others + ("└─ " if last else "├─ "), others + ("   " if last else "│  "), names)


def _reason(proof: Proof, names: Mapping[Principal, str]) -> str:
    conclusion = proof.conclusion
    if isinstance(conclusion, Signed):
        body = conclusion.body
        revoker = "" if body.revoker is None else f", revocable by {shorten(str(body.revoker), names)}"
        name = Credential(body, ()).label
        return f"signed, credential {name}: {moment(body.start)} to {moment(body.end)}{revoker}"
    return f"{proof.rule}, {conclusion.hops} hops" if conclusion.hops else proof.rule


def _together(credentials: Bundle | Iterable[Bundle]) -> Bundle:
    if isinstance(credentials, Bundle):
        return credentials
    return sum(credentials, Bundle())


def _context(credentials: Iterable[Credential], policy: Policy, now: int, state: State, schemes: Schemes) -> Context:
    signatures: dict[tuple[Key, bytes], tuple[bytes, ...]] = {}
    for credential in credentials:
        name = credential.identity
        for key, signature in credential.signatures:
            signatures[key, name] = (*signatures.get((key, name), ()), signature)
    return Context(
        now=now,
        states=policy.states,
        signatures=signatures,
        schemes=schemes,
        skew=policy.skew,
        always_listed=policy.lists == "always",
        withdrawn=frozenset(state.withdrawn),
        numbers=state.numbers,
    )


def _prover(
    context: Context, credentials: Iterable[Credential], policy: Policy, goal: Statement, speaker: Principal
) -> Prover:
    return Prover(
        Checker(context, policy.steps), credentials, [goal], [speaker], steps=policy.steps, asks=policy.plugin_calls
    )


def _refusal(
    goal: Statement, credentials: Iterable[Credential], notes: list[Note], names: Mapping[Principal, str]
) -> Refused:
    """The refusal with the reason that most likely helps: first those about credentials that state the goal itself."""
    goals = {credential.label for credential in credentials if credential.body.statement == goal}
    notes = [Note(note.rule, shorten(note.reason, names), note.credential) for note in dict.fromkeys(notes)]
    ordered = sorted(notes, key=lambda note: (note.credential not in goals, _ORDER.index(note.rule)))
    if not ordered or not goals:
        return Refused(f"nobody who is trusted to says: {shorten(str(goal), names)}", notes=tuple(ordered))
    first = ordered[0]
    whose = f"credential {first.credential}: " if first.credential else ""
    return Refused(f"{whose}rule {first.rule}: {first.reason}", first.rule, first.credential, tuple(ordered))
