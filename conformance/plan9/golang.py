"""Go's toolchain, which makes programs for Plan 9 on the 386 (``GOOS=plan9 GOARCH=386``), and the same for Linux.

Where Go is installed with its sources that is used; else Debian's packages are downloaded with the host's own ``apt-get`` and
unpacked into a cache directory, and nothing is installed. What was built is kept there, too, by what it was built from.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

#: No download and no build takes longer, in seconds.
TIMEOUT: Final = 900.0
PLAN9: Final = "plan9"
LINUX: Final = "linux"

Progress = Callable[[str], None]


class Unavailable(Exception):
    """The toolchain cannot be had here, or does not build something; the message says why."""


def folder() -> Path:
    """Where all of it is kept: below ``$XDG_CACHE_HOME``."""
    parent = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(parent) if os.path.isabs(parent) else Path.home() / ".cache") / "vx32py-go"


@functools.cache
def installed() -> Path | None:
    """The GOROOT of a Go that is installed here and can make programs for Plan 9, if there is one."""
    go = shutil.which("go")
    if go is None:
        return None
    try:
        goroot = Path(_run([go, "env", "GOROOT"]).strip())
    except Unavailable:
        return None
    return goroot if (goroot / "src" / "runtime" / "os_plan9.go").is_file() else None


def root(progress: Progress = lambda line: None) -> Path:
    """The GOROOT of the toolchain: installed, or unpacked now or before. Raises Unavailable."""
    here = installed()
    if here is not None:
        return here
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unavailable(f"go and {tool} are missing: Go comes from Debian's packages where it is not installed")
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


def release() -> str:
    """Which Go it is. Raises Unavailable."""
    return _run([str(root() / "bin" / "go"), "version"]).split()[2]


def build(
    source: Path, system: str = PLAN9, options: Mapping[str, str] | None = None, progress: Progress = lambda line: None
) -> Path:
    """A Go program of one file for the 386; ``options`` are variables like GO386. Raises Unavailable."""
    goroot, options = root(progress), dict(options or {})
    made_of = (source.read_bytes(), goroot, sorted(options.items()))
    digest = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    output = folder() / "built" / f"{source.stem}-{system}-{digest}"
    if not output.is_file():
        progress(f"building {source.name} for {' '.join([system, *options.values()])}")
        _go(goroot, system, options, ["build"], [str(source)], output)
    return output


def build_test(package: str, system: str = PLAN9, progress: Progress = lambda line: None) -> Path:
    """The tests of a package of Go's own, for the 386. Raises Unavailable; its message is empty where there are none."""
    goroot = root(progress)
    output = folder() / "built" / f"{goroot.name}-{system}" / (package.replace("/", ".") + ".test")
    if not output.is_file():
        progress(f"building the tests of {package} for {system}")
        # Debian has Go's own file of time zones taken out.
        tags = ["-tags=timetzdata"] if package == "time" else []
        _go(goroot, system, {}, ["test", "-c", "-vet=off", *tags], [package], output)
    return output


def _go(
    goroot: Path, system: str, options: Mapping[str, str], command: list[str], what: list[str], output: Path
) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ.get("PATH", ""), "HOME": str(folder()), "GOROOT": str(goroot), "GOOS": system, "GOARCH": "386",
        "CGO_ENABLED": "0", "GO111MODULE": "off", "GOCACHE": str(folder() / "cache"), "GOPATH": str(folder() / "path"),
        "GOPROXY": "off", **options,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix=".fresh-", dir=output.parent) as name:
        fresh = Path(name, output.name)
        _run([str(goroot / "bin" / "go"), *command, "-o", str(fresh), *what], env=environment)
        if not fresh.is_file():
            raise Unavailable("")
        os.replace(fresh, output)


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
