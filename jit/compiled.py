"""The compiled translator in this process: found on disk and mapped, or still in the making by another process.

Building it takes long, loading it next to nothing: an image (:mod:`jit.link`) is read, checked against its digest, copied
into memory and called through ctypes, without numba, numpy or llvmlite. So nobody waits: :func:`ready` gives None while
the image is missing, and lets a process in the background make it; until then the specification's translator does the
work. Where numba is not installed, or ``VX32PY_NO_NUMBA=1``, that stays so; :func:`status` says why.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jit import diskcache, progress
from reference.records import dataclass

if TYPE_CHECKING:
    from jit.link import Image

#: The tables of an image, in the order of their addresses in :class:`jit.passes.records.Context`.
TABLES: Final = ("roots", "selectors", "forms", "stencils", "holes", "stencil_code")
_HEADER: Final = struct.Struct(f"<{2 + len(TABLES)}Q")

#: What an image is made from, besides numba: files, and directories of files, from the packages' parent on.
_SOURCES: Final = (
    "jit/passes", "jit/build.py", "jit/compiled.py", "jit/link.py", "jit/objectfile.py", "jit/stencils.py",
    "jit/stencils.s", "jit/stubs.s", "jit/tables.py", "jit/assemble.py",
    "reference/isa", "reference/isa/tables", "reference/translator",
    "reference/flags.py", "reference/layout.py", "reference/policy.py", "reference/registers.py", "reference/traps.py",
)  # fmt: skip
_ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: Seconds between two looks at the disk, and for which a failed build is not tried again.
_POLL_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 24 * 3600
_NICENESS: Final = 10
_BUILDING: Final = "compiling the translator in the background, once; until then guests start more slowly"


class BuildError(Exception):
    """The compiled translator cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A loaded image. ``translate(context, code, available, eip, offset)`` is :func:`jit.passes.translate.translate`,
    with a pointer for the first; ``tables`` are the addresses of :data:`TABLES`."""

    translate: Callable[[ctypes.c_void_p, bytes, int, int, int], int]
    tables: tuple[int, ...]
    memory: mmap.mmap


# -- the image -------------------------------------------------------------------------------------------------------


def pack(image: Image) -> bytes:
    """An image as it is stored."""
    offsets = [image.tables[name] for name in TABLES]
    return _HEADER.pack(len(image.data), image.entry, *offsets) + image.data


def unpack(payload: bytes) -> Compiled | None:
    """Map a stored image; None if it is none, or if the host does not let us execute it."""
    if len(payload) < _HEADER.size:
        return None
    size, entry, *offsets = _HEADER.unpack_from(payload)
    if size != len(payload) - _HEADER.size or not size or max(entry, *offsets) >= size:
        return None
    memory = mmap.mmap(-1, size)
    memory[:] = payload[_HEADER.size :]
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if libc.mprotect(address, size, mmap.PROT_READ | mmap.PROT_EXEC):
        return None
    # PYFUNCTYPE keeps the GIL: a call is shorter than giving it up and getting it back. Arguments are converted as they
    # come, integers to 32 bits: to declare what they are would double the time that a call takes.
    function: Any = ctypes.PYFUNCTYPE(ctypes.c_int)(address + entry)
    return Compiled(function, tuple(address + offset for offset in offsets), memory)


@cache
def key() -> str | None:
    """What the image is stored under: a digest of all that it is made from. None where numba is not installed."""
    versions = [_version_file(package) for package in ("numba", "llvmlite")]
    if None in versions:
        return None
    try:
        return diskcache.key_of("translator", *(version or b"" for version in versions), *_sources())
    except OSError:
        return None  # not on a file system: nothing to build from


def _version_file(package: str) -> bytes | None:
    """What tells one version of a package from another, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "_version.py"), "rb") as file:
            return file.read()
    except OSError:
        return spec.origin.encode()


def _sources() -> Iterator[bytes]:
    for source in _SOURCES:
        path = os.path.join(_ROOT, source)
        for name in sorted(os.listdir(path)) if os.path.isdir(path) else [""]:
            if not name or name.endswith(".py"):
                with open(os.path.join(path, name) if name else path, "rb") as file:
                    yield file.read()


# -- building --------------------------------------------------------------------------------------------------------


def _paths() -> tuple[str, str] | None:
    """The files that say that a build is going on (while it is locked), and why the last one failed."""
    place, name = diskcache.directory(), key()
    if place is None or name is None:
        return None
    return os.path.join(place, f"{name}.lock"), os.path.join(place, f"{name}.failed")


