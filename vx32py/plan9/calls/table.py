"""The table of Plan 9's calls: INT 0x40, the number in EAX, the arguments on the user stack above the return address.

A handler gets the process and as many words of the stack as it has parameters, unsigned. It returns the result (None
counts as 0) or raises :class:`Error`, and then the process gets -1 and has the text. A bad pointer is more than an error: the
process is sent the note ``sys: bad address in syscall`` (/sys/src/9/port/fault.c, validaddr).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from reference.errors import MemoryFault, OutOfMemory
from reference.registers import EAX, ESP, MASK32
from reference.traps import SOFTWARE_INTERRUPT
from vx32py._calls import MOST_UNKNOWN, OTHERS, AnyHandler, Call, Entry, Handler, SystemCalls, tell
from vx32py._wait import Interrupted, WouldBlock
from vx32py.plan9 import notes
from vx32py.plan9.errors import Ebadarg, Enovmem, Error

if TYPE_CHECKING:
    from vx32py._task import Task
    from vx32py.plan9.proc import Proc

PLAN9_TRAP: Final = SOFTWARE_INTERRUPT + 0x40
#: MAXSYSARG: no call has more words of arguments.
MOST_WORDS: Final = 5
_FAILED: Final = MASK32


class Plan9Calls(SystemCalls):
    """A table whose arguments are on the stack."""

    def __init__(self) -> None:
        # As many registers as a call has words: what is looked at is their number.
        super().__init__("plan9", PLAN9_TRAP, tuple(range(MOST_WORDS)))

    def dispatch(self, process: Task, words: memoryview) -> bool:
        """Carry out the call that the registers of ``process`` describe."""
        proc = cast("Proc", process)
        number = words[EAX]
        entry = self._entries.get(number)
        if entry is None:
            proc.unknown_calls[self.name, number if number < MOST_UNKNOWN else OTHERS] += 1
            notes.post(proc, "sys: bad sys call", notes.NDEBUG)
            self._finish(proc, words, None, Ebadarg)
            return False
        proc.tally[entry.name] = proc.tally.get(entry.name, 0) + 1
        result, error, count = None, None, len(entry.parameters)
        try:
            arguments = proc.memory.space.read_words(words[ESP] + 4, count) if count else ()
            proc.call, proc.in_call = entry.name, True
            if proc.observers:
                self._tell(proc, entry, arguments)
            result = entry.handler(proc, *arguments)
        except Error as failure:
            error = failure.text
        except MemoryFault:
            error = Ebadarg
            notes.post(proc, "sys: bad address in syscall", notes.NDEBUG)
        except (OutOfMemory, MemoryError):
            error = Enovmem
        except (WouldBlock, Interrupted):
            if proc.observed is not None:
                tell(proc.observers, "waits", proc.observed)
            raise
        except BaseException:
            proc.observe_end(None)
            raise
        finally:
            proc.in_call = False
        if error is None and not proc.replaced:
            proc.call, words[EAX] = "", (result or 0) & MASK32
        else:
            self._finish(proc, words, result, error)
        return False

    def _tell(self, proc: Proc, entry: Entry, arguments: tuple[int, ...]) -> None:
        """Tell observers of a call; it is one, however often it is made again."""
        call = proc.observed
        if call is None or call.number != entry.number:
            proc.observed = call = Call(proc, self, entry.number, entry, arguments)
            tell(proc.observers, "entered", call)
        else:
            tell(proc.observers, "repeated", call)

    def _finish(self, proc: Proc, words: memoryview, result: int | None, error: str | None) -> None:
        proc.call = ""
        if error is not None:
            proc.error, result = error, _FAILED
        if proc.replaced:  # another program, or other registers: there is nobody left to tell
            proc.replaced = False
            proc.observe_end(None)
        else:
            words[EAX] = (result or 0) & MASK32


TABLE: Final = Plan9Calls()


def call(number: int, name: str, *, native: str = "") -> Callable[[AnyHandler], AnyHandler]:
    """A decorator: the handler of a call; ``native`` is the native answer that does the same (:mod:`vx32py._native`)."""
    return TABLE.define(number, name, native=native)


def complete_table() -> Plan9Calls:
    """The table, with all calls."""
    from vx32py.plan9 import delivery
    from vx32py.plan9.calls import execution, files, memory, naming, notification, processes, synchronisation

    del delivery, execution, files, memory, naming, notification, processes, synchronisation
    return TABLE


__all__ = ["MOST_WORDS", "PLAN9_TRAP", "TABLE", "Handler", "Plan9Calls", "call", "complete_table"]
