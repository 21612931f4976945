"""The evaluation measures what it says it measures."""

from __future__ import annotations

from pathlib import Path

import pytest

import vx32py
from conformance import paper
from conformance.paper import bench, programs, report
from vx32py import _compile, _engines

SOURCES = sorted({program.source for program in programs.PROGRAMS if program.source})
#: Measured in no time.
QUICK = programs.Program("echo", "examples/echo.c", ("a", "b"), (), repeat=2)


def needs_compiler() -> None:
    """Skip the test where there is no compiler for guests."""
    if not _compile.compilers():
        pytest.skip("no compiler for guests (pip install 'vx32py[guest]')")


def needs_jit() -> None:
    """Skip the test where there is nothing to measure."""
    reason = _engines.unavailable("jit")
    if reason is not None:
        pytest.skip(f"the jit engine cannot run here: {reason}")


@pytest.mark.compiler
@pytest.mark.parametrize("source", SOURCES)
def test_guest_and_native_program_differ_in_the_system_calls_only(source: str) -> None:
    needs_compiler()
    program = next(each for each in programs.PROGRAMS if each.source == source)
    pair = programs.prepare(program)
    native = vx32py.Module.from_file(pair.native)
    start, end = (native.symbols[name].address for name in ("measured_call", "measured_call_end"))
    assert pair.guest.data != native.data
    assert programs.differences(pair) == []
    for one, other in zip(pair.guest.segments, native.segments, strict=True):
        assert one.start == other.start
        changed = [i for i, (a, b) in enumerate(zip(one.data, other.data, strict=True)) if a != b]
        assert all(start <= one.start + i < end for i in changed)


@pytest.mark.compiler
def test_a_program_that_differs_elsewhere_is_found_out(tmp_path: Path) -> None:
    needs_compiler()
    pair = programs.prepare(QUICK)
    changed = bytearray(pair.native.read_bytes())
    text = next(s for s in pair.guest.segments if s.access & vx32py.Access.EXECUTE)
    at = changed.find(bytes(text.data[:32]))
    changed[at] ^= 1
    other = tmp_path / "changed"
    other.write_bytes(changed)
    assert programs.differences(programs.Pair(pair.guest, other, "echo")) == [text.start]


@pytest.mark.compiler
@pytest.mark.ldt
def test_a_measurement_has_pairs_and_says_where_the_time_goes() -> None:
    needs_compiler()
    needs_jit()
    row = bench.measure(QUICK, 2, lambda line: None)
    assert not row.remark
    assert len(row.native) == len(row.guest) == len(row.idle_native) == len(row.idle_guest) == 2
    assert row.guest[0].output == row.native[0].output == b"a b\n" * 2
    assert row.guest[0].fragments > 0
    assert row.guest[0].calls >= 2
    assert all(ratio > 0 for ratio in row.ratios("wall"))
    page = report.markdown([row], ["a fact"])
    assert "| echo |" in page
    assert "* a fact" in page


@pytest.mark.compiler
def test_what_cannot_be_measured_is_a_remark() -> None:
    row = bench.measure(programs.Program("gone", "examples/gone.c", (), ()), 1, lambda line: None)
    assert "examples/gone.c" in row.remark
    assert "| gone |" in report.markdown([row], [])


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert paper.main(["--list"]) == 0
    assert "sha256" in capsys.readouterr().out
    assert paper.main(["no such program"]) == 2
    with pytest.raises(SystemExit) as usage:
        paper.main(["--nonsense"])
    assert usage.value.code == 2
