"""Debian's Go toolchain, which makes programs for Plan 9 on the 386 (``GOOS=plan9 GOARCH=386``).

The packages are downloaded with the host's own ``apt-get`` and unpacked into a cache directory; nothing is installed. What was
built is kept there, too, by what it was built from.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

#: No download and no build takes longer, in seconds.
TIMEOUT: Final = 900.0

Progress = Callable[[str], None]


class Unavailable(Exception):
    """The toolchain cannot be had here, or does not build something; the message says why."""


def folder() -> Path:
    """Where all of it is kept: below ``$XDG_CACHE_HOME``."""
    parent = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(parent) if os.path.isabs(parent) else Path.home() / ".cache") / "vx32py-go"


def root(progress: Progress = lambda line: None) -> Path:
    """The GOROOT of the toolchain, unpacked now or before. Raises Unavailable."""
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is missing: Go comes from Debian's packages")
    shown = _run(["apt-cache", "show", "golang-go"])
    found = re.search(r"^Depends:.*?\b(golang-([0-9.]+)-go)\b", shown, re.MULTILINE)
    if found is None:
        raise Unavailable("there is no package golang-go among this host's sources (apt-get update?)")
    package, release = found.groups()
    place = folder() / f"go-{release}"
    goroot = place / "usr" / "lib" / f"go-{release}"
    if (goroot / "bin" / "go").is_file():
        return goroot
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fresh-", dir=folder()) as name:
        progress(f"downloading {package}")
        _run(["apt-get", "--quiet=2", "download", package, f"golang-{release}-src"], name)
        for archive in sorted(Path(name).glob("*.deb")):
            progress(f"unpacking {archive.name}")
            _run(["dpkg-deb", "-x", str(archive), str(Path(name, "tree"))])
        shutil.rmtree(place, ignore_errors=True)
        os.rename(Path(name, "tree"), place)
    return goroot


def build(source: Path, progress: Progress = lambda line: None) -> bytes:
    """The a.out of a Go program of one file. Raises Unavailable."""
    goroot = root(progress)
    digest = hashlib.sha256(source.read_bytes() + str(goroot).encode()).hexdigest()[:16]
    output = folder() / "built" / f"{source.stem}-{digest}"
    if not output.is_file():
        progress(f"building {source.name}")
        output.parent.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ.get("PATH", ""), "HOME": str(folder()), "GOROOT": str(goroot), "GOOS": "plan9",
            "GOARCH": "386", "CGO_ENABLED": "0", "GO111MODULE": "off", "GOCACHE": str(folder() / "cache"),
            "GOPATH": str(folder() / "path"),
        }  # fmt: skip
        fresh = output.with_suffix(".fresh")
        _run([str(goroot / "bin" / "go"), "build", "-o", str(fresh), str(source)], env=environment)
        os.replace(fresh, output)
    return output.read_bytes()


def _run(command: list[str], where: str | None = None, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=where, env=env, timeout=TIMEOUT
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Unavailable(f"{' '.join(command[:3])}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done.stdout
