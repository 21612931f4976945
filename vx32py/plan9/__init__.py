"""Plan 9: unmodified 386 programs on a kernel in Python.

from vx32py.plan9 import Kernel

with Kernel(root="plan9-tree") as kernel:
    print(kernel.run(["ls", "/"]).stdout.decode())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py._lazy import exports

if TYPE_CHECKING:
    from vx32py._wait import WouldBlock as WouldBlock
    from vx32py.plan9.devices.objects import Directory as Directory
    from vx32py.plan9.devices.objects import File as File
    from vx32py.plan9.devices.objects import Opened as Opened
    from vx32py.plan9.errors import Error as Error
    from vx32py.plan9.kernel import CONSOLE as CONSOLE
    from vx32py.plan9.kernel import Kernel as Kernel
    from vx32py.plan9.kernel import Result as Result
    from vx32py.plan9.namespace import MAFTER as MAFTER
    from vx32py.plan9.namespace import MBEFORE as MBEFORE
    from vx32py.plan9.namespace import MCREATE as MCREATE
    from vx32py.plan9.namespace import MREPL as MREPL

_HOMES = {
    "vx32py._wait": ("WouldBlock",),
    "vx32py.plan9.devices.objects": ("Directory", "File", "Opened"),
    "vx32py.plan9.errors": ("Error",),
    "vx32py.plan9.kernel": ("CONSOLE", "Kernel", "Result"),
    "vx32py.plan9.namespace": ("MAFTER", "MBEFORE", "MCREATE", "MREPL"),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)  # noqa: PLE0605 - a list of str, made from the one table above
__getattr__, __dir__ = exports(__name__, _HOMES)
