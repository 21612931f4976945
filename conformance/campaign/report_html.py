"""A campaign's report as one page: no scripts, nothing loaded from elsewhere, for light and dark screens.

Whatever a chart shows stands in a table too, and colours never say anything alone. The page is plain HTML with one style
sheet; what a guest or a case could have put into it is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from conformance.campaign.coverage import Coverage, CoverageRow, GroupSummary

_STYLE: Final = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #d0d7de; --card: #f6f8fa;
  --all: #0550ae; --some: #80b3ff; --none: #d9dee4; --bad: #b3261e; --good: #1a6b34; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1318; --ink: #e6eaef; --quiet: #9aa5b1; --line: #333c47;
  --card: #181e25; --all: #79b0ff; --some: #2f5d9e; --none: #2a323c; --bad: #ff8a80; --good: #7ddc9a; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 76rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p { max-width: 48rem; } .quiet { color: var(--quiet); }
dl.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0 0; }
dl.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem; }
dl.tiles dt { color: var(--quiet); font-size: .85rem; } dl.tiles dd { margin: 0; font-size: 1.35rem; }
.bad { color: var(--bad); } .good { color: var(--good); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding: .25rem 0; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; } tbody th { font-weight: 600; }
td.number, th.number { text-align: right; } td.reason { color: var(--quiet); font-size: .85rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .75rem; overflow-x: auto; }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; padding: .4rem .9rem; }
summary { cursor: pointer; } summary:focus-visible { outline: 2px solid var(--all); outline-offset: 3px; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .quiet { fill: var(--quiet); } svg .all { fill: var(--all); } svg .some { fill: var(--some); }
svg .none { fill: var(--none); }
"""

#: Measures of the chart, in pixels.
_BAR, _STEP, _LEFT, _WIDTH, _RIGHT = 16, 24, 90, 560, 220
#: Between the parts of a bar, so that they are told apart without their colours.
_GAP: Final = 2


def page(coverage: Coverage) -> str:
    """The page."""
    title = f"vx32py: {coverage.plan.kind} campaign, seed {coverage.plan.seed}"
    return "\n".join((
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">""",
        _tag("title", escape(title)),
        _tag("style", _STYLE),
        "</head>",
        "<body>",
        "<main>",
        _tag("h1", escape(title)),
        _tag("p", escape(f"Begun {coverage.started} on {coverage.host}."), class_="quiet"),
        *_tiles(coverage),
        *_divergences(coverage),
        *_coverage(coverage),
        *_speeds(coverage),
        *_explained(coverage),
        *_rows(coverage),
        "</main>",
        "</body>",
        "</html>",
        "",
    ))  # fmt: skip


def _tag(name: str, content: str, **attributes: str) -> str:
    """An element; ``content`` is markup, attributes are text. ``class_`` is class."""
    written = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{content}</{name}>"


def _table(caption: str, headings: Iterable[str], rows: Iterable[str], *, left: int = 1) -> str:
    """A table. ``rows`` are markup; the first ``left`` headings are those of text, the others of numbers."""
    head = "".join(
        _tag("th", escape(heading), scope="col", **({} if number < left else {"class_": "number"}))
        for number, heading in enumerate(headings)
    )
    return _tag(
        "div",
        _tag(
            "table",
            _tag("caption", escape(caption)) + _tag("thead", _tag("tr", head)) + _tag("tbody", "\n".join(rows)),
        ),
        class_="wide",
    )


def _row(heading: str, *cells: str) -> str:
    return _tag("tr", _tag("th", escape(heading), scope="row") + "".join(cells))


def _number(value: float, digits: int = 0) -> str:
    return _tag("td", f"{value:,.{digits}f}", class_="number")


def _text(text: str) -> str:
    return _tag("td", escape(text))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# -- the parts of the page -------------------------------------------------------------------------------------------


def _tiles(coverage: Coverage) -> Iterable[str]:
    seconds = sum(totals.seconds for totals in coverage.totals)
    rate = coverage.cases / seconds if seconds else 0.0
    mood = "bad" if coverage.findings else "good"
    tiles = (
        ("cases", f"{coverage.cases:,}", ""),
        ("rows of the instruction table judged", f"{coverage.rows_judged:,} of {coverage.rows_to_judge:,}", ""),
        ("divergences", f"{coverage.divergences:,} of {_count(len(coverage.findings), 'cause')}", mood),
        ("cases a second and process", f"{rate:,.0f}", ""),
    )
    yield _tag(
        "dl",
        "".join(
            _tag("div", _tag("dt", name) + _tag("dd", value, **({"class_": kind} if kind else {})))
            for name, value, kind in tiles
        ),
        class_="tiles",
    )


def _divergences(coverage: Coverage) -> Iterable[str]:
    yield _tag("h2", "Divergences")
    if not coverage.findings:
        yield _tag("p", f"None in {coverage.cases:,} cases.")
        return
    yield _tag("p", "One case of each cause, the first. <code>vx32py fuzz replay</code> runs it again.")
    for finding in coverage.findings:
        cause = finding.cause
        where = f"Case {finding.number} of shard {finding.shard}: {finding.label}"
        yield _tag(
            "details",
            _tag("summary", f"{escape(str(cause))} — {_count(finding.count, 'case')}")
            + _tag("p", escape(where))
            + _tag("pre", escape("\n".join(finding.found)))
            + _tag("pre", escape(finding.text)),
        )


