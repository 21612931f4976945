"""Word of work that makes a guest wait, for those who have somebody to tell. A library tells nobody unless it is asked
to."""

from __future__ import annotations

from collections.abc import Callable

#: Called with what is being done, and for how many seconds it has been going on; perhaps again and again.
listener: Callable[[str, float], None] | None = None


def tell(what: str, seconds: float) -> None:
    """Let the listener know, if there is one."""
    if listener is not None:
        listener(what, seconds)
