"""The paper's evaluation, run again: programs as guests against the same programs as native 32-bit processes.

``python -m conformance.paper`` measures and prints a table of ratios; :func:`main` is what ``vx32py bench`` calls. With
``jail`` as the first argument it measures what the system-call jail costs instead (:mod:`conformance.paper.jail`), with ``decoders`` what
decoders cost that are guests (:mod:`conformance.paper.decoders`), with ``plan9`` what the Plan 9 kernel costs
(:mod:`conformance.paper.plan9`).
``RESULTS.md`` holds the results of one machine. It needs the source tree, for the examples, and a compiler for guests.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments name; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["jail"]:
        from conformance.paper.jail import main as jail

        return jail(arguments[1:])
    if arguments[:1] == ["decoders"]:
        from conformance.paper.decoders import main as decoders

        return decoders(arguments[1:])
    if arguments[:1] == ["plan9"]:
        from conformance.paper.plan9 import main as plan9

        return plan9(arguments[1:])
    from conformance.paper.bench import main as bench

    return bench(arguments)
