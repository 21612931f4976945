"""Trees of Debian's i386 packages, as ``/`` of a jail and of a native chroot.

:func:`fetch` gets a set of packages and what they depend on with the host's own ``apt-get``, from the sources that the
host has, but as if on an i386 machine on which nothing is installed: the host's list of architectures and its package
database stay as they are. Nothing is installed: the archives are unpacked, and of what the packages' scripts would do only
what :mod:`.alternatives` and :func:`_finish` do by hand is done. Which release of Debian that is, the host's sources say.

A tree is kept in ``$VX32PY_PROGRAMS``, else ``$XDG_CACHE_HOME/vx32py-programs``, else ``~/.cache/vx32py-programs``, under
the name of its set and a digest of what was asked for. It is used as it is from then on: delete it to have newer packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.programs import alternatives

ARCHITECTURE: Final = "i386"
#: In seconds: for one attempt of one command of apt.
TIMEOUT: Final = 900.0
ATTEMPTS: Final = 3
#: Changes with what is done to an unpacked tree, so that older trees are not used.
RECIPE: Final = 1

Progress = Callable[[str], None]

#: Directories that packages call by their old names, and where they are (Debian's merged /usr).
_MERGED: Final = ("bin", "sbin", "lib")
#: What a program can expect to be there and no package brings; the host and the jail show their devices and /proc there.
_DIRECTORIES: Final = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp", "work")
#: Major and minor number.
DEVICES: Final = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_FILES: Final = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/resolv.conf": "",
    "etc/localtime": None,
}


class Unavailable(Exception):
    """The packages cannot be had here; the message says why."""


@dataclass(frozen=True)
class Root:
    """An unpacked tree: its name, where it is, and the version of every package in it."""

    name: str
    path: Path
    versions: dict[str, str]
    download_bytes: int

    def version(self, package: str) -> str:
        """Of a package, without epoch and Debian's revision; "" if it is not in the tree."""
        full = self.versions.get(package, "")
        return full.rpartition(":")[2].partition("-")[0].partition("+dfsg")[0]


def folder() -> Path:
    """Where trees and archives are kept."""
    chosen = os.environ.get("VX32PY_PROGRAMS")
    if chosen:
        return Path(chosen)
    parent = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(parent) if os.path.isabs(parent) else Path.home() / ".cache") / "vx32py-programs"


def fetch(name: str, packages: tuple[str, ...], progress: Progress = lambda line: None) -> Root:
    """The tree of some packages: kept from the last time, or made. Raises Unavailable."""
    for tool in ("apt-get", "dpkg-deb", "tar"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is missing: the programs come from Debian's packages")
    digest = hashlib.sha256(json.dumps([RECIPE, sorted(packages)]).encode()).hexdigest()[:12]
    place = folder() / f"{name}-{digest}"
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with _locked(folder() / ".lock"):
            if not (place / "manifest.json").is_file():
                _make(place, packages, progress)
    except OSError as error:
        raise Unavailable(f"cannot unpack {name}: {error}") from None
    manifest = json.loads((place / "manifest.json").read_text())
    return Root(name, place / "root", manifest["versions"], manifest["bytes"])


def _make(place: Path, packages: tuple[str, ...], progress: Progress) -> None:
    archives = _download(packages, progress)
    with tempfile.TemporaryDirectory(prefix=".fresh-", dir=place.parent) as name:
        fresh, control = Path(name, "root"), Path(name, "control")
        _prepare(fresh)
        scripts = []
        for number, archive in enumerate(archives):
            progress(f"unpacking {number + 1}/{len(archives)}: {archive.name}")
            _unpack(archive, fresh)
            _run(["dpkg-deb", "--control", str(archive), str(control)])
            script = control / "postinst"
            scripts.append(script.read_text(errors="replace") if script.is_file() else "")
            shutil.rmtree(control)
        alternatives.install(fresh, scripts)
        _finish(fresh)
        versions = dict(_name_and_version(archive) for archive in archives)
        size = sum(archive.stat().st_size for archive in archives)
        Path(name, "manifest.json").write_text(json.dumps({"versions": versions, "bytes": size}, indent=1))
        if place.exists():
            shutil.rmtree(place)
        Path(name).chmod(0o755)
        # Renamed as a whole, so that a tree is there complete or not at all.
        os.rename(name, place)
        Path(name).mkdir()  # for the context manager to remove


def _name_and_version(archive: Path) -> tuple[str, str]:
    name, version, _ = archive.stem.split("_")
    return name, version.replace("%3a", ":")


def _prepare(root: Path) -> None:
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    root.chmod(0o755)


def _unpack(archive: Path, root: Path) -> None:
    """As dpkg does it, except for owners: without privileges everything is the user's own."""
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as package:
        _run(["tar", "-x", "-p", "--no-same-owner", "--keep-directory-symlink", "-C", str(root)], stdin=package.stdout)
    if package.returncode:
        raise Unavailable(f"{archive.name} is no package that dpkg-deb can read")


def _finish(root: Path) -> None:
    """What the scripts of essential packages do."""
    for path, text in _FILES.items():
        if text is not None and not (root / path).exists():
            (root / path).write_text(text)
    shell = root / "usr/bin/sh"
    if not shell.exists():
        shell.symlink_to("dash" if (root / "usr/bin/dash").exists() else "busybox")
    for name in ("fd", "stdin", "stdout", "stderr"):
        target = "/proc/self/fd" if name == "fd" else f"/proc/self/fd/{('stdin', 'stdout', 'stderr').index(name)}"
        (root / "dev" / name).symlink_to(target)
    for name, numbers in DEVICES.items():
        node = root / "dev" / name
        try:
            os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(*numbers))
            node.chmod(0o666)
        except PermissionError:
            node.touch()  # for a bind mount


