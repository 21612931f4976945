"""Name spaces: which file a name leads to (/sys/src/9/port/chan.c; bind(2), namespace(4)).

A group of processes has a mount table: at which file which others are found instead, or one after the other (a union). A walk
goes from mount point to mount point; ``..`` goes back through them. This module is the table and the walk;
:mod:`vx32py.plan9.naming` is what the calls do with them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from vx32py.plan9.account import MOUNT, Account
from vx32py.plan9.chan import QTDIR, Chan, Qid, Walked, clone
from vx32py.plan9.errors import Emount, Enocreate, Enomem, Enonexist, Enotdir, Error, Etoolong, Eunion, Eunmount
from vx32py.plan9.groups import Group
from vx32py.plan9.waiting import let_others_run

if TYPE_CHECKING:
    from vx32py.plan9.chan import Caller
    from vx32py.plan9.paths import Path

#: Of bind and mount.
MREPL, MBEFORE, MAFTER = range(3)
MORDER: Final = 3
MCREATE: Final = 4
MCACHE: Final = 16
MMASK: Final = 0x17
#: So many things can be mounted in a name space.
MOST_MOUNTS: Final = 10_000
#: Paths are no longer: each step makes a new one.
MOST_PATH: Final = 8192
#: And they have no more elements: each needs room in every channel below.
_MOST_ELEMENTS: Final = 512
#: After so many steps of a walk it is the others' turn.
_MOST_STEPS: Final = 500
#: MAXWELEM: no walk message has more names.
MOST_NAMES: Final = 16

Key = tuple[str, int, int]


class Mount:
    """One thing that is mounted: ``to``; ``number`` counts them in the order in which they were made."""

    __slots__ = ("flag", "number", "spec", "to")

    def __init__(self, to: Chan, flag: int, spec: str, number: int) -> None:
        self.to = to
        self.flag = flag
        self.spec = spec
        self.number = number


class MountHead:
    """A mount point: ``origin`` is what was mounted upon."""

    __slots__ = ("mounts", "origin")

    def __init__(self, origin: Chan) -> None:
        self.origin = origin
        self.mounts: list[Mount] = []


class NameGroup(Group):
    """A name space, which processes share: ``noattach`` keeps them from what is not in it yet (rfork with RFNOMNT)."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self._account = account
        self._paid = 0
        self.heads: dict[Key, MountHead] = {}
        self.noattach = False
        self._count = 0
        self._next_number = 1

    def clone(self) -> NameGroup:
        """Another one with the same mounts. Raises Error."""
        other = self.empty()
        other.pay(self._count)
        mounts = []
        for key, head in self.heads.items():
            copy = other.heads[key] = MountHead(head.origin)
            copy.mounts = [Mount(each.to, each.flag, each.spec, each.number) for each in head.mounts]
            mounts += copy.mounts
        other.renumber(mounts)
        return other

    def renumber(self, mounts: list[Mount]) -> None:
        """Count anew: these are all that there are."""
        for number, each in enumerate(sorted(mounts, key=lambda mount: mount.number), 1):
            each.number = number
        self._count = len(mounts)
        self._next_number = len(mounts) + 1

    def pay(self, count: int) -> None:
        """There are, or will be, so many mounts. Raises Error."""
        self._account.take((count - self._paid) * MOUNT)
        self._paid = count

    def empty(self) -> NameGroup:
        """Another one, without any."""
        other = NameGroup(self._account)
        other.noattach = self.noattach
        return other

    def dispose(self) -> None:
        """There is no user any more."""
        self.heads.clear()
        self._count = 0
        self.pay(0)

    def find(self, key: Key) -> MountHead | None:
        """The mount point at a file."""
        return self.heads.get(key)

    def mount(self, new: Chan, old: Chan, flag: int, spec: str = "") -> int:
        """Let ``new`` be found at ``old``; its number. Raises Error."""
        order = flag & MORDER
        if (old.qid.type ^ new.qid.type) & QTDIR or (not old.is_directory and order != MREPL):
            raise Error(Emount)
        source = new.union
        # Where to create must be beyond doubt.
        if flag & MCREATE and source is not None and source.mounts and _is_doubtful(source.mounts):
            raise Error(Emount)
        more = list(source.mounts[1:]) if source is not None else []
        head = self.heads.get(old.key)
        gone = len(head.mounts) if head is not None and order == MREPL else 0
        if self._count - gone + len(more) + 2 > MOST_MOUNTS:
            raise Error(Enomem)
        self.pay(self._count + len(more) + 2)
        if head is None:
            head = self.heads[old.key] = MountHead(old)
            if order != MREPL:
                head.mounts = [self._new(old, 0, "")]
        if order == MREPL:
            self._count -= len(head.mounts)
            head.mounts = []
        made = [self._new(new, flag, spec)]
        made += [self._new(each.to, order or MAFTER, each.spec) for each in more]
        head.mounts = [*head.mounts, *made] if order == MAFTER else [*made, *head.mounts]
        self.pay(self._count)
        return made[0].number

    def _new(self, to: Chan, flag: int, spec: str) -> Mount:
        self._next_number += 1
        self._count += 1
        return Mount(to, flag, spec, self._next_number - 1)

    def unmount(self, old: Chan, mounted: Chan | None) -> None:
        """Let what is mounted, or all of it, be found at ``old`` no more. Raises Error."""
        head = self.heads.get(old.key)
        if head is None:
            raise Error(Eunmount)
        if mounted is None:
            self._count -= len(head.mounts)
            head.mounts = []
        else:
            found = next((each for each in head.mounts if mounted.key in _keys(each.to)), None)
            if found is None:
                raise Error(Eunion)
            head.mounts = [each for each in head.mounts if each is not found]
            self._count -= 1
        if not head.mounts:
            del self.heads[old.key]
        self.pay(self._count)

    def listed(self) -> list[tuple[Mount, MountHead]]:
        """All that is mounted and where, in the order in which it was."""
        found = [(each, head) for head in self.heads.values() for each in head.mounts]
        return sorted(found, key=lambda pair: pair[0].number)


