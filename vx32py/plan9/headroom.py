"""That the host's descriptors suffice: what programs have of them is never among the last ones.

The host gives the lowest number that is free. So if nothing that is held on behalf of a program has a number near the limit, there
are always some left for the kernel itself, which needs one now and then where nothing may fail.
"""

from __future__ import annotations

import errno
import os
import resource
from typing import Final

from vx32py._errors import CallError

#: So many are the kernel's and the application's; a quarter where there are few at all.
_RESERVED: Final = 64
_ENDLESS: Final = 1 << 30


def is_spare(fd: int) -> bool:
    """Whether a program may keep this one."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = _ENDLESS if soft == resource.RLIM_INFINITY else soft
    return fd < most - min(_RESERVED, most // 4)


def is_there() -> bool:
    """Whether another process may have some."""
    try:
        fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_spare(fd)
    finally:
        os.close(fd)


def require() -> None:
    """Raise CallError(EAGAIN) unless another process may have some."""
    if not is_there():
        raise CallError(errno.EAGAIN)
