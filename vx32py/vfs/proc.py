"""/proc: what programs look for there, about the guest's own processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py.vfs.nodes import FixedDirectory, Node, inode_of

if TYPE_CHECKING:
    from vx32py.vfs.namespace import NameSpace


def make_proc(space: NameSpace) -> Node:
    """The root of /proc."""
    return FixedDirectory(inode_of("/proc"))
