"""The machine that was measured on, without its name: what somebody who compares figures has to know."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from typing import Any, Final

from conformance.paper.columns import QEMU
from vx32py import _compile
from vx32py._doctor import processor_name

#: The part of a description that may differ between two runs which belong together.
VOLATILE: Final = frozenset({"load"})


def describe() -> dict[str, Any]:
    """Processor, system, and the versions of whatever makes or runs programs."""
    kernel = re.match(r"[\d.]*\d", platform.release())
    versions = {"Python": platform.python_version()}
    for package in ("vx32py", "llvmlite", "numba", "wasmtime"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "processor": processor_name(),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {kernel.group() if kernel else ''}",
        "huge pages": _huge_pages(),
        "versions": versions | _qemu_version() | _compile.compilers(),
    }


def lines(machine: dict[str, Any]) -> list[str]:
    """A description for people, one fact a line."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [
        f"{machine['processor']}, {machine['processors']} processors; load {machine['load']} when the run began",
        f"{machine['system']}, transparent huge pages: {machine['huge pages']}; {versions}",
        *([machine["translator"]] if "translator" in machine else []),
    ]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether figures of both may stand in one table."""
    return all(one.get(name) == other.get(name) for name in {*one, *other} - VOLATILE)


def _huge_pages() -> str:
    """Native programs and guests are both without them, unless this is "always"."""
    with contextlib.suppress(OSError), open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
        found = re.search(r"\[(\w+)]", file.read())
        if found:
            return found[1]
    return "unknown"


def _qemu_version() -> dict[str, str]:
    if shutil.which(QEMU) is None:
        return {}
    said = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version ([\d.]+)", said)
    return {QEMU: found[1]} if found else {}
