"""``#/``: the root, with directories to mount things upon (root(3)), and files that the host puts there."""

from __future__ import annotations

from typing import Final

from vx32py.plan9.chan import Caller, Chan
from vx32py.plan9.devices.nodes import Folder, Node, SingleDevice

#: What Plan 9's has.
FOLDERS: Final = ("bin", "boot", "dev", "env", "fd", "mnt", "net", "net.alt", "proc", "root", "srv")
#: What a root has that the host has granted; without one they are here, so that something can be mounted there.
MORE_FOLDERS: Final = ("tmp", "usr", "lib", "n")
#: Where granted trees go, by their names.
TREES: Final = "mnt"


class Blob(Node):
    """A file with bytes that stay as they are."""

    def __init__(self, name: str, content: bytes, mode: int = 0o555) -> None:
        super().__init__(name, mode)
        self.content = content

    @property
    def length(self) -> int:
        return len(self.content)

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        return self.content[offset : offset + count]


class Root(SingleDevice):
    """The device; ``folder`` is its root."""

    def __init__(self, names: tuple[str, ...] = FOLDERS + MORE_FOLDERS) -> None:
        self.folder = Folder("/")
        super().__init__("/", self.folder)
        for name in names:
            self.folder.add(Folder(name))
