"""The guest library: headers, C sources and a linker script for programs that speak the VX ABI.

The files are data of this package. ``vx32py cc`` compiles against them; a build system of one's own may too::

    cc -m32 -nostdlib -static -isystem INCLUDE prog.c LIBRARY -Wl,-T,LINKER_SCRIPT
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


def files() -> list[Path]:
    """Every file that a guest is built from besides its own sources, in a fixed order."""
    return sorted(path for path in _HERE.rglob("*") if path.suffix in {".c", ".h", ".ld"})
