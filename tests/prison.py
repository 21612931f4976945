"""What the tests of attempts to leave the jail share: a world with something to lose, and programs that go for it.

A :class:`World` has a folder that a guest may change, one that it may only read, and one *outside* of both, with a secret
and things that must stay as they are. The same system calls are made in the jail and, as a contrast, natively, so that
an attempt that would come to nothing anywhere is noticed. Behind every test it is asked what has become of the host.
"""

from __future__ import annotations

import functools
import os
import resource
import secrets
import select
import signal
import socket
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from small_programs import compiled

from vx32py import Grant, Jail, Result

SOURCES: Final = Path(__file__).parent / "jail" / "escapes"
#: Nothing that a test waits for takes so long, in seconds.
TIMEOUT: Final = 60
FREESTANDING: Final = ("-nostdlib", "-fno-stack-protector", "-fno-pie", "-no-pie")
#: How the jail calls what the world calls {granted}, {readonly} …
GUEST_PATHS: Final = {"granted": "/granted", "readonly": "/readonly"}


# -- programs --------------------------------------------------------------------------------------------------------


def build(source: str, *options: str) -> Path:
    """A static 32-bit program from a C file of this folder, for the guest and the native contrast."""
    return compiled((SOURCES / source).read_text(encoding="utf-8"), "-w", "-pthread", *options)


@functools.cache
def numbers() -> dict[str, int]:
    """The numbers of system calls by name, as the kernel's headers have them."""
    text = subprocess.run(
        ["gcc", "-m32", "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"],
        check=True, capture_output=True, text=True, timeout=TIMEOUT,
    ).stdout  # fmt: skip
    words = [line.split() for line in text.splitlines() if line.startswith("#define __NR_")]
    return {line[1].removeprefix("__NR_"): int(line[2]) for line in words}


# -- system calls ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Out:
    """A buffer of so many bytes, whose content is in ``Run.buffers`` afterwards."""

    size: int


@dataclass(frozen=True)
class Got:
    """The result of call ``number``, counted from 0."""

    number: int


@dataclass(frozen=True)
class Buffer:
    """The address of buffer ``number``, counted from 0: every Out, bytes and list is one."""

    number: int


#: Text is a path or a name, with {granted}, {readonly}, {outside} in it; bytes are a buffer; a list is words, such as an
#: array of iovec.
Argument = int | str | bytes | Out | Got | Buffer | list[Any]
Calls = tuple[tuple[Any, ...] | str, ...]
#: Everything behind it is done by a child.
FORK: Final = "fork"


def _spell(argument: Argument, paths: Mapping[str, str]) -> list[str]:
    match argument:
        case bool() | int():
            value = int(argument) & 0xFFFF_FFFF
            return [f"i{value}"]
        case str():
            text = argument
            for name, path in paths.items():
                text = text.replace("{" + name + "}", path)
            return ["s" + text]
        case bytes():
            return ["h" + argument.hex()]
        case Out(size):
            return [f"o{size}"]
        case Got(number):
            return [f"r{number}"]
        case Buffer(number):
            return [f"a{number}"]
        case list():
            return ["{", *(word for each in argument for word in _spell(each, paths)), "}"]
    raise TypeError(argument)


def spell(calls: Calls, paths: Mapping[str, str]) -> list[str]:
    """The arguments of the program ``calls`` that make it make these."""
    words = []
    for call in calls:
        if isinstance(call, str):
            words += [call, ";"]
            continue
        name, *arguments = call
        words.append(str(name if isinstance(name, int) else numbers()[name]))
        for argument in arguments:
            words += _spell(argument, paths)
        words.append(";")
    return words


@dataclass
class Run:
    """What came of some calls: results (numbers, or the names of errors) in order, the content of Out buffers, all that was
    printed, and how the program ended: an exit code, or a negative signal."""

    results: list[int | str]
    buffers: list[bytes]
    output: bytes
    ended: int | str

    def __getitem__(self, number: int) -> int | str:
        return self.results[number]


