"""A guest's name space: the mounts that its grants ask for, put together."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, proxy, ref

from vx32py._errors import CallError
from vx32py.vfs.host import HostTree
from vx32py.vfs.mounts import Default, Dev, Granted, Overlay, Proc, Tmpfs
from vx32py.vfs.nodes import BytesNode, FixedDirectory, Node, View, inode_of
from vx32py.vfs.walk import Location, Mount, Walker, step

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._family import Family
    from vx32py._task import Task
    from vx32py.vfs.locks import Locks
    from vx32py.vfs.tree import Tree

#: A grant whose host paths have been opened: what is mounted, and the host's tree behind it, if there is one.
Prepared = tuple[Granted, HostTree | None]


class NameSpace:
    """All mounts of one guest. ``mounts`` in the order in which they were made; ``trees`` are file systems of its own, by the
    path at which they are mounted."""

    def __init__(self, prepared: Mapping[str, Prepared], view: View) -> None:
        self.view = view
        self.mounts: list[Mount] = []
        self.trees: dict[str, Tree] = {}
        #: Whose processes /proc tells of.
        self.family: ref[Family] | None = None
        #: Who is to be told what happens to a file (F_SETOWN), and with which signal.
        self.notices: WeakKeyDictionary[OpenFile, tuple[int, int]] = WeakKeyDictionary()
        self._numbers = itertools.count(0x20)
        self._locks: Locks | None = None
        granted = prepared.get("/")
        root = self._mount("/", *granted) if granted is not None else Mount(FixedDirectory(1), kind="rootfs")
        self.mounts.append(root)
        self.walker = Walker(root.location)
        for path in sorted(prepared, key=lambda path: path.count("/")):
            if path != "/":
                self._attach(path, *prepared[path])

    @property
    def root(self) -> Location:
        """The guest's root directory."""
        return self.walker.root

    @property
    def locks(self) -> Locks:
        """The locks that processes hold on files."""
        if self._locks is None:
            from vx32py.vfs.locks import Locks

            self._locks = Locks()
        return self._locks

    @property
    def has_locks(self) -> bool:
        """Whether anybody ever locked a file."""
        return self._locks is not None

    def is_alive(self, pid: int) -> bool:
        """Whether there is a process of this guest with this number that has not ended."""
        family = self.family() if self.family is not None else None
        process = None if family is None else family.processes.get(pid)
        return process is not None and process.alive

    def current(self) -> Task | None:
        """The task whose call is being made."""
        family = self.family() if self.family is not None else None
        return None if family is None else family.current

    def device_number(self) -> int:
        """For a file system of its own: what st_dev tells."""
        return next(self._numbers)

    def mount_of(self, path: str) -> Mount | None:
        """What is mounted at just this path."""
        for mount in reversed(self.mounts):
            if mount.location.path() == path:
                return mount
        return None

    def save(self) -> None:
        """Save the layers of overlays that have a directory for them. Raises OSError."""
        for tree in self.trees.values():
            if tree.upper is not None:
                from vx32py.vfs.layers import save

                save(tree, tree.upper)

    def _attach(self, path: str, granted: Granted, tree: HostTree | None) -> None:
        names = path[1:].split("/")
        here = self.root
        for i, name in enumerate(names[:-1]):
            following = self._directory(here, name)
            if following is None:
                made = FixedDirectory(inode_of("/".join(names[: i + 1])))
                following = self._put(here, name, Mount(made, here, name, kind="rootfs")).location
            here = following
        if isinstance(granted, Default):
            if step(here, names[-1]) is not None:
                return
            granted = granted.content
        mount = self._mount(path, granted, tree)
        mount.above, mount.name = here, names[-1]
        self._put(here, names[-1], mount)
        if isinstance(granted, Dev):
            self._attach(path + "/shm", Tmpfs(granted.shm), None)

    def _directory(self, here: Location, name: str) -> Location | None:
        try:
            found = self.walker.find(here, name, follow=True)
        except CallError:
            return None
        return found if found.node.kind == stat.S_IFDIR else None

    def _put(self, here: Location, name: str, mount: Mount) -> Mount:
        below = here.mount
        key = here.node.key()
        below.under.setdefault(key, {})[name] = mount
        self.mounts.append(mount)
        node: Node = here.node
        while True:
            below.busy.add(node.key())
            if node is below.root or node.is_root():
                return mount
            node = node.parent()

    def _mount(self, path: str, granted: Granted, tree: HostTree | None) -> Mount:
        """A mount that is not yet in its place."""
        if isinstance(granted, bytes):
            return Mount(BytesNode(granted, inode_of(path)), kind="rootfs")
        if isinstance(granted, Tmpfs):
            from vx32py.vfs.tree import Tree

            own = self.trees[path] = Tree(self.view, self.device_number(), granted.size, granted.files, granted.mode)
            own.current = current_of(ref(self))
            return Mount(own.root, kind="tmpfs", source="tmpfs")
        if isinstance(granted, Overlay):
            from vx32py.vfs.tree import Tree

            assert tree is not None
            own = Tree(self.view, self.device_number(), granted.size, granted.files, 0o755, tree)
            self.trees[path] = own
            own.current = current_of(ref(self))
            if granted.upper is not None:
                from vx32py.vfs.layers import load

                own.upper = granted.upper
                load(own, granted.upper)
            return Mount(own.root, kind="overlay", source="overlay")
        if isinstance(granted, Proc):
            from vx32py.vfs.proc import make_proc

            return Mount(make_proc(proxy(self)), kind="proc", source="proc")
        if isinstance(granted, Dev):
            from vx32py.vfs.devices import make_devices

            return Mount(make_devices(proxy(self)), kind="devtmpfs", source="dev")
        assert tree is not None
        return Mount(tree.root(self.view), kind="ext4", source="/dev/root")


def current_of(space: ref[NameSpace]) -> Callable[[], Task | None]:
    """A function that says whose call is being made, and keeps nothing alive."""

    def current() -> Task | None:
        found = space()
        return None if found is None else found.current()

    return current
