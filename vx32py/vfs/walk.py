"""The walk along a path: from node to node, over mounts, and along symbolic links in the guest's own name space.

Links are read and walked here; ``..`` stops at the guest's root. A :class:`Location` is what an open directory and a working
directory are: it stays the same directory when its path is renamed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Hashable
from typing import Final
from weakref import ref

from vx32py._errors import CallError
from vx32py.vfs.nodes import MagicLink, Node

#: Symbolic links on one path before the walk gives up (path_resolution(7)).
MAX_LINKS: Final = 40
#: PATH_MAX, with the final zero byte.
MAX_PATH: Final = 4096


class Location:
    """A node, and the mount in which it is."""

    __slots__ = ("mount", "node")

    def __init__(self, mount: Mount, node: Node) -> None:
        self.mount = mount
        self.node = node

    def is_root(self) -> bool:
        """Whether it is the root of its mount."""
        return self.node is self.mount.root or self.node.is_root()

    def parent(self) -> Location:
        """The directory above; the guest's root is above itself. Raises CallError(ENOENT)."""
        if self.is_root():
            return self.mount.above or self
        return Location(self.mount, self.node.parent())

    def path(self) -> str:
        """The guest's path of a directory, or of a file that still has the name by which it was found. Raises
        CallError(ENOENT)."""
        if self.is_root():
            above = self.mount.above
            if above is None:
                return "/"
            return above.path().rstrip("/") + "/" + self.mount.name
        inner = self.node.path()
        above = self.mount.above
        if above is None:
            return inner
        return above.path().rstrip("/") + "/" + self.mount.name + inner


class Mount:
    """A file system in its place: ``root`` stands for ``name`` in the directory ``above``, or is the guest's root. ``under``
    has the mounts in directories of this one, by the directories' keys and their names there. ``number`` is for statx and
    mountinfo, ``kind`` and ``source`` for /proc/mounts."""

    def __init__(
        self, root: Node, above: Location | None = None, name: str = "", *, kind: str = "none", source: str = "none"
    ) -> None:
        self.root = root
        self._parent: ref[Mount] | None = None
        self._directory: Node | None = None
        self.above = above
        self.name = name
        self.kind = kind
        self.source = source
        self.under: dict[Hashable, dict[str, Mount]] = {}
        #: Directories that must not be renamed, because mounts are beneath them.
        self.busy: set[Hashable] = set()

    @property
    def above(self) -> Location | None:
        """The directory in which it is; None for the guest's root. (No cycle of references: what the host lends is given back
        as soon as the guest is gone.)"""
        parent = self._parent() if self._parent is not None else None
        return None if parent is None or self._directory is None else Location(parent, self._directory)

    @above.setter
    def above(self, above: Location | None) -> None:
        self._parent = None if above is None else ref(above.mount)
        self._directory = None if above is None else above.node

    @property
    def location(self) -> Location:
        """Its root."""
        return Location(self, self.root)


class Parent:
    """Where a last name is to be looked up: ``name`` in directory ``here``. ``name`` is empty where the path has none, as
    ``/`` and ``..`` have not; then ``here`` is what it leads to. ``slash``: whether the path says that it is a directory."""

    __slots__ = ("here", "links", "name", "slash")

    def __init__(self, here: Location, name: str, *, slash: bool, links: int) -> None:
        self.here = here
        self.name = name
        self.slash = slash
        self.links = links


def step(here: Location, name: str) -> Location | None:
    """What ``name`` in a directory is; a mount there, if there is one. Raises CallError."""
    mount = here.mount
    if mount.under:
        found = mount.under.get(here.node.key())
        if found is not None and name in found:
            return found[name].location
    node = here.node.child(name)
    return None if node is None else Location(mount, node)


