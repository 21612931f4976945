"""The evaluation of the decoders: what it makes of its samples, and one small measurement."""

from __future__ import annotations

import json
from pathlib import Path

import needs
import pytest

from conformance.paper import decoders, main
from vx32py import _compile
from vx32py.decoders.recipes import RECIPES
from vx32py.pki import plugins
from vx32py.upstream import sources


def row(ours: list[float], theirs: list[float]) -> decoders.Row:
    """A decoder whose wall time is twice its processor time."""
    found = decoders.Row("gzip", size=1 << 20, written=4 << 20)
    found.guest = [(seconds, 2 * seconds) for seconds in ours]
    found.native = [(seconds, seconds) for seconds in theirs]
    return found


def test_ratios_are_of_neighbours() -> None:
    found = row([1.1, 2.4, 1.0], [1.0, 2.0, 1.0])
    assert found.ratios() == [pytest.approx(1.1), pytest.approx(1.2), pytest.approx(1.0)]
    assert found.ratios(1) == [pytest.approx(2.2), pytest.approx(2.4), pytest.approx(2.0)]
    assert decoders.cells(found)[:6] == ["gzip", "1.0", "4.0", "1.00", "4", "1.10"]


@pytest.mark.parametrize(("seconds", "met"), [(1.05, True), (1.2, False)])
def test_an_aim_is_met_by_the_median(seconds: float, met: bool) -> None:
    assert row([seconds, seconds, 9.0], [1.0, 1.0, 1.0]).met is met


def test_the_cost_of_reuse_is_what_is_not_decoding() -> None:
    found = decoders.Reuse(1000, [(0.08, 0.1)], [(0.03, 0.02)])
    assert found.costs() == [pytest.approx(50e-6)]
    assert found.costs(1) == [pytest.approx(80e-6)]


def test_every_decoder_and_every_hash_function_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decoders", "--list"]) == 0
    listed = set(capsys.readouterr().out.split())
    assert listed == {*RECIPES, *decoders.HASHES, "reuse", "parallel"}
    assert set(decoders.HASHES) <= set(plugins.RECIPES)
    assert main(["decoders", "no such decoder"]) == 2


@pytest.mark.ldt
def test_a_quick_look_measures_and_compares(tmp_path: Path) -> None:
    needs.engine("jit")
    if not _compile.can_build_native():
        pytest.skip("no compiler for native 32-bit programs")
    try:
        sources.fetch("libtomcrypt")
    except sources.SourceUnavailable as error:
        pytest.skip(str(error))
    kept = tmp_path / "results.json"
    assert main(["decoders", "md5", "--quick", "--rounds", "1", "--json", str(kept)]) == 0
    (found,) = json.loads(kept.read_text())["decoders"]
    assert found["remark"] == ""
    assert found["ratio"][0] > 0
