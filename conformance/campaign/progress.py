"""How a campaign goes: a panel that is redrawn on a terminal, a line from time to time elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from conformance.campaign.finding import Cause, ShardReport
from conformance.campaign.plan import Shard

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from conformance.campaign.store import Store

#: How often there is a line where there is no terminal, in seconds.
_LINE_EVERY: Final = 10.0
#: Causes shown in the panel; the report has all of them.
_SHOWN: Final = 6


class Progress:
    """What is known of a campaign while it runs. Cases of every group of oracles count."""

    def __init__(
        self,
        store: Store,
        console: Console,
        *,
        where: str,
        cases: int | None,
        seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from rich.live import Live

        self._console = console
        self._plan = store.plan
        self._where = where
        self._wanted = None if cases is None else cases * len(store.plan.oracles)
        self._seconds = seconds
        self._clock = clock
        self._before = self._cases = sum(totals.cases for totals in store.totals())
        self._rows = {row for rows in store.judged().values() for row in rows}
        self._all_rows = sum(self._plan.covers(row.number, refused=row.refused) for row in store.table())
        self._causes: Counter[Cause] = Counter()
        for finding in store.findings():
            self._causes[finding.cause] += finding.count
        self._running: dict[int, int] = {}
        self._started = self._last_line = clock()
        self._live = Live(get_renderable=self._panel, console=console, transient=True) if console.is_terminal else None

    # -- what happens --------------------------------------------------------------------------------------------------

    def ticks(self, worker: int, count: int) -> None:
        """A worker has begun with so many cases of a shard that has not come back."""
        self._running[worker] = count

    def done(self, shard: Shard, report: ShardReport) -> None:
        """A shard came back."""
        self._running.clear()  # the counts of the others come again in a moment
        self._cases += report.cases
        for rows in report.judged.values():
            self._rows.update(rows)
        for finding in report.findings:
            if finding.cause not in self._causes:
                self._say(
                    f"divergence: {finding.cause}: {finding.label}, case {finding.number} of shard {shard.number}"
                )
            self._causes[finding.cause] += finding.count

    def beat(self) -> None:
        """Time has passed."""
        now = self._clock()
        if self._live is None and now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            self._say(self._line())

    # -- what is shown -------------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._started

    @property
    def rate(self) -> float:
        """Cases a second, since the beginning."""
        return (self._cases + sum(self._running.values()) - self._before) / max(self.elapsed, 0.001)

    @property
    def left(self) -> float | None:
        """Seconds that are left, None where nobody knows."""
        guesses = []
        if self._seconds is not None:
            guesses.append(max(0.0, self._seconds - self.elapsed))
        if self._wanted is not None and self._cases > self._before:
            guesses.append(max(0.0, (self._wanted - self._cases) / self.rate))
        return min(guesses, default=None)

    def _line(self) -> str:
        wanted = "" if self._wanted is None else f" of {self._wanted:,}"
        left = "" if self.left is None else f", {_duration(self.left)} left"
        return (
            f"{self._cases:,}{wanted} cases, {self.rate:,.0f}/s, {len(self._rows):,} of {self._all_rows:,} rows, "
            f"{_divergences(self._causes)}{left}"
        )

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _panel(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        facts = Table.grid(padding=(0, 2))
        facts.add_column(justify="right", style="dim")
        facts.add_column()
        facts.add_column(min_width=24)
        cases = self._cases + sum(self._running.values())
        facts.add_row(
            "cases",
            f"{cases:,}" + ("" if self._wanted is None else f" of {self._wanted:,}"),
            *([] if self._wanted is None else [_bar(cases, self._wanted)]),
        )
        facts.add_row("speed", f"{self.rate:,.0f} cases/s, {self._where}")
        facts.add_row("rows", f"{len(self._rows):,} of {self._all_rows:,}", _bar(len(self._rows), self._all_rows))
        style = "bold red" if self._causes else "green"
        facts.add_row("divergences", Text(_divergences(self._causes), style))
        left = "" if self.left is None else f", {_duration(self.left)} left"
        facts.add_row("time", _duration(self.elapsed) + left)
        causes = [
            Text(f"  {count:>8,}  {cause}", no_wrap=True, overflow="ellipsis")
            for cause, count in self._causes.most_common(_SHOWN)
        ]
        return Group(facts, *causes)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self._say(self._line())


def _bar(done: int, of: int) -> RenderableType:
    from rich.progress_bar import ProgressBar

    return ProgressBar(of, min(done, of), width=24, complete_style="blue", finished_style="green")


def _divergences(causes: Counter[Cause]) -> str:
    if not causes:
        return "no divergences"
    total = sum(causes.values())
    return f"{total:,} divergence{'s' if total > 1 else ''} of {len(causes)} cause{'s' if len(causes) > 1 else ''}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
