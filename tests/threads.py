"""Threads of tests: what they return, and what they raise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: A generous time after which something has gone wrong, in seconds.
PATIENCE = 60.0


def in_thread(function: Callable[[], Any], *, daemon: bool = False) -> Callable[[], Any]:
    """Start a thread; the function returned waits for its result, or raises what it raised."""
    outcome: list[Any] = []

    def body() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:  # noqa: BLE001 - raised again where the thread is waited for
            outcome.append((None, error))

    thread = threading.Thread(target=body, daemon=daemon)
    thread.start()

    def join() -> Any:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "it goes on and on"
        result, error = outcome[0]
        if error is not None:
            raise error
        return result

    return join
