"""Files that have neither a name nor a position, which the kernel makes for other purposes than to keep bytes (anon_inodes,
fs/anon_inodes.c): what is common to eventfd, timerfd, signalfd and epoll."""

from __future__ import annotations

import os

from vx32py._descriptors import OpenFile, Status


class AnonymousFile(OpenFile):
    """Such a file."""

    named = False

    def seek(self, offset: int, whence: int) -> int:
        return 0  # as the kernel's noop_llseek

    def status(self) -> Status:
        return Status(0o600)


class HostAnonymousFile(AnonymousFile):
    """One that is a file of the host's, too: ``fd`` is its own descriptor of that."""

    fd: int

    def host_descriptor(self) -> int | None:
        return self.fd

    def close(self) -> None:
        os.close(self.fd)
