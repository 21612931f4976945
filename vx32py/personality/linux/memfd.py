"""memfd_create: files without names, which the processes of a guest have room for as one has memory (mm/memfd.c)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from vx32py._errors import CallError
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._process import Process

MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC = 1, 2, 4, 8, 16
_MOST_NAME: Final = 249


@call(356, "memfd_create")
def memfd_create(process: Process, name: int, flags: int) -> int:
    """A descriptor of an empty file without a name in any directory."""
    from vx32py.vfs import memfd

    if flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC):
        raise CallError(errno.EINVAL)
    if flags & MFD_EXEC and flags & MFD_NOEXEC_SEAL:
        raise CallError(errno.EINVAL)
    try:
        process.memory.read_string(name, most=_MOST_NAME + 1)
    except ValueError:
        raise CallError(errno.EINVAL) from None
    executable = not flags & MFD_NOEXEC_SEAL
    seals = memfd.F_SEAL_EXEC if not executable else 0 if flags & MFD_ALLOW_SEALING else memfd.F_SEAL_SEAL
    mode = 0o777 if executable else 0o666
    file = memfd.make(process.files.space, process.engine.space.budget, mode, seals)
    return process.descriptors.install(file, close_on_exec=bool(flags & MFD_CLOEXEC))
