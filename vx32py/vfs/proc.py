"""/proc: what programs look for there, about the guest's own processes. Nothing in it is the host's.

``fd/N``, ``exe``, ``cwd`` and ``root`` are magic links: to read one gives the guest's path, to open one opens the very file
that it stands for, in the guest's name space.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from vx32py._descriptors import BytesFile, OpenFile, Status
from vx32py._errors import CallError
from vx32py.vfs import proc_texts as texts
from vx32py.vfs.nodes import Entry, FileSystemStatus, LinkNode, MagicLink, Node, inode_of
from vx32py.vfs.opened import name_of

if TYPE_CHECKING:
    from vx32py._group import ThreadGroup
    from vx32py._task import Task
    from vx32py.vfs.namespace import NameSpace

_PROC_MAGIC: Final = 0x9FA0
Maker: TypeAlias = Callable[["Directory", str], Node]


class Text(Node):
    """A file whose content is made when it is opened."""

    __slots__ = ("above", "mode", "name", "produce")

    def __init__(self, above: Directory, name: str, produce: Callable[[], str | bytes], mode: int = 0o444) -> None:
        self.above = above
        self.name = name
        self.produce = produce
        self.mode = mode

    def status(self) -> Status:
        uid, gid = self.above.owner
        return Status(stat.S_IFREG | self.mode, dev=4, ino=inode_of(self.path()), uid=uid, gid=gid)

    def filesystem(self) -> FileSystemStatus:
        return FileSystemStatus(_PROC_MAGIC)

    def path(self) -> str:
        return f"{self.above.path()}/{self.name}"

    def open(self, flags: int) -> OpenFile:
        data = self.produce()
        return TextFile(data.encode(errors="surrogateescape") if isinstance(data, str) else data, self.status())


class TextFile(BytesFile):
    """Such a file, opened: it has no size."""

    def __init__(self, data: bytes, status: Status) -> None:
        super().__init__(data, ino=status.ino)
        self._status = status

    def status(self) -> Status:
        return self._status


class Directory(Node):
    """A directory whose names are looked up when they are asked for."""

    __slots__ = ("_get", "_names", "above", "name", "owner")
    kind = stat.S_IFDIR

    def __init__(
        self,
        above: Directory | None,
        name: str,
        names: Callable[[], Iterable[str]],
        get: Callable[[Directory, str], Node | None],
        owner: tuple[int, int] | None = None,
    ) -> None:
        self.above = above
        self.name = name
        self._names = names
        self._get = get
        self.owner: tuple[int, int] = owner or (above.owner if above is not None else (0, 0))

    def status(self) -> Status:
        uid, gid = self.owner
        return Status(stat.S_IFDIR | 0o555, dev=4, ino=inode_of(self.path() or "/proc"), nlink=2, uid=uid, gid=gid)

    def filesystem(self) -> FileSystemStatus:
        return FileSystemStatus(_PROC_MAGIC)

    def is_root(self) -> bool:
        return self.above is None

    def parent(self) -> Node:
        return self.above or self

    def path(self) -> str:
        return "" if self.above is None else f"{self.above.path()}/{self.name}"

    def child(self, name: str) -> Node | None:
        return self._get(self, name)

    def entries(self) -> Iterator[Entry]:
        for name in self._names():
            node = self._get(self, name)
            if node is not None:
                yield name, inode_of(f"{self.path()}/{name}"), node.kind


def fixed(above: Directory | None, name: str, makers: Mapping[str, Maker]) -> Directory:
    """A directory that always has the same names."""

    def get(here: Directory, wanted: str) -> Node | None:
        maker = makers.get(wanted)
        return None if maker is None else maker(here, wanted)

    return Directory(above, name, lambda: makers, get)


def text(make: Callable[[], str | bytes], mode: int = 0o444) -> Maker:
    """A maker of a file."""
    return lambda above, name: Text(above, name, make, mode)


def link(make: Callable[[], str]) -> Maker:
    """A maker of a symbolic link."""
    return lambda above, name: LinkNode(make().encode(errors="surrogateescape"), inode_of(f"{above.path()}/{name}"))


def make_proc(space: NameSpace) -> Node:
    """The root of /proc."""

    def current() -> Task:
        task = space.current()
        if task is None:
            raise CallError(errno.ENOENT)
        return task

    makers: dict[str, Maker] = {
        "self": link(lambda: str(current().pid)),
        "thread-self": link(lambda: f"{current().pid}/task/{current().tid}"),
        "mounts": link(lambda: "self/mounts"),
        "cpuinfo": text(texts.cpuinfo),
        "meminfo": text(lambda: texts.meminfo(current())),
        "stat": text(lambda: texts.machine_stat(current())),
        "uptime": text(lambda: texts.uptime(current())),
        "loadavg": text(lambda: texts.loadavg(current())),
        "version": text(lambda: texts.version(current())),
        "filesystems": text(lambda: "nodev\tproc\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\toverlay\n\text4\n"),
        "cmdline": text(lambda: "\n"),
        "devices": text(lambda: "Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:\n"),
        "swaps": text(lambda: "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
        "sys": lambda above, name: _sysctl(above, name, current),
    }

    def names() -> Iterator[str]:
        yield from makers
        family = space.family() if space.family is not None else None
        yield from map(str, family.processes if family is not None else ())

    def get(here: Directory, name: str) -> Node | None:
        maker = makers.get(name)
        if maker is not None:
            return maker(here, name)
        family = space.family() if space.family is not None else None
        if family is None or not name.isascii() or not name.isdigit() or str(int(name)) != name:
            return None
        group = family.processes.get(int(name))
        if group is None:
            thread = family.tasks.get(int(name))  # a thread's number leads to its process, unlisted
            group = thread.group if thread is not None else None
        return None if group is None else _process(here, name, space, group, None)

    return Directory(None, "", names, get)


def _process(above: Directory, name: str, space: NameSpace, group: ThreadGroup, thread: Task | None) -> Directory:
    """The directory of a process, or of one of its threads."""

    def task() -> Task:
        found = thread if thread is not None else group.leader
        if found is None or not group.alive:
            raise CallError(errno.ESRCH)
        return found

    def exe(here: Directory, name: str) -> Node:
        mm = task().mm
        place = mm.executable
        if place is None:
            if not mm.arguments or not mm.arguments[0].startswith(b"/"):
                raise CallError(errno.ENOENT)
            place = task().files.locate(
                os.fsdecode(mm.arguments[0])
            )  # a program of the host's, by the name it was given
        return MagicLink(_path(place.path), inode_of(f"{here.path()}/{name}"), place)

    makers: dict[str, Maker] = {
        "exe": exe,
        "cwd": lambda here, name: MagicLink(
            _path(task().files.getcwd), inode_of(f"{here.path()}/{name}"), task().files.here
        ),
        "root": lambda here, name: MagicLink(b"/", inode_of(f"{here.path()}/{name}"), space.root),
        "fd": lambda here, name: _descriptors(here, name, task, _link_of),
        "fdinfo": lambda here, name: _descriptors(here, name, task, _info_of),
        "cmdline": text(lambda: b"".join(part + b"\0" for part in task().mm.arguments) if group.alive else b""),
        "environ": text(lambda: b"".join(part + b"\0" for part in task().mm.environment), 0o400),
        "comm": text(lambda: texts.name(group, thread) + b"\n"),
        "maps": text(lambda: texts.maps(task())),
        "stat": text(lambda: texts.stat(group, thread)),
        "statm": text(lambda: texts.statm(group)),
        "status": text(lambda: texts.status(group, thread, space.view)),
        "limits": text(lambda: texts.limits(task())),
        "mounts": text(lambda: texts.mounts(space)),
        "mountinfo": text(lambda: texts.mountinfo(space)),
        "auxv": text(lambda: texts.auxv(task()), 0o400),
        "oom_score": text(lambda: "0\n"),
        "oom_score_adj": text(lambda: "0\n"),
        "cgroup": text(lambda: "0::/\n"),
        "wchan": text(lambda: "0"),
        "personality": text(lambda: "00000000\n", 0o400),
    }
    if thread is None:
        makers["task"] = lambda here, name: Directory(
            here,
            name,
            lambda: [str(each.tid) for each in group.tasks],
            lambda below, tid: next(
                (_process(below, tid, space, group, each) for each in group.tasks if str(each.tid) == tid), None
            ),
        )
    directory = fixed(above, name, makers)
    directory.owner = space.view.uid, space.view.gid
    return directory


def _path(path: Callable[[], str]) -> bytes:
    try:
        return path().encode(errors="surrogateescape")
    except CallError:
        return b"/ (deleted)"


def _descriptors(
    above: Directory, name: str, task: Callable[[], Task], make: Callable[[Directory, str, OpenFile], Node]
) -> Directory:
    def get(here: Directory, number: str) -> Node | None:
        table = task().descriptors
        if not number.isascii() or not number.isdigit() or str(int(number)) != number or int(number) not in table:
            return None
        return make(here, number, table.get(int(number)))

    return Directory(above, name, lambda: [str(fd) for fd in task().descriptors], get)


def _link_of(here: Directory, number: str, file: OpenFile) -> Node:
    return MagicLink(name_of(file).encode(errors="surrogateescape"), inode_of(f"{here.path()}/{number}"), file)


def _info_of(here: Directory, number: str, file: OpenFile) -> Node:
    def info() -> str:
        try:
            position = file.seek(0, 1)
        except CallError:
            position = 0
        return f"pos:\t{position}\nflags:\t0{file.flags | 0o100000:o}\nmnt_id:\t1\nino:\t{file.status().ino}\n"

    return Text(here, number, info)


def _sysctl(above: Directory, name: str, current: Callable[[], Task]) -> Directory:
    def tree(nodes: Mapping[str, Maker]) -> Maker:
        return lambda here, name: fixed(here, name, nodes)

    random = {
        "uuid": text(lambda: texts.uuid(current().clock.random(16))),
        "boot_id": text(lambda: texts.uuid(texts.boot_id(current()))),
        "entropy_avail": text(lambda: "256\n"),
        "poolsize": text(lambda: "256\n"),
    }
    kernel: dict[str, Maker] = {
        "osrelease": text(lambda: texts.RELEASE + "\n"),
        "ostype": text(lambda: "Linux\n"),
        "hostname": text(lambda: texts.hostname(current()) + "\n"),
        "domainname": text(lambda: "(none)\n"),
        "version": text(lambda: "#1\n"),
        "pid_max": text(lambda: "32768\n"),
        "threads-max": text(lambda: f"{current().family.most}\n"),
        "overflowuid": text(lambda: "65534\n"),
        "overflowgid": text(lambda: "65534\n"),
        "ngroups_max": text(lambda: "65536\n"),
        "cap_last_cap": text(lambda: "40\n"),
        "shmmax": text(lambda: "4294967295\n"),
        "random": tree(random),
    }
    vm = {"overcommit_memory": text(lambda: "0\n"), "max_map_count": text(lambda: "65530\n")}
    fs = {
        "file-max": text(lambda: f"{current().descriptors.most * current().family.most}\n"),
        "nr_open": text(lambda: f"{current().descriptors.most}\n"),
        "pipe-max-size": text(lambda: "1048576\n"),
    }
    net = {"core": tree({"somaxconn": text(lambda: "4096\n")})}
    return fixed(above, name, {"kernel": tree(kernel), "vm": tree(vm), "fs": tree(fs), "net": tree(net)})
