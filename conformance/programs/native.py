"""A program of a tree as the host's kernel runs it: in a chroot, with namespaces of its own where the host gives them.

With namespaces there is a /proc and a /tmp of its own, and whatever a case leaves running ends with it. Without privileges the namespaces are
those of a user namespace; without those, too, there is no native run.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conformance.programs import roots

#: In a mount namespace of its own. Root, directory, and the program with its arguments.
_MOUNT: Final = (
    'root=$1 here=$2; shift 2; mount -t proc proc "$root/proc" 2>/dev/null; mount -t tmpfs tmpfs "$root/tmp" 2>/dev/null; '
    f'for name in {" ".join(roots.DEVICES)}; do mount --bind "/dev/$name" "$root/dev/$name" 2>/dev/null; done; '
    'exec unshare --root="$root" --wd="$here" "$@"'
)
_NAMESPACES: Final = ("--mount", "--pid", "--fork", "--kill-child")


def command(root: Path, directory: str, argv: Sequence[str]) -> list[str]:
    """What starts a program of a tree in a directory of it. Raises roots.Unavailable."""
    if shutil.which("unshare") is None:
        raise roots.Unavailable("unshare is missing: native programs run in a chroot")
    # A machine of the programs' own: i686, not the host's x86_64.
    program = ["setarch", "i686", "unshare"]
    shell = ["sh", "-c", _MOUNT, "sh", str(root), directory, *argv]
    if _works((*_NAMESPACES,)):
        return [*program, *_NAMESPACES, *shell]
    if _works(("--map-root-user", *_NAMESPACES)):
        return [*program, "--map-root-user", *_NAMESPACES, *shell]
    if os.geteuid() == 0:
        return [*program, f"--root={root}", f"--wd={directory}", *argv]
    raise roots.Unavailable("this host gives no namespaces without privileges: native programs run in a chroot")


@functools.cache
def _works(options: tuple[str, ...]) -> bool:
    command = ["unshare", *options, "true"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return done.returncode == 0
