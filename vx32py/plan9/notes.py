"""Notes: texts that are sent to processes, and what a process does about them (notify(2), /sys/src/9/pc/trap.c).

A process with a handler gets the note, and its registers, on its stack; without one it ends of the note. Notes of the
kernel's about something that the process has done (:data:`NDEBUG`) also end a process that is in its handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vx32py.plan9.errors import ERRMAX

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc

#: What kind of note: of another process, of the kernel about the process's end, or of the kernel about what it has done.
NUSER: Final = 0
NEXIT: Final = 1
NDEBUG: Final = 2
#: More than so many notes that have not been delivered are lost (NNOTE).
MOST_NOTES: Final = 5
#: So many interruptions of one another are remembered.
_MOST_FLOATING: Final = 16


class Note(NamedTuple):
    """``text`` and what kind it is."""

    text: str
    flag: int


class Notes:
    """What a process has to do with notes: ``handler`` (0 for none), ``pending`` ones, whether it is in its handler
    (``notified``), where on its stack the registers of the outermost interruption are (``ureg``), and the ``last`` one."""

    def __init__(self) -> None:
        self.handler = 0
        self.pending: list[Note] = []
        self.notified = False
        self.ureg = 0
        self.last = Note("", NUSER)
        #: The floating-point registers of interruptions, by where their Ureg is: Plan 9 keeps them, too.
        self.floating: dict[int, bytes] = {}

    def copy(self) -> Notes:
        """That of a child."""
        other = Notes()
        other.handler, other.pending, other.ureg, other.last = self.handler, list(self.pending), self.ureg, self.last
        other.floating = dict(self.floating)
        return other

    def hold_floating(self, ureg: int, registers: bytes) -> None:
        """Keep the floating-point registers of an interruption; of those that were left in other ways the last ones."""
        self.floating.pop(ureg, None)
        while len(self.floating) >= _MOST_FLOATING:
            del self.floating[next(iter(self.floating))]
        self.floating[ureg] = registers


def post(proc: Proc, text: str, flag: int = NUSER) -> bool:
    """Send a process a note; its call, if it waits in one, is interrupted. False if it is lost, because too many are
    pending."""
    if not proc.alive:
        return False
    notes = proc.notes
    if flag != NUSER and (not notes.handler or notes.notified):
        notes.pending.clear()
    if len(notes.pending) >= MOST_NOTES:
        return False
    notes.pending.append(
        Note(text.encode(errors="surrogateescape")[: ERRMAX - 1].decode(errors="surrogateescape"), flag)
    )
    proc.attention = True
    return True


def post_group(proc: Proc, text: str, flag: int = NUSER, *, without: Proc | None = None) -> None:
    """Send all processes of a process's note group a note."""
    for member in tuple(proc.note_group.members):
        if member is not without:
            post(member, text, flag)
