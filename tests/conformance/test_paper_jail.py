"""The evaluation of the jail: what it makes of its samples, and one small measurement."""

from __future__ import annotations

import json
from pathlib import Path

import needs
import pytest

from conformance.paper import jail, main
from conformance.paper.samples import Sample
from conformance.programs import roots, sets


def sampled(seconds: list[float]) -> list[Sample]:
    return [Sample(cpu, 2 * cpu, b"") for cpu in seconds]


def row(name: str, ours: list[float], theirs: list[float] | None = None) -> jail.Row:
    """A job that takes two seconds natively, with starts of a tenth of a second."""
    found = jail.Row(next(job for job in jail.JOBS if job.name == name))
    found.runs = {"native": sampled([2.1] * len(ours)), "jail": sampled(ours)}
    found.idle = {"native": sampled([0.1]), "jail": sampled([0.3])}
    if theirs is not None:
        found.runs["qemu"], found.idle["qemu"] = sampled(theirs), sampled([0.1])
    return found


def test_ratios_are_of_neighbours_with_and_without_the_start() -> None:
    found = row("gzip", [2.5, 2.3])
    assert found.ratios() == [pytest.approx(2.5 / 2.1), pytest.approx(2.3 / 2.1)]
    assert found.at_work() == [pytest.approx(1.1), pytest.approx(1.0)]


@pytest.mark.parametrize(("seconds", "met"), [(2.4, True), (2.6, False)])
def test_an_aim_is_met_at_work(seconds: float, met: bool) -> None:
    assert row("gzip", [seconds]).met() is met


def test_forks_must_beat_the_emulator() -> None:
    assert row("500 fork and exec", [10.0], [11.0]).met() is True
    assert row("500 fork and exec", [10.0], [9.0]).met() is False
    assert row("500 fork and exec", [10.0]).met() is None


def test_the_jobs_of_the_aims_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jail", "--list"]) == 0
    listed = capsys.readouterr().out
    for name in ("gzip", "bzip2", "xz", "sha256sum", "awk", "500 fork and exec", "find", "one-byte writes", "4 KiB"):
        assert name in listed
    assert main(["jail", "no such job"]) == 2


@pytest.mark.ldt
def test_a_quick_look_measures_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs.engine("jit")
    kept = tmp_path / "results.json"
    code = main(["jail", "awk", "--quick", "--rounds", "1", "--json", str(kept), "--write", str(tmp_path / "page.md")])
    if code == 125:
        pytest.skip(capsys.readouterr().err)
    assert code == 0
    (job,) = json.loads(kept.read_text())["jobs"]
    assert job["remark"] == ""
    assert job["columns"]["jail"]["ratio"][0] > 0
    assert "| awk |" in (tmp_path / "page.md").read_text()


def test_a_tree_that_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fetch(name: str, progress: object) -> roots.Root:
        raise roots.Unavailable("no network")

    monkeypatch.setattr(sets, "fetch", fetch)
    assert main(["jail", "awk", "--quick"]) == 125
    assert "no network" in capsys.readouterr().err