def _coverage(coverage: Coverage) -> Iterable[str]:
    yield _tag("h2", "Coverage by group of instructions")
    yield _chart(coverage.groups)
    headings = ("group", "rows", "by every oracle", "by some", "by none", "refused", *_columns(coverage), "divergences")
    yield _table(
        "Rows of the instruction table judged by every oracle, by some, by none; those that are refused to every guest; and"
        " cases by oracle. A sequence of instructions counts for each of them.",
        headings,
        (
            _row(
                group.name,
                *(
                    _number(number)
                    for number in (
                        group.rows,
                        group.all,
                        group.some,
                        group.none,
                        group.refused,
                        *group.cases,
                        group.divergences,
                    )
                ),
            )
            for group in coverage.groups
        ),
    )


def _chart(groups: list[GroupSummary]) -> str:
    """Stacked bars, one for each group: what part of its rows every oracle has judged, some have, none has."""
    parts: list[str] = []
    top = 34
    x: float = _LEFT
    for name, label in (("all", "judged by every oracle"), ("some", "by some"), ("none", "by none")):
        parts.append(f'<rect class="{name}" x="{x}" y="6" width="12" height="12" rx="2"/>')
        parts.append(f'<text x="{x + 18}" y="16">{label}</text>')
        x += 40 + 7 * len(label)
    for number, group in enumerate(groups):
        y = top + number * _STEP
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(group.name)}</text>')
        x = _LEFT
        for name, rows in (("all", group.all), ("some", group.some), ("none", group.none)):
            if rows:
                width = _WIDTH * rows / group.rows
                parts.append(
                    f'<rect class="{name}" x="{x:.1f}" y="{y}" width="{max(width - _GAP, 1):.1f}" height="{_BAR}" rx="2"/>'
                )
                x += width
        text = f"{100 * group.all / max(group.rows, 1):.0f} %, {group.all:,} of {_count(group.rows, 'row')}"
        parts.append(f'<text class="quiet" x="{_LEFT + _WIDTH + 10}" y="{y + 13}">{text}</text>')
    width, height = _LEFT + _WIDTH + _RIGHT, top + len(groups) * _STEP
    return _tag(
        "figure",
        _tag(
            "svg",
            _tag("title", "Coverage by group of instructions", id="chart-title")
            + _tag("desc", "Stacked bars; the table below has the same numbers.", id="chart-text")
            + "\n".join(parts),
            viewBox=f"0 0 {width} {height}",
            width=str(width),
            height=str(height),
            role="img",
            aria_labelledby="chart-title chart-text",
        ).replace("aria_labelledby", "aria-labelledby"),
        style="margin: 0",
    )


def _columns(coverage: Coverage) -> list[str]:
    return [
        f"{column.oracle} (of {' / '.join(coverage.plan.oracles[column.group])})" if len(coverage.plan.oracles) > 1
        else column.oracle
        for column in coverage.columns
    ]  # fmt: skip


def _speeds(coverage: Coverage) -> Iterable[str]:
    yield _tag("h2", "Cases and speed")
    rows = []
    for group, (oracles, totals) in enumerate(zip(coverage.plan.oracles, coverage.totals, strict=True)):
        rate = totals.cases / totals.seconds if totals.seconds else 0.0
        rows.append(_row(" / ".join(oracles), _number(totals.cases), _number(totals.seconds, 1), _number(rate)))
        if totals.generating:
            made = _number(totals.cases) + _number(totals.generating, 1) + _number(totals.cases / totals.generating)
            rows.append(_tag("tr", _text("making the cases") + made))
        rows += [
            _tag(
                "tr",
                _text(f"{speed.column.oracle} alone")
                + _number(speed.judged)
                + _number(speed.seconds, 1)
                + _number(speed.rate),
            )
            for speed in coverage.speeds
            if speed.column.group == group
        ]
    headings = ("oracles", "cases", "seconds of a process", "cases a second")
    yield _table("Groups of oracles with all that a campaign does, then each oracle's own time", headings, rows)
    if lost := sum(totals.lost for totals in coverage.totals):
        yield _tag("p", f"{lost:,} processes were lost without a case to blame; their shards were run again.")


def _explained(coverage: Coverage) -> Iterable[str]:
    yield _tag("h2", "Exceptions and their reasons")
    for caption, nothing, explained in (
        ("Not judged", "Every oracle judged every case.", coverage.unjudged),
        ("Compared inexactly", "Every result was compared to the last bit.", coverage.inexact),
    ):
        if explained:
            rows = (_row(each.oracles, _text(each.reason), _number(each.cases)) for each in explained)
            yield _table(caption, ("oracles", "reason", "cases"), rows, left=2)
        else:
            yield _tag("p", nothing)


def _rows(coverage: Coverage) -> Iterable[str]:
    yield _tag("h2", "Every row of the instruction table")
    yield _tag("p", "A number is how many cases the oracle judged; where there is none, the reason stands instead.")
    headings = ("encoding", "mnemonic", "operands", *_columns(coverage))
    for group in coverage.groups:
        rows = (_instruction(row) for row in coverage.rows if row.instruction.group == group.name)
        yield _tag(
            "details",
            _tag(
                "summary", f"{escape(group.name)} — {_count(group.rows + group.refused, 'row')}, {group.none:,} by none"
            )
            + _table(f"Cases by encoding: {group.name}", headings, rows, left=3),
        )


def _instruction(row: CoverageRow) -> str:
    each = row.instruction
    cells = (
        _number(cell.cases) if cell.cases else _tag("td", escape(cell.reason), class_="reason") for cell in row.cells
    )
    return _row(each.opcode, _text(each.mnemonic), _text(each.operands or "none"), *cells)
