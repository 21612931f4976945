"""``python -m conformance.calls``: write docs/linux-calls.md, what the jail makes of every system call of Linux on i386."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from vx32py.personality.linux import TABLE
from vx32py.personality.linux.calls import KnownCall, Status, known_calls

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "linux-calls.md"

_TITLES: Final = {
    "files": "Files and directories",
    "descriptors": "Descriptors",
    "memory": "Memory",
    "processes": "Processes",
    "threads": "Threads",
    "signals": "Signals",
    "time": "Time and timers",
    "polling": "Waiting for several things",
    "sockets": "Sockets",
    "users": "Users and groups",
    "scheduling": "Scheduling",
    "system": "The system and the machine",
    "mounts": "Mounts",
    "security": "Keys, filters, security modules",
    "ipc": "System V and POSIX interprocess communication",
    "aio": "Asynchronous input and output",
    "legacy": "Numbers without a call",
}
_WORDS: Final = {
    Status.FULL: "yes",
    Status.PARTIAL: "partly",
    Status.REFUSED: "refused",
    Status.ABSENT: "no",
}

_HEAD: Final = """\
# System calls of the Linux jail

Every system call of Linux on i386, and what `vx32py jail` makes of it. Written by `python -m conformance.calls` from
`vx32py/personality/linux/calls.txt` and the table of handlers; a test checks that this page is what it would write.

* **yes**: there is a handler, and what programs can see of the call is there. What it does to files, processes and time it
  does to the jail's own, as far as the policy grants them.
* **partly**: there is a handler, and the last column says what is missing.
* **refused**: the answer is the error in the last column, on purpose.
* **no**: the answer is `ENOSYS`, as from a kernel that does not have the call.

"""


def status_of(call: KnownCall) -> Status:
    """What the jail makes of a call."""
    return call.status(handled=TABLE.get(call.number) is not None)


def page() -> str:
    """The page."""
    calls = known_calls().values()
    counts = Counter(status_of(call) for call in calls)
    totals = ", ".join(f"{counts[status]} {word}" for status, word in _WORDS.items())
    parts = [_HEAD, f"Of {len(calls)} calls: {totals}.\n"]
    for group, title in _TITLES.items():
        members = [call for call in calls if call.group == group]
        parts.append(f"\n## {title}\n\n| number | call | | |\n|---:|---|---|---|\n")
        parts += (_row(call) for call in members)
    return "".join(parts)


def _row(call: KnownCall) -> str:
    status = status_of(call)
    reason = call.reason if status in {Status.PARTIAL, Status.REFUSED} else ""
    if status is Status.REFUSED:
        reason = f"`{call.error_name}`: {reason}"
    return f"| {call.number} | `{call.name}` | {_WORDS[status]} | {reason} |\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
