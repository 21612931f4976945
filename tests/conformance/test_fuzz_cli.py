"""``vx32py fuzz``: what it prints, what it leaves behind, and its exit codes."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_campaign
import pytest

from conformance import case_file, fuzz, translate
from conformance.campaign import plan as plans
from conformance.campaign.plan import Plan
from conformance.campaign.replay import Replayer
from conformance.campaign.store import Store
from conformance.case import Case
from conformance.reduce.cause import Symptoms

ROOT = Path(__file__).resolve().parents[2]
#: The command, with the fake kind in the place of the real one.
FAKE = (
    "import sys; from conformance.campaign import plan; plan.KINDS['isa'] = 'fake_campaign'\n"
    "from conformance.fuzz import main; sys.exit(main())"
)


@pytest.fixture(autouse=True)
def fake_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(plans.KINDS, "isa", "fake_campaign")
    monkeypatch.setitem(plans.DEFAULT_ORACLES, "isa", (("steady", "calm"), ("steady", "absent")))
    monkeypatch.setattr(plans, "_SHARD_CASES", 50)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    return fuzz.main(["isa", "--jobs", "1", *arguments])


def contents(path: str) -> list[object]:
    """What a store says, but for times and for how the shards were cut."""
    with Store.open(path) as store:
        return [
            [totals.cases for totals in store.totals()], store.judged(), store.unjudged(), store.reasons(),
            [(each.cause, each.shard, each.number, each.text, each.count) for each in store.findings()],
        ]  # fmt: skip


# -- exit codes ------------------------------------------------------------------------------------------------------


def test_agreement_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--count", "120") == 0
    out, err = capsys.readouterr()
    assert "steady / calm" in out
    assert "absent" not in out  # the defaults are those that the host has
    assert "No divergence in 120 cases." in out
    assert err.splitlines()[-1].startswith("120 of 120 cases")


@pytest.mark.parametrize("oracle", ["wrong", "dying"])
def test_a_divergence_is_1(oracle: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--oracles", f"steady,{oracle}", "--count", "12", "--seed", "2") == 1
    out, err = capsys.readouterr()
    assert "Divergences: 2 cases of 2 causes" in out
    assert err.count("divergence: ") == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--count", "0"), "0 is not in the range x>=1"),
        (("--oracles", "steady"), "two different ones at least"),
        (("--oracles", "steady,steady"), "two different ones at least"),
        (("--oracles", "steady,nobody"), "no oracle 'nobody'"),
        (("--oracles", "steady,,calm"), "an empty name"),
        (("--groups", "sse9"), "no instruction group 'sse9'"),
        (("--rows", "fnord"), "no instruction 'fnord'"),
        (("--rows", "fsin"), "does not choose by instruction"),
        (("--resume",), "which?"),
        (("--resume", "--store", "missing.db"), "missing.db: no such file"),
        (("--html", "nowhere/x.html"), "nowhere/x.html: No such file or directory"),
        (("--store", "nowhere/x.db"), "nowhere/x.db: No such file or directory"),
        (("surplus",), "surplus"),
    ],
)
def test_wrong_usage_is_2_and_says_why(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if arguments == ("--rows", "fsin"):
        monkeypatch.setattr("fake_campaign.Task", fake_campaign.TaskWithoutRows)
    assert run(*arguments) == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]


def test_an_oracle_that_cannot_run_here_is_125(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--oracles", "steady,absent") == 125
    assert capsys.readouterr().err == "vx32py: fuzz: the absent oracle cannot run here: it is a fake\n"


def test_no_comparison_is_no_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--oracles", "steady,mute", "--count", "30") == 125
    assert capsys.readouterr().err.splitlines()[-1] == (
        "vx32py: fuzz: mute judged none of the 30 cases: it never speaks"
    )


def test_the_real_generator_makes_cases_of_the_rows_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(plans.KINDS, "isa", "conformance.isa")
    assert run("--groups", "popcnt", "--oracles", "reference,translated", "--count", "100", "--store", "s.db") == 0
    with Store.open("s.db") as store:
        (popcnt,) = {row for rows in store.judged().values() for row in rows}
        assert store.table()[popcnt].mnemonic == "popcnt"
        assert sum(store.judged()[0, "translated"].values()) == store.totals()[0].cases > 50


# -- how much --------------------------------------------------------------------------------------------------------


def test_time_ends_a_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert run("--oracles", "slow,calm", "--time", "1.5") == 0
    assert time.monotonic() - started >= 1.5
    assert "No divergence in" in capsys.readouterr().out


def test_rows_are_passed_to_the_generator(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--rows", "3,5", "--count", "60", "--store", "s.db") == 0
    with Store.open("s.db") as store:
        assert {row for rows in store.judged().values() for row in rows} == {3, 5}
    assert re.search(r"not asked for +1,543", capsys.readouterr().out)


# -- stores ----------------------------------------------------------------------------------------------------------


def test_a_campaign_can_be_resumed_and_extended(capsys: pytest.CaptureFixture[str]) -> None:
    oracles = ("--oracles", "steady,wrong", "--oracles", "steady,picky")
    assert run(*oracles, "--count", "230", "--store", "whole.db") == 1
    assert run(*oracles, "--count", "70", "--store", "parts.db") == 1
    assert run("--resume", "--store", "parts.db", "--count", "230", "--jobs", "2", *oracles) == 1
    assert contents("parts.db") == contents("whole.db")
    capsys.readouterr()
    assert run("--resume", "--store", "parts.db") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("460 of 460 cases, 0/s")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--seed", "9"), "--seed is 9, but that of the campaign in s.db is 1"),
        (("--oracles", "steady,wrong"), "--oracles is"),
        (("--groups", "x87"), "--groups and --rows are those of the campaign in s.db"),
    ],
)
def test_what_results_depend_on_cannot_be_changed(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Store.create("s.db", Plan("isa", 1, (("steady", "calm"),), 50)).close()
    assert run("--resume", "--store", "s.db", *arguments) == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]


def test_a_campaign_by_time_is_not_resumed_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    Store.create("s.db", Plan("isa", 1, (("steady", "calm"),), 50)).close()
    assert run("--resume", "--store", "s.db") == 2
    assert "--count N or --time SECONDS" in capsys.readouterr().err
    assert run("--resume", "--store", "s.db", "--time", "0.1") == 0


def test_seed_0_is_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--seed", "0", "--count", "5", "--store", "s.db") == 0
    with Store.open("s.db") as store:
        assert store.plan.seed == 0


def test_an_existing_store_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    Store.create("s.db", Plan("isa", 1, (("steady", "calm"),), 50)).close()
    before = contents("s.db")
    assert run("--count", "20", "--store", "s.db") == 2
    assert capsys.readouterr().err == "vx32py: fuzz: s.db exists: --resume goes on with it\n"
    assert contents("s.db") == before


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_campaign_goes_on_where_it_was(
    ending: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--oracles", "slow,wrong", "--jobs", "2")
    command = [sys.executable, "-c", FAKE, "isa", *options, "--count", "3000", "--store", "s.db"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not shards_done("s.db"):
        time.sleep(0.05)
    process.send_signal(ending)
    _, err = process.communicate(timeout=60)
    if ending == signal.SIGINT:
        assert process.returncode == 130
        assert err.splitlines()[-1] == "vx32py: fuzz: interrupted; --resume --store s.db goes on"
        assert "Traceback" not in err
    done = shards_done("s.db")
    assert 0 < done < 6
    with Store.open("s.db") as store:
        cases = store.totals()[0].cases
        judged = {oracle: sum(rows.values()) for (_, oracle), rows in store.judged().items()}
    assert cases == 500 * done
    assert judged == {"slow": cases, "wrong": cases}
    assert run("--resume", "--store", "s.db", "--count", str(500 * (done + 1))) == 1
    assert shards_done("s.db") == done + 1
    capsys.readouterr()


def shards_done(path: str) -> int:
    if not os.path.exists(path):
        return 0
    try:
        with Store.open(path) as store:
            return len(store.done())
    except Exception:  # noqa: BLE001 - locked, or not begun
        return 0


# -- on a terminal ---------------------------------------------------------------------------------------------------


def test_a_terminal_shows_a_panel() -> None:
    here, there = pty.openpty()
    command = [sys.executable, "-c", FAKE, "isa", "--oracles", "slow,wrong", "--jobs", "1", "--count", "600"]
    with subprocess.Popen(
        command, env={**environment(), "TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=there
    ) as process:
        os.close(there)
        shown = b""
        while True:
            try:
                more = os.read(here, 65536)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            shown += more
    os.close(here)
    assert process.returncode == 1
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"cases +[\d,]+ of 600", text)
    assert re.search(r"speed +[\d,]+ cases/s, 1 process", text)
    assert re.search(r"rows +\d+ of 1,411", text)
    assert "left" in text
    assert re.search(r"\d+ divergences of \d+ causes", text)


# -- reports and cases -----------------------------------------------------------------------------------------------


def test_report_shows_what_a_store_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--oracles", "steady,wrong", "--count", "12", "--seed", "2", "--store", "s.db") == 1
    capsys.readouterr()
    assert fuzz.main(["report", "s.db", "--html", "s.html", "--save", "found", "--cases"]) == 1
    out, err = capsys.readouterr()
    assert "Divergences: 2 cases of 2 causes" in out
    assert "# vx32py case" in out
    assert err.splitlines() == ["report in s.html", "case files in found: 2"]
    assert Path("s.html").read_text().startswith("<!doctype html>")
    files = sorted(Path("found").iterdir())
    assert len(files) == 2
    case, expected = case_file.loads(files[0].read_text())
    assert expected is not None
    assert expected.words == case.words
    assert run("--count", "12", "--store", "good.db") == 0
    assert fuzz.main(["report", "good.db"]) == 0


def test_what_is_no_store_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes").write_text("dear diary")
    assert fuzz.main(["report", "notes"]) == 2
    assert capsys.readouterr().err == "vx32py: fuzz: notes: file is not a database\n"
    assert fuzz.main(["report", "missing"]) == 2
    assert capsys.readouterr().err == "vx32py: fuzz: missing: no such file\n"


def a_case(*, right: bool = True) -> str:
    """INC EAX, with an outcome."""
    from conformance.oracles import open_oracle

    case = Case("inc", b"\x40", (7, *([0] * 7), 0x10_0800, 0x202))
    outcome = open_oracle("reference").run(case)
    if not right:
        outcome = type(outcome)((99, *outcome.words[1:]), outcome.memory, outcome.trap)
    return case_file.dumps(case, outcome)


def test_replay_runs_a_case_on_every_oracle(capsys: pytest.CaptureFixture[str]) -> None:
    Path("right.case").write_text(a_case())
    Path("wrong.case").write_text(a_case(right=False))
    assert fuzz.main(["replay", "--oracles", "reference,translated", "right.case"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"reference +as the case file", out)
    assert re.search(r"translated +as the case file", out)
    assert fuzz.main(["replay", "right.case", "wrong.case"]) == 1
    out = capsys.readouterr().out
    assert out.count("eax: 0x00000063 or 0x00000008") >= 2


def test_replay_compares_oracles_where_nothing_is_expected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = a_case()
    Path("open.case").write_text(text[: text.index("expected")])
    assert fuzz.main(["replay", "--oracles", "reference,translated", "open.case"]) == 0
    assert re.search(r"translated +as reference", capsys.readouterr().out)


def test_replay_translates_a_case_of_a_translate_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    if translate.available("jit") is not None:
        pytest.skip("no compiled translator")
    case = translate.case_of(translate.Task("translate", 1, 0, 9, translate.ORACLES), 4)
    right = translate.outcome_of(case, translate.made_by("reference", case))
    ((start, code),) = right.memory
    wrong = type(right)(right.words, ((start, b"\x90" + code[1:]),), None)
    for name, outcome in (("right", right), ("wrong", wrong)):
        Path(f"{name}.case").write_text(case_file.dumps(case, outcome))
    assert fuzz.main(["replay", "right.case"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"reference +as the case file", out)
    assert re.search(r"jit +as the case file", out)
    assert "unicorn" not in out
    assert fuzz.main(["replay", "wrong.case"]) == 1
    assert capsys.readouterr().out.count("differs from the case file") == 2


def test_replay_of_what_is_no_case_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes").write_text("dear diary")
    for path, complaint in (("notes", "notes: "), ("missing", "missing: No such file")):
        assert fuzz.main(["replay", path]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert complaint in line
    assert fuzz.main(["replay"]) == 2
    Path("right.case").write_text(a_case())
    assert fuzz.main(["replay", "--oracles", "nobody", "right.case"]) == 2
    assert "no oracle 'nobody'" in capsys.readouterr().err.splitlines()[-1]


def test_reduce_keeps_what_oracles_disagree_about(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the translated engine were wrong about INC ECX."""

    def symptoms(self: Replayer, case: Case) -> Symptoms:
        wrong = (("translated", frozenset({"register"})),)
        return Symptoms(wrong if 0x41 in case.code else ())

    monkeypatch.setattr(Replayer, "symptoms", symptoms)
    words = (7, 0x1234, *([0] * 6), 0x10_0800, 0x202)
    Path("big.case").write_text(case_file.dumps(Case("big", b"\x40\x41\x42", words)))
    Path("good.case").write_text(case_file.dumps(Case("good", b"\x40", words)))
    assert fuzz.main(["reduce", "--oracles", "reference,translated", "big.case"]) == 0
    out, err = capsys.readouterr()
    case, expected = case_file.loads(out)
    assert case.code == b"\x41"
    assert case.words[0] == 0
    assert expected is not None
    assert expected.words[1] == case.words[1] + 1
    assert err == "big.case: translated: register\n"
    assert fuzz.main(["reduce", "--oracles", "reference,translated", "big.case", "-o", "small.case"]) == 0
    assert case_file.loads(Path("small.case").read_text()) == (case, expected)
    capsys.readouterr()
    assert fuzz.main(["reduce", "--oracles", "reference,translated", "good.case"]) == 1
    assert capsys.readouterr().err == "vx32py: good.case: no oracle disagrees with another\n"


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", "isa", "translate", "replay", "report", "reduce"])
def test_help_teaches_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert "Examples:" in out
    assert f"vx32py fuzz {command}".strip() in out


def test_the_command_line_imports_no_campaign_before_there_is_one() -> None:
    script = (
        "import sys; from conformance import fuzz; from vx32py import cli; "
        "heavy = {'rich', 'sqlite3', 'distributed', 'unicorn', 'numba', 'llvmlite'}; "
        "print(sorted(name for name in sys.modules if name.startswith('conformance.campaign.') or name in heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
