"""Summary: an observer of system calls that counts them, their errors, and the time that their handlers took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vx32py.strace.printer import identify

if TYPE_CHECKING:
    from vx32py._calls import Call


class Summary:
    """Counts by name. A call that waits is one call, and the time that others run meanwhile is not its own."""

    def __init__(self, *, only: frozenset[str] | None = None) -> None:
        self._only = only
        #: Name → calls, errors, seconds.
        self.counts: dict[str, tuple[int, int, float]] = {}
        self._began: dict[int, float] = {}
        self._names: dict[int, str] = {}

    def entered(self, call: Call) -> None:
        """A call begins."""
        number = call.process.tid
        self._names[number] = identify(call)[1]
        self._began[number] = time.perf_counter()

    def repeated(self, call: Call) -> None:
        """A call that has waited is made again."""
        self._began[call.process.tid] = time.perf_counter()

    def waits(self, call: Call) -> None:
        """It has to wait."""
        self._add(call.process.tid, calls=0, errors=0)

    def returned(self, call: Call, result: int | None) -> None:
        """It is over."""
        self._add(call.process.tid, calls=1, errors=int(result is not None and -4096 < result < 0))

    def _add(self, number: int, *, calls: int, errors: int) -> None:
        name, began = self._names.get(number, ""), self._began.pop(number, None)
        if not name or (self._only is not None and name not in self._only):
            return
        seconds = time.perf_counter() - began if began is not None else 0.0
        before = self.counts.get(name, (0, 0, 0.0))
        self.counts[name] = before[0] + calls, before[1] + errors, before[2] + seconds

    def table(self) -> str:
        """The table that strace -c writes, the calls that took longest first."""
        rows = sorted(self.counts.items(), key=lambda row: (-row[1][2], row[0]))
        total = sum(seconds for _, (_, _, seconds) in rows)
        lines = [
            "% time     seconds  usecs/call     calls    errors syscall",
            "------ ----------- ----------- --------- --------- ----------------",
        ]
        lines += [_row(name, *counts, total) for name, counts in rows]
        lines.append(lines[1])
        calls, errors = sum(counts[0] for _, counts in rows), sum(counts[1] for _, counts in rows)
        lines.append(_row("total", calls, errors, total, total))
        return "\n".join(lines)


def _row(name: str, calls: int, errors: int, seconds: float, total: float) -> str:
    share, each = 100 * seconds / total if total else 0.0, round(seconds * 1e6 / calls) if calls else 0
    return f"{share:6.2f} {seconds:11.6f} {each:11} {calls:9} {errors or '':9} {name}"