class Walker:
    """Walks paths below the root of a name space."""

    def __init__(self, root: Location) -> None:
        self.root = root

    def find(self, start: Location, path: str, *, follow: bool) -> Location:
        """What a path leads to. Raises CallError."""
        if path:
            # Nearly always a path leads to where its names say, with one call of the host's.
            names = [name for name in path.split("/") if name and name != "."]
            if len(names) > 1 and ".." not in names and path[-1] not in "/.":
                here, names = _enter(self.root if path[0] == "/" else start, names)
                found = here.node.descend(names, here.mount.under) if here.node.kind == stat.S_IFDIR else None
                if found is not None and found[1] == len(names):
                    node = found[0]
                    if node.kind != stat.S_IFLNK or not follow:
                        return Location(here.mount, node)
        return self.last(self.find_parent(start, path), follow=follow)

    def last(self, parent: Parent, *, follow: bool) -> Location:
        """What a path's last name leads to. Raises CallError."""
        found = self.look(parent, follow=follow)
        if found is None:
            raise CallError(errno.ENOENT)
        return found

    def look(self, parent: Parent, *, follow: bool) -> Location | None:
        """The same, or None where there is nothing of that name. ``parent`` is then where it would have to be made."""
        while parent.name:
            found = self._step(parent.here, parent.name)
            if found is None:
                return None
            if found.node.kind != stat.S_IFLNK or not (follow or parent.slash):
                break
            parent.links += 1
            self._count(parent.links)
            if isinstance(found.node, MagicLink):
                found = self._jump(parent.here, found.node)
                break
            text = os.fsdecode(found.node.readlink())
            slash = parent.slash
            following = self.find_parent(parent.here, text, links=parent.links)
            parent.here, parent.name, parent.links = following.here, following.name, following.links
            parent.slash = slash or following.slash
        else:
            found = parent.here
        if parent.slash and found.node.kind != stat.S_IFDIR:
            raise CallError(errno.ENOTDIR)
        return found

    def find_parent(self, start: Location, path: str, *, links: int = 0) -> Parent:
        """Walk to the directory in which the last name of a path is. Raises CallError."""
        if not path:
            raise CallError(errno.ENOENT)
        here = self._top(start, links) if path[0] == "/" else start
        if here.node.kind != stat.S_IFDIR:
            raise CallError(errno.ENOTDIR)
        names = [name for name in path.split("/") if name and name != "."]
        slash, last = path[-1] == "/", ""
        if names and names[-1] != ".." and path.rstrip("/").rpartition("/")[2] != ".":
            last = names.pop()
        here, links = self._directory(here, names, links)
        return Parent(here, last, slash=slash, links=links)

    def _directory(self, here: Location, names: list[str], links: int) -> tuple[Location, int]:
        """Follow names, all of which must be directories or lead there."""
        pending = names[::-1]
        jump = True
        while pending:
            name = pending[-1]
            if name == "..":
                pending.pop()
                here = self._up(here)
                continue
            if jump and len(pending) > 1:
                run = _until_dots(pending)
                if len(run) > 1:
                    found = here.node.descend(run, here.mount.under)
                    if found is not None and found[0].kind == stat.S_IFDIR:
                        here = Location(here.mount, found[0])
                        del pending[len(pending) - found[1] :]
                        continue
                    jump = False  # there is a link, or a mount, on the way
            pending.pop()
            following = self._step(here, name)
            if following is None:
                raise CallError(errno.ENOENT)
            if following.node.kind == stat.S_IFLNK:
                links += 1
                self._count(links)
                jump = True
                if isinstance(following.node, MagicLink):
                    following = self._jump(here, following.node)
                else:
                    text = os.fsdecode(following.node.readlink())
                    if not text:
                        raise CallError(errno.ENOENT)
                    if text[0] == "/":
                        here = self._top(here, links)
                    pending += [part for part in reversed(text.split("/")) if part and part != "."]
                    continue
            elif following.mount is not here.mount:
                jump = True
            if following.node.kind != stat.S_IFDIR:
                raise CallError(errno.ENOTDIR)
            here = following
        return here, links

    # What a walk that is not free to go anywhere does otherwise (:mod:`vx32py.vfs.resolve`):

    def _top(self, _here: Location, _links: int) -> Location:
        """Where an absolute path begins, of a link in ``here`` if there have been ``links``."""
        return self.root

    def _up(self, here: Location) -> Location:
        """The directory above."""
        return here.parent()

    def _step(self, here: Location, name: str) -> Location | None:
        """What has a name."""
        return step(here, name)

    def _count(self, links: int) -> None:
        """One more symbolic link is followed. Raises CallError(ELOOP)."""
        if links > MAX_LINKS:
            raise CallError(errno.ELOOP)

    def _jump(self, _here: Location, node: MagicLink) -> Location:
        """Where a link of /proc leads."""
        target = node.target
        if not isinstance(target, Location):
            from vx32py.vfs.opened import location_of

            return location_of(target)
        return target


def _enter(here: Location, names: list[str]) -> tuple[Location, list[str]]:
    """Follow the first names as long as they are mounts."""
    count = 0
    while count < len(names) and here.mount.under and here.node.kind == stat.S_IFDIR:
        found = here.mount.under.get(here.node.key())
        if found is None or names[count] not in found:
            break
        here = found[names[count]].location
        count += 1
    return here, names[count:]


def _until_dots(pending: list[str]) -> list[str]:
    names: list[str] = []
    for name in reversed(pending):
        if name == "..":
            break
        names.append(name)
    return names
