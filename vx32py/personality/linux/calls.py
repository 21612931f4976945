"""All system calls of Linux on i386 by number and name, with what their arguments mean: ``calls.txt``, read.

A call that has a handler in :data:`vx32py.personality.linux.TABLE` is carried out by it. What this module says of the
others is all that a guest gets: the error that the file names, or -ENOSYS.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cache, cached_property
from typing import Final

from reference.records import dataclass
from vx32py.personality.linux.refusals import FILE

#: Parameters that take two registers.
_LONG: Final = frozenset({"off64", "off64be"})
_WORD: Final = re.compile(r"(?P<out><?>)?(?P<name>\w+)(:(?P<type>\w+))?(\[(?P<detail>[\w=]+)\])?")
_GROUP: Final = re.compile(r"[+-]?[a-z_]+")
#: Classes of strace's that follow from the parameters and the result.
_FOLLOWING: Final = {"file": frozenset({"path"}), "desc": frozenset({"fd", "dirfd", "fd_pair"})}
_CLASS_OF_GROUP: Final = {
    "sockets": "network",
    "signals": "signal",
    "memory": "memory",
    "ipc": "ipc",
    "users": "creds",
}


class Status(StrEnum):
    """What the jail makes of a call."""

    FULL = "full"
    PARTIAL = "partial"
    REFUSED = "refused"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument. ``detail``: the parameter that its type depends on, ``=`` for the result. ``written``: by the call;
    ``read``: by the call."""

    name: str
    type: str
    detail: str = ""
    written: bool = False
    read: bool = True

    @property
    def registers(self) -> int:
        """How many it takes."""
        return 2 if self.type in _LONG else 1


class KnownCall:
    """A line of the file. ``error``: what it answers where it has no handler; ``reason``: why, or what is missing."""

    def __init__(self, line: str) -> None:
        fields, _, mark = line.partition("|")
        number, self.name, classes, self.result, *words = fields.split()
        self.number = int(number)
        self.group, *self._classes = _GROUP.findall(classes)
        self._words = words
        kind, _, self.reason = (part.strip() for part in mark.partition(":"))
        self.partial = kind == "partial"
        #: Whether it is refused on purpose.
        self.refused = bool(kind) and not self.partial
        self.error_name = kind if self.refused else "ENOSYS"
        self.error: int = getattr(errno, self.error_name)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What its arguments are, in order."""
        return tuple(parameter(word) for word in self._words)

    @cached_property
    def classes(self) -> frozenset[str]:
        """The classes of strace's (``%file``) that it is in."""
        types = {p.type for p in self.parameters} | {self.result}
        found = {name for name, signs in _FOLLOWING.items() if types & signs}
        if self.group in _CLASS_OF_GROUP:
            found.add(_CLASS_OF_GROUP[self.group])
        found |= {text[1:] for text in self._classes if text[0] == "+"}
        return frozenset(found - {text[1:] for text in self._classes if text[0] == "-"})

    def status(self, *, handled: bool) -> Status:
        """What the jail makes of it, where it has a handler or not."""
        if handled:
            return Status.PARTIAL if self.partial else Status.FULL
        return Status.REFUSED if self.refused else Status.ABSENT

    def __repr__(self) -> str:
        return f"<{self.number} {self.name}>"


def parameter(word: str) -> Parameter:
    """A parameter as the file writes it.

    >>> parameter(">buf:bytes[=]")
    Parameter(name='buf', type='bytes', detail='=', written=True, read=False)
    """
    match = _WORD.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is not a parameter")
    out = match["out"] or ""
    return Parameter(match["name"], match["type"] or match["name"], match["detail"] or "", bool(out), out != ">")


@cache
def known_calls() -> dict[int, KnownCall]:
    """Number → call."""
    with open(FILE, encoding="ascii") as lines:
        calls = [KnownCall(line) for line in lines if line.strip() and not line.startswith("#")]
    return {call.number: call for call in calls}


def name_of(number: int) -> str:
    """What a call is called; ``call_NUMBER`` where there is none of that number."""
    call = known_calls().get(number)
    return call.name if call is not None else f"call_{number}"


def select(words: Iterable[str]) -> frozenset[str]:
    """The names of the calls that are meant by names and classes: ``read``, ``%file`` or ``file``. Raises ValueError."""
    found: set[str] = set()
    calls = known_calls().values()
    names = {call.name for call in calls}
    for word in words:
        members = {call.name for call in calls if word.removeprefix("%") in {*call.classes, call.group}}
        if word in names and not word.startswith("%"):
            found.add(word)
        elif members:
            found |= members
        else:
            raise ValueError(f"no system call and no class of calls is called {word!r}")
    return frozenset(found)
