"""What the files of /proc say (Documentation/filesystems/proc.rst, proc(5))."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from reference.memory import PAGE
from reference.traps import Access
from vx32py._errors import CallError, MemoryFault

if TYPE_CHECKING:
    from vx32py._group import ThreadGroup
    from vx32py._task import Task
    from vx32py.vfs.namespace import NameSpace
    from vx32py.vfs.nodes import View

#: As uname says.
RELEASE: Final = "6.1.0"
_TICKS: Final = 100
_LIMITS: Final = (
    ("Max cpu time", "seconds"), ("Max file size", "bytes"), ("Max data size", "bytes"), ("Max stack size", "bytes"),
    ("Max core file size", "bytes"), ("Max resident set", "bytes"), ("Max processes", "processes"),
    ("Max open files", "files"), ("Max locked memory", "bytes"), ("Max address space", "bytes"),
    ("Max file locks", "locks"), ("Max pending signals", "signals"), ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""), ("Max realtime priority", ""), ("Max realtime timeout", "us"),
)  # fmt: skip


def cpuinfo() -> str:
    """One processor, as sched_getaffinity says."""
    return (
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 1\nmodel name\t: vx32py\nstepping\t: 1\n"
        "cpu MHz\t\t: 1000.000\ncache size\t: 1024 KB\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\n"
        "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: 1\nwp\t\t: yes\n"
        "flags\t\t: fpu tsc cx8 cmov mmx fxsr sse sse2\nbogomips\t: 2000.00\nclflush size\t: 64\n\n"
    )


def meminfo(task: Task) -> str:
    """The memory that a process may map."""
    space = task.memory.space
    total, free = space.budget // 1024, max(0, space.budget - space.mapped) // 1024
    rows = {
        "MemTotal": total, "MemFree": free, "MemAvailable": free, "Buffers": 0, "Cached": 0, "SwapCached": 0,
        "Active": total - free, "Inactive": 0, "SwapTotal": 0, "SwapFree": 0, "Shmem": 0, "Slab": 0,
    }  # fmt: skip
    return "".join(f"{key + ':':<16}{value:>8} kB\n" for key, value in rows.items())


def machine_stat(task: Task) -> str:
    """Time is what the guest has used."""
    used = task.clock.cpu() * _TICKS // 10**9
    started = (task.clock.realtime() - task.clock.monotonic()) // 10**9
    row = f"{used} 0 0 0 0 0 0 0 0 0"
    return (
        f"cpu  {row}\ncpu0 {row}\nintr 0\nctxt 0\nbtime {started}\nprocesses {len(task.family.processes)}\n"
        f"procs_running 1\nprocs_blocked 0\n"
    )


def uptime(task: Task) -> str:
    """Since the guest began."""
    return f"{task.clock.monotonic() / 1e9:.2f} 0.00\n"


def loadavg(task: Task) -> str:
    """No load, and how many processes there are."""
    count = len(task.family.tasks)
    return f"0.00 0.00 0.00 1/{count} {max(task.family.tasks, default=0)}\n"


def version(task: Task) -> str:
    """What uname says, in one line."""
    return f"Linux version {RELEASE} (root@{hostname(task)}) (gcc) #1\n"


def hostname(task: Task) -> str:
    """The machine's name."""
    return task.sandbox.hostname


def uuid(data: bytes) -> str:
    """16 bytes as a random UUID (RFC 4122, 4.4)."""
    digits = f"{int.from_bytes(data, 'big') & ~(0xF << 76 | 0x3 << 62) | 4 << 76 | 2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}\n"


def boot_id(task: Task) -> bytes:
    """The same as long as the guest is there."""
    seed = "made-up" if task.clock.virtual else f"{id(task.family)} {task.clock.realtime() - task.clock.monotonic()}"
    return hashlib.sha256(seed.encode()).digest()[:16]


def name(group: ThreadGroup, thread: Task | None) -> bytes:
    """The name of a process, at most 15 bytes."""
    task = thread if thread is not None else group.leader
    if task is None:
        return b"guest"
    from vx32py.personality.linux.table import ThreadState

    return (task.state(ThreadState).name or os.fsencode(task.module.name))[:15]


def auxv(task: Task) -> bytes:
    """The auxiliary vector, from where it was put on the stack."""
    memory, at = task.memory, task.mm.initial_stack
    if not at:
        return b""
    with suppress(MemoryFault):
        at += 4 * (memory.read_u32(at) + 2)  # argc, argv and its end
        while memory.read_u32(at):
            at += 4
        start = at = at + 4
        while memory.read_u32(at) and at - start < PAGE:
            at += 8
        return memory.read(start, at + 8 - start)
    return b""


def maps(task: Task) -> str:
    """What is mapped."""
    layout = task.layout
    lines = []
    for start, end, access in task.memory.regions():
        rights = "".join(
            letter if access & right else "-"
            for letter, right in (("r", Access.READ), ("w", Access.WRITE), ("x", Access.EXECUTE))
        )
        label = ""
        if layout.stack_start <= start < layout.stack_end:
            label = "[stack]"
        elif layout.heap <= start < task.heap_end:
            label = "[heap]"
        head = f"{start:08x}-{end:08x} {rights}p 00000000 00:00 0"
        lines.append(f"{head:<73}{label}".rstrip() + "\n")
    return "".join(lines)


