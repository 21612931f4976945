"""Campaigns survive whatever their cases do, and give the same results however they are run."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fake_campaign
import pytest

from conformance import case_file
from conformance.campaign import plan as plans
from conformance.campaign.finding import Cause, Finding, ShardReport, kinds
from conformance.campaign.isolation import Failed, Isolated, Stopped
from conformance.campaign.local import Done, LocalRunner
from conformance.campaign.plan import Plan, Shard, select_rows
from conformance.campaign.shard import GIVEN_UP, MOST_KILLED, CannotRun, run_shard
from reference.isa.opcodes import ROWS


@pytest.fixture(scope="module")
def process() -> Iterator[Isolated]:
    with Isolated() as isolated:
        yield isolated


def shard_of(*oracles: str, number: int = 3, first: int = 0, end: int = 30) -> Shard:
    return Shard("fake_campaign", "isa", 1, 0, number, first, end, oracles, None)


def special(shard: Shard) -> list[int]:
    """The cases at which an oracle misbehaves."""
    return [n for n in range(shard.first, shard.end) if fake_campaign.is_special(shard.number, n)]


# -- calls in processes of their own ---------------------------------------------------------------------------------


def test_calls_have_results_and_share_a_process(process: Isolated) -> None:
    one = process.call("fake_campaign:divide", 7, 2, patience=60)
    assert one[0] == 3
    assert one[1] != os.getpid()
    assert process.call("fake_campaign:divide", 9, 2, patience=60) == (4, one[1])


def test_an_exception_is_told_and_the_next_call_has_a_new_process(process: Isolated) -> None:
    _, before = process.call("fake_campaign:divide", 7, 2, patience=60)
    with pytest.raises(Failed) as caught:
        process.call("fake_campaign:divide", 7, 0, patience=60)
    assert (caught.value.number, caught.value.why) == (0, "raised ZeroDivisionError")
    assert process.call("fake_campaign:divide", 7, 2, patience=60)[1] != before


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed the process: SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGILL)", "killed the process: SIGILL"),
        ("os._exit(0)", "killed the process: exit with code 0"),
        ("print('so be it', flush=True); os._exit(3)", "killed the process: exit with code 3 (so be it)"),
        ("sys.exit('so be it')", "killed the process: exit with code 1 (SystemExit: so be it)"),
    ],
)
def test_how_a_process_ended_is_told(process: Isolated, action: str, told: str) -> None:
    with pytest.raises(Failed) as caught:
        process.call("fake_campaign:execute", action, patience=60)
    assert caught.value.number == 41
    assert str(caught.value) == told


@pytest.mark.parametrize("action", ["time.sleep(1000)", "while True: pass"])
def test_a_process_that_hangs_is_ended(process: Isolated, action: str) -> None:
    for patience in (0.3, 3, 30):  # on a busy host it may not even have begun in the shortest
        with pytest.raises(Failed) as caught:
            process.call("fake_campaign:execute", action, patience=patience)
        assert str(caught.value) == f"hung: no progress in {patience} seconds"
        if caught.value.number == 41:
            break
    assert caught.value.number == 41


def test_progress_within_the_patience_is_no_hang(process: Isolated) -> None:
    process.call("fake_campaign:divide", 7, 2, patience=60)  # it is there then
    seen: list[int] = []
    process.call("fake_campaign:dawdle", 20, 0.12, patience=2, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 3


def test_stopping_ends_a_call_and_leaves_no_process() -> None:
    with Isolated() as isolated:
        _, child = isolated.call("fake_campaign:divide", 7, 2, patience=60)
        threading.Timer(0.2, isolated.stop).start()
        with pytest.raises(Stopped):
            isolated.call("fake_campaign:execute", "time.sleep(60)", patience=60)
    assert gone(child)


def test_a_child_ends_with_its_keeper() -> None:
    with Isolated() as isolated:
        _, child = isolated.call("fake_campaign:divide", 7, 2, patience=60)
        os.kill(isolated.pid, signal.SIGKILL)
        with pytest.raises(Stopped):
            isolated.call("fake_campaign:divide", 7, 2, patience=60)
        assert gone(child)


def gone(pid: int) -> bool:
    """Whether a process ends within a minute, or has ended."""
    for _ in range(1200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


# -- shards ----------------------------------------------------------------------------------------------------------


def test_a_shard_counts_cases_by_oracle_and_row(process: Isolated) -> None:
    report = run_shard(process, shard_of("steady", "calm"))
    assert report.cases == 30
    assert sum(report.judged["steady"].values()) == 30
    assert report.judged["steady"] == report.judged["calm"]
    assert (report.findings, report.unjudged, report.lost) == ([], {}, 0)


def test_a_divergence_comes_with_its_case(process: Isolated) -> None:
    shard = shard_of("steady", "wrong")
    report = run_shard(process, shard)
    assert [finding.number for finding in report.findings] == special(shard)
    finding = report.findings[0]
    case, expected = case_file.loads(finding.text)
    row = case.rows[0]
    assert finding.cause == Cause(row, ROWS[row].mnemonic, "steady/wrong", "register")
    assert case.origin == f"fake seed 1 shard 3 number {finding.number}"
    assert expected is not None
    assert expected.words == case.words


@pytest.mark.parametrize(
    ("oracle", "patience", "told"),
    [
        ("dying", 10.0, "killed the process: SIGSEGV"),
        ("exiting", 10.0, "killed the process: exit with code 3 (goodbye)"),
        ("hanging", 0.5, "hung: no progress in 0.5 seconds"),
        ("raising", 10.0, "raised ValueError (it always does)"),
    ],
)
def test_a_case_that_ends_its_process_costs_nothing_but_itself(
    process: Isolated, oracle: str, patience: float, told: str
) -> None:
    shard = shard_of("steady", oracle, end=20)
    report = run_shard(process, shard, patience=patience)
    assert [finding.number for finding in report.findings] == special(shard)
    assert {finding.cause.oracles for finding in report.findings} == {oracle}
    assert {finding.found for finding in report.findings} == {(told,)}
    assert {case_file.loads(finding.text)[1] for finding in report.findings} == {None}
    assert report.cases == 20
    assert sum(report.judged[oracle].values()) == 20 - len(special(shard))
    assert report.lost == 0


def test_a_case_that_kills_only_after_others_is_blamed_with_them(process: Isolated) -> None:
    shard = shard_of("steady", "brittle", end=10)
    report = run_shard(process, shard)
    assert [finding.number for finding in report.findings] == special(shard)
    assert report.findings[0].cause.oracles == "steady/brittle, after the cases before it"
    assert report.lost == 0


def test_a_process_killed_from_outside_is_not_a_divergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fake_campaign.FICKLE, str(tmp_path / "died"))
    with Isolated() as isolated:
        report = run_shard(isolated, shard_of("steady", "fickle"))
    assert (tmp_path / "died").exists()
    assert report.findings == []
    assert (report.cases, report.lost) == (30, 1)
    assert sum(report.judged["fickle"].values()) == 30


def test_an_oracle_that_always_dies_does_not_take_for_ever(process: Isolated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.campaign.shard.MOST_KILLED", 2)
    shard = shard_of("steady", "dying", end=40)
    report = run_shard(process, shard)
    assert [finding.number for finding in report.findings] == special(shard)[:2]
    rest = 40 - special(shard)[1] - 1
    assert report.unjudged == {oracle: {GIVEN_UP: rest} for oracle in ("steady", "dying")}
    assert report.cases == 40
    assert MOST_KILLED > 2


def test_an_oracle_that_cannot_be_opened_ends_the_campaign(process: Isolated) -> None:
    with pytest.raises(CannotRun, match="raised ModuleNotFoundError"):
        run_shard(process, Shard("no_such_module", "isa", 1, 0, 0, 0, 5, ("steady", "calm"), None))


def test_the_rest_of_a_shard_is_the_rest_of_its_cases(process: Isolated) -> None:
    whole = run_shard(process, shard_of("steady", "wrong"))
    parts = [run_shard(process, shard_of("steady", "wrong", first=a, end=b)) for a, b in ((0, 11), (11, 30))]
    assert sum(part.cases for part in parts) == whole.cases
    assert [each for part in parts for each in part.findings] == whole.findings


# -- plans -----------------------------------------------------------------------------------------------------------


def test_every_group_of_oracles_gets_every_case_once() -> None:
    plan = Plan("isa", 1, (("steady", "calm"), ("steady", "wrong")), 100)
    shards = list(plan.shards(250))
    assert [(s.group, s.number, s.first, s.end) for s in shards] == [
        (0, 0, 0, 100), (1, 0, 0, 100), (0, 1, 0, 100), (1, 1, 0, 100), (0, 2, 0, 50), (1, 2, 0, 50),
    ]  # fmt: skip
    assert [s.oracles for s in shards[:2]] == [("steady", "calm"), ("steady", "wrong")]


def test_going_on_leaves_out_what_is_done() -> None:
    plan = Plan("isa", 1, (("steady", "calm"),), 100)
    shards = list(plan.shards(320, {(0, 0): 100, (0, 2): 50}))
    assert [(s.number, s.first, s.end) for s in shards] == [(1, 0, 100), (2, 50, 100), (3, 0, 20)]


def test_a_plan_survives_being_written_down() -> None:
    plan = Plan("isa", 7, (("steady", "calm"), ("steady", "wrong")), 100, frozenset({3, 4}))
    assert Plan.from_json(plan.to_json()) == plan


def test_rows_are_chosen_by_group_mnemonic_and_number() -> None:
    chosen = select_rows(("sha",), ("bsf", "0"))
    assert chosen is not None
    assert {ROWS[row].mnemonic for row in chosen if ROWS[row].group.value != "sha"} == {"bsf", ROWS[0].mnemonic}
    assert sum(ROWS[row].group.value == "sha" for row in chosen) == 7
    assert select_rows((), ()) is None
    for groups, rows, complaint in ((("mmz",), (), "'mmz'"), ((), ("fsinn",), "'fsinn'"), ((), ("99999",), "'99999'")):
        with pytest.raises(ValueError, match=complaint):
            select_rows(groups, rows)


# -- causes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (["eax: 0x1 or 0x2"], "register"),
        (["edx: 0x1 or 0x2", "ecx: 0x1 or 0x2"], "register"),
        (["esp: 0x1 or 0x2"], "esp"),
        (["flags: OSZ or OPC (compared OSZAPC)"], "flags SZPC"),
        (["flags: - or P (compared OSZAPC)"], "flags P"),
        (["eax: 0x1 or 0x2", "flags: Z or - (compared Z)"], "flags, register"),
        (["memory at 0x00200000: 00 or 01"], "memory"),
        (["code at 0x200: 90 or cc", "spans: () or (1,)", "verifier: 0x203 leaves the cache"], "code, spans, verifier"),
        (["st3: 00 or 01", "fsw: 00 or 01", "ymm1 high: 00 or 01", "xmm7: 00 or 01"], "fsw, st, xmm, ymm"),
        (["trap: none or 0x6 at 0x00100800 (vector 6)"], "trap none or 0x6"),
        (["trap: 0xe at 0x00100800 (vector 14, READ of 0x00202000) or none"], "trap 0xe or none"),
        (["trap: 0xe at 0x1 (vector 14, READ of 0x2) or 0xe at 0x1 (vector 14, WRITE of 0x2)"], "trap 0xe or 0xe"),
        (["failure: none or stuck at 0x00100812"], "failure: none or stuck at #"),
        (["killed the process: exit with code 3 (so be it)"], "killed the process: exit with code 3"),
        (["hung: no progress in 10 seconds"], "hung"),
        (["raised ValueError (bad value 7)"], "raised ValueError"),
    ],
)
def test_differences_have_kinds(found: list[str], kind: str) -> None:
    assert kinds(found) == kind


def test_of_several_oracles_those_that_disagree_are_named(process: Isolated) -> None:
    report = run_shard(process, shard_of("steady", "calm", "wrong", end=10))
    assert [(each.cause.oracles, each.cause.kinds) for each in report.findings] == [("steady/wrong", "register")]
    assert report.findings[0].found[0].startswith("steady or wrong: e")


def test_of_several_findings_with_one_cause_the_first_case_is_kept() -> None:
    def finding(number: int) -> Finding:
        return Finding(Cause(3, "add", "a/b", "register"), 0, number, f"case {number}", ("eax",), f"text {number}")

    report = ShardReport()
    for number in (7, 4, 9):
        report.add(finding(number))
    assert [(each.number, each.text, each.count) for each in report.findings] == [(4, "text 4", 3)]


# -- on this machine -------------------------------------------------------------------------------------------------


def results(runner: LocalRunner, plan: Plan, cases: int) -> dict[tuple[int, int], ShardReport]:
    found = {}
    for event in runner.run(plan.shards(cases)):
        if isinstance(event, Done):
            report = event.report
            report.elapsed, report.seconds = 0.0, {}
            found[event.shard.group, event.shard.number] = report
    return found


def test_results_do_not_depend_on_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.KINDS, "isa", "fake_campaign")
    plan = Plan("isa", 5, (("steady", "wrong"), ("steady", "dying")), 15)
    found = []
    for jobs in (1, 3):
        with LocalRunner(jobs) as runner:
            found.append(results(runner, plan, 90))
    assert found[0].keys() == {(group, number) for group in range(2) for number in range(6)}
    assert found[0] == found[1]
    assert any(report.findings for report in found[0].values())


def test_a_worker_that_cannot_run_ends_the_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.KINDS, "isa", "no_such_module")
    with LocalRunner(2) as runner, pytest.raises(CannotRun):
        list(runner.run(Plan("isa", 5, (("steady", "calm"),), 15).shards(60)))


def test_closing_a_runner_in_the_middle_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.KINDS, "isa", "fake_campaign")
    runner = LocalRunner(2)
    keepers = [process.pid for process in runner._processes]
    events = runner.run(Plan("isa", 5, (("slow", "calm"),), 10_000).shards(None))
    next(events)
    runner.close()
    assert all(gone(pid) for pid in keepers)
