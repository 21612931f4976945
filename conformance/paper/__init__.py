"""The paper's evaluation, run again: programs as guests against the same programs as native 32-bit processes.

``python -m conformance.paper`` measures and prints a table of ratios; :func:`main` is what ``vx32py bench`` calls.
``RESULTS.md`` holds the results of one machine. It needs the source tree, for the examples, and a compiler for guests.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments name; the exit code."""
    from conformance.paper.bench import main as bench

    return bench(argv)
