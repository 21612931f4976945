"""The same programs as Debian built them for Linux (package ``9base``): what ours are compared with. Its yacc is used, too.

The package is downloaded with the host's own ``apt-get`` and unpacked into a cache directory; nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = "9base"
#: No download takes longer, in seconds.
TIMEOUT: Final = 300.0


class Unavailable(Exception):
    """Sources, programs or a compiler cannot be had here; the message says why."""


def folder() -> Path:
    """Where all of it is kept: below ``$XDG_CACHE_HOME``."""
    parent = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(parent) if os.path.isabs(parent) else Path.home() / ".cache") / "vx32py-plan9"


@cache
def programs() -> Path:
    """The directory with the programs for Linux, unpacked now or before. Raises Unavailable."""
    place = folder() / PACKAGE
    found = place / "usr" / "lib" / "plan9" / "bin"
    if (found / "rc").is_file():
        return found
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is missing: {PACKAGE} comes from Debian's packages")
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fresh-", dir=folder()) as name:
        run(["apt-get", "--quiet=2", "download", PACKAGE], Path(name))
        archives = list(Path(name).glob("*.deb"))
        if not archives:
            raise Unavailable(f"apt-get has downloaded no {PACKAGE}")
        run(["dpkg-deb", "-x", str(archives[0]), str(Path(name, "tree"))], Path(name))
        try:
            os.rename(Path(name, "tree"), place)
        except OSError:
            if not (found / "rc").is_file():  # else another process has put it there
                raise
    return found


#: Debian's rc looks for its first commands where the package would be installed.
_SHELL: Final = """
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    char **all = calloc(argc + 3, sizeof *all);
    all[0] = argv[0], all[1] = "-m", all[2] = RCMAIN;
    for (int i = 1; i < argc; i++)
        all[i + 2] = argv[i];
    execv(RC, all);
    return 126;
}
"""


def shell() -> Path:
    """A directory with an rc that works from where it is. Raises Unavailable."""
    place = folder() / "shell"
    if not (place / "rc").is_file():
        rc = programs() / "rc"
        with tempfile.TemporaryDirectory(prefix=".fresh-", dir=folder()) as name:
            Path(name, "rc.c").write_text(_SHELL)
            defined = [f'-DRC="{rc}"', f'-DRCMAIN="{rc.parent.parent / "etc" / "rcmain"}"']
            run(["gcc", "-w", *defined, "rc.c", "-o", "rc"], Path(name))
            place.mkdir(exist_ok=True)
            os.replace(Path(name, "rc"), place / "rc")
    return place


def run(command: list[str], where: Path, environment: dict[str, str] | None = None) -> str:
    """What a tool says. Raises Unavailable where it fails."""
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, check=False, timeout=TIMEOUT,
            env=None if environment is None else {**os.environ, **environment},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "rror" in line or "undefined" in line]
        lines = lines or done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unavailable(f"{os.path.basename(command[0])}: {lines[0]}")
    return done.stdout