def _is_doubtful(mounts: list[Mount]) -> bool:
    return len(mounts) > 1 or not mounts[0].flag & MCREATE


def _keys(to: Chan) -> tuple[Key, ...]:
    """What a mounted file is known by: also the channel on which its server speaks."""
    connection = getattr(to.aux, "connection", None)
    return (to.key,) if connection is None else (to.key, connection.key)


class Lost(Error):
    """A walk leads nowhere: at the name with the number ``count`` (from 1), or behind it where it is no directory."""

    def __init__(self, text: str, count: int) -> None:
        super().__init__(text)
        self.count = count


def enter(caller: Caller, chan: Chan, path: Path | None = None) -> tuple[Chan, MountHead | None, Path]:
    """Step through the mount point at a channel, if there is one: what is there, the mount point, the path of it."""
    path = path if path is not None else chan.path
    head = caller.names.find(chan.key)
    if head is None or not head.mounts:
        return chan, None, path
    return head.mounts[0].to, head, path.mounted_on(head.origin)


async def walk(caller: Caller, start: Chan, names: Sequence[str], *, nomount: bool = False) -> Chan:
    """Follow names from ``start``; where they lead to is on the near side of what may be mounted there. Raises Lost, Error.

    As in Plan 9, a step is a walk by several names as far as no ``..`` and no mount point is on the way.
    """
    chan, path, head = start, start.path, None
    entered, done, is_new, steps = False, 0, False, itertools.count(1)
    while done < len(names):
        if not chan.is_directory:
            raise Lost(Enotdir, done)
        wanted = _stretch(names, done)
        back = wanted[0] == ".."
        if not back and not nomount and not entered:
            chan, head, path = enter(caller, chan, path)
        walked, origin = await _step(caller, chan, None if nomount or back else head, wanted, done, steps)
        entered, head = False, None
        if back:
            path, point = path.add("..").leave_mount()
            if point is None and walked.chan is None:
                raise Lost(Enonexist, done + 1)
            chan, is_new = (point, False) if point is not None else (walked.chan or chan, True)
            done += 1
            continue
        count = len(walked.qids)
        if not nomount:
            for i, qid in enumerate(walked.qids[: len(wanted) - 1]):
                head = caller.names.find((*origin, qid.path))
                if head is not None and head.mounts:
                    count, entered = i + 1, True
                    break
        if entered:
            assert head is not None
            chan, is_new = head.mounts[0].to, False
        elif walked.chan is None:
            _report(walked.qids, done)
        else:
            chan, is_new = walked.chan, True
        for i in range(count):
            at_mount = entered and i == count - 1
            path = path.add(names[done + i], head.origin if at_mount and head is not None else None)
        done += count
        # A directory that is in itself has names without end.
        if len(path.text) > MOST_PATH or len(path.points) > _MOST_ELEMENTS:
            raise Lost(Etoolong, done)
    # A channel of its own, whose path can be changed.
    if not is_new:
        chan = await clone(caller, chan)
    chan.path = path
    return chan


def _stretch(names: Sequence[str], start: int) -> list[str]:
    """The names up to the next ``..``, or that."""
    wanted: list[str] = []
    for name in names[start : start + MOST_NAMES]:
        if name == "..":
            return wanted or [name]
        wanted.append(name)
    return wanted


async def _step(
    caller: Caller, chan: Chan, head: MountHead | None, wanted: list[str], done: int, steps: Iterator[int]
) -> tuple[Walked, tuple[str, int]]:
    """Follow names in a directory, or in the first one of a union where the first of them is; and whose qids those are."""
    places = [chan] + ([each.to for each in head.mounts[1:]] if head is not None else [])
    first = None
    for place in places:
        if next(steps) % _MOST_STEPS == 0:
            await let_others_run()
        try:
            return await place.device.walk(caller, place, wanted), (place.device.kind, place.dev)
        except Lost:
            raise
        except Error as error:
            first = error.text  # not the error, which knows this frame
    assert first is not None
    raise Lost(first, done + 1)


def _report(qids: Sequence[Qid], done: int) -> None:
    if not qids or qids[-1].type & QTDIR:
        raise Lost(Enonexist, done + len(qids) + 1)
    raise Lost(Enotdir, done + len(qids))


async def place_to_create(caller: Caller, chan: Chan, *, nomount: bool) -> Chan:
    """Where something is created in a directory: itself, or of a union the one that was mounted for that. Raises Error."""
    head = None if nomount else caller.names.find(chan.key)
    if head is None or not head.mounts:
        return chan
    for mount in head.mounts:
        if mount.flag & MCREATE:
            return mount.to
    raise Error(Enocreate)
