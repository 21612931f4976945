"""Native answers: calls that need no decision, which an engine may answer without asking Python.

An entry of a table of system calls can name the native answer that does what its handler does (``native=`` in
:meth:`vx32py.SystemCalls.define`); this module tells an engine that has a page of answers (:mod:`jit.answers`) about them,
and which descriptors they may use: those that stand for a plain descriptor of the host. It follows all changes, to the
tables and to the descriptors, and it counts.

Calls that guards of the host's want to see (:mod:`vx32py._guard`) are not answered natively.

What an answer finds not to be plain it leaves to the handler, so that guests see no difference. Time and processor numbers
are the family's and the process's; with a made-up clock time is the handlers' affair.

==================  ==========================================================================
read, write         on a descriptor that stands for a regular file, a pipe or /dev/null of the host, into (from) pages that
                    the guest may write (read)
timeval             gettimeofday
timeval_no_zone     the same where a second argument asks for more
timespec(64)        clock_gettime of real and monotonic time
seconds             time
processor_time      clock of the VX ABI
process_number      the number of the process
thread_number       the number of the thread
vx_brk, linux_brk   brk that moves nothing
plan9_pread,        the same as read and write, with an offset, and with Plan 9's arguments
plan9_pwrite
plan9_nsec          nsec
==================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from vx32py._clock import HostClock
from vx32py._descriptors import OpenFile
from vx32py._hostfile import PIECE, PIPE_ATOMIC, HostFile, Transfers
from vx32py._pipes import Pipe, PipeEnd, PipeReader, PipeWriter

if TYPE_CHECKING:
    from vx32py._calls import SystemCalls
    from vx32py._clock import Clock
    from vx32py._guard import Guards

#: Rights of a descriptor, as the page of answers has them: jit.answers.RIGHT_READ and its like.
READ, WRITE, LASTING, _NO_WAIT = 1, 2, 4, 8
_MOST: Final = 0x7FFF_F000

_NEED_CLOCK: Final = frozenset(
    {"timeval", "timeval_no_zone", "timespec", "timespec64", "seconds", "processor_time", "plan9_nsec"}
)
#: Answers whose value is the thread's or the process's own.
_OWN: Final = frozenset({"process_number", "thread_number"})
_ALL_ONES: Final = 0xFFFF_FFFF
#: First processes all have the same number: what is prepared for one table serves them all.
_MOST_PREPARED: Final = 4


class Page(Protocol):
    """What an engine offers: :class:`jit.answers.Answers`."""

    def prepare(self, calls: Iterator[tuple[int, str, int]]) -> Any: ...
    def define(self, calls: Any) -> None: ...
    def set_value(self, number: int, value: int) -> None: ...
    def counts(self) -> Iterator[tuple[int, int]]: ...
    def grant(self, fd: int, host: int, rights: int, most: int) -> None: ...
    def revoke(self, fd: int) -> None: ...
    def set_heap(self, start: int, end: int) -> None: ...
    def set_clocks(self, monotonic: int, processor: int) -> None: ...
    def switch(self, on: bool) -> None: ...


class NativeAnswers:
    """The native answers of one thread, for the calls of one table. ``numbers`` are those of its process and its own;
    ``tally`` counts calls by name."""

    def __init__(
        self,
        page: Page,
        table: SystemCalls,
        clock: Clock,
        numbers: tuple[int, int],
        tally: dict[str, int],
        guards: Guards | None = None,
    ) -> None:
        self.page = page
        self._table = table
        self._values = {
            "process_number": numbers[0],
            "thread_number": numbers[1],
            "timeval_no_zone": _ALL_ONES,
        }
        self._host_clock = type(clock) is HostClock
        self._tally = tally
        self._guards = guards
        self._names: dict[int, str] = {}
        #: The descriptors that the page tells of.
        self._granted: set[int] = set()
        #: Whether what is written to files is the handlers' to look at.
        self.writes_limited = False
        #: The pipes of the family's own that it may write into, by descriptor.
        self._writers: dict[int, Pipe] = {}
        if isinstance(clock, HostClock):
            page.set_clocks(clock.started, clock.started_processor)
        table.users.add(self)
        if guards is not None:
            guards.users.add(self)
        self.table_changed()

    def table_changed(self) -> None:
        """Answer what the table says now."""
        self.count()
        guards = self._guards
        seen: frozenset[int] = frozenset()
        if guards:
            seen = frozenset(e.number for e in self._table if e.native and guards.wants(self._table, e.number, e))
        key = self._host_clock, seen
        found = self._table.prepared.get(key)
        if found is None:
            entries = [
                e for e in self._table
                if e.native and e.number not in seen and (self._host_clock or e.native not in _NEED_CLOCK)
            ]  # fmt: skip
            calls = ((e.number, _ROUTINES.get(e.native, e.native), self._values.get(e.native, 0)) for e in entries)
            # What is different for each of them comes afterwards.
            own = [(e.number, e.native) for e in entries if e.native in _OWN]
            found = {entry.number: entry.name for entry in entries}, self.page.prepare(calls), own
            if len(self._table.prepared) < _MOST_PREPARED:
                self._table.prepared[key] = found
        self._names, calls_of_page, own = found
        self.page.define(calls_of_page)
        for number, native in own:
            self.page.set_value(number, self._values[native])

    def descriptor_changed(self, fd: int, file: OpenFile | None) -> None:
        """``fd`` stands for ``file`` from now on, or for none."""
        if fd in self._granted:
            self._granted.remove(fd)
            self.page.revoke(fd)
            self._writers.pop(fd, None)
        if not isinstance(file, HostFile | PipeEnd) or file.transfers is Transfers.OTHER:
            return
        if isinstance(file, HostFile) and file.mapping is not None:
            return
        plain = type(file) in _PLAIN
        if not plain and not (isinstance(file, HostFile) and file.reads_natively):
            return
        if isinstance(file, PipeWriter):
            if file.pipe.broken:
                return
            self._writers[fd] = file.pipe
            file.pipe.users.add(self)
        # What is written is Python's to count where there is a limit.
        self._granted.add(fd)
        writes = file.writable and file.meter is None and plain
        if self.writes_limited and file.transfers is Transfers.LASTING:
            writes = False
        rights = READ * file.readable | WRITE * writes
        if file.transfers is Transfers.LASTING:
            rights |= LASTING
        elif file.transfers is Transfers.PIPE:
            # One way only, and whatever is written at once goes in whole or not at all.
            self.page.grant(fd, file.fd, rights | _NO_WAIT, PIPE_ATOMIC if file.writable else _MOST)
            return
        # Python makes of more than a piece several, and looks in between whether the guest has to stop.
        self.page.grant(fd, file.fd, rights, PIECE)

    def pipe_broken(self, pipe: Pipe) -> None:
        """Nobody reads it: for a write the kernel would send this process a signal."""
        for fd in [fd for fd, written in self._writers.items() if written is pipe]:
            del self._writers[fd]
            self.page.revoke(fd)

    def retire(self) -> None:
        """Another program is loaded, whose calls may be another table's."""
        self.count()
        for fd in self._granted:  # who comes next does not know of them
            self.page.revoke(fd)
        self._granted.clear()
        self._table.users.discard(self)
        if self._guards is not None:
            self._guards.users.discard(self)

    def count(self) -> None:
        """Bring the tally up to date."""
        for number, count in self.page.counts():
            name = self._names[number]
            self._tally[name] = self._tally.get(name, 0) + count


#: Files that an engine may read and write by itself: exactly these, and nothing that is derived from them.
_PLAIN: Final = (HostFile, PipeReader, PipeWriter)
#: Answers that are another one with a value.
_ROUTINES: Final = {
    "process_number": "constant",
    "thread_number": "constant",
    "timeval_no_zone": "timeval",
}