def _is_building() -> bool:
    paths = _paths()
    if paths is None:
        return False
    try:
        with open(paths[0], "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _failure() -> str | None:
    """Why the last build failed, if that was not long ago."""
    paths = _paths()
    if paths is None:
        return None
    try:
        if time.time() - os.path.getmtime(paths[1]) > _RETRY_SECONDS:
            return None
        with open(paths[1], encoding="utf-8") as file:
            return file.read() or "unknown error"
    except OSError:
        return None


def build_here(compile_image: Callable[[], Image]) -> int:
    """Build and store the image in this process, unless another one is at it. An exit status."""
    paths, name = _paths(), key()
    if paths is None or name is None:
        return 1
    lock_path, failed_path = paths
    os.makedirs(os.path.dirname(lock_path), mode=0o700, exist_ok=True)
    with open(lock_path, "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if diskcache.load(name) is not None:
            return 0
        os.nice(_NICENESS)
        try:
            stored = diskcache.save(name, pack(compile_image()))
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody sees it but the one who asks why
            with open(failed_path, "w", encoding="utf-8") as file:
                file.write(f"{type(error).__name__}: {error}")
            return 1
        os.unlink(lock_path)
        return 0 if stored else 1


def _spawn() -> int:
    """Start a build in a process that outlives this one; its process id."""
    paths = [_ROOT, *(path for path in sys.path if path)]
    program = f"import sys; sys.path[:] = {paths!r}; from jit.build import work; sys.exit(work())"
    nothing = os.devnull
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", program],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, nothing, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, nothing, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, nothing, os.O_WRONLY, 0),
        ],
        setsid=True,
    )


# -- loading ---------------------------------------------------------------------------------------------------------


class Loader:
    """The way from nothing to a loaded image. There is one for the process; tests make their own."""

    def __init__(self) -> None:
        self._begin_anew()
        self._loaded: Compiled | None = None
        self._next_look = 0.0
        self._child = 0  # the process id of a build of ours
        self._spawned = False
        self._missed_since = 0.0
        self._milliseconds = 0.0

    def _begin_anew(self) -> None:
        # Reentrant: a signal handler may run guests, wherever it comes.
        self._lock = threading.RLock()

    def after_fork(self) -> None:
        """In the child: another thread of the parent may have held the lock, and what that has started is not ours."""
        self._begin_anew()
        self._child = 0

    def ready(self, *, start: bool = True) -> Compiled | None:
        """The compiled translator, or None where there is none (yet). Never waits; ``start``: a build may be started."""
        if self._loaded is not None or time.monotonic() < self._next_look:
            return self._loaded
        with self._lock:
            self._next_look = time.monotonic() + _POLL_SECONDS
            self._reap()
            if self._obstacle() is None:
                self._loaded = loaded = self._load()
                if loaded is None and start and not self._spawned and _failure() is None and not _is_building():
                    self._spawned = True
                    self._child = _spawn()
                if loaded is None and start and (self._child or _is_building()):
                    self._missed_since = self._missed_since or time.monotonic()
                    progress.tell(_BUILDING, time.monotonic() - self._missed_since)
            return self._loaded

    def build(self, progress: Callable[[float], None] | None = None) -> Compiled:
        """The compiled translator, built first where it is missing. ``progress`` is told the seconds spent so far.

        Raises BuildError where it cannot be had.
        """
        obstacle = self._obstacle()
        if obstacle is not None:
            raise BuildError(obstacle)
        paths = _paths()
        if paths is not None and os.path.exists(paths[1]):
            os.unlink(paths[1])  # whoever asks for it has it tried again
        started = time.monotonic()
        while True:
            self._next_look = 0.0
            loaded = self.ready()
            if loaded is not None:
                return loaded
            if not self._child and not _is_building():
                raise BuildError(_failure() or "the image was built, but could not be stored or loaded")
            if progress is not None:
                progress(time.monotonic() - started)
            time.sleep(0.1)

    def status(self) -> str:
        """In one line: whether the compiled translator runs, or why not."""
        if self._loaded is not None:
            return f"ready (loaded in {self._milliseconds:.1f} ms)"
        obstacle = self._obstacle()
        if obstacle is not None:
            return obstacle
        self._next_look = 0.0
        if self.ready(start=False) is not None:
            return self.status()
        if _is_building():
            return "being built in the background"
        failure = _failure()
        return f"build failed: {failure}" if failure else "not built yet"

    def _obstacle(self) -> str | None:
        """Why there will be no compiled translator, if that is so."""
        if os.environ.get("VX32PY_NO_NUMBA", "0") not in ("", "0"):
            return "turned off by VX32PY_NO_NUMBA"
        if sys.platform != "linux" or struct.calcsize("P") != 8 or os.uname().machine != "x86_64":
            return "needs x86-64 Linux"
        if key() is None:
            return "numba is not installed"
        if diskcache.directory() is None:
            return "the cache on disk is turned off"
        if not sys.executable:
            return "this process does not know its Python interpreter"
        return None

    def _load(self) -> Compiled | None:
        started = time.perf_counter()
        name = key()
        payload = diskcache.load(name) if name is not None else None
        loaded = unpack(payload) if payload is not None else None
        self._milliseconds = 1000 * (time.perf_counter() - started)
        return loaded

    def _reap(self) -> None:
        if self._child:
            try:
                if os.waitpid(self._child, os.WNOHANG)[0] == 0:
                    return
            except ChildProcessError:
                pass  # somebody else waited for it
            self._child = 0


_loader: Final = Loader()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_loader.after_fork)
ready: Final = _loader.ready
build: Final = _loader.build
status: Final = _loader.status