def _answer(value: int) -> int | str:
    import errno

    return errno.errorcode.get(-value, value) if -4096 < value < 0 else value


def _read(output: bytes, ended: int | str) -> Run:
    results: list[int | str] = []
    buffers = []
    for line in output.splitlines():
        if line.startswith(b"R ") and line[2:].lstrip(b"-").isdigit():
            results.append(_answer(int(line[2:])))
        elif line.startswith(b"B "):
            buffers.append(bytes.fromhex(line[2:].decode()))
    return Run(results, buffers, output + b"".join(buffers), ended)


def address4(port: int, host: str = "127.0.0.1") -> bytes:
    """A struct sockaddr_in."""
    return b"\2\0" + port.to_bytes(2, "big") + socket.inet_aton(host) + bytes(8)


def address6(port: int, host: str) -> bytes:
    """A struct sockaddr_in6."""
    return b"\x0a\0" + port.to_bytes(2, "big") + bytes(4) + socket.inet_pton(socket.AF_INET6, host) + bytes(4)


# -- the world -------------------------------------------------------------------------------------------------------


def _describe(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    content: object = None
    if stat.S_ISREG(status.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    attributes = []
    with suppress(OSError):
        attributes = [
            (a, os.getxattr(path, a, follow_symlinks=False)) for a in os.listxattr(path, follow_symlinks=False)
        ]
    return (
        stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_nlink, status.st_ino, status.st_mtime_ns,
        status.st_rdev, content, tuple(attributes),
    )  # fmt: skip


def describe_tree(folder: Path) -> dict[str, tuple[Any, ...]]:
    """All that can be changed of a folder, by name."""
    return {str(path.relative_to(folder)): _describe(path) for path in (folder, *sorted(folder.rglob("*")))}


class World:
    """A place with something to lose. ``secret`` is the content of ``outside/secret`` and ``outside/inner/secret``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.granted, self.readonly, self.outside = (folder / name for name in ("granted", "readonly", "outside"))
        for path in (self.granted, self.readonly, self.outside, self.outside / "inner", self.readonly / "inner"):
            path.mkdir(parents=True)
        self.secret = secrets.token_hex(12).encode()
        for path in (self.outside / "secret", self.outside / "inner" / "secret"):
            path.write_bytes(self.secret)
        (self.outside / "program").write_bytes(build("calls.c", *FREESTANDING).read_bytes())
        (self.outside / "program").chmod(0o755)
        for path in (self.readonly / "file", self.readonly / "inner" / "file", self.granted / "file"):
            path.write_bytes(b"what is in here")
        (self.granted / "inner").mkdir()
        self.before = self._state()

    def _state(self) -> dict[str, tuple[Any, ...]]:
        return {
            f"{folder.name}/{name}": what
            for folder in (self.outside, self.readonly)
            for name, what in describe_tree(folder).items()
        }

    def harm(self) -> list[str]:
        """What is not as it was: names of changed files outside of the granted folder."""
        now = self._state()
        return sorted(name for name in {*now, *self.before} if now.get(name) != self.before.get(name))

    @property
    def paths(self) -> dict[str, str]:
        """As the host calls them."""
        return {name: str(getattr(self, name)) for name in ("granted", "readonly", "outside", "folder")}

    def native(self, *calls: tuple[Any, ...] | str, **options: Any) -> Run:
        """What comes of the calls natively."""
        program = build("calls.c", *FREESTANDING)
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(
            [str(program), *spell(calls, self.paths)],
            stdout=subprocess.PIPE, timeout=TIMEOUT, check=False, **options,
        )  # fmt: skip
        return _read(done.stdout, done.returncode)

    def jail(self, *calls: tuple[Any, ...] | str, **options: Any) -> Run:
        """What comes of them in the jail. ``options``: of :func:`jail`."""
        result = jail(self, build("calls.c", *FREESTANDING), spell(calls, self.paths | GUEST_PATHS), **options)
        code = result.exit_code
        return _read(result.stdout, code if code is not None else result.describe())


def jail(
    world: World | None,
    program: Path,
    args: Iterable[str] = (),
    *,
    stdin: Any = b"",
    stdout: Any = None,
    **options: Any,
) -> Result:
    """Run a program in the jail, with what the world grants. It may run others."""
    options.setdefault("timeout", TIMEOUT)
    options.setdefault("memory", "64M")
    options.setdefault("allow_exec", True)
    if world is not None:
        options.setdefault(
            "dirs", {"/granted": Grant(world.granted, writable=True), "/readonly": Grant(world.readonly)}
        )
    return Jail(**options).run([str(program), *args], stdin=stdin, stdout=stdout)


# -- the host --------------------------------------------------------------------------------------------------------


@dataclass
class Canary:
    """A process of the host's that no guest may reach."""

    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [str(build("canary.c"))], stdout=subprocess.PIPE, start_new_session=True, bufsize=0
        )
        assert self.process.stdout is not None
        assert self.process.stdout.read(6) == b"ready\n"

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def heard(self) -> str:
        """The signals it got, or what ended or stopped it; empty for none."""
        assert self.process.stdout is not None
        with suppress(ChildProcessError):
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                return "stopped"
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                return f"ended: {self.process.returncode}"
        if not select.select([self.process.stdout], [], [], 0)[0]:
            return ""
        return os.read(self.process.stdout.fileno(), 1 << 16).decode()

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def canary() -> Iterator[Canary]:
    """A process that may be lost: for the native contrast."""
    bird = Canary()
    try:
        yield bird
    finally:
        bird.close()


#: Of /proc/self/status: what a guest must not change of its host.
_STATUS: Final = (
    "Name", "Umask", "PPid", "TracerPid", "Uid", "Gid", "Groups", "NSpid", "NSsid", "NSpgid", "SigBlk", "SigIgn", "SigCgt",
    "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed",
)  # fmt: skip
_LIMITS: Final = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


def host_state() -> dict[str, Any]:
    """What a guest could change of the process that runs it, and of the machine."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        state: dict[str, Any] = {
            name: value.strip() for name, _, value in (line.partition(":") for line in file) if name in _STATUS
        }
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            info = Path(f"/proc/self/fdinfo/{name}").read_text(encoding="utf-8")
            flags = [line for line in info.splitlines() if line.startswith(("flags", "mnt_id"))]
            if not target.startswith(("/proc/", "/memfd:vx32py")):
                descriptors[int(name)] = (target, flags)
    state |= {
        "descriptors": descriptors,
        "cwd": os.getcwd(),
        "root": os.readlink("/proc/self/root"),
        "limits": [resource.getrlimit(limit) for limit in _LIMITS],
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "scheduler": os.sched_getscheduler(0),
        "timers": [signal.getitimer(timer) for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)],
        "personality": Path("/proc/self/personality").read_text(encoding="ascii"),
        "namespaces": sorted(os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")),
        "mounts": Path("/proc/self/mounts").read_text(encoding="utf-8"),
        "hostname": os.uname().nodename,
        "swaps": Path("/proc/swaps").read_text(encoding="utf-8").count("\n"),
        "modules": Path("/proc/modules").read_text(encoding="utf-8").count("\n")
        if Path("/proc/modules").exists()
        else 0,
    }
    return state


def changes(before: dict[Any, Any], after: dict[Any, Any]) -> dict[str, Any]:
    """What differs: name → before and after, the same of each entry where it is a table."""
    found: dict[str, Any] = {}
    for name in {*before, *after}:
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= {f"{name}: {entry}": what for entry, what in changes(old, new).items()}
        elif old != new:
            found[name] = (old, new)
    return found
