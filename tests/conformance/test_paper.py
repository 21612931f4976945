"""The evaluation measures what it says it measures. No test here says anything about time."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import needs
import pytest

import vx32py
from conformance import paper
from conformance.paper import (
    bars,
    bench,
    columns,
    decoders,
    driver,
    host,
    machine,
    plot,
    programs,
    recipes,
    report,
    results,
    targets,
    turns,
)  # fmt: skip
from conformance.paper.samples import Sample
from vx32py import _compile, _engines
from vx32py.upstream import sources

SOURCES = sorted({program.source for program in programs.PROGRAMS if program.source})
#: Measured in no time.
QUICK = programs.Program("echo", "examples/echo.c", ("a", "b"), (), repeat=2)
MACHINE = {
    "processor": "a processor", "processors": 2, "load": 0.1, "system": "a system", "huge pages": "never",
    "versions": {"gcc": "1"},
}  # fmt: skip


def needs_compiler() -> None:
    """Skip the test where there is no compiler for guests."""
    if not _compile.compilers():
        pytest.skip("no compiler for guests (pip install 'vx32py[guest]')")


def silently(line: str) -> None:
    """Progress that nobody sees."""


def sample(cpu: float, output: bytes = b"x") -> Sample:
    """A run that took so many seconds."""
    return Sample(cpu, 2 * cpu, output, translating=cpu / 10, calls=3)


def made_up(name: str, native: float, guest: float, **more: float) -> results.Row:
    """A row with one round and nothing to start."""
    program = next(each for each in programs.PROGRAMS if each.name == name)
    row = results.Row(program)
    for column in columns.COLUMNS:
        seconds = {"native": native, "guest": guest, **more}.get(column)
        if seconds is not None:
            row.runs[column] = [sample(seconds)]
            row.idle[column] = [sample(0.0)]
    return row


# -- what is built ---------------------------------------------------------------------------------------------------


@pytest.mark.compiler
@pytest.mark.parametrize("source", SOURCES)
def test_guest_and_native_program_differ_in_the_system_calls_only(source: str) -> None:
    needs_compiler()
    program = next(each for each in programs.PROGRAMS if each.source == source)
    pair = targets.prepare(program)
    native = vx32py.Module.from_file(pair.native)
    start, end = (native.symbols[name].address for name in ("measured_call", "measured_call_end"))
    assert pair.guest.data != native.data
    assert targets.differences(pair) == []
    for one, other in zip(pair.guest.segments, native.segments, strict=True):
        assert one.start == other.start
        changed = [i for i, (a, b) in enumerate(zip(one.data, other.data, strict=True)) if a != b]
        assert all(start <= one.start + i < end for i in changed)


@pytest.mark.compiler
def test_a_program_that_differs_elsewhere_is_found_out(tmp_path: Path) -> None:
    needs_compiler()
    pair = targets.prepare(QUICK)
    changed = bytearray(pair.native.read_bytes())
    text = next(s for s in pair.guest.segments if s.access & vx32py.Access.EXECUTE)
    at = changed.find(bytes(text.data[:32]))
    changed[at] ^= 1
    other = tmp_path / "changed"
    other.write_bytes(changed)
    assert targets.differences(targets.Pair(pair.guest, other, "echo")) == [text.start]


def test_every_recipe_takes_its_sources_from_pinned_archives() -> None:
    for recipe in recipes.RECIPES.values():
        assert recipe.driver.is_file()
        for package in recipe.packages:
            archive = sources.ARCHIVES[package]
            assert len(bytes.fromhex(archive.sha256)) == 32
            assert archive.file.startswith(f"{package}_")
    assert {program.upstream for program in programs.PROGRAMS if program.upstream} == set(recipes.RECIPES)


def test_an_archive_with_another_digest_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    forged.write_bytes(b"not the archive")
    monkeypatch.setattr(sources, "BUILD", tmp_path / "sources")
    monkeypatch.setattr(sources, "_download", lambda archive, folder: forged)
    sources._fetched.cache_clear()
    try:
        with pytest.raises(sources.SourceUnavailable, match="SHA-256"):
            sources.fetch("zlib")
        assert not (tmp_path / "sources").exists()
    finally:
        sources._fetched.cache_clear()


def test_names_are_unique_and_bars_name_what_is_measured() -> None:
    names = [*(program.name for program in programs.PROGRAMS), *host.names()]
    assert len(names) == len(set(names))
    everything = results.Results(MACHINE, quick=False, rounds=1)
    everything.rows = [made_up(p.name, 1.0, 1.0, qemu=1.0, wasm=1.0) for p in programs.PROGRAMS]
    everything.figures = [results.Figure(name, "x", (1.0,)) for name in host.names()]
    assert all(verdict.value == pytest.approx(1.0) for verdict in bars.judge(everything))


# -- what is measured ------------------------------------------------------------------------------------------------


@pytest.mark.compiler
@pytest.mark.ldt
def test_a_measurement_has_pairs_and_says_where_the_time_goes() -> None:
    needs_compiler()
    needs.engine("jit")
    row = bench.measure(QUICK, 2, silently, chosen=("native", "guest"))
    assert not row.remark
    assert {column: len(runs) for column, runs in row.runs.items()} == {"native": 2, "guest": 2}
    assert {column: len(runs) for column, runs in row.idle.items()} == {"native": 2, "guest": 2}
    guest, native = row.runs["guest"][0], row.runs["native"][0]
    assert guest.output == native.output == b"a b\n" * 2
    assert guest.translating >= 0
    assert guest.calls >= 2
    assert all(ratio > 0 for ratio in row.ratios(attribute="wall"))
    page = report.markdown(results.Results(MACHINE, quick=False, rounds=2, rows=[row]))
    assert "| echo |" in page
    assert "* a processor, 2 processors" in page


@pytest.mark.compiler
@pytest.mark.ldt
@pytest.mark.slow
def test_all_ways_to_run_a_program_print_the_same() -> None:
    needs_compiler()
    needs.engine("jit")
    program = next(each for each in programs.PROGRAMS if each.name == "primes")
    row = bench.measure(program, 1, silently, quick=True)
    assert not row.remark
    outputs = {column: runs[0].output for column, runs in row.runs.items()}
    assert {"native", "guest"} <= set(outputs)
    assert len(set(outputs.values())) == 1
    assert set(outputs) | set(row.missing) == set(columns.COLUMNS)
    assert ("qemu" in outputs) == (shutil.which(columns.QEMU) is not None)
    if "zig" in _compile.compilers():
        assert ("wasm" in outputs) == (find_spec("wasmtime") is not None)


@pytest.mark.compiler
@pytest.mark.ldt
def test_another_output_ends_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_compiler()
    needs.engine("jit")
    monkeypatch.setattr(columns, "guest", lambda pair: lambda args, stdin, repeat: sample(1.0, b"wrong"))
    row = bench.measure(QUICK, 2, silently, chosen=("native", "guest"))
    assert "output differs" in row.remark
    assert "guest" not in row.runs


@pytest.mark.compiler
def test_what_cannot_be_measured_is_a_remark() -> None:
    row = bench.measure(programs.Program("gone", "examples/gone.c", (), ()), 1, silently)
    assert "examples/gone.c" in row.remark
    page = report.markdown(results.Results(MACHINE, quick=False, rounds=1, rows=[row]))
    assert "| gone |" in page
    assert row.remark in page


def test_a_source_that_cannot_be_had_is_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(package: str) -> Path:
        raise sources.SourceUnavailable(f"{package}: no network")

    monkeypatch.setattr(sources, "fetch", refuse)
    program = next(each for each in programs.PROGRAMS if each.upstream == "inflate")
    assert bench.measure(program, 1, silently).remark == "zlib: no network"


@pytest.mark.compiler
@pytest.mark.ldt
def test_the_host_side_of_calls_faults_and_creation_can_be_measured() -> None:
    needs_compiler()
    needs.engine("jit")
    for words in ("system call", "page fault", "guest created"):
        measurement = next(each for each in host.MEASUREMENTS if words in each.name)
        figure = host.measure(measurement, 1, quick=True)
        assert len(figure.values) == 1, figure.remark


# -- taking turns ----------------------------------------------------------------------------------------------------


class Machine:
    """Runners of which each takes so many seconds, on a machine that gets slower from run to run."""

    def __init__(self, **seconds: float) -> None:
        self.order: list[tuple[str, bool]] = []
        self.slowness = 1.0
        self.growth = 1.5
        self.runners: dict[columns.Column, columns.Runner] = {
            column: self._runner(column, seconds[column]) for column in columns.COLUMNS if column in seconds
        }

    def _runner(self, column: str, seconds: float) -> columns.Runner:
        def run(args: Sequence[str], stdin: Path, repeat: int) -> Sample:
            works = list(args) == ["work"]
            self.order.append((column, works))
            if column == "native" and works:
                self.slowness *= self.growth
            return sample((seconds if works else 0.25) * self.slowness)

        return run

    def measure(self, rounds: int) -> results.Row:
        """A row by these runners."""
        row = results.Row(programs.Program("made up", "", ("work",), ("idle",), repeat=2))
        turns.take_turns(row, self.runners, rounds, ["work"], (Path("empty"), Path("input")), silently)
        return row


def test_the_ways_to_run_a_program_take_turns() -> None:
    made_up_machine = Machine(native=1.0, guest=2.0, wasm=3.0)
    row = made_up_machine.measure(3)
    first = [(column, False) for column in ("native", "guest", "wasm")]
    each = [(column, works) for column in ("native", "guest", "wasm") for works in (False, True)]
    assert made_up_machine.order == first + 3 * each
    assert {column: len(runs) for column, runs in row.runs.items()} == {"native": 3, "guest": 3, "wasm": 3}


def test_what_slows_down_neighbours_alike_does_not_show_in_their_ratios() -> None:
    row = Machine(native=1.0, guest=1.25, wasm=2.0).measure(3)
    times = [each.cpu for each in row.runs["guest"]]
    assert max(times) > 2 * min(times)
    assert row.ratios() == pytest.approx([1.25] * 3)
    assert row.ratios("wasm") == pytest.approx([2.0] * 3)
    assert row.ratios("wasm", over="guest") == pytest.approx([1.6] * 3)
    assert results.spread(row.ratios()) == {"median": 1.25, "low": 1.25, "high": 1.25, "each": [1.25] * 3}


def test_a_row_ends_when_its_ratios_agree_and_not_before() -> None:
    assert len(Machine(native=1.0, guest=2.0).measure(9).runs["guest"]) == turns.FEWEST
    wavering = Machine(native=1.0, guest=2.0)
    steady, count = wavering.runners["guest"], iter(range(100))

    def waver(args: Sequence[str], stdin: Path, repeat: int) -> Sample:
        found = steady(args, stdin, repeat)
        return sample(found.cpu * (1.1 if next(count) % 4 < 2 else 1.0))

    wavering.runners["guest"] = waver
    assert len(wavering.measure(9).runs["guest"]) == 9
    assert turns.agree([1.0, 1.019])
    assert not turns.agree([1.0, 1.021])
    assert not turns.agree([])


def test_a_slow_column_ends_early_and_keeps_its_pairs() -> None:
    slow = Machine(native=1.0, guest=2.0, qemu=turns.PATIENCE / 4)
    slow.growth = 1.0
    slow.runners["guest"] = lambda args, stdin, repeat: sample(2.0 + len(slow.order) % 7)
    row = slow.measure(6)
    assert len(row.runs["guest"]) == 6
    assert len(row.runs["qemu"]) == 3
    assert row.ratios("qemu") == pytest.approx([turns.PATIENCE / 4] * 3)


# -- what is reported ------------------------------------------------------------------------------------------------


def test_ratios_are_those_of_neighbours_and_work_is_without_starting() -> None:
    row = results.Row(programs.PROGRAMS[0])
    row.runs = {"native": [sample(2.0), sample(4.0)], "guest": [sample(3.0), sample(5.0)]}
    row.idle = {"native": [sample(1.0)], "guest": [sample(1.0)]}
    assert row.ratios() == [1.5, 1.25]
    assert row.at_work() == [2.0, 4 / 3]
    assert row.best() == pytest.approx(5 / 3)
    assert row.best("qemu") is None
    assert results.geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert results.geometric_mean([]) is None


def test_bars_are_met_missed_or_not_measured() -> None:
    found = results.Results(MACHINE, quick=False, rounds=1)
    found.rows = [made_up("MD5 of zeros", 1.0, 1.05, qemu=4.2), made_up("jump", 1.0, 0.5)]
    verdicts = {verdict.bar.title: verdict for verdict in bars.judge(found)}
    expected = {
        "compute, geometric mean": (1.05, False),
        "compute, each": (1.05, True),
        "qemu-i386 over vx32py, compute": (4.0, True),
        "jump": (0.5, True),
        "callind": (None, None),
    }
    for title, (value, met) in expected.items():
        assert verdicts[title].value == pytest.approx(value)
        assert verdicts[title].met is met
    page = report.markdown(found)
    assert "| compute, geometric mean | at most 1.02 | 1.05 | not met |" in page
    assert "| callind | at most 1.4 |  | not measured |" in page


@pytest.mark.parametrize("width", [60, 90, 200])
def test_the_table_fits_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    found = results.Results(MACHINE, quick=True, rounds=1, rows=[made_up("jump", 1.0, 0.5, qemu=2.0)])
    found.rows.append(results.Row(programs.PROGRAMS[1], remark="there is [no] compiler"))
    found.figures.append(results.Figure("creating", "µs", (3.0, 4.0, 8.0)))
    report.show(found)
    said = capsys.readouterr().out
    assert "there is [no] compiler" in said
    assert "3.00-8.00" in said
    assert max(len(line.rstrip()) for line in said.splitlines() if "0.50" in line) <= width


def test_json_holds_everything() -> None:
    found = results.Results(MACHINE, quick=True, rounds=1, rows=[made_up("jump", 1.0, 0.5, wasm=2.0)])
    found.figures.append(results.Figure("creating", "µs", (3.0,)))
    read = json.loads(json.dumps(results.as_json(found)))
    (row,) = read["programs"]
    assert row["columns"]["guest"]["ratio"] == {"median": 0.5, "low": 0.5, "high": 0.5, "each": [0.5]}
    assert read["machine"] == MACHINE
    assert row["columns"]["wasm"]["cpu"] == [2.0]
    assert read["host"][0]["median"] == 3.0
    assert {"aim": "jump", "limit": 1.0, "unit": "", "sense": "at most", "value": 0.5, "met": True} in read["bars"]


def test_results_read_back_are_the_same() -> None:
    found = results.Results(MACHINE, quick=True, rounds=2, rows=[made_up("jump", 1.0, 0.5, wasm=2.0)])
    found.rows.append(
        results.Row(programs.PROGRAMS[1], missing={"qemu": "gone"}, remark="gone", built={"native": "gcc"})
    )
    found.figures.append(results.Figure("creating", "µs", (3.0, 5.0), "a remark"))
    written = json.dumps(results.as_json(found))
    again = results.from_json(json.loads(written))
    assert json.dumps(results.as_json(again)) == written
    assert report.markdown(again) == report.markdown(found)
    with pytest.raises(ValueError, match="format 0"):
        results.from_json({"format": 0})


def test_rows_stand_in_the_order_of_programs_once_each() -> None:
    found = results.Results(MACHINE, quick=True, rounds=1)
    for name in ("MD5 of zeros", "jump", "MD5 of zeros"):
        found.add(made_up(name, 1.0, 1.0))
    assert [row.program.name for row in found.rows] == ["jump", "MD5 of zeros"]


def test_the_machine_is_described_and_compared_without_its_load() -> None:
    here = machine.describe()
    assert here["versions"]["Python"]
    assert any("processors" in line for line in machine.lines(here))
    assert machine.same(here, here | {"load": 99.0})
    assert not machine.same(here, here | {"versions": {}})
    assert not machine.same(here, here | {"translator": "another"})


def test_it_is_known_how_every_program_is_built() -> None:
    for program in programs.PROGRAMS:
        built = targets.how_built(program)
        assert built["native"]
        assert ("wasm" in built) == (bool(program.source or program.upstream) and not program.not_wasm)


@pytest.mark.parametrize("suffix", plot.FORMATS)
def test_a_plot_is_drawn_and_the_same_every_time(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = results.Results(MACHINE, quick=False, rounds=1, rows=[made_up("jump", 1.0, 0.5, qemu=20.0)])
    files = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for file in files:
        plot.draw(found, file)
    one, other = (file.read_bytes() for file in files)
    assert one == other
    if suffix == ".svg":
        assert b">jump<" in one


def test_the_plot_shows_the_papers_ranges_and_the_aims() -> None:
    ranges = {program.name: plot.paper_range(results.Row(program)) for program in programs.PROGRAMS}
    assert ranges["jump"] == (0.28, 1.0)
    assert ranges["SHA-512 of zeros"] == (0.85, 1.14)
    assert ranges["lz, decompress"] is None  # zlib's is another program's
    aims = {program.name: bars.limit_of(program) for program in programs.PROGRAMS}
    assert (aims["call"], aims["Fibonacci, every call made"], aims["MD5 of zeros"]) == (1.3, 1.3, 1.1)
    assert aims["primes"] is None


# -- the command line ------------------------------------------------------------------------------------------------


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert paper.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(program.name in said for program in programs.PROGRAMS)
    assert all(name in said for name in host.names())
    assert paper.main(["--list", "--kind", "compute", "--only", "sha-512"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["compute", "SHA-512"]
    assert paper.main(["no such program"]) == 2
    for wrong in (["--nonsense"], ["--columns", "native,bochs"], ["--plot", "results.gif"], ["--resume"]):
        with pytest.raises(SystemExit) as usage:
            paper.main(wrong)
        assert usage.value.code == 2


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line with measurements that are made up; the names of the programs that were asked for."""
    asked: list[str] = []

    def measure(program: programs.Program, rounds: int, *args: object, **options: object) -> results.Row:
        asked.append(program.name)
        if program.name == "callind" and asked.count("callind") == 1:
            raise KeyboardInterrupt
        return made_up(program.name, 1.0, 2.0)

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(bench, "build_translator", lambda progress: "translated by nobody")
    monkeypatch.setattr(_engines, "unavailable", lambda engine: None)
    return asked


