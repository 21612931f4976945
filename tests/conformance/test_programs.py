"""The comparison of programs itself: that it sees every difference, and makes trees as Debian's scripts would."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.programs import alternatives, report, sets
from conformance.programs.case import Case
from conformance.programs.cases import CASES, chosen
from conformance.programs.roots import Root
from conformance.programs.run import Comparison, Outcome, difference

CASE = Case("echo", "coreutils", argv=("/bin/echo", "x"))
SAME = Outcome(0, b"one\ntwo\n", b"note\n", ("a 100644 00", "b 40755"), 1.0)


def test_equal_outcomes_have_no_difference() -> None:
    assert difference(CASE, SAME, Outcome(0, SAME.stdout, SAME.stderr, SAME.files, 2.0)) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Outcome(1, b"one\ntwo\n", b"why\n", SAME.files, 1.0), "exit code 1, natively exit code 0: why"),
        (Outcome(None, b"", b"", (), 1.0), "time-out, natively exit code 0"),
        (Outcome(0, b"one\n2\n", b"note\n", SAME.files, 1.0), "stdout: line 2 is b'2', natively b'two'"),
        (Outcome(0, b"one\n", b"note\n", SAME.files, 1.0), "stdout: 1 lines, natively 2; the first more is b'two'"),
        (Outcome(0, b"one\ntwo", b"note\n", SAME.files, 1.0), "stdout: the ends of lines differ"),
        (Outcome(0, b"one\ntwo\n", b"", SAME.files, 1.0), "stderr: 0 lines, natively 1; the first more is b'note'"),
        (
            Outcome(0, b"one\ntwo\n", b"note\n", ("a 100600 00", "b 40755"), 1.0),
            "files: a 100600 00, natively a 100644 00",
        ),
        (Outcome(0, b"one\ntwo\n", b"note\n", ("a 100644 00",), 1.0), "files: nothing, natively b 40755"),
    ],
)
def test_each_difference_is_seen(found: Outcome, said: str) -> None:
    assert difference(CASE, SAME, found) == said


def test_what_is_scrubbed_makes_no_difference_and_the_rest_does() -> None:
    case = Case("x", "x", argv=("x",), scrub=(r"pid \d+",))
    before, after = Outcome(0, b"pid 1 ok", b"", (), 1.0), Outcome(0, b"pid 22 ok", b"", (), 1.0)
    assert difference(case, before, after) == ""
    assert difference(case, before, Outcome(0, b"pid 22 no", b"", (), 1.0))


def test_of_two_alternatives_the_one_with_the_higher_priority_is_linked(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    for name in ("mawk", "gawk"):
        (tmp_path / "usr/bin" / name).touch()
    script = (
        "update-alternatives --install /usr/bin/awk awk /usr/bin/{0} {1} \\\n --slave /usr/bin/nawk nawk /usr/bin/{0}\n"
    )
    missing = "update-alternatives --install /usr/bin/awk awk /usr/bin/original-awk 99"
    alternatives.install(tmp_path, [script.format("gawk", 10), script.format("mawk", 5), missing])
    assert (tmp_path / "usr/bin/awk").readlink() == Path("/usr/bin/gawk")
    assert (tmp_path / "usr/bin/nawk").readlink() == Path("/usr/bin/gawk")


def test_names_of_cases_are_unique_and_their_trees_exist() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.root for case in CASES} <= set(sets.SETS)
    assert {case.root for case in CASES if case.default} <= {"base", "busybox-dynamic", "go"}
    assert all(case.default for case in chosen(()))
    with pytest.raises(KeyError):
        chosen(("nonesuch",))


def test_the_page_says_what_agrees_and_what_does_not() -> None:
    case = next(case for case in CASES if case.name == "echo")
    root = Root("base", Path("/nowhere"), {"coreutils": "1:9.1+dfsg1-3"}, 0)
    results: dict[str, object] = {}
    report.record(results, Comparison(case, "jit", SAME, SAME, ""), root)
    report.record(results, Comparison(case, "reference", SAME, SAME, "stdout: <differs>"), root)
    page = report.document(results)
    assert "| coreutils 9.1 | echo | same | **differs** | 1.00 | 1.00 | 1.0 | yes |" in page
    assert "1 of 1 cases" in page
    assert "* `echo` on reference: stdout: &lt;differs>" in page
