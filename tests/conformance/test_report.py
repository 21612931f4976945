"""Reports say what was compared, and give a reason wherever nothing was."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from conformance import tolerance
from conformance.campaign import coverage as coverages
from conformance.campaign import plan as plans
from conformance.campaign import report_html, report_text
from conformance.campaign.coverage import (
    NO_OUTCOME,
    NOT_ASKED_FOR,
    NOT_YET,
    NOTHING_RAN,
    REFUSED,
    Coverage,
    coverage_of,
)
from conformance.campaign.finding import Cause, Finding, ShardReport
from conformance.campaign.plan import Plan
from conformance.campaign.store import Store
from reference.isa.instruction import Kind
from reference.isa.opcodes import ROWS

EVIL = '<script>alert("1 & 2")</script>'
FSIN = next(row.index for row in ROWS if row.mnemonic == "fsin")
CALLF = next(row.index for row in ROWS if row.mnemonic == "callf")
#: Rows 0 to 9, FSIN and CALLF are asked for; 0 to 3 judged by both, 4 by the first only for a reason, 5 for none, 6 to 9 not.
ASKED = frozenset({*range(10), FSIN, CALLF})


@pytest.fixture(autouse=True)
def fake_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.KINDS, "isa", "fake_campaign")


@pytest.fixture
def store() -> Iterator[Store]:
    plan = Plan("isa", 7, (("steady", "picky"), ("steady", "wrong")), 100, ASKED)
    with Store.create(":memory:", plan) as opened:
        shard = next(plan.shards(100))
        finding = Finding(
            Cause(2, "add", "steady/picky", "register"), 0, 17, EVIL, ("eax: 1 or 2",), f"# case\n{EVIL}", 3
        )
        killed = Finding(Cause(-1, EVIL, "picky", "killed the process: SIGSEGV"), 0, 9, "two", ("killed",), "# case", 1)
        judged = {0: 20, 1: 20, 2: 20, 3: 17, FSIN: 5}
        opened.add(
            shard,
            ShardReport(
                100,
                {"steady": {**judged, 4: 11, 5: 7}, "picky": judged},
                {"picky": {EVIL: 11}},
                {"picky": {4: EVIL}},
                {"steady": 2.0, "picky": 0.5},
                [finding, killed],
                elapsed=4.0,
                killed=1,
                lost=2,
            ),
        )
        yield opened


def text_of(coverage: Coverage, *, rows: bool = False, cases: bool = False, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    report_text.show(coverage, console, rows=rows, cases=cases)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# -- cells -----------------------------------------------------------------------------------------------------------


def test_no_cell_is_empty_without_a_reason(store: Store) -> None:
    coverage = coverage_of(store)
    assert len(coverage.rows) == len(ROWS)
    assert [(column.group, column.oracle) for column in coverage.columns] == [
        (0, "steady"), (0, "picky"), (1, "steady"), (1, "wrong"),
    ]  # fmt: skip
    for row in coverage.rows:
        assert len(row.cells) == len(coverage.columns)
        for cell in row.cells:
            assert bool(cell.cases) != bool(cell.reason)


def test_the_reason_says_why_there_is_no_case(store: Store) -> None:
    rows = coverage_of(store).rows
    assert [cell.reason for cell in rows[0].cells] == ["", "", NOTHING_RAN, NOTHING_RAN]
    assert [cell.reason for cell in rows[4].cells[:2]] == ["", EVIL]
    assert [cell.reason for cell in rows[5].cells[:2]] == ["", NO_OUTCOME]
    assert [cell.reason for cell in rows[6].cells[:2]] == [NOT_YET, NOT_YET]
    assert [cell.reason for cell in rows[10].cells] == [NOT_ASKED_FOR] * 4
    assert [cell.reason for cell in rows[CALLF].cells[:2]] == [REFUSED] * 2


def test_groups_add_up(store: Store) -> None:
    coverage = coverage_of(store)
    assert sum(group.rows + group.refused for group in coverage.groups) == len(ROWS)
    assert coverage.rows_to_judge == sum(row.kind != Kind.REFUSE for row in ROWS)
    base = next(group for group in coverage.groups if group.name == ROWS[0].group.value)
    assert (base.all, base.some, base.none, base.refused) == (0, 6, 471 - 134 - 6, 134)  # the second group has not run
    assert base.cases == (95, 77, 0, 0)
    assert base.divergences == 3
    assert coverage.cases == 100
    assert coverage.divergences == 4
    assert coverage.rows_judged == 7


def test_exceptions_are_counted_with_their_reasons(store: Store) -> None:
    coverage = coverage_of(store)
    assert [(each.oracles, each.reason, each.cases) for each in coverage.unjudged] == [
        ("picky of steady / picky", EVIL, 11)
    ]
    reason = tolerance.reason("fsin")
    assert [(each.oracles, each.reason, each.cases) for each in coverage.inexact] == [("steady / picky", reason, 5)]


def test_speed_is_that_of_the_oracle_and_of_the_group(store: Store) -> None:
    coverage = coverage_of(store)
    assert [(speed.judged, speed.rate) for speed in coverage.speeds] == [(99, 49.5), (88, 176.0), (0, 0.0), (0, 0.0)]
    assert re.search(r"steady / picky +100 +1 +4\.0 +25", text_of(coverage))


# -- on a terminal ---------------------------------------------------------------------------------------------------


def test_the_text_names_what_was_found_and_what_was_not_compared(store: Store) -> None:
    text = text_of(coverage_of(store))
    assert "isa campaign, seed 7" in text
    assert re.search(r"base +337 +0 +6 +331 +134 +95 +3", text)
    assert re.search(r"add +00 /r|add +02 /r", text)
    assert "add: register (steady/picky); first in case 17 of shard 0" in text
    assert "  eax: 1 or 2" in text
    assert "2 processes were lost without a case to blame" in text
    assert NOT_ASKED_FOR in text
    assert "# case" not in text
    assert "# case" in text_of(coverage_of(store), cases=True)


def test_the_text_has_every_row_if_asked(store: Store) -> None:
    coverage = coverage_of(store)
    text = text_of(replace(coverage, rows=coverage.rows[:40]), rows=True, width=220)
    assert text.count(NOT_ASKED_FOR) == 4 * (40 - 10)


def test_agreement_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan("isa", 7, (("steady", "calm"),), 100)
    with Store.create(":memory:", plan) as store:
        shard = next(plan.shards(100))
        store.add(shard, ShardReport(100, {"steady": {0: 100}, "calm": {0: 100}}))
        coverage = coverage_of(store)
    assert "No divergence in 100 cases." in text_of(coverage)
    assert "None in 100 cases." in report_html.page(coverage)


# -- as a page -------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Elements, checked to be closed in the order in which they were opened."""

    VOID = frozenset({"meta", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def test_the_page_is_well_formed_and_loads_nothing(store: Store) -> None:
    text = report_html.page(coverage_of(store))
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed"}
    attributes = {name for _, attrs in page.elements for name in attrs}
    assert not attributes & {"src", "href", "onclick", "onload"}
    assert "url(" not in text
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text


def test_nothing_in_the_page_comes_through_as_markup(store: Store) -> None:
    text = report_html.page(coverage_of(store))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 4


def test_the_page_has_every_row_and_no_empty_cell(store: Store) -> None:
    page = Page(report_html.page(coverage_of(store)))
    assert all(cell.strip() for cell in page.cells)
    assert sum(cell == NOT_ASKED_FOR for cell in page.cells) == 4 * (len(ROWS) - len(ASKED))


def test_the_page_can_be_read_without_seeing_it(store: Store) -> None:
    page = Page(report_html.page(coverage_of(store)))
    attributes: dict[str, list[dict[str, str | None]]] = {}
    for tag, attrs in page.elements:
        attributes.setdefault(tag, []).append(attrs)
    assert attributes["html"] == [{"lang": "en"}]
    assert all(attrs.get("scope") in ("col", "row") for attrs in attributes["th"])
    assert len(attributes["caption"]) == len(attributes["table"])
    (chart,) = attributes["svg"]
    assert chart["role"] == "img"
    names = (chart["aria-labelledby"] or "").split()
    assert set(names) == {attrs["id"] for tag in ("title", "desc") for attrs in attributes[tag] if "id" in attrs}


def test_the_page_is_for_light_and_dark_screens(store: Store) -> None:
    text = report_html.page(coverage_of(store))
    assert "color-scheme: light dark" in text
    light, dark = re.findall(r":root \{([^}]*)\}", text)
    colours = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", each)) for each in (light, dark)]
    assert colours[0].keys() == colours[1].keys()
    for scheme in colours:
        for ink in ("ink", "quiet", "bad", "good"):
            for ground in ("page", "card"):
                assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)
        assert contrast(scheme["all"], scheme["page"]) >= 3
        assert contrast(scheme["all"], scheme["some"]) >= 1.5


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminances, as the Web Content Accessibility Guidelines define it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_chart_shows_the_numbers_of_the_table(store: Store) -> None:
    coverage = coverage_of(store)
    text = report_html.page(coverage)
    chart = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])  # noqa: S314 - our own page
    bars = [each for each in chart.iter("rect") if float(each.get("height", "0")) > 12]
    assert len(bars) == sum(bool(part) for group in coverage.groups for part in (group.all, group.some, group.none))
    by_line: dict[str, dict[str, float]] = {}
    for bar in bars:
        by_line.setdefault(bar.get("y", ""), {})[bar.get("class", "")] = float(bar.get("width", "0"))
    base = list(by_line.values())[[group.name for group in coverage.groups].index("base")]
    assert base["some"] / (base["some"] + base["none"]) == pytest.approx(6 / 337, abs=0.01)
    assert coverages.NOT_YET in text
