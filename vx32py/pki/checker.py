"""The proof checker: the only part of the PKI that is trusted to say yes.

A proof is a tree in which every node states its conclusion. Each rule below is one function that looks at a conclusion and at those
of the premises, which have been checked before, and at the :class:`Context`; it raises where the one does not follow from the
others. Nothing is searched for, nothing is guessed. docs/pki-logic.md says the same in words. The rules:

    policy     what the verifier's policy states
    signed     a good signature under a scheme that is vouched for
    current    a signed credential that is valid now and not revoked
    delegated  what a delegate says, its principal says
    role       what the owner of a role says, the role says
    hashed     what a key says, its hash says
    quorum     what enough members say, the quorum says
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from reference.records import dataclass, field
from vx32py._errors import Vx32Error
from vx32py.pki.errors import ProofRefused
from vx32py.pki.logic import (
    VERIFIER,
    Delegation,
    Hashed,
    Judgement,
    Key,
    Kind,
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
    covers,
    is_about_revocation,
    moment,
    topic_of,
)
from vx32py.pki.scheme import Schemes
from vx32py.pki.wire import identity, signed_message, to_bytes

#: A proof that is deeper, or has more nodes, is refused.
MAX_DEPTH: Final = 128
MAX_NODES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Context:
    """What a verifier knows. Times are seconds since 1970.

    ``states`` is what its policy says; ``signatures`` those that came with the credentials, by key and identity; ``skew`` by how
    much clocks may differ; ``withdrawn`` who has withdrawn which credential; ``numbers`` the least number that a
    revocation list of a principal may have; with ``always_listed`` every credential needs a current list, not only those that
    name a revoker.
    """

    now: int
    states: frozenset[Statement]
    signatures: Mapping[tuple[Key, bytes], tuple[bytes, ...]]
    schemes: Schemes
    skew: int = 0
    always_listed: bool = False
    withdrawn: frozenset[tuple[Principal, bytes]] = frozenset()
    numbers: Mapping[Principal, int] = field(default_factory=dict)


T = TypeVar("T")


class _Broken(Exception):
    """The rule is not followed; the message says why."""


def policy(conclusion: Judgement, premises: Sequence[Judgement], context: Context) -> None:
    """The policy states F  ⊢  the verifier says F."""
    _count(premises, 0)
    said = _says(conclusion)
    _demand(said.speaker == VERIFIER, "only the verifier says what the policy states")
    _demand(said.statement in context.states, f"the policy does not state: {said.statement}")
    _hops(said, 0)


def signed(conclusion: Judgement, premises: Sequence[Judgement], context: Context) -> None:
    """The verifier says that scheme S is good; under S there is a good signature of key K under a body  ⊢  K signed the body."""
    _count(premises, 1)
    made = _a(Signed, conclusion, "it concludes that somebody signed something")
    key, body = made.key, made.body
    _vouched(premises[0], key.scheme, "signature")
    message = signed_message(key, body)
    for signature in context.signatures.get((key, identity(body)), ()):
        if _ask(context, key.scheme, lambda scheme, it=signature: scheme.verify(key.public, message, it)) is True:
            return
    raise _Broken(f"there is no good signature of {key}")


def current(conclusion: Judgement, premises: Sequence[Judgement], context: Context) -> None:
    """K signed a body with F, valid now; nobody withdrew it; if it has a revoker R, R says a list without it  ⊢  K says F."""
    said = _says(conclusion)
    made = _a(Signed, premises[0] if premises else None, "its first premise is that somebody signed something")
    key, body = made.key, made.body
    _demand(said.speaker == key, "the speaker is not the signer")
    _demand(said.statement == body.statement, "the statement is not the signed one")
    _hops(said, 0)
    _demand(
        body.start - context.skew <= context.now,
        f"not valid before {moment(body.start)}, and it is {moment(context.now)}",
    )
    lasts = isinstance(body.statement, Withdrawal) or context.now < body.end + context.skew
    _demand(lasts, f"expired at {moment(body.end)}, and it is {moment(context.now)}")
    name = identity(body)
    revoker = body.revoker or key
    _demand(not {(key, name), (revoker, name)} & context.withdrawn, "it has been withdrawn")
    if body.revoker is None and (is_about_revocation(body.statement) or not context.always_listed):
        _count(premises, 1)
        return
    _demand(len(premises) == 2, f"a current revocation list of {revoker} is needed")
    listing = _says(premises[1])
    _demand(listing.speaker == revoker, f"the revocation list is not that of {revoker}")
    revocations = _a(RevocationList, listing.statement, "its second premise is a revocation list")
    least, number = context.numbers.get(revoker, 0), revocations.number
    _demand(number >= least, f"revocation list {number} of {revoker} is older than {least}, which has been seen")
    _demand(name not in revocations.revoked, f"revocation list {number} of {revoker} has it")


def delegated(conclusion: Judgement, premises: Sequence[Judgement], context: Context) -> None:
    """P says that Q speaks for P on a topic with depth d; Q says F, which is on that topic, through at most d hops  ⊢  P says F.

    A delegation counts as a hop more than its own depth: what it allows must be allowed.
    """
    _count(premises, 2)
    said, grant, spoken = _says(conclusion), _says(premises[0]), _says(premises[1])
    given, statement = _a(Delegation, grant.statement, "its first premise is a delegation"), spoken.statement
    _demand(grant.speaker == given.principal, "nobody delegates for somebody else")
    _demand(spoken.speaker == given.delegate, f"the speaker is not the delegate, {given.delegate}")
    _demand(covers(given.topic, topic_of(statement)), f"{topic_of(statement)} is not within {given.topic}")
    depth = spoken.hops + (1 + statement.depth if isinstance(statement, Delegation) else 0)
    _demand(depth <= given.depth, f"delegated {depth} deep, where {given.depth} is allowed")
    _demand(said.speaker == given.principal, "the speaker is not the one who delegated")
    _demand(said.statement == statement, "the statement is not the delegate's")
    _hops(said, grant.hops + spoken.hops + 1)


def role(conclusion: Judgement, premises: Sequence[Judgement], context: Context) -> None:
    """P says F  ⊢  P/name says F."""
    _count(premises, 1)
    said, spoken = _says(conclusion), _says(premises[0])
    speaker = _a(Role, said.speaker, "the speaker is not a role")
    _demand(speaker.owner == spoken.speaker, "the role is not one of the speaker's")
    _demand(said.statement == spoken.statement, "the statement is not the owner's")
    _hops(said, spoken.hops)


def hashed(conclusion: Judgement, premises: Sequence[Judgement], context: Context) -> None:
    """The verifier says that scheme H is good; key K says F; H of K is D  ⊢  the key with hash D says F."""
    _count(premises, 2)
    said, spoken = _says(conclusion), _says(premises[1])
    speaker = _a(Hashed, said.speaker, "the speaker is not a hash")
    name, key = speaker.scheme, _a(Key, spoken.speaker, "only keys are spoken for by their hash")
    _vouched(premises[0], name, "hash")
    _demand(said.statement == spoken.statement, "the statement is not the key's")
    _hops(said, spoken.hops)
    digest = _ask(context, name, lambda scheme: scheme.digest(to_bytes(key)))
    _demand(digest == speaker.digest, f"this is not the hash of {key}")


def quorum(conclusion: Judgement, premises: Sequence[Judgement], context: Context) -> None:
    """As many members as are needed, each once and in their order, say F  ⊢  the quorum says F. (A key and its hash are one:
    :func:`voice` sees to that, for it needs the proofs of the premises.)"""
    said, spoken = _says(conclusion), [_says(premise) for premise in premises]
    speaker = _a(Quorum, said.speaker, "the speaker is not a quorum")
    _count(premises, speaker.needed)
    _demand(all(one.speaker in speaker.members for one in spoken), "somebody is not a member")
    places = [speaker.members.index(one.speaker) for one in spoken]
    _demand(places == sorted(set(places)), "the members are not in order, or one is there twice")
    _demand(all(one.statement == said.statement for one in spoken), "the statement is not that of each member")
    _hops(said, max(one.hops for one in spoken))


def voice(proof: Proof) -> object:
    """Whose word it is that somebody says something, for quorums: something that is equal for a key and each of its hashes,
    for a key under two schemes, and for roles of one name that these have. ``proof`` is one that has been checked."""
    names: list[str] = []
    while not isinstance(proof.conclusion, Says) or not isinstance(proof.conclusion.speaker, Key | Quorum | Verifier):
        if proof.rule == "role":
            assert isinstance(proof.conclusion, Says)
            assert isinstance(proof.conclusion.speaker, Role)
            names.append(proof.conclusion.speaker.name)
        # What a hash says its key says, by the last premise; what is delegated, by the first, its delegator has said before.
        proof = proof.premises[-1 if proof.rule == "hashed" else 0]
    speaker = proof.conclusion.speaker
    return (speaker.public if isinstance(speaker, Key) else speaker, *names)


def _different_voices(proof: Proof) -> None:
    voices = [voice(premise) for premise in proof.premises]
    _demand(len(set(voices)) == len(voices), "two of the members are one key")


Rule: TypeAlias = Callable[[Judgement, Sequence[Judgement], Context], None]
RULES: Final[Mapping[str, Rule]] = {
    rule.__name__: rule for rule in (policy, signed, current, delegated, role, hashed, quorum)
}


class Checker:
    """Checks proofs in one context. A node that was found right is not looked at twice."""

    def __init__(self, context: Context, nodes: int = MAX_NODES) -> None:
        self.context = context
        self._nodes = nodes
        # By id: the proof itself, so that nothing else gets its id, and how deep it is.
        self._right: dict[int, tuple[Proof, int]] = {}

    def check(self, proof: Proof) -> Judgement:
        """What the proof proves. Raises ProofRefused, with the rule and the path of the node that is wrong."""
        self._check(proof, ())
        return proof.conclusion

    def _check(self, proof: Proof, path: tuple[int, ...]) -> int:
        _, depth = self._right.get(id(proof), (proof, 0))
        if len(path) + max(depth, 1) > MAX_DEPTH:
            raise ProofRefused(f"{proof.rule!s:.40}", f"the proof is deeper than {MAX_DEPTH}", path)
        if depth:
            return depth
        rule = RULES.get(proof.rule)
        if rule is None:
            raise ProofRefused(f"{proof.rule!s:.40}", "there is no such rule", path)
        depths = [self._check(premise, (*path, number)) for number, premise in enumerate(proof.premises)]
        if len(self._right) >= self._nodes:
            raise ProofRefused(proof.rule, f"the proof has more than {self._nodes} nodes", path)
        try:
            rule(proof.conclusion, [premise.conclusion for premise in proof.premises], self.context)
            if rule is quorum:
                _different_voices(proof)
        except _Broken as broken:
            raise ProofRefused(proof.rule, str(broken), path) from None
        depth = 1 + max(depths, default=0)
        self._right[id(proof)] = proof, depth
        return depth


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise _Broken(otherwise)


def _a(kind: type[T], value: object, otherwise: str) -> T:
    if not isinstance(value, kind):
        raise _Broken(otherwise)
    return value


def _count(premises: Sequence[Judgement], right: int) -> None:
    _demand(len(premises) == right, f"{len(premises)} premises where {right} are needed")


def _says(judgement: Judgement) -> Says:
    return _a(Says, judgement, "a signature is not yet a statement")


def _hops(said: Says, right: int) -> None:
    _demand(said.hops == right, f"{said.hops} hops are stated, there are {right}")


def _vouched(premise: Judgement, scheme: str, kind: Kind) -> None:
    said = _says(premise)
    good = said.speaker == VERIFIER and said.statement == Vouch(scheme, kind)
    _demand(good, f"the verifier does not say that {kind} scheme {scheme} is good")


def _ask(context: Context, name: str, question: Callable[..., object]) -> object:
    """What a scheme answers. Whatever goes wrong in a plug-in is a reason to refuse."""
    try:
        return question(context.schemes.get(name))
    except Vx32Error as error:
        raise _Broken(f"scheme {name}: {error}") from None
