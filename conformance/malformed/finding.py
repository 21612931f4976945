"""What a case came to, and how exceptions are judged."""

from __future__ import annotations

import resource
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: A case that takes more processor time, in seconds, or makes the process larger by so many bytes, is a finding.
MOST_SECONDS: Final = 5.0
MOST_GROWTH: Final = 128 << 20
#: The longest message that is still a line to read.
MOST_MESSAGE: Final = 500


@dataclass(frozen=True)
class Finding:
    """Something that must not happen. ``kind`` is the same for all cases with the same cause, as far as can be told."""

    number: int
    kind: str
    detail: str


@dataclass
class Verdict:
    """What became of a case: how it ended in each respect that is counted, and what was wrong."""

    outcomes: list[str] = field(default_factory=list)
    findings: list[tuple[str, str]] = field(default_factory=list)

    def end(self, outcome: str) -> None:
        """Count an outcome."""
        self.outcomes.append(outcome)

    def wrong(self, kind: str, detail: str = "") -> None:
        """Something that must not happen did."""
        self.findings.append((kind, detail))

    def check_message(self, text: str, what: str) -> None:
        """A message must be one line of text that can be printed, and not be too long."""
        if not text:
            self.wrong(f"no message: {what}")
        elif not text.isprintable():
            self.wrong(f"a message that is not one printable line: {what}", repr(text))
        elif len(text) > MOST_MESSAGE:
            self.wrong(f"a message of more than {MOST_MESSAGE} characters: {what}", text[:200])

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Measure what is done in the context against the bounds."""
        started, size = time.process_time(), _most_memory()
        yield
        seconds, growth = time.process_time() - started, _most_memory() - size
        if seconds > MOST_SECONDS:
            self.wrong("slow", f"{seconds:.1f} s of processor time")
        if growth > MOST_GROWTH:
            self.wrong("memory", f"the process grew by {growth >> 20} MiB")


def _most_memory() -> int:
    """The largest size that the process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def cause_of(error: BaseException) -> tuple[str, str]:
    """The kind of an exception that nobody expects, and its traceback on one line."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "conformance/malformed" not in frame.filename] or list(frames)
    last = ours[-1]
    trail = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames[-6:]))
    return f"{type(error).__name__} in {Path(last.filename).name}, {last.name}", f"{error!r} at {trail}"
