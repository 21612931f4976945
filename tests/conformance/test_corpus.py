"""The corpus: every case on every oracle, against what the processor made of it.

The tricks under escape have tests of their own, in tests/escape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from asm import assemble

from conformance import case_file, corpus
from conformance.campaign.replay import Replayer, Verdict
from conformance.case import DATA, ENTRY, STACK, Case
from conformance.oracles import NAMES, available
from conformance.outcome import Outcome
from vx32py import _engines

CASES = {corpus.name_of(path): corpus.load(path) for path in corpus.files() if corpus.ESCAPE not in path.parents}


@pytest.fixture(scope="module")
def verdicts() -> Iterator[Callable[[str], dict[str, Verdict]]]:
    """What each oracle makes of the case of that name."""
    with closing(Replayer()) as replayer:

        @cache
        def run(name: str) -> dict[str, Verdict]:
            return {verdict.oracle: verdict for verdict in replayer.run(*CASES[name])}

        yield run


@pytest.mark.parametrize("oracle", NAMES)
@pytest.mark.parametrize("name", CASES)
def test_every_oracle_makes_of_it_what_the_processor_did(
    name: str, oracle: str, verdicts: Callable[[str], dict[str, Verdict]]
) -> None:
    if (reason := available(oracle)) is not None:
        pytest.skip(f"the {oracle} oracle cannot run here: {reason}")
    verdict = verdicts(name)[oracle]
    if (name, oracle) in corpus.EXCEPTIONS:
        assert verdict.disagrees, "no exception is needed"
    elif not verdict.silence:
        assert not verdict.disagrees, str(verdict)


@pytest.mark.parametrize("oracle", NAMES)
def test_the_engines_have_something_to_say_about_every_case_and_the_others_about_some(
    oracle: str, verdicts: Callable[[str], dict[str, Verdict]]
) -> None:
    if (reason := available(oracle)) is not None:
        pytest.skip(f"the {oracle} oracle cannot run here: {reason}")
    judged = [name for name in CASES if not verdicts(name)[oracle].silence]
    assert len(judged) == len(CASES) if oracle in _engines.NAMES else judged


@pytest.mark.parametrize("name", CASES)
def test_what_to_expect_came_from_the_processor(name: str) -> None:
    assert CASES[name][0].origin.endswith(tuple(f"; judged by {judge}" for judge in corpus.JUDGES))


def test_there_is_one_for_every_defect_of_the_original_that_code_can_show() -> None:
    numbers = {int(name.split("-")[1]) for name in CASES if name.startswith("original-")}
    assert numbers == set(range(1, 15)) - {6, 9, 10, 13, 14}


# -- adding to it ----------------------------------------------------------------------------------------------------


def case_of(text: str, **changes: object) -> Case:
    words = (0, 5, 0, 0, STACK + 0x800, 0, 0, 0, ENTRY, 0x202)
    return replace(Case("label", assemble(text), words, origin="a test"), **changes)  # type: ignore[arg-type]


@pytest.mark.ldt
@pytest.mark.skipif(available("jit") is not None, reason="there is no judge here")
@pytest.mark.parametrize(
    ("text", "judge"), [(f"inc ecx; mov [{DATA}], ecx", "processor"), ("inc ecx; jmp 1f; inc ecx; 1: nop", "jit")]
)
def test_a_case_is_kept_with_what_the_processor_made_of_it(text: str, judge: str, tmp_path: Path) -> None:
    case = case_of(text)
    path = corpus.add(case, "a-name", tmp_path)
    kept, expected = corpus.load(path)
    assert path.name == "a-name.case"
    assert kept == replace(case, origin=f"a test; judged by {judge}")
    assert expected.words[1] == 6
    again = corpus.load(corpus.add(kept, "another", tmp_path))
    assert again == (kept, expected)


@pytest.mark.ldt
@pytest.mark.skipif(available("jit") is not None, reason="there is no judge here")
def test_what_was_expected_before_does_not_count(tmp_path: Path) -> None:
    case = case_of("inc ecx")
    file = tmp_path / "wrong.case"
    file.write_text(case_file.dumps(case, Outcome(case.words, (), None)))
    _, expected = corpus.load(corpus.add(case_file.loads(file.read_text())[0], "right", tmp_path))
    assert expected.words[1] == 6


def test_a_case_without_an_outcome_does_not_belong_there(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.case"
    path.write_text(case_file.dumps(case_of("nop")))
    with pytest.raises(ValueError, match=r"unfinished\.case does not say what to expect"):
        corpus.load(path)
