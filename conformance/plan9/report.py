"""Results of Go's tests, and ``docs/plan9-go.md``, the page that is made of them. Runs add up; the last one of a package
counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from conformance.plan9.gotests import FAIL, PASS, SKIP, Results
from conformance.plan9.packages import PACKAGES, REASONS

_SOURCE: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = _SOURCE / "build" / "plan9-go.json"
DOCUMENT: Final = _SOURCE / "docs" / "plan9-go.md"
_NOBODY: Final = "nobody has looked at it"

_HEAD: Final = """\
# Go's own tests on the Plan 9 kernel

Made by `python -m conformance.plan9 gotests --write`; do not edit. The tests of the packages of Go's library ({release}) are built
for plan9/386 and run on the kernel (`-test.v -test.short`), in the directory of their sources; and the same built for linux/386
run directly on the host. Counted are tests and examples, not those within others. Tests of the one system only are in its numbers
and nowhere else. Tests that need the command `go` are skipped on both,
with GO_GCFLAGS. Seconds are from start to end, on a machine that has other work as well; on the kernel a kernel is started, twice, and
code is translated.

| package | passed | failed | skipped | seconds | natively passed | failed | skipped | seconds |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""


def record(found: dict[str, Any], package: str, system: str, results: Results) -> None:
    """Add what came of a package."""
    found.setdefault(package, {})[system] = {
        "tests": results.tests, "notes": results.notes, "seconds": round(results.seconds, 2), "problem": results.problem,
    }  # fmt: skip


def _numbers(entry: dict[str, Any] | None) -> list[str]:
    if entry is None:
        return [""] * 4
    values = list(entry["tests"].values())
    return [*(str(values.count(result)) for result in (PASS, FAIL, SKIP)), f"{entry['seconds']:.1f}"]


def document(found: dict[str, Any], release: str) -> str:
    """The page."""
    rows, failures = [], []
    totals = [0] * 6
    for package in (each for each in PACKAGES if "plan9" in found.get(each, {})):
        here, there = found[package]["plan9"], found[package].get("linux")
        numbers = _numbers(here) + _numbers(there)
        rows.append(f"| {package} | {' | '.join(numbers)} |")
        for place, column in enumerate((0, 1, 2, 4, 5, 6)):
            totals[place] += int(numbers[column] or 0)
        failures += _failures(package, here, there)
    one, two = totals[:3], totals[3:]
    rows.append(f"| **all** | {' | '.join(map(str, one))} | | {' | '.join(map(str, two))} | |")
    missing = [f"`{each}`" for each in PACKAGES if "plan9" not in found.get(each, {})]
    rest = f"\n\nThese were not run, or have no tests: {', '.join(missing)}." if missing else ""
    text = _HEAD.format(release=release) + "\n".join(rows) + rest + "\n\n## What fails, and why\n\n"
    if not failures:
        return text + "Nothing.\n"
    return text + "| package | test | natively | why |\n|---|---|---|---|\n" + "\n".join(failures) + "\n"


def _failures(package: str, here: dict[str, Any], there: dict[str, Any] | None) -> list[str]:
    rows: list[str] = []
    reasons = REASONS.get(package, {})
    tests = there["tests"] if there is not None else {}
    words = {PASS: "passes", FAIL: "fails", SKIP: "is skipped"}
    if here["problem"]:
        rows.append(f"| {package} | | | {reasons.get('', _NOBODY)} |")
    for name in sorted(name for name, result in here["tests"].items() if result == FAIL):
        native = words.get(tests.get(name, ""), "is not there")
        rows.append(f"| {package} | {name} | {native} | {reasons.get(name) or reasons.get('') or _NOBODY} |")
    return rows


def write(found: dict[str, Any], release: str) -> None:
    """Write the page."""
    DOCUMENT.write_text(document(found, release))
