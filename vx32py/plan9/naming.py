"""What calls do with names: open, create, find (/sys/src/9/port/chan.c, namec)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py.plan9.account import Account
from vx32py.plan9.chan import (
    DMDIR,
    OCEXEC,
    OEXCL,
    OEXEC,
    ORCLOSE,
    OREAD,
    OTRUNC,
    Chan,
    clone,
    open_mode,
)
from vx32py.plan9.errors import (
    ERRMAX,
    Ebadchar,
    Ebadsharp,
    Eexist,
    Efilename,
    Eismtpt,
    Enoattach,
    Enotdir,
    Error,
)
from vx32py.plan9.namespace import Lost, enter, place_to_create, walk
from vx32py.plan9.paths import Path, parse

if TYPE_CHECKING:
    from vx32py.plan9.chan import Caller, Device, KernelView

#: What a process with RFNOMNT may still attach.
_HARMLESS: Final = "|decp"
_DELETE: Final = "\x7f"


class _Found:
    """A name that has been taken apart, and how far it was followed."""

    __slots__ = ("chan", "elements", "ends", "must_be_directory", "name", "nomount")

    def __init__(self, name: str) -> None:
        self.name = name
        self.elements, self.ends, self.must_be_directory = parse(name)
        self.nomount = False
        self.chan: Chan

    async def begin(self, caller: Caller) -> None:
        """Where the name begins. Raises Error."""
        name = self.name
        if name.startswith("/"):
            self.chan = caller.slash
        elif name.startswith("#"):
            self.nomount = True
            end = name.find("/", 2)
            root = name if end < 0 else name[:end]
            self.elements, self.ends, self.must_be_directory = parse(name[len(root) :])
            self.ends = [each + len(root) for each in self.ends]
            if end < 0:
                self.must_be_directory = False
            self.chan = await _device(caller, root[1:2]).attach(caller, root[2:])
            self.chan.path = Path(root)
        else:
            self.chan = caller.dot

    async def follow(self, caller: Caller, count: int) -> None:
        """Follow so many elements. Raises Error."""
        try:
            self.chan = await walk(caller, self.chan, self.elements[:count], nomount=self.nomount)
        except Lost as lost:
            raise self.error(lost.count, lost.text) from None

    def error(self, count: int, text: str) -> Error:
        """An error at the element with this number, from 1 on."""
        end = self.ends[count - 1] if count else 0
        return name_error(self.name[:end], text)


def name_error(name: str, text: str) -> Error:
    """An error about a name: of a long one, the last elements (namelenerror).

    >>> name_error("/no/such", "file does not exist").text
    "'/no/such' file does not exist"
    """
    third, length = ERRMAX // 3, len(name)
    if not (length < third or length + len(text) < 2 * third):
        start = len(name)
        while True:
            following = name.rfind("/", 0, start)
            following = max(following, 0)
            rest = len(name) - following
            if following == 0 or not (rest < third or rest + len(text) < 2 * third):
                break
            start = following
        shown = name[start:] if start < len(name) else name[-ERRMAX // 4 :]
        name = "..." + shown
    return Error("'" + name.replace("'", "''") + "' " + text)


def check_name(name: str, *, slash: bool = True) -> None:
    """Whether a name can be one (validname). Raises Error."""
    if not name and slash:
        raise Error("empty file name")
    for letter in name:
        if letter < " " or letter == _DELETE or (letter == "/" and not slash):
            raise Error(f"{Ebadchar}: '{name[:ERRMAX]}'")


def _device(caller: Caller, letter: str) -> Device:
    if letter == "M" or (caller.names.noattach and letter not in _HARMLESS):
        raise Error(Enoattach)
    view: KernelView = caller.view
    device = view.devices.get(letter)
    if device is None:
        raise Error(Ebadsharp)
    return device


async def _found(caller: Caller, name: str) -> _Found:
    """Follow a whole name. Raises Error."""
    check_name(name)
    found = _Found(name)
    await found.begin(caller)
    await found.follow(caller, len(found.elements))
    if found.must_be_directory and not found.chan.is_directory:
        raise found.error(len(found.elements), Enotdir)
    return found


async def _cross(caller: Caller, chan: Chan, *, nomount: bool, for_open: bool) -> Chan:
    """What is mounted where a name leads to, as a channel of its own."""
    head, path = None, chan.path
    if not nomount:
        chan, head, path = enter(caller, chan)
    if head is not None:
        chan = await clone(caller, chan)
    chan.path, chan.is_mount_point = path, head is not None
    if for_open and head is not None and len(head.mounts) > 1:
        chan.union = head
    return chan


async def find(caller: Caller, name: str) -> Chan:
    """The file of a name, not opened: for stat, wstat (Aaccess) and remove. Raises Error."""
    found = await _found(caller, name)
    return await _cross(caller, found.chan, nomount=found.nomount, for_open=False)


async def find_to_remove(caller: Caller, name: str) -> Chan:
    """The same, but no mount point: which of the two is meant? Raises Error."""
    chan = await find(caller, name)
    if chan.is_mount_point:
        raise Error(Eismtpt)
    return chan


async def find_directory(caller: Caller, name: str) -> Chan:
    """A directory to be in (Atodir): without what is mounted there, so that one sees the effect of a mount on it."""
    found = await _found(caller, name)
    if not found.chan.is_directory:
        raise Error(Enotdir)
    return found.chan


async def find_to_bind(caller: Caller, name: str) -> Chan:
    """What is to be bound somewhere (Abind): with the union that it is. Raises Error."""
    found = await _found(caller, name)
    if found.nomount:
        return found.chan
    chan, head, _ = enter(caller, found.chan)
    if head is not None:
        chan = await clone(caller, chan)
        chan.path = found.chan.path
        chan.union = head
    return chan


async def find_mount_point(caller: Caller, name: str) -> Chan:
    """Where something is to be mounted (Amount). Raises Error."""
    return (await _found(caller, name)).chan


async def open_file(caller: Caller, name: str, mode: int) -> Chan:
    """Open a file: its channel, of which the caller has a reference. Raises Error."""
    open_mode(mode)
    return await _open_found(caller, await _found(caller, name), mode)


async def _open_found(caller: Caller, found: _Found, mode: int) -> Chan:
    if mode & 3 == OEXEC and found.chan.is_directory:
        raise found.error(len(found.elements), "cannot exec directory")
    return await _open(caller, found.chan, mode, nomount=found.nomount)


async def _open(caller: Caller, chan: Chan, mode: int, *, nomount: bool) -> Chan:
    return await opened(caller, await _cross(caller, chan, nomount=nomount, for_open=True), mode)


async def open_at(caller: Caller, chan: Chan, mode: int) -> Chan:
    """Open what is mounted at a channel, or another one of the same file. Raises Error."""
    open_mode(mode)
    return await _open(caller, await clone(caller, chan), mode, nomount=False)


async def opened(caller: Caller, chan: Chan, mode: int) -> Chan:
    """Open a channel that is only the caller's. Raises Error."""
    made = await chan.device.open(caller, chan, mode & ~OCEXEC)
    made.flags |= mode & (OCEXEC | ORCLOSE)
    return made


