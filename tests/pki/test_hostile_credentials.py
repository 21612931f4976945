"""More than 300 hostile credential sets: each ends in a refusal of one line, and nothing else."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

import pytest
from pki_hostile import FAMILIES, Case
from pki_world import BOB, GOAL, HONEST, NOW, POLICY, honest_plugin, load

from vx32py.pki.credentials import MAGIC, Bundle
from vx32py.pki.errors import BadCredential, PkiError, Refused
from vx32py.pki.logic import Claim
from vx32py.pki.revocation import State
from vx32py.pki.verifying import verify

pytestmark = pytest.mark.compiler

Family = Callable[[], Iterator[Case]]


def outcome(case: Case) -> PkiError | None:
    """What the verifier says; None for a proof. Any other exception is a defect."""
    state = State()
    for earlier in case.before:
        try:
            verify(case.goal, earlier, case.policy, now=case.now, state=state, load=load)
        except Refused:
            continue
    try:
        bundle = Bundle.from_bytes(case.given) if isinstance(case.given, bytes) else case.given
        if isinstance(case.given, Bundle):
            assert Bundle.from_bytes(bundle.to_bytes()) == bundle
        verify(case.goal, bundle, case.policy, now=case.now, state=state, load=load)
    except PkiError as error:
        return error
    return None


def test_the_honest_set_is_accepted() -> None:
    proof = verify(GOAL, Bundle.from_bytes(HONEST.to_bytes()), POLICY, now=NOW)
    assert proof.conclusion.statement == GOAL  # type: ignore[union-attr]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_hostile_sets_are_refused_and_the_line_says_why(family: Family) -> None:
    wrong = []
    for case in family():
        refusal = outcome(case)
        line = str(refusal)
        if refusal is None:
            wrong.append(f"{case.name}: ACCEPTED")
        elif not isinstance(refusal, case.error) or type(refusal) not in (BadCredential, Refused):
            wrong.append(f"{case.name}: {type(refusal).__name__}, not {case.error.__name__}: {line}")
        elif not re.search(case.says, line):
            wrong.append(f"{case.name}: does not say {case.says!r}: {line}")
        elif len(line) > 600 or not line.isprintable() or len(line) < 12:
            wrong.append(f"{case.name}: no line: {line!r:.400}")
    assert not wrong, "\n".join(wrong)


def test_there_are_more_than_300_of_them_and_all_are_different() -> None:
    assert honest_plugin()
    cases = [case for family in FAMILIES for case in family()]
    names = [case.name for case in cases]
    assert len(names) == len(set(names))
    sets = {
        (case.given if isinstance(case.given, bytes) else case.given.to_bytes(), case.now, case.policy.steps, case.policy.lists,
         tuple(each.to_bytes() for each in case.before))
        for case in cases
    }  # fmt: skip
    assert len(sets) >= 400


def test_order_and_repetition_change_nothing() -> None:
    """Reordered or sent twice, an honest set proves the same."""
    for order in (HONEST.credentials, HONEST.credentials[::-1]):
        verify(GOAL, Bundle(order), POLICY, now=NOW)
        verify(GOAL, [Bundle(order), HONEST, Bundle((order[0],))], POLICY, now=NOW)


def test_garbage_beside_an_honest_set_does_not_hide_it() -> None:
    for family in FAMILIES:
        if family.__name__ in ("delegations", "signatures", "hashed_principals"):
            for case in family():
                assert isinstance(case.given, Bundle)
                verify(GOAL, [case.given, HONEST], POLICY, now=NOW, load=load)


def test_random_damage_never_ends_in_anything_else() -> None:
    """Bytes changed, cut out, doubled and moved about: refused, in two ways that there are."""
    dice = random.Random(11)
    whole = HONEST.to_bytes()
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            place, size = dice.randrange(len(MAGIC), len(data)), dice.randint(1, 24)
            what = dice.randrange(4)
            if what == 0:
                data[place] = dice.randrange(256)
            elif what == 1:
                del data[place : place + size]
            elif what == 2:
                data[place:place] = data[place : place + size]
            else:
                other = dice.randrange(len(MAGIC), len(data))
                data[place : place + size], data[other : other + size] = (
                    data[other : other + size],
                    data[place : place + size],
                )
        if bytes(data) == whole:
            continue
        refusal = outcome(Case("random", bytes(data)))
        assert type(refusal) in (BadCredential, Refused)
        assert str(refusal).isprintable()


@pytest.mark.parametrize("text", ["reader\u202e", "read\0er", "a\nb"])
def test_a_goal_that_cannot_be_shown_is_no_goal(text: str) -> None:
    with pytest.raises(PkiError):
        Claim("mail/lists", BOB.principal, text)
