"""Kernels that have nothing but a program to run."""

from __future__ import annotations

from vx32py.plan9.devices.nodes import Folder
from vx32py.plan9.devices.root import Blob, Root
from vx32py.plan9.kernel import Kernel


def put(kernel: Kernel, name: str, content: bytes, mode: int = 0o555) -> None:
    """Let a file be found in /bin of a kernel that has no tree of the host's."""
    root = kernel.devices["/"]
    assert isinstance(root, Root)
    folder = root.folder.nodes["bin"]
    assert isinstance(folder, Folder)
    folder.add(Blob(name, content, mode))