# -- archives ----------------------------------------------------------------------------------------------------------


def _download(packages: tuple[str, ...], progress: Progress) -> list[Path]:
    """The archives of packages and of all that they depend on, from the network where they are not kept."""
    kept = folder() / "archives"
    (kept / "partial").mkdir(parents=True, exist_ok=True)
    options = _apt_options(kept)
    apt = ["apt-get", "--quiet=2", *(part for option in options for part in ("-o", option))]
    lists = folder() / "apt" / "lists"
    progress(f"reading the lists of {ARCHITECTURE} packages")
    # One source of several that cannot be reached is no failure yet: what counts is whether the packages are found.
    updated = _run([*apt, "update"], check=False)
    if not any(lists.glob("*Packages*")):
        raise Unavailable(f"apt-get update found no packages for {ARCHITECTURE}: {updated or 'no sources'}")
    wanted = [*apt, "--yes", "--no-install-recommends", "install", *packages]
    # What is kept already is not listed: so list with an empty folder.
    empty = folder() / "apt" / "empty"
    (empty / "partial").mkdir(parents=True, exist_ok=True)
    listing = _output([*wanted, "-o", f"Dir::Cache::archives={empty}", "--print-uris"])
    names = [line.split()[1] for line in listing.splitlines() if line.startswith("'")]
    missing = [name for name in names if not (kept / name).is_file()]
    progress(f"downloading {len(missing)} of {len(names)} packages for {' '.join(packages)}")
    for attempt in range(ATTEMPTS):
        complaint = _run([*wanted, "--download-only"], check=False)
        missing = [name for name in names if not (kept / name).is_file()]
        if not missing:
            return [kept / name for name in names]
        progress(f"attempt {attempt + 1} of {ATTEMPTS} left {len(missing)} packages: {complaint}")
    raise Unavailable(f"apt-get could not download {missing[0]} and {len(missing) - 1} more: {complaint}")


def _apt_options(archives: Path) -> list[str]:
    """An apt that believes itself on a machine of the architecture on which nothing is installed."""
    state = folder() / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    return [
        f"Dir::State={state}",
        f"Dir::State::status={state / 'status'}",
        f"Dir::Cache={state}",
        f"Dir::Cache::archives={archives}",
        f"APT::Architecture={ARCHITECTURE}",
        f"APT::Architectures={ARCHITECTURE}",
        "APT::Sandbox::User=",
        "APT::Keep-Downloaded-Packages=true",
        "Binary::apt-get::APT::Keep-Downloaded-Packages=true",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
        "Acquire::http::Timeout=20",
        "Debug::NoLocking=true",
    ]


def _run(command: list[str], *, check: bool = True, stdin: object = None) -> str:
    """Run a command; the last line of its complaints. Raises Unavailable."""
    try:
        done = subprocess.run(
            command, stdin=stdin, capture_output=True, text=True, timeout=TIMEOUT, check=False, errors="replace"
        )  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} took more than {TIMEOUT:.0f} s") from None
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    if check and done.returncode:
        raise Unavailable(f"{command[0]}: {lines[-1]}")
    return str(lines[-1]) if done.returncode else ""


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unavailable(f"{command[0]}: {lines[-1]}")
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time makes trees."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
