"""Names of members and texts of links: which of them lead to something below a target directory.

A member's name is whatever bytes somebody wrote into an archive. APPNOTE 4.4.17 wants a relative path with forward slashes;
nothing but that is extracted.
"""

from __future__ import annotations

import re
from typing import Final

from vx32py._errors import Vx32Error

#: NAME_MAX and PATH_MAX of Linux, in bytes, the latter without the final zero byte.
MAX_COMPONENT: Final = 255
MAX_NAME: Final = 4095
#: Folders within folders. Each costs a call of the kernel's, and no tool likes to walk thousands.
MAX_DEPTH: Final = 256

#: ``C:\name`` and ``C:name``; but ``B::name`` is a manual page.
_DRIVE: Final = re.compile(r"[A-Za-z]:(?!:)")

#: Unicode's category Cc.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Refused(Vx32Error):
    """A member is not extracted. One line: the reason, without the member's name."""


def parts_of(name: str) -> tuple[str, ...]:
    """The path's components, from the target directory on; none for the target directory itself.

    A backslash is a character like any other, as on Linux, where systemd's files have it; but a name that would leave the
    target if backslashes were slashes is refused, too. Raises Refused.

    >>> parts_of("a//./b")
    ('a', 'b')
    """
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise Refused("its name is not UTF-8") from None
    if not name:
        raise Refused("it has no name")
    if "\0" in name:
        raise Refused("its name contains a NUL")
    if _CONTROL.search(name):
        raise Refused("its name contains control characters")
    if name[0] in "/\\":
        raise Refused("its name is an absolute path")
    if _DRIVE.match(name):
        raise Refused("its name begins with a drive letter")
    if ".." in name.replace("\\", "/").split("/"):
        raise Refused("its name contains '..'")
    if length > MAX_NAME:
        raise Refused(f"its name has {length:,} bytes, and {MAX_NAME:,} are possible")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if len(parts) > MAX_DEPTH:
        raise Refused(f"it lies {len(parts):,} folders deep, and {MAX_DEPTH} are possible")
    for part in parts:
        if len(part) > MAX_COMPONENT or (length > MAX_COMPONENT and len(part.encode()) > MAX_COMPONENT):
            raise Refused(f"a component of its name has more than {MAX_COMPONENT} bytes")
    return parts


def check_link(text: bytes, depth: int) -> None:
    """Whether a symbolic link that lies ``depth`` folders below the target stays in it, whatever other such links there are.

    Leading ``..`` are walked in the folders in which the link lies, which are no links. A ``..`` after a name might be that
    of a folder to which another link leads, anywhere. Raises Refused.
    """
    if not text:
        raise Refused("a link to nothing")
    if len(text) > MAX_NAME:
        raise Refused(f"a link whose text has {len(text):,} bytes, and {MAX_NAME:,} are possible")
    if 0 in text:
        raise Refused("a link whose text contains a NUL")
    if text.startswith(b"/"):
        raise Refused("a link to an absolute path")
    climbed = 0
    names = False
    for part in text.split(b"/"):
        if part == b"..":
            if names:
                raise Refused("a link with '..' after a name, which might lead anywhere")
            climbed += 1
        elif part not in (b"", b"."):
            names = True
    if climbed > depth:
        raise Refused("a link that leads out of the target directory")
