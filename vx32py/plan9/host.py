"""The application in the name space: what processes begin with, and what it binds, mounts, reads and writes there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py.plan9 import naming, stat, transfers
from vx32py.plan9.chan import DMDIR, ORDWR, OREAD, OTRUNC, OWRITE, Chan
from vx32py.plan9.devices import mnt
from vx32py.plan9.devices.nodes import Folder, Node
from vx32py.plan9.devices.objects import ObjectNode
from vx32py.plan9.devices.root import TREES
from vx32py.plan9.devices.streams import Sink, Source, Stream
from vx32py.plan9.errors import Error, Etoobig
from vx32py.plan9.groups import EnvGroup, FdGroup
from vx32py.plan9.namespace import MAFTER, MCREATE, MREPL, NameGroup
from vx32py.plan9.ninep.server import Export
from vx32py.plan9.paths import Path, clean
from vx32py.plan9.waiting import Result, finish

if TYPE_CHECKING:
    from vx32py.plan9.chan import KernelView
    from vx32py.plan9.devices.nodes import NodeDevice
    from vx32py.plan9.devices.objects import Served
    from vx32py.plan9.stat import Dir
    from vx32py.plan9.waiting import Running

#: What is bound before anything runs: what, where, how. What is not there is left out.
USUAL: Final = (
    ("#c", "/dev", MAFTER), ("#e", "/env", MREPL | MCREATE), ("#p", "/proc", MREPL), ("#s", "/srv", MREPL | MCREATE), ("#d", "/fd", MREPL),
    ("#I", "/net", MREPL),
)  # fmt: skip
#: So long the application waits for a file server, in seconds.
PATIENCE: Final = 10.0
#: The same, once there is a root: where it keeps its programs.
PROGRAMS: Final = (("/386/bin", "/bin", MREPL), ("/rc/bin", "/bin", MAFTER), ("/root/bin", "/bin", MAFTER))


class Host:
    """A caller that is no process. Its ``names`` are those that the first processes have, ``env`` what their environment is
    copied from."""

    pid = 1
    slash: Chan
    dot: Chan

    def __init__(self, view: KernelView, user: str) -> None:
        self.view = view
        self.user = user
        self.names = NameGroup(view.account)
        self.env = EnvGroup(view.account)
        self.fds = FdGroup(view.account)
        self._objects = 0
        self.patience = PATIENCE
        self.slash = self.dot = finish(self._root(), view.attendants)

    async def _root(self) -> Chan:
        chan = await self.view.devices["/"].attach(self, "")
        chan.path = Path("/")
        return chan

    def note(self, text: str) -> None:
        """Nobody is there to hear it."""

    def do(self, running: Running[Result], timeout: float | None = None) -> Result:
        """Carry something out; what takes longer than ``timeout`` seconds (else :attr:`patience`) is "interrupted". Where it
        has to wait, processes run: one of them may be the file server. Raises Error."""
        return self.view.carry_out(running, timeout or self.patience)

    # -- names -------------------------------------------------------------------------------------------------------

    def boot(self, *, read_only: bool) -> None:
        """The usual binds."""
        if "U" in self.view.devices:
            self._bind_root()
        if read_only or "U" not in self.view.devices:
            self._try("#ktmp", "/tmp", MREPL | MCREATE)  # noqa: S108
        for new, old, flag in USUAL:
            if new[1] in self.view.devices:
                self.bind(new, old, flag)

        for new, old, flag in PROGRAMS:
            self._try(new, old, flag)
        trees = self.view.devices.get("U")
        for name in getattr(trees, "names", ()):
            self._try(f"#U{name}", f"/{TREES}/{name}", MREPL | MCREATE)

    def _bind_root(self) -> None:
        """The granted root, behind the kernel's own."""
        self._try("#U", "/root", MREPL | MCREATE)
        self._try("/root", "/", MAFTER | MCREATE)

    def _try(self, new: str, old: str, flag: int) -> None:
        """Bind what is there."""
        try:
            self.bind(new, old, flag)
        except Error:
            return

    def bind(self, new: str, old: str, flag: int = MREPL) -> None:
        """Let a file be found elsewhere, too (bind(2)). Raises Error."""
        self.do(self._bind(new, old, flag))

    async def _bind(self, new: str, old: str, flag: int) -> None:
        source = await naming.find_to_bind(self, new)
        self.names.mount(source, await naming.find_mount_point(self, old), flag)

    def bind_node(self, node: Node, old: str, flag: int = MREPL) -> None:
        """Let an object be found as a file, or as a directory with all that is in it. Raises Error."""
        device: NodeDevice = self.view.devices["o"]  # type: ignore[assignment]
        self.do(self._bind_node(Chan(device, 0, node.qid, node), old, flag))

    async def _bind_node(self, chan: Chan, old: str, flag: int) -> None:
        self.names.mount(chan, await naming.find_mount_point(self, old), flag)

    def bind_object(self, value: Served, old: str, flag: int = MREPL) -> None:
        """Let an object of the application's be found as a file, or as a directory with all that is in it (see
        :mod:`vx32py.plan9.devices.objects`). Where there is no such name, one is made in the kernel's own root, or in a
        tree in memory. Raises Error, TypeError."""
        self._objects += 1
        path = clean(old)
        node = ObjectNode(value, path.rpartition("/")[2] or "/", None, (self._objects,), self.view)
        self._make_place(path, bool(node.mode & DMDIR))
        self.bind_node(node, path, flag | (MCREATE if node.writable else 0))

    def _make_place(self, path: str, is_directory: bool) -> None:
        """Let there be something to mount upon, if it can be had without changing what was granted."""
        start, here = ("/", "") if path.startswith("/") else (path.partition("/")[0], path.partition("/")[0])
        names = path[len(start) :].strip("/").split("/")
        for count, name in enumerate(names, 1):
            place, here = here or "/", f"{here}/{name}"
            try:
                self.stat(here)
            except Error:
                self._make_name(place, name, is_directory or count < len(names))

    def _make_name(self, place: str, name: str, is_directory: bool) -> None:
        chan = self.do(naming.find(self, place))
        if chan.device.letter == "/" and isinstance(chan.aux, Folder):
            chan.aux.add(Folder(name) if is_directory else Node(name))
        elif chan.device.letter == "k" and is_directory:
            self.make_directory(f"{place}/{name}")
        elif chan.device.letter == "k":
            self.write(f"{place}/{name}", b"")

    def mount(self, connection: Chan, old: str, flag: int = MREPL, spec: str = "") -> None:
        """Let the files of a server be found somewhere that speaks 9P on this channel. Raises Error."""
        self.do(self._mount(connection, old, flag, spec))

    async def _mount(self, connection: Chan, old: str, flag: int, spec: str) -> None:
        source = await mnt.attach(self, connection, None, spec)
        self.names.mount(source, await naming.find_mount_point(self, old), flag, spec)

    def export(self, connection: Chan, root: str = "/") -> Export:
        """Serve the name space, or a part of it, to who speaks 9P on this channel; while processes run, or :meth:`attend`."""
        served = Export(self, connection, root)
        served.start()
        return served

    def attend(self) -> None:
        """Do what there is to be done for those that are served, while no process runs."""
        self.view.attendants.advance()

    # -- files -------------------------------------------------------------------------------------------------------

    def stream(self, fd: int, *, owned: bool = False) -> Chan:
        """An open channel for a descriptor of the host's: a socket, or a pipe."""
        node = Stream(f"fd{fd}", fd, fd, owned=owned)
        device = self.view.devices["o"]
        return self.do(device.open(self, Chan(device, 0, node.qid, node), ORDWR))

    def channel(self, name: str, source: Source, sink: Sink, mode: int) -> Chan:
        """An open channel that leads to the application. Raises Error."""
        node = Stream(name, source, sink)
        device = self.view.devices["o"]
        return self.do(device.open(self, Chan(device, 0, node.qid, node), mode))

    def open(self, name: str, mode: int = OREAD) -> Chan:
        """Open a file. Raises Error."""
        return self.do(naming.open_file(self, name, mode))

    def read(self, name: str, most: int = 256 << 20) -> bytes:
        """All of a file. Raises Error, also where it has more bytes than ``most``."""
        found = self.do(naming.read_file(self, name, most + 1))
        if len(found) > most:
            raise Error(Etoobig)
        return found

    def write(self, name: str, data: bytes, perm: int = 0o666) -> None:
        """Create a file, or put this in place of what it has. Raises Error."""
        self.do(self._write(name, data, perm))

    async def _write(self, name: str, data: bytes, perm: int) -> None:
        chan = await naming.create_file(self, name, OWRITE | OTRUNC, perm)
        try:
            done = 0
            while done < len(data):
                done += await transfers.write(self, chan, data[done:], None)
        finally:
            chan.close()

    def make_directory(self, name: str, perm: int = 0o777) -> None:
        """Create a directory. Raises Error."""
        self.do(naming.create_file(self, name, OREAD, perm | DMDIR)).close()

    def remove(self, name: str) -> None:
        """Remove a file. Raises Error."""
        self.do(self._remove(name))

    async def _remove(self, name: str) -> None:
        chan = await naming.find_to_remove(self, name)
        await chan.device.remove(self, chan)

    def stat(self, name: str) -> Dir:
        """What a file is. Raises Error."""
        return self.do(self._stat(name))

    async def _stat(self, name: str) -> Dir:
        chan = await naming.find(self, name)
        found = await chan.device.stat(self, chan)
        if chan.path.last:
            found.name = chan.path.last
        return found

    def entries(self, name: str, most: int = 1_000_000) -> list[Dir]:
        """What is in a directory; a union may have a name more than once. Raises Error, also where there are more entries
        than ``most``."""
        return self.do(self._entries(name, most))

    async def _entries(self, name: str, most: int) -> list[Dir]:
        chan = await naming.open_file(self, name, OREAD)
        try:
            found: list[Dir] = []
            while piece := await transfers.read(self, chan, 8192, None):
                found += stat.unpack_all(piece)
                if len(found) > most:
                    raise Error(Etoobig)
            return found
        finally:
            chan.close()
