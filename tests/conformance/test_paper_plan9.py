"""The evaluation of the Plan 9 kernel: what it makes of its samples, and a look at each program. Nothing is said of time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import needs
import pytest

from conformance.paper import main, plan9, plan9_report, tables
from conformance.paper.samples import Sample


def row(name: str, ours: list[float], theirs: list[float]) -> plan9.Row:
    """A job that was done ten times, with starts of a tenth of a second."""
    found = plan9.Row(next(job for job in plan9.JOBS if job.name == name), 10)
    found.runs = {
        "native": [Sample(cpu, 2 * cpu, b"") for cpu in theirs],
        "plan9": [Sample(cpu, 3 * cpu, b"") for cpu in ours],
    }
    found.idle = {"native": [Sample(0.1, 0.2, b"")], "plan9": [Sample(0.1, 0.3, b"")]}
    return found


def test_ratios_are_of_neighbours_without_the_start() -> None:
    found = row("sha1zero", [1.1, 2.1], [1.1, 1.1])
    assert found.ratios() == [pytest.approx(1.0), pytest.approx(2.0)]
    assert found.ratios("wall") == [pytest.approx(1.5), pytest.approx(3.0)]
    assert row("swtch", [0.3], [0.2]).spent("plan9") == [pytest.approx(0.01)]  # each time is two switches


@pytest.mark.parametrize(("seconds", "met"), [(1.14, True), (1.16, False)])
def test_an_aim_is_met(seconds: float, met: bool) -> None:
    assert row("sha1zero", [seconds], [1.1]).met() is met
    assert row("swtch", [seconds], [1.1]).met() is None


def test_the_papers_figures_stand_beside() -> None:
    page = tables.page(["a machine"], plan9_report.grids([row("swtch", [1.1], [0.6]), row("stat", [1.1], [0.6])]))
    assert "* a machine" in page
    assert "| swtch | switch | 25000.00 | 50000.00 | 2.00 | 2.00-2.00 |" in page
    assert "| 1.69 / 4.8 / 23 |" in page
    assert page.index("9vx") < page.index("| swtch") < page.index("| stat")


def test_the_papers_programs_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan9", "--list"]) == 0
    listed = capsys.readouterr().out
    for name in ("swtch", "pipe-byte", "pipe-bulk", "rdwr", "sha1zero", "du"):
        assert name in listed
    assert main(["plan9", "no such job"]) == 2


@pytest.mark.ldt
def test_a_quick_look_measures_and_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs.engine("jit")
    monkeypatch.setattr(plan9, "QUICK_SHARE", 200)
    kept = tmp_path / "results.json"
    code = main([
        "plan9", "--quick", "--rounds", "1", "--json", str(kept), "--write", str(tmp_path / "page.md"),
        "--plot", str(tmp_path / "picture.svg"),
    ])  # fmt: skip
    assert code == 0, capsys.readouterr()
    jobs = json.loads(kept.read_text())["jobs"]
    assert [job["name"] for job in jobs] == [job.name for job in plan9.JOBS]
    assert all(job["remark"] == "" and job["columns"]["plan9"]["cpu"][0] > 0 for job in jobs)
    assert "| du |" in (tmp_path / "page.md").read_text()
    assert "<svg" in (tmp_path / "picture.svg").read_text()


@pytest.mark.ldt
def test_the_hash_is_the_hash(tmp_path: Path) -> None:
    needs.engine("jit")
    job = next(job for job in plan9.JOBS if job.name == "sha1zero")
    where = plan9.Place(tmp_path, plan9.build(lambda line: None))
    wanted = hashlib.sha1(bytes(1 << 20)).hexdigest().encode()  # noqa: S324 - what the program computes
    for column in plan9.COLUMNS:
        assert where.run(column, job, 1).output.split() == [wanted]
