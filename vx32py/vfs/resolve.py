"""Walks that openat2 restricts (openat2(2), RESOLVE_…; fs/namei.c, LOOKUP_…)."""

from __future__ import annotations

import errno
from typing import Final

from vx32py._errors import CallError
from vx32py.vfs.nodes import MagicLink
from vx32py.vfs.walk import Location, Walker

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 1, 2, 4
RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_CACHED = 8, 16, 32
_SCOPED: Final = RESOLVE_BENEATH | RESOLVE_IN_ROOT


class RestrictedWalker(Walker):
    """Walks below ``root``, from where a walk within a scope begins, and is the guest's root for others. It fails with EXDEV
    where it would leave its scope or (NO_XDEV) its mount, with ELOOP at links that are not to be followed."""

    def __init__(self, root: Location, resolve: int) -> None:
        super().__init__(root)
        self.resolve = resolve

    def find(self, start: Location, path: str, *, follow: bool) -> Location:
        return self.last(self.find_parent(start, path), follow=follow)  # name by name

    def _top(self, here: Location, links: int) -> Location:
        if self.resolve & RESOLVE_BENEATH:
            raise CallError(errno.EXDEV)
        if links:  # the path itself may begin anywhere
            self._same_mount(here, self.root)
        return self.root

    def _up(self, here: Location) -> Location:
        if self.resolve & _SCOPED and self._is_root(here):
            if self.resolve & RESOLVE_BENEATH:
                raise CallError(errno.EXDEV)
            return here
        return self._same_mount(here, here.parent())

    def _is_root(self, here: Location) -> bool:
        if here.mount is not self.root.mount:
            return False
        one, other = here.node.status(), self.root.node.status()
        return (one.dev, one.ino) == (other.dev, other.ino)

    def _step(self, here: Location, name: str) -> Location | None:
        found = super()._step(here, name)
        return None if found is None else self._same_mount(here, found)

    def _same_mount(self, here: Location, there: Location) -> Location:
        """``there``. Raises CallError(EXDEV) where that is another mount, and the walk must not leave the first."""
        if self.resolve & RESOLVE_NO_XDEV and there.mount is not here.mount:
            raise CallError(errno.EXDEV)
        return there

    def _count(self, links: int) -> None:
        if self.resolve & RESOLVE_NO_SYMLINKS:
            raise CallError(errno.ELOOP)
        super()._count(links)

    def _jump(self, here: Location, node: MagicLink) -> Location:
        if self.resolve & RESOLVE_NO_MAGICLINKS:
            raise CallError(errno.ELOOP)
        if self.resolve & _SCOPED:
            raise CallError(errno.EXDEV)
        return self._same_mount(here, super()._jump(here, node))
