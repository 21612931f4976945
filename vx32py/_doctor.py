"""What this host can do for guests, which engine runs, and why. For ``vx32py doctor`` and bug reports."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys
from pathlib import Path
from typing import Any, Final

from reference.policy import Group, host_groups
from reference.records import dataclass, field
from vx32py import _engines
from vx32py._loader import LOWEST

#: modify_ldt(2) on x86-64; function 0 reads the table.
_SYS_MODIFY_LDT: Final = 154
_READ_LDT: Final = 0
#: openat2(2), the same number everywhere; struct open_how with O_PATH and RESOLVE_BENEATH (include/uapi/linux/openat2.h).
_SYS_OPENAT2: Final = 437
_AT_FDCWD: Final = -100
_HOW: Final = struct.pack("<QQQ", 0o10000000 | os.O_CLOEXEC if sys.platform == "linux" else 0, 0, 0x08)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing about the host. ``good`` is None where it is neither good nor bad; ``why`` says what follows from it."""

    name: str
    value: str
    good: bool | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The whole examination. ``chosen`` is the engine that "auto" stands for; ``engines`` maps each to the reason why
    it cannot run, or None; ``jit`` is what the jit engine itself tells."""

    chosen: str
    reason: str
    engines: dict[str, str | None]
    facts: list[Fact]
    jit: dict[str, Any] = field(default_factory=dict)


def doctor() -> Diagnosis:
    """Examine this host. Changes nothing, and never raises for what it finds."""
    reasons = {name: _engines.unavailable(name) for name in _engines.NAMES}
    chosen = _engines.resolve("auto")
    reason = "the fastest, and this host can run it" if chosen == "jit" else f"jit cannot run here: {reasons['jit']}"
    facts = [
        _system(),
        _python(),
        _processor(),
        _ldt(),
        _zero_base(),
        _pie(),
        _openat2(),
        _proc(),
        *_caches(),
        *_packages(),
    ]
    return Diagnosis(chosen, reason, reasons, facts, _jit_facts())


def processor_name() -> str:
    """What this host's processor calls itself."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    return platform.processor() or platform.machine() or "unknown"


def _system() -> Fact:
    good = sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")
    value = f"{platform.system()} {platform.release()} on {platform.machine()}"
    return Fact("system", value, good, "" if good else "jit needs Linux on x86-64")


def _python() -> Fact:
    return Fact("python", f"{platform.python_implementation()} {platform.python_version()}")


def _processor() -> Fact:
    name, groups = processor_name(), host_groups()
    if groups is None:
        return Fact("processor", name)
    return Fact("processor", name, None, "groups: " + " ".join(group.value for group in Group if group in groups))


def _ldt() -> Fact:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return Fact("modify_ldt", "no", False, "there is no LDT to put segments into")
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(8)
        result = libc.syscall(_SYS_MODIFY_LDT, _READ_LDT, buffer, ctypes.c_ulong(8))
    except OSError as error:
        return Fact("modify_ldt", "unknown", None, str(error))
    if result >= 0:
        return Fact("modify_ldt", "yes", True)
    why = f"{os.strerror(ctypes.get_errno())}: the kernel was built without it, or a container's filter forbids it"
    return Fact("modify_ldt", "no", False, why)


def _zero_base() -> Fact:
    try:
        lowest = int(Path("/proc/sys/vm/mmap_min_addr").read_text())
    except (OSError, ValueError):
        return Fact("lowest mapping", "unknown")
    good = lowest <= LOWEST
    why = "guest memory can be at linear address 0" if good else "guests get a based segment, which is slower"
    return Fact("lowest mapping", f"{lowest:#x}", good, why)


def _pie() -> Fact:
    try:
        with open(os.path.realpath(sys.executable), "rb") as file:
            header = file.read(18)
    except OSError:
        return Fact("interpreter", "unknown")
    if header[:4] != b"\x7fELF":
        return Fact("interpreter", "not ELF")
    if int.from_bytes(header[16:18], "little") == 3:
        return Fact("interpreter", "position-independent", True)
    return Fact("interpreter", "at a fixed low address", False, "it is in the way of guest memory at address 0")


def _openat2() -> Fact:
    """Whether the kernel keeps path lookups inside a directory: ``vx32py jail`` asks it to, beside what it does itself."""
    if sys.platform != "linux":
        return Fact("openat2", "no", None, "jails can be granted bytes and tmpfs alone: host files need Linux")
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.syscall(_SYS_OPENAT2, _AT_FDCWD, b".", _HOW, ctypes.c_size_t(len(_HOW)))
    except OSError as error:
        return Fact("openat2", "unknown", None, str(error))
    if fd >= 0:
        os.close(fd)
        return Fact("openat2", "yes", True, "the kernel, too, keeps the paths of a jail inside what was granted")
    why = f"{os.strerror(ctypes.get_errno())}: jails walk their paths one name at a time, which is as safe and slower"
    return Fact("openat2", "no", None, why)


def _proc() -> Fact:
    """Host files of a guest are reopened by their names under /proc/self/fd."""
    if os.path.isdir("/proc/self/fd"):
        return Fact("/proc", "yes", True)
    return Fact("/proc", "not mounted", False, "guests can open no files of the host's")


def _caches() -> list[Fact]:
    try:
        from jit import diskcache
    except ImportError:
        return []
    directory = diskcache.directory()
    if directory is None:
        return [Fact("cache", "none", False, "nothing is kept on disk, guests' translated code neither")]
    if os.path.exists(directory) and not diskcache.usable():
        return [Fact("cache", directory, False, "not used: it must be this user's, and nobody else may write to it")]
    entries, size = diskcache.usage()
    why = "machine code, compiled translators, and guests' translated code; --clear-cache empties it"
    return [Fact("cache", f"{directory}: {entries} entries, {size / 1e6:.1f} MB", True, why)]


def _packages() -> list[Fact]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("llvmlite", "numba", "capstone", "ziglang"):
        try:
            found.append(Fact(name, version(name), True))
        except PackageNotFoundError:
            found.append(Fact(name, "not installed", None))
    return found


def _jit_facts() -> dict[str, Any]:
    try:
        from jit import engine

        return dict(engine.facts())
    except Exception as error:  # noqa: BLE001 - a doctor reports what is wrong instead of catching it
        return {"error": f"{type(error).__name__}: {error}"}
