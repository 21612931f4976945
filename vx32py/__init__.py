"""vx32py: run untrusted 32-bit x86 programs inside this process, at native speed and without privileges.

>>> import vx32py
>>> result = vx32py.run("sha256.elf", ["-"], stdin=b"data")        # doctest: +SKIP
>>> result.exit_code, result.stdout                                 # doctest: +SKIP

A guest reaches nothing but its own memory and what its :class:`Sandbox` grants. Everything here is loaded when it is
first used: importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py._lazy import exports

if TYPE_CHECKING:
    from reference.errors import VerificationError as VerificationError
    from reference.policy import Group as Group
    from reference.policy import Policy as Policy
    from reference.registers import CPU as CPU
    from reference.traps import Access as Access
    from reference.traps import Trap as Trap
    from reference.traps import Vector as Vector
    from vx32py._calls import Call as Call
    from vx32py._calls import Observer as Observer
    from vx32py._calls import SystemCalls as SystemCalls
    from vx32py._convenience import run as run
    from vx32py._doctor import doctor as doctor
    from vx32py._engines import engines as engines
    from vx32py._errors import BadImage as BadImage
    from vx32py._errors import CallError as CallError
    from vx32py._errors import GuestFailed as GuestFailed
    from vx32py._errors import GuestTrapped as GuestTrapped
    from vx32py._errors import LimitExceeded as LimitExceeded
    from vx32py._errors import MemoryFault as MemoryFault
    from vx32py._errors import NotModelled as NotModelled
    from vx32py._errors import Timeout as Timeout
    from vx32py._errors import UnsupportedHost as UnsupportedHost
    from vx32py._errors import Vx32Error as Vx32Error
    from vx32py._guard import GuardedCall as GuardedCall
    from vx32py._guard import Guards as Guards
    from vx32py._jail import Jail as Jail
    from vx32py._jailpolicy import JailPolicy as JailPolicy
    from vx32py._jailpolicy import PolicyError as PolicyError
    from vx32py._memory import GuestMemory as GuestMemory
    from vx32py._module import Module as Module
    from vx32py._network import Network as Network
    from vx32py._process import Process as Process
    from vx32py._result import Result as Result
    from vx32py._result import RunStats as RunStats
    from vx32py._sandbox import Sandbox as Sandbox
    from vx32py._snapshot import Snapshot as Snapshot
    from vx32py._streams import DEVNULL as DEVNULL
    from vx32py.plugin.errors import NoSuchFunction as NoSuchFunction
    from vx32py.plugin.errors import PluginClosed as PluginClosed
    from vx32py.plugin.errors import PluginDataError as PluginDataError
    from vx32py.plugin.errors import PluginError as PluginError
    from vx32py.plugin.errors import PluginExited as PluginExited
    from vx32py.plugin.errors import PluginInterrupted as PluginInterrupted
    from vx32py.plugin.errors import PluginReturnError as PluginReturnError
    from vx32py.plugin.errors import PluginTrapped as PluginTrapped
    from vx32py.plugin.errors import StalePointer as StalePointer
    from vx32py.plugin.plugin import Plugin as Plugin
    from vx32py.plugin.pointer import GuestPointer as GuestPointer
    from vx32py.plugin.pool import Decoded as Decoded
    from vx32py.plugin.pool import Job as Job
    from vx32py.plugin.pool import StreamPool as StreamPool
    from vx32py.plugin.signatures import Signature as Signature
    from vx32py.plugin.stream import Stream as Stream
    from vx32py.vfs.mounts import Dev as Dev
    from vx32py.vfs.mounts import Grant as Grant
    from vx32py.vfs.mounts import Overlay as Overlay
    from vx32py.vfs.mounts import Proc as Proc
    from vx32py.vfs.mounts import Tmpfs as Tmpfs

__version__ = "0.1.0"

_HOMES = {
    "reference.errors": ("VerificationError",),
    "reference.policy": ("Group", "Policy"),
    "reference.registers": ("CPU",),
    "reference.traps": ("Access", "Trap", "Vector"),
    "vx32py._calls": ("Call", "Observer", "SystemCalls"),
    "vx32py._convenience": ("run",),
    "vx32py._doctor": ("doctor",),
    "vx32py._engines": ("engines",),
    "vx32py._errors": (
        "BadImage", "CallError", "GuestFailed", "GuestTrapped", "LimitExceeded", "MemoryFault", "NotModelled", "Timeout",
        "UnsupportedHost", "Vx32Error",
    ),
    "vx32py._guard": ("GuardedCall", "Guards"),
    "vx32py._jail": ("Jail",),
    "vx32py._jailpolicy": ("JailPolicy", "PolicyError"),
    "vx32py._memory": ("GuestMemory",),
    "vx32py._module": ("Module",),
    "vx32py._network": ("Network",),
    "vx32py._process": ("Process",),
    "vx32py._result": ("Result", "RunStats"),
    "vx32py._sandbox": ("Sandbox",),
    "vx32py._snapshot": ("Snapshot",),
    "vx32py._streams": ("DEVNULL",),
    "vx32py.plugin.errors": (
        "NoSuchFunction", "PluginClosed", "PluginDataError", "PluginError", "PluginExited", "PluginInterrupted",
        "PluginReturnError", "PluginTrapped", "StalePointer",
    ),
    "vx32py.plugin.plugin": ("Plugin",),
    "vx32py.plugin.pointer": ("GuestPointer",),
    "vx32py.plugin.pool": ("Decoded", "Job", "StreamPool"),
    "vx32py.plugin.signatures": ("Signature",),
    "vx32py.plugin.stream": ("Stream",),
    "vx32py.vfs.mounts": ("Dev", "Grant", "Overlay", "Proc", "Tmpfs"),
}  # fmt: skip

__all__ = sorted(("__version__", *(name for names in _HOMES.values() for name in names)))  # noqa: PLE0605 - a list of str, made from the one table above
__getattr__, __dir__ = exports(__name__, _HOMES)
