"""The name space of a jail: the mounts that a policy asks for, and the few files that programs take for granted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from vx32py.vfs.mounts import Default, Dev, Grant, Granted, Overlay, Proc, Tmpfs

if TYPE_CHECKING:
    from vx32py._jailpolicy import JailPolicy

#: Which names are looked up where; without the file glibc asks services that are not there.
_NSSWITCH: Final = b"passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nservices: files\n"
_NOBODY: Final = 65534


def mounts(policy: JailPolicy) -> dict[str, Granted]:
    """Guest path → what is mounted there: root, /proc, /dev, what was granted, and of /etc what no root gives."""
    found: dict[str, Granted] = {}
    if policy.root is not None:
        found["/"] = Overlay(policy.root, policy.overlay_save, policy.disk) if policy.overlay else Grant(policy.root)
    found |= {path: Default(content) for path, content in _etc(policy).items()}
    found |= {"/proc": Proc(), "/dev": Dev(policy.disk)}
    found |= {path: Tmpfs(policy.disk if size is None else size) for path, size in policy.tmpfs}
    found |= dict(policy.dirs)
    return found


def _etc(policy: JailPolicy) -> dict[str, bytes]:
    """Files of /etc that are there where the root has none: users, groups, names of hosts."""
    people = {0: ("root", "/root"), policy.uid: ("root", "/root") if policy.uid == 0 else ("user", "/"),
              _NOBODY: ("nobody", "/nonexistent")}  # fmt: skip
    files = {
        "/etc/passwd": "".join(f"{name}:x:{n}:{n}:{name}:{home}:/bin/sh\n" for n, (name, home) in people.items()),
        "/etc/group": "".join(f"{name}:x:{n}:\n" for n, (name, _) in people.items()),
        "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {policy.hostname}\n",
        "/etc/hostname": f"{policy.hostname}\n",
    }
    found = {path: os.fsencode(text) for path, text in files.items()}
    found["/etc/nsswitch.conf"] = _NSSWITCH
    if policy.net == ("host",):
        try:
            with open("/etc/resolv.conf", "rb") as file:
                found["/etc/resolv.conf"] = file.read(1 << 16)
        except OSError:
            pass
    return found
