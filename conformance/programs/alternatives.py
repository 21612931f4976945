"""What ``update-alternatives`` would do in an unpacked tree: awk is gawk or mawk, cc is gcc or tcc.

The calls are read from the packages' scripts, as far as they are written out in them; nothing of a script is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CALL: Final = re.compile(r"update-alternatives((?:\s+--quiet|\s+--force)*)\s+--install\s+([^\n;&|]+)")
#: link, name, target; then the priority of the first.
_LINK: Final = re.compile(r"(/\S+)\s+(\S+)\s+(/\S+)(?:\s+(\d+))?")


def calls(script: str) -> list[tuple[int, list[tuple[str, str]]]]:
    """Of each call in a script: the priority, and the links with what they point to. The first one is the master.

    >>> calls("update-alternatives --quiet --install /usr/bin/awk awk /usr/bin/mawk 5 \\\\\\n --slave /a b /c")
    [(5, [('/usr/bin/awk', '/usr/bin/mawk'), ('/a', '/c')])]
    """
    found = []
    for call in _CALL.finditer(script.replace("\\\n", " ")):
        master, *slaves = call.group(2).split("--slave")
        links = [match for match in map(_LINK.search, [master, *slaves]) if match is not None]
        if links and links[0].group(4) and "$" not in links[0].group(0):
            found.append((int(links[0].group(4)), [(link.group(1), link.group(3)) for link in links]))
    return found


def install(root: Path, scripts: Iterable[str]) -> None:
    """Make the links in the tree; of several for one name, that with the highest priority whose target is there."""
    found = [call for script in scripts for call in calls(script)]
    for _, links in sorted(found, key=lambda call: call[0]):
        if not _is_there(root, links[0][1]):
            continue
        for link, target in links:
            place = root / link.lstrip("/")
            if _is_there(root, target) and (place.is_symlink() or not place.exists()):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                place.symlink_to(target)


def _is_there(root: Path, path: str) -> bool:
    place = root / path.lstrip("/")
    return place.exists() or place.is_symlink()
