"""Tricks: every one that conformance/corpus/escape has ends on every engine as it must, and leaves the host as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cache

import pytest
from child import in_child

from conformance import corpus, oracles
from conformance.campaign.replay import Replayer, Verdict
from conformance.case import Case
from conformance.oracles import NAMES, available
from conformance.outcome import Outcome
from reference.traps import Vector
from vx32py import _engines

Kept = tuple[str, Case, Outcome]
CLASSES = sorted(folder.name for folder in corpus.ESCAPE.iterdir())


@cache
def tricks(name: str) -> list[Kept]:
    """The cases of a class: name, case, outcome."""
    return [(path.stem, *corpus.load(path)) for path in corpus.files(corpus.ESCAPE / name)]


@pytest.fixture(scope="module", params=NAMES)
def replayer(request: pytest.FixtureRequest) -> Iterator[tuple[str, Replayer]]:
    """Each oracle in turn, in a process that a trick may kill."""
    if (reason := available(request.param)) is not None:
        pytest.skip(f"the {request.param} oracle cannot run here: {reason}")
    with closing(Replayer((request.param,))) as made:
        yield request.param, made


@pytest.mark.parametrize("name", CLASSES)
def test_every_trick_ends_as_it_must(name: str, replayer: tuple[str, Replayer]) -> None:
    oracle, made = replayer
    wrong: list[str] = []
    silent: list[str] = []
    for trick, case, expected in tricks(name):
        if not corpus.asked(case, oracle):
            continue
        (verdict,) = made.run(case, expected)
        if verdict.silence:
            silent.append(f"{trick}: {verdict.silence}")
        elif verdict.disagrees != ((f"escape/{name}/{trick}", oracle) in corpus.EXCEPTIONS):
            wrong.append(f"{trick}: {verdict}")
    assert not wrong, "\n".join(wrong)
    assert oracle not in _engines.NAMES or not silent, "\n".join(silent)


@pytest.mark.parametrize("name", CLASSES)
def test_outcomes_are_rules_or_the_processors(name: str) -> None:
    """What a rule says of a refusal: an invalid opcode at its own EIP, and all before it done."""
    found = tricks(name)
    assert found
    for trick, case, expected in found:
        assert case.origin.endswith((corpus.RULED, *(f"; judged by {judge}" for judge in corpus.JUDGES))), trick
        if expected.trap is not None and expected.trap.number == Vector.INVALID_OPCODE:
            assert case.eip <= expected.trap.eip < case.eip + len(case.code), trick
            assert not expected.memory or name in ("overlap", "floating"), trick


@in_child
def test_the_host_is_as_it_was_behind_every_trick() -> None:
    """In the process that runs the guests natively: modes, flags and segment registers, arithmetic, copies of memory."""
    from host_state import Host

    host = Host()
    with closing(oracles.open_oracle("jit")) as oracle:
        for name in CLASSES:
            for trick, case, _ in tricks(name):
                if oracle.cannot_judge(case) is None:
                    oracle.run(case)
                    assert not (found := host.disturbed()), f"{name}/{trick}: {found}"


def test_a_verdict_that_disagrees_is_seen() -> None:
    """The other tests can fail: the same tricks with another outcome each."""
    with closing(Replayer(("reference",))) as made:
        for _, case, expected in tricks("far")[:5]:
            other = Outcome((*expected.words[:-2], expected.words[-2] + 1, expected.words[-1]), expected.memory, None)
            (verdict,) = made.run(case, other)
            assert isinstance(verdict, Verdict)
            assert verdict.disagrees
