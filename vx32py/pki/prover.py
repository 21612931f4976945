"""The prover: finds a proof of a goal among credentials. Not trusted: the checker looks at every node that is made here.

It goes forward, from what the policy states and what was signed to all that follows, fewest hops first, so that of each thing that is
said the proof with the fewest hops is found; whether a delegation allows something depends on hops alone, so nothing is
missed by keeping only that one. There are finitely many principals and statements: delegations in circles end by
themselves, and a budget ends what takes too long. Credentials that cannot matter to the goal are not looked at.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from reference.records import replace
from vx32py._errors import Vx32Error
from vx32py.pki.checker import Checker, voice
from vx32py.pki.credentials import Credential
from vx32py.pki.errors import Note, PkiError, ProofRefused
from vx32py.pki.logic import (
    VERIFIER,
    Body,
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
    is_about_revocation,
    is_plugin,
    is_reserved,
    principals_of,
    topic_of,
)
from vx32py.pki.wire import identity, to_bytes

MAX_NOTES: Final = 200


class OutOfBudget(PkiError):
    """The search took more steps, or asked plug-ins more often, than the policy allows."""


class Prover:
    """Everything that follows, in a context, from some credentials. ``notes`` are the attempts that failed.

    ``wanted`` are the statements that are looked for, beside delegations, vouchers and what concerns revocation; ``speakers`` who
    might say them. ``steps`` is how many nodes may be tried, ``asks`` how often plug-ins may be asked.
    """

    def __init__(
        self,
        checker: Checker,
        credentials: Iterable[Credential],
        wanted: Iterable[Statement],
        speakers: Iterable[Principal],
        *,
        steps: int = 20_000,
        asks: int = 256,
    ) -> None:
        self.notes: list[Note] = []
        self._checker = checker
        self._wanted = frozenset(wanted)
        self._steps = steps
        self._asks = asks
        self._said: dict[tuple[Principal, Statement], Proof] = {}
        self._by_speaker: defaultdict[Principal, dict[Statement, Proof]] = defaultdict(dict)
        self._grants: defaultdict[Principal, dict[Statement, Proof]] = defaultdict(dict)
        self._lists: defaultdict[Principal, dict[Statement, Proof]] = defaultdict(dict)
        self._unlisted: defaultdict[Principal, list[Proof]] = defaultdict(list)
        self._when_vouched: defaultdict[Vouch, list[tuple[Callable[[Proof], None], Body | None]]] = defaultdict(list)
        self._hash_names: dict[Key, list[tuple[Hashed, Proof]]] = {}
        self._queue: list[tuple[int, int, Proof]] = []
        held = [each for each in credentials if self._is_wanted(each.body.statement)]
        self.relevant = _relevant(speakers, held, checker.context.states)
        self._roles: defaultdict[Principal, list[Role]] = defaultdict(list)
        self._quorums: defaultdict[Principal, list[Quorum]] = defaultdict(list)
        self._hash_schemes = sorted({each.scheme for each in self.relevant if isinstance(each, Hashed)})
        for principal in sorted(self.relevant, key=str):
            if isinstance(principal, Role):
                self._roles[principal.owner].append(principal)
            elif isinstance(principal, Quorum):
                for member in principal.members:
                    self._quorums[member].append(principal)
        for statement in sorted(checker.context.states, key=str):
            self._try(Proof("policy", Says(VERIFIER, statement)))
        for key, body in dict.fromkeys((key, each.body) for each in held for key, _ in each.signatures):
            if key in self.relevant:
                self._once_vouched(Vouch(key.scheme, "signature"), partial(self._sign, key, body), body)

    def run(self, goal: tuple[Principal, Statement] | None = None) -> Proof | None:
        """The proof with the fewest hops that somebody says something; without a goal, all that follows is found and kept.
        Raises OutOfBudget."""
        while self._queue:
            _, _, proof = heapq.heappop(self._queue)
            said = proof.conclusion
            assert isinstance(said, Says)
            if self._said.get((said.speaker, said.statement)) is not proof:
                continue  # a better one has been found since
            if (said.speaker, said.statement) == goal:
                return proof
            self._follow(said, proof)
        return None

    def about_revocation(self) -> list[Says]:
        """What has been found about revocation, said by principals that matter."""
        return [
            proof.conclusion
            for (_, statement), proof in self._said.items()
            if is_about_revocation(statement) and isinstance(proof.conclusion, Says)
        ]

    def _is_wanted(self, statement: Statement) -> bool:
        return statement in self._wanted or isinstance(statement, Delegation | Vouch) or is_about_revocation(statement)

    # ---- leaves: signatures

    def _sign(self, key: Key, body: Body, vouched: Proof) -> None:
        """A credential whose signature may be looked at now."""
        if is_plugin(key.scheme):
            self._ask()
        node = Proof("signed", Signed(key, body), (vouched,))
        if not self._is_right(node, body):
            return
        revoker = body.revoker or key
        listed = body.revoker is not None or self._checker.context.always_listed
        if not listed or is_about_revocation(body.statement):
            self._try(Proof("current", Says(key, body.statement), (node,)), body)
            return
        self._unlisted[revoker].append(node)
        for listing in list(self._lists[revoker].values()):
            self._list(node, listing)

    def _list(self, node: Proof, listing: Proof) -> None:
        assert isinstance(node.conclusion, Signed)
        key, body = node.conclusion.key, node.conclusion.body
        self._try(Proof("current", Says(key, body.statement), (node, listing)), body)

    # ---- what follows from what somebody says

    def _follow(self, said: Says, proof: Proof) -> None:
        speaker, statement = said.speaker, said.statement
        if isinstance(statement, Delegation) and statement.principal == speaker:
            self._grants[statement.delegate][statement] = proof
            for spoken in list(self._by_speaker[statement.delegate].values()):
                self._delegate(proof, spoken)
            if statement not in self._wanted:
                return  # it is where it is of use: nothing is gained by others saying so too
        self._by_speaker[speaker][statement] = proof
        for grant in list(self._grants[speaker].values()):
            self._delegate(grant, proof)
        if isinstance(statement, RevocationList):
            self._lists[speaker][statement] = proof
            for node in list(self._unlisted[speaker]):
                self._list(node, proof)
        for role in self._roles[speaker]:
            self._try(Proof("role", Says(role, statement, said.hops), (proof,)))
        for quorum in self._quorums[speaker]:
            self._gather(quorum, statement)
        if isinstance(speaker, Key):
            if speaker not in self._hash_names:
                self._hash_names[speaker] = []
                for scheme in self._hash_schemes:
                    self._once_vouched(Vouch(scheme, "hash"), partial(self._hash, scheme, speaker), _body_of(proof))
            else:
                for hashed, good in self._hash_names[speaker]:
                    self._try(Proof("hashed", Says(hashed, statement, said.hops), (good, proof)))
        if isinstance(statement, Vouch) and speaker == VERIFIER:
            for action, _ in self._when_vouched.pop(statement, ()):
                action(proof)

    def _delegate(self, grant: Proof, spoken: Proof) -> None:
        given, said = grant.conclusion, spoken.conclusion
        assert isinstance(given, Says)
        assert isinstance(said, Says)
        self._step()
        assert isinstance(given.statement, Delegation)
        if is_reserved(given.statement.topic) != is_reserved(topic_of(said.statement)):
            return  # they have nothing to do with each other, and a note would only hide what is the matter
        hops = given.hops + said.hops + 1
        if self._is_new(given.speaker, said.statement, hops):
            self._try(Proof("delegated", Says(given.speaker, said.statement, hops), (grant, spoken)), _body_of(spoken))

    def _gather(self, quorum: Quorum, statement: Statement) -> None:
        self._step()
        proofs = [found for member in quorum.members if (found := self._by_speaker[member].get(statement)) is not None]
        voices: dict[object, Proof] = {}
        for proof in sorted(proofs, key=_hops):
            voices.setdefault(voice(proof), proof)
        best = list(voices.values())[: quorum.needed]
        if len(best) < quorum.needed:
            if len(proofs) >= quorum.needed:
                self._note("quorum", "some of the members are one key, under different names", None)
            return
        in_order = tuple(proof for proof in proofs if any(proof is each for each in best))
        self._try(Proof("quorum", Says(quorum, statement, max(map(_hops, best))), in_order))

    def _hash(self, scheme: str, key: Key, vouched: Proof) -> None:
        """A key has said something, and a hash scheme may be used: is the key meant by one of the hashes? The checker asks again."""
        self._step()
        if is_plugin(scheme):
            self._ask()
        spoken = list(self._by_speaker[key].values())
        try:
            hashed = Hashed(scheme, self._checker.context.schemes.get(scheme).digest(to_bytes(key)))
        except Vx32Error as error:
            self._note("hashed", f"scheme {scheme}: {error}", _body_of(spoken[0]))
            return
        if hashed in self.relevant:
            self._hash_names[key].append((hashed, vouched))
            for proof in spoken:
                assert isinstance(proof.conclusion, Says)
                self._try(Proof("hashed", replace(proof.conclusion, speaker=hashed), (vouched, proof)))

    # ---- bookkeeping

    def _once_vouched(self, vouch: Vouch, action: Callable[[Proof], None], body: Body | None) -> None:
        proof = self._by_speaker[VERIFIER].get(vouch)
        if proof is None:
            self._when_vouched[vouch].append((action, body))
        else:
            action(proof)

    def missing(self) -> list[Note]:
        """What credentials waited for in vain: somebody to vouch for their scheme, a revocation list."""
        unvouched = [
            Note(
                "signed" if vouch.kind == "signature" else "hashed",
                f"nobody who is trusted to vouches for it: {vouch}",
                _label(body),
            )
            for vouch, waiting in self._when_vouched.items()
            for _, body in waiting[:1]
        ]
        unlisted = [
            Note("current", f"a current revocation list of {revoker} is needed", _label(_body_of(node)))
            for revoker, nodes in self._unlisted.items()
            if not self._lists[revoker]
            for node in nodes
        ]
        return unvouched + unlisted

    def _is_new(self, speaker: Principal, statement: Statement, hops: int) -> bool:
        """Whether this has not been found yet with so few hops, and is of any use."""
        known = self._said.get((speaker, statement))
        return speaker in self.relevant and (known is None or hops < _hops(known))

    def _try(self, node: Proof, body: Body | None = None) -> None:
        said = node.conclusion
        assert isinstance(said, Says)
        if self._is_new(said.speaker, said.statement, said.hops) and self._is_right(node, body):
            self._said[said.speaker, said.statement] = node
            heapq.heappush(self._queue, (said.hops, self._steps, node))

    def _is_right(self, node: Proof, body: Body | None) -> bool:
        self._step()
        try:
            self._checker.check(node)
        except ProofRefused as refusal:
            if not _is_aside(node.conclusion):
                self._note(refusal.rule, refusal.reason, body)
            return False
        return True

    def _step(self) -> None:
        if self._steps == 0:
            raise OutOfBudget("the search for a proof took more steps than the policy allows")
        self._steps -= 1

    def _ask(self) -> None:
        if self._asks == 0:
            raise OutOfBudget("the search for a proof asked plug-ins more often than the policy allows")
        self._asks -= 1

    def _note(self, rule: str, reason: str, body: Body | None) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(Note(rule, reason, _label(body)))


def _label(body: Body | None) -> str:
    return "" if body is None else identity(body).hex()[:16]


def _is_aside(said: Judgement) -> bool:
    """Whether somebody says a delegation that is for somebody else: on the way to that one, and no failure if it stops."""
    return (
        isinstance(said, Says) and isinstance(said.statement, Delegation) and said.statement.principal != said.speaker
    )


def _hops(proof: Proof) -> int:
    assert isinstance(proof.conclusion, Says)
    return proof.conclusion.hops


def _body_of(proof: Proof) -> Body | None:
    """The credential that a proof goes back to, by its last premises."""
    while proof.premises:
        if isinstance(proof.conclusion, Signed):
            return proof.conclusion.body
        proof = proof.premises[0 if proof.rule == "current" else -1]
    return None


def _relevant(
    speakers: Iterable[Principal], credentials: Iterable[Credential], states: Iterable[Statement]
) -> frozenset[Principal]:
    """Everybody whose word could come to be that of one of the speakers, or of the verifier.

    Through delegations (whether or not they are good), roles and quorums, and hashes: of those any key might be meant. A
    revoker matters as soon as a credential of somebody who matters names it.
    """
    delegates: defaultdict[Principal, list[Principal]] = defaultdict(list)
    revokers: defaultdict[Principal, list[Principal]] = defaultdict(list)
    keys: dict[Principal, None] = {}
    for body, signers in [(each.body, [key for key, _ in each.signatures]) for each in credentials]:
        if isinstance(body.statement, Delegation):
            delegates[body.statement.principal].append(body.statement.delegate)
        for key in signers:
            keys[key] = None
            if body.revoker is not None:
                revokers[key].append(body.revoker)
    for statement in states:
        if isinstance(statement, Delegation):
            delegates[statement.principal].append(statement.delegate)
    found: set[Principal] = set()
    todo: list[Principal] = [VERIFIER, *speakers]
    while todo:
        principal = todo.pop()
        if principal in found:
            continue
        found.add(principal)
        todo += delegates[principal] + revokers[principal]
        todo += [inner for inner in principals_of(principal) if inner != principal]
        if isinstance(principal, Hashed):
            todo += keys
    return frozenset(found)