def _state(group: ThreadGroup, thread: Task | None) -> str:
    if not group.alive:
        return "Z"
    task = thread if thread is not None else group.leader
    if group.stopped:
        return "T"
    return "S" if task is not None and task.waiting is not None else "R"


def _parent(group: ThreadGroup) -> int:
    """What getppid says: 1 where the host is the parent, or nobody any more."""
    return group.parent.pid if group.parent is not None and group.parent.alive else 1


def stat(group: ThreadGroup, thread: Task | None) -> str:
    """The 52 fields of proc_pid_stat(5)."""
    task = thread if thread is not None else group.leader
    number = thread.tid if thread is not None else group.pid
    parent = _parent(group)
    text = name(group, thread).decode(errors="surrogateescape")
    mapped = task.memory.space.mapped if task is not None and group.alive else 0
    used = task.clock.cpu() * _TICKS // 10**9 if task is not None else 0
    start_stack = task.layout.stack_end if task is not None else 0
    fields: list[object] = [number, f"({text})", _state(group, thread), parent, group.pgid, group.sid, 0, -1, 0]
    fields += [0, 0, 0, 0, used, 0, 0, 0, 20, 0, max(1, len(group.tasks)), 0, 0, mapped, mapped // PAGE, 0xFFFF_FFFF]
    fields += [0, 0, start_stack, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    return " ".join(map(str, fields)) + "\n"


def statm(group: ThreadGroup) -> str:
    """Sizes in pages."""
    task = group.leader
    pages = task.memory.space.mapped // PAGE if task is not None and group.alive else 0
    return f"{pages} {pages} 0 0 0 {pages} 0\n"


def status(group: ThreadGroup, thread: Task | None, view: View) -> str:
    """The same for people."""
    task = thread if thread is not None else group.leader
    state = _state(group, thread)
    words = {"R": "running", "S": "sleeping", "T": "stopped", "Z": "zombie"}
    kilobytes = task.memory.space.mapped // 1024 if task is not None and group.alive else 0
    rows = {
        "Name": name(group, thread).decode(errors="surrogateescape"),
        "State": f"{state} ({words[state]})",
        "Tgid": group.pid,
        "Ngid": 0,
        "Pid": thread.tid if thread is not None else group.pid,
        "PPid": _parent(group),
        "TracerPid": 0,
        "Uid": "\t".join([str(view.uid)] * 4),
        "Gid": "\t".join([str(view.gid)] * 4),
        "FDSize": task.descriptors.most if task is not None else 0,
        "Groups": f"{view.gid} ",
        "VmPeak": f"{kilobytes:8} kB",
        "VmSize": f"{kilobytes:8} kB",
        "VmRSS": f"{kilobytes:8} kB",
        "Threads": max(1, len(group.tasks)),
        "SigPnd": "0" * 16,
        "ShdPnd": "0" * 16,
        "CapInh": "0" * 16,
        "CapPrm": "0" * 16,
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": 1,
        "Seccomp": 0,
        "Cpus_allowed": 1,
        "Cpus_allowed_list": 0,
        "voluntary_ctxt_switches": 0,
        "nonvoluntary_ctxt_switches": 0,
    }
    return "".join(f"{key}:\t{value}\n" for key, value in rows.items())


def limits(task: Task) -> str:
    """What getrlimit says, as a table."""
    from vx32py.personality.linux.limits import INFINITY, limit

    lines = [f"{'Limit':<26}{'Soft Limit':<21}{'Hard Limit':<21}{'Units':<10}\n"]
    for number, (title, unit) in enumerate(_LIMITS):
        soft, hard = ("unlimited" if value >= INFINITY else str(value) for value in limit(task, number))
        lines.append(f"{title:<26}{soft:<21}{hard:<21}{unit:<10}\n")
    return "".join(lines)


def _mount_rows(space: NameSpace) -> list[tuple[int, int, int, str, str, str, str]]:
    """Number, parent's number, device, path, kind, source and options of every mount that is still in its place."""
    numbers = {id(mount): i + 1 for i, mount in enumerate(space.mounts)}
    rows = []
    for mount in space.mounts:
        try:
            path = mount.location.path()
        except CallError:
            continue
        above = numbers[id(mount.above.mount)] if mount.above is not None else 0
        options = "ro" if mount.root.read_only else "rw"
        if mount.kind == "rootfs" and mount.above is not None:
            continue  # a made-up directory or file
        rows.append(
            (numbers[id(mount)], above, mount.root.status().dev, _escape(path), mount.kind, mount.source, options)
        )
    return rows


def _escape(path: str) -> str:
    for letter in "\\ \t\n#":
        path = path.replace(letter, f"\\{ord(letter):03o}")
    return path


def mounts(space: NameSpace) -> str:
    """As in /etc/mtab."""
    rows = _mount_rows(space)
    return "".join(f"{source} {path} {kind} {options} 0 0\n" for *_, path, kind, source, options in rows)


def mountinfo(space: NameSpace) -> str:
    """The same with numbers."""
    return "".join(
        f"{number} {above} {device >> 8 & 0xFFF}:{device & 0xFF} / {path} {options} - {kind} {source} {options}\n"
        for number, above, device, path, kind, source, options in _mount_rows(space)
    )
