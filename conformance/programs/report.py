"""Results of runs, and ``docs/programs.md``, the table that is made of them.

Results of several runs add up: the last one of a case on an engine counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from conformance.programs.cases import CASES
from conformance.programs.roots import Root
from conformance.programs.run import Comparison

_SOURCE: Final = Path(__file__).resolve().parent.parent.parent
RESULTS: Final = _SOURCE / "build" / "programs.json"
DOCUMENT: Final = _SOURCE / "docs" / "programs.md"

_HEAD: Final = """\
# Programs that run in the jail

Made by `python -m conformance.programs --all --write`; do not edit. Every program is out of Debian's i386 packages, unpacked
and not installed. A case is run natively, in a chroot, and by `vx32py jail` with the same tree as `/`; what both print, their
exit codes and the files that they leave are compared. **Same** means that none of it differs. The cases are in
`conformance/programs/cases`.

Times are of the whole run, start of Python and translation of the program included, so that the ratio of short
cases says how long a jail takes to start and little else.
"""


def record(results: dict[str, Any], comparison: Comparison, root: Root) -> None:
    """Add what came of a case."""
    case = comparison.case
    entry = results.setdefault(case.name, {"engines": {}})
    entry["version"] = root.version(case.package)
    entry["native"] = round(comparison.native.seconds, 3)
    entry["engines"][comparison.engine] = {
        "seconds": round(comparison.jailed.seconds, 3),
        "difference": comparison.difference,
    }


def document(results: dict[str, Any]) -> str:
    """The page: a summary, the table, and what differs."""
    rows, wrong = [], []
    agree = count = 0
    for case in CASES:
        entry = results.get(case.name)
        if entry is None:
            continue
        cells = [_cell(entry["engines"].get(engine)) for engine in ("jit", "reference")]
        jit = entry["engines"].get("jit")
        if jit is not None:
            count += 1
            agree += not jit["difference"]
        ratio = f"{jit['seconds'] / entry['native']:.1f}" if jit and entry["native"] else ""
        program = f"{case.package} {entry['version']}".strip()
        time = f"{jit['seconds']:.2f}" if jit else ""
        suite = "yes" if case.default else ""
        rows.append(
            f"| {program} | {case.name} | {cells[0]} | {cells[1]} | {entry['native']:.2f} | {time} | {ratio} | {suite} |"
        )
        wrong += [
            f"* `{case.name}` on {engine}: {_escape(result['difference'])}"
            for engine, result in sorted(entry["engines"].items())
            if result["difference"]
        ]
    lines = [
        _HEAD,
        f"On the `jit` engine {agree} of {count} cases do the same as natively.\n",
        "| program | case | jit | reference | native s | jit s | ratio | in the test suite |",
        "|---|---|---|---|---:|---:|---:|---|",
        *rows,
    ]
    if wrong:
        lines += ["", "## What differs", "", *wrong]
    return "\n".join(lines) + "\n"


def write(results: dict[str, Any], path: Path = DOCUMENT) -> None:
    """Write the page."""
    path.write_text(document(results))


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return ""
    return "same" if not result["difference"] else "**differs**"


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text).replace("<", "&lt;").replace("|", "\\|")


def summary(comparisons: Iterable[Comparison]) -> str:
    """One line."""
    all_ = list(comparisons)
    return f"{sum(each.agrees for each in all_)} of {len(all_)} runs do the same as natively"
