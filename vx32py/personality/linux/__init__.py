"""Linux on i386: the system calls that a static program needs to compute on its standard streams.

``INT 0x80`` with the number in EAX and arguments in EBX, ECX, EDX, ESI, EDI, EBP. What a call does to files, descriptors
and processes it does to the guest's own, never to the host's: paths lead into grants, process numbers and users are made
up, memory is the sandbox's. Calls that are not in the table answer -ENOSYS, as a kernel without them would, and C
libraries and programs cope.

What is complete, what is not, and what is refused: docs/linux-calls.md.
"""

from __future__ import annotations

from vx32py.personality.linux import (
    attributes,
    clone,
    control,
    delivery,
    epoll,
    events,
    files,
    futex,
    ids,
    limits,
    memfd,
    memory,
    openat2,
    paths,
    pidfd,
    polling,
    processes,
    signalfd,
    signals,
    sockets,
    splices,
    system,
    terminals,
    threads,
    timers,
    times,
    transfers,
)
from vx32py.personality.linux.table import TABLE

__all__ = [
    "TABLE",
    "attributes",
    "clone",
    "control",
    "delivery",
    "epoll",
    "events",
    "files",
    "futex",
    "ids",
    "limits",
    "memfd",
    "memory",
    "openat2",
    "paths",
    "pidfd",
    "polling",
    "processes",
    "signalfd",
    "signals",
    "sockets",
    "splices",
    "system",
    "terminals",
    "threads",
    "timers",
    "times",
    "transfers",
]