async def create_file(caller: Caller, name: str, mode: int, perm: int) -> Chan:
    """Create and open a file, or open it and make it empty. Raises Error."""
    open_mode(mode & ~OEXCL)
    check_name(name)
    found = _Found(name)
    await found.begin(caller)
    count = len(found.elements)
    if not count:
        raise Error(Eexist)
    if found.must_be_directory and not perm & DMDIR:
        raise found.error(count, "create without DMDIR")
    await found.follow(caller, count - 1)
    folder, last = found.chan, found.elements[-1]
    if not folder.is_directory:
        raise found.error(count - 1, Enotdir)
    if await _exists(caller, found, folder, last):
        if mode & OEXCL:
            raise Error(Eexist)
        return await _open_found(caller, found, mode | OTRUNC)
    if last in (".", ".."):
        raise Error(Efilename)
    try:
        return await create_at(caller, folder, last, mode, perm, nomount=found.nomount)
    except Error:
        # Somebody else may have made it meanwhile.
        if mode & OEXCL or not await _exists(caller, found, folder, last):
            raise
        return await _open_found(caller, found, mode | OTRUNC)


async def create_at(caller: Caller, folder: Chan, name: str, mode: int, perm: int, *, nomount: bool = False) -> Chan:
    """Create something in a directory that has no such name, and open it. Raises Error."""
    open_mode(mode & ~OEXCL)
    place = await place_to_create(caller, folder, nomount=nomount)
    chan = await clone(caller, place)
    chan = await chan.device.create(caller, chan, name, mode & ~(OEXCL | OCEXEC), perm)
    chan.path = folder.path.add(name)
    chan.flags |= mode & (OCEXEC | ORCLOSE)
    return chan


async def _exists(caller: Caller, found: _Found, folder: Chan, last: str) -> bool:
    """Whether a directory has this name; then it is what was found."""
    try:
        found.chan = await walk(caller, folder, [last], nomount=found.nomount)
    except Error:
        return False
    return True


async def read_file(caller: Caller, name: str, most: int = 1 << 30, mode: int = OREAD) -> bytes:
    """All of a file. Raises Error."""
    chan = await open_file(caller, name, mode)
    try:
        return await read_all(caller, chan, most)
    finally:
        chan.close()


async def read_all(caller: Caller, chan: Chan, most: int = 1 << 30, offset: int = 0) -> bytes:
    """What is left of an open file, at most so much. Raises Error, also where there are too many processes that wait for
    their servers to say all of something."""
    account = caller.view.account if caller is not caller.view.host else Account(most)
    pieces, here = [], offset
    try:
        while here - offset < most:
            piece = await chan.device.read(caller, chan, min(most - (here - offset), 64 << 10), here)
            if not piece:
                break
            account.take(len(piece))
            pieces.append(piece)
            here += len(piece)
    finally:
        account.give(here - offset)
    return b"".join(pieces)
