"""The name space of a jail: the mounts that a policy asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py.vfs.mounts import Grant, Granted, Overlay

if TYPE_CHECKING:
    from vx32py._jailpolicy import JailPolicy


def mounts(policy: JailPolicy) -> dict[str, Granted]:
    """Guest path → what is mounted there: root and what was granted."""
    found: dict[str, Granted] = {}
    if policy.root is not None:
        found["/"] = Overlay(policy.root, policy.overlay_save, policy.disk) if policy.overlay else Grant(policy.root)
    found |= dict(policy.dirs)
    return found
