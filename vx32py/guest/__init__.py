"""The guest library: headers, C sources and a linker script for programs that speak the VX ABI.

The files are data of this package. ``vx32py cc`` compiles against them; a build system of one's own may too::

    cc -m32 -nostdlib -static -isystem INCLUDE prog.c LIBRARY -Wl,-T,LINKER_SCRIPT

``plan9/`` has the same for programs of Plan 9's, of which :mod:`vx32py.plan9.linking` makes an a.out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent

#: The headers, for ``-isystem``: ``vx.h`` has the ABI, ``vxplugin.h`` that of plug-ins, the others are a compact C library.
INCLUDE: Final = _HERE / "include"
#: The library, as one translation unit that includes its parts.
LIBRARY: Final = _HERE / "lib" / "libvx.c"
#: Where plug-ins begin, with :data:`PLUGIN_ENTRY`; not part of the library.
PLUGIN: Final = _HERE / "lib" / "plugin.c"
PLUGIN_ENTRY: Final = "vx_plugin_start"
#: One read-only, one executable and one writable segment, from 0x00400000 up.
LINKER_SCRIPT: Final = _HERE / "vx.ld"


#: For programs of Plan 9's: headers (``u.h``, ``libc.h``), where they begin and their calls, and their library in two units.
PLAN9_INCLUDE: Final = _HERE / "plan9" / "include"
PLAN9_CALLS: Final = _HERE / "plan9" / "lib" / "calls.S"
PLAN9_LIBRARY: Final = (_HERE / "plan9" / "lib" / "lib9.c", _HERE / "plan9" / "lib" / "ansi.c")
#: Header and text at 0x1000, data on the next page.
PLAN9_LINKER_SCRIPT: Final = _HERE / "plan9" / "plan9.ld"

_KINDS: Final = {".c", ".h", ".ld", ".S"}


def files() -> list[Path]:
    """Every file that a guest is built from besides its own sources, in a fixed order."""
    return [path for path in _all() if "plan9" not in path.relative_to(_HERE).parts]


def plan9_files() -> list[Path]:
    """The same of a program for Plan 9."""
    return _all()


def _all() -> list[Path]:
    return sorted(path for path in _HERE.rglob("*") if path.suffix in _KINDS)
