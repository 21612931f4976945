"""Malformed images and random system calls: few of the many, and that what is wrong would be found."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

import fake_malformed as fake
import needs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.malformed import atheris_elf, calls, images, mutate, plan, run
from conformance.malformed.finding import Verdict
from conformance.malformed.sources import by_hand
from reference.traps import Access
from vx32py import Process
from vx32py.personality import linux, vx

SOURCES = by_hand()
#: Large enough for a case of each kind.
SEEDS = st.integers(0, 1 << 32)


@pytest.fixture(scope="module")
def world() -> Iterator[None]:
    """The working directory of random calls, and back."""
    needs.engine("jit")
    with contextlib.chdir("."):
        where = calls.world().root / "cwd"
        os.chdir(where)
        yield


# -- images ----------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, derandomize=True)
@given(SEEDS, st.integers(0, 1000))
def test_a_malformed_image_is_an_error_or_a_result(seed: int, number: int) -> None:
    needs.engine("jit")
    label, verdict = images.judge_numbered(seed, number, SOURCES)
    assert not verdict.findings, label


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_an_image_cut_anywhere_is_refused_or_whole(name: str) -> None:
    data = SOURCES[name]
    for length in (*range(400), *range(4090, 4110), *range(len(data) - 400, len(data))):
        verdict = Verdict()
        module = images._read(data[:length], verdict)
        if module is not None:
            images._look_at(module, verdict)
        assert verdict.outcomes
        assert not verdict.findings


def test_a_case_is_made_again_from_its_number() -> None:
    for number in range(50):
        assert mutate.case(7, number, SOURCES) == mutate.case(7, number, SOURCES)
        assert plan.sequence(7, number) == plan.sequence(7, number)
    assert len({mutate.case(7, number, SOURCES)[1] for number in range(50)}) > 40


def test_images_of_every_family_are_made() -> None:
    labels = {mutate.case(1, number, SOURCES)[0].partition(": ")[2].split()[-1] for number in range(500)}
    assert len(labels) > 60


def test_an_exception_that_is_not_documented_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise IndexError("on purpose")

    monkeypatch.setattr("vx32py._elf._symbol_table", broken)
    verdict = Verdict()
    module = images._read(SOURCES["vx"], verdict)
    assert module is not None
    images._look_at(module, verdict)
    assert [kind for kind, _ in verdict.findings] == ["IndexError in test_malformed.py, broken"]


@pytest.mark.parametrize("text", ["", "two\nlines", "\x1b[2J", "x" * 1000])
def test_a_message_that_is_not_a_line_is_found(text: str) -> None:
    verdict = Verdict()
    verdict.check_message(text, "a test")
    assert verdict.findings


# -- calls -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SEEDS, st.integers(0, 1000))
def test_random_calls_are_errors_or_results(world: None, seed: int, number: int) -> None:
    label, verdict = calls.judge_numbered(seed, number, None)
    assert not verdict.findings, label


def only(linux_calls: bool, name: str, *arguments: int) -> plan.Calls:
    """A sequence of one call."""
    number = next(entry.number for entry in (linux.TABLE if linux_calls else vx.TABLE) if entry.name == name)
    made = plan.Call(name, number, (*arguments, *(0,) * (6 - len(arguments))), ())
    return plan.Calls(linux_calls, False, False, "bytes", "captured", (made,))


def _raises(process: Process) -> int:
    raise ZeroDivisionError("on purpose")


def _answers_nonsense(process: Process) -> int:
    return -4000


def _fails_and_maps(process: Process) -> int:
    process.engine.space.map(0x0810_0000, 0x1000, Access.READ)
    return -errno.EINVAL


def _writes_code(process: Process) -> int:
    process.engine.space.store(plan.STRINGS, b"changed")
    return 0


def _changes_a_register(process: Process) -> int:
    process.registers.esi ^= 1
    return 0


def _leaves_a_descriptor(process: Process) -> int:
    _LEFT.append(os.open(os.devnull, os.O_RDONLY))
    return 0


def _touches_the_canary(process: Process) -> int:
    (calls.world().root / "canary/secret").chmod(0o600)
    (calls.world().root / "canary/secret").chmod(0o644)
    return 0


def _shows_the_secret(process: Process) -> int:
    process.memory.write(plan.SLOTS, (calls.world().root / "canary/secret").read_bytes())
    return 0


def _changes_the_directory(process: Process) -> int:
    os.chdir("..")
    return 0


_LEFT: list[int] = []


@pytest.mark.parametrize(
    ("handler", "finding"),
    [
        (_raises, "ZeroDivisionError in test_malformed.py, _raises"),
        (_answers_nonsense, "nice: a result that is no result"),
        (_fails_and_maps, "nice failed, and left something behind"),
        (_writes_code, "nice changed memory that is not the guest's to change"),
        (_changes_a_register, "nice changed registers"),
        (_leaves_a_descriptor, "host descriptors left open"),
        (_touches_the_canary, "a change outside of what is granted"),
        (_shows_the_secret, "a guest has what it was not granted"),
        (_changes_the_directory, "the host's working directory changed"),
    ],
)
def test_a_call_that_does_what_it_must_not_is_found(
    world: None, monkeypatch: pytest.MonkeyPatch, handler: Any, finding: str
) -> None:
    table = linux.TABLE.copy()
    table.define(34, "nice")(handler)
    monkeypatch.setattr(linux, "TABLE", table)
    verdict = Verdict()
    try:
        calls._play(only(True, "nice"), verdict, "jit", native=True)
    finally:
        os.chdir(calls.world().root / "cwd")
        calls.world().before = calls.world().state()
        while _LEFT:
            os.close(_LEFT.pop())
    assert finding in [kind for kind, _ in verdict.findings]


def test_another_answer_on_another_engine_is_found() -> None:
    verdict, sequence = Verdict(), only(False, "getpid")
    one, other = calls.Played([100]), calls.Played([101])
    calls._compare(sequence, one, other, "reference", verdict)
    assert verdict.findings


# -- running ---------------------------------------------------------------------------------------------------------


def test_each_way_to_go_wrong_is_told_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PATIENCE", 2.0)
    heard: list[int] = []
    report = run.run(
        "fake_malformed", count=20, seed=0, jobs=1, given="given", tell=lambda report: heard.append(report.cases)
    )
    assert report.cases == 20
    assert report.outcomes == {"good": 16, "the process died or hung": 4}
    found = {finding.number: finding.kind for finding in report.findings}
    assert found == {
        fake.FINDS: "a kind of finding",
        fake.DIES: "SIGSEGV",
        fake.EXITS: "exit with code 9",
        fake.HANGS: "hung: no progress in 2 seconds",
        fake.RAISES: "raised ZeroDivisionError",
    }
    assert heard[-1] == 20
    assert not report.ok


def test_one_case_is_run_again_by_its_number() -> None:
    report = run.run("fake_malformed", count=1, seed=0, jobs=1, given="x", first=fake.FINDS, tell=lambda _: None)
    assert [finding.number for finding in report.findings] == [fake.FINDS]


@pytest.mark.parametrize("kind", ["images", "calls"])
def test_the_command_tells_of_a_case(kind: str) -> None:
    from click.testing import CliRunner

    from conformance.malformed.__main__ import main

    needs.engine("jit")
    done = CliRunner().invoke(main, [kind, "--seed", "3", "--only", "2"])
    assert done.exit_code == 0, done.output
    assert "1 cases" in done.output
    assert "nothing found" in done.output


# -- guided by coverage ------------------------------------------------------------------------------------------------


def test_the_target_of_the_coverage_guided_fuzzer_takes_good_and_bad_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data in SOURCES.items():
        atheris_elf.look_at(data)
        atheris_elf.look_at(data[: len(data) // 2])
        atheris_elf.look_at(mutate.case(1, len(name), SOURCES)[1])
    monkeypatch.setattr("vx32py._elf._printable", lambda name: "two\nlines")
    with pytest.raises(AssertionError, match="not one printable line"):
        atheris_elf.look_at(SOURCES["vx"])


def test_the_fuzzer_says_what_it_needs_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    with pytest.raises(SystemExit, match="atheris is not installed: pip install"):
        atheris_elf.main()
