"""A kind of malformed cases for the tests of what runs them: each misbehaves as its number says."""

from __future__ import annotations

import os
import signal
import time

from conformance.malformed.finding import Verdict

FINDS, DIES, EXITS, HANGS, RAISES = 3, 5, 7, 11, 13


def judge_numbered(seed: int, number: int, given: object) -> tuple[str, Verdict]:
    """A case that ends well, unless its number is special."""
    verdict = Verdict()
    verdict.end("good")
    if number == FINDS:
        verdict.wrong("a kind of finding", str(given))
    elif number == DIES:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif number == EXITS:
        os._exit(9)
    elif number == HANGS:
        time.sleep(1000)
    elif number == RAISES:
        raise ZeroDivisionError("on purpose")
    return f"case {number}", verdict