def test_an_interrupted_run_can_be_resumed(
    nothing_runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    command = ["jumpal", "callind", "virtual", "--json", str(file)]
    assert paper.main(command) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert [row["name"] for row in json.loads(file.read_text())["programs"]] == ["jumpal"]
    assert paper.main([*command, "--resume"]) == 0
    assert nothing_runs == ["jumpal", "callind", "callind", "virtual calls"]
    said = capsys.readouterr()
    assert "2 programs and 0 figures" in said.err
    assert "jumpal" in said.out
    nothing_runs.clear()
    assert paper.main(["--from", str(file), "--write", str(tmp_path / "results.md")]) == 0
    assert "| virtual calls |" in (tmp_path / "results.md").read_text()
    assert nothing_runs == []


def test_results_that_do_not_belong_together_are_refused(
    nothing_runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    assert paper.main(["jumpal", "--json", str(file)]) == 0
    held = json.loads(file.read_text())
    for changed in ({"quick": True}, {"format": 0}, {"machine": {**held["machine"], "processor": "another"}}):
        file.write_text(json.dumps(held | changed))
        with pytest.raises(SystemExit) as usage:
            paper.main(["jump", "--json", str(file), "--resume"])
        assert usage.value.code == 2
        assert str(file) in capsys.readouterr().err
    assert nothing_runs == ["jumpal"]


def test_the_time_it_will_take_is_estimated() -> None:
    everything = bench.expected_seconds(40, 20, 7)
    assert everything > bench.expected_seconds(40, 20, 3) > bench.expected_seconds(20, 20, 3) > 0
    assert bench.expected_seconds(40, 20, 2, quick=True) < everything
    assert bench.expected_seconds(40, 20, 7, chosen=("native", "guest")) < everything


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as usage:
        paper.main(["--help"])
    assert usage.value.code == 0
    said = capsys.readouterr().out
    assert "examples:" in said
    assert "reading the table:" in said


def interrupted(*args: object, **options: object) -> NoReturn:
    raise KeyboardInterrupt


def test_decoders_that_were_interrupted_had_been_measured_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the exit code had it."""
    needs.engine("jit")
    monkeypatch.setattr(decoders, "measure", interrupted)
    assert paper.main(["decoders", "--quick", "md5"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_jobs_that_were_interrupted_had_output_that_was_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """As the exit code had it."""
    needs.engine("jit")
    parser = driver.parser("test", "", rounds=1, names="", quick="")
    status = driver.run(
        parser, parser.parse_args([]), ["job"], place=contextlib.nullcontext, unavailable=OSError, measure=interrupted,
        as_json=lambda row: {}, grids=lambda rows: [],
    )  # fmt: skip
    assert status == 130
    assert "interrupted" in capsys.readouterr().err
