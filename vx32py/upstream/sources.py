"""Sources of well-kept programs and libraries, fetched when they are needed and never part of this tree.

They are the unchanged archives of their authors, as Debian keeps them: :func:`fetch` gets one with the host's own
``apt-get``, from the archive that the host uses, into directories of its own (the host's lists of sources and packages stay
as they are, and no privilege is needed), compares its SHA-256 with the one here and unpacks it in ``build/sources`` of the
source tree, or in the user's cache where there is none.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from jit import diskcache
from reference.records import dataclass


def _place() -> Path:
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():
        return root / "build" / "sources"
    return Path(diskcache.directory() or Path(tempfile.gettempdir(), "vx32py"), "sources")


BUILD: Final = _place()
#: The release of Debian in which all of them are, whatever the host's own is.
RELEASE: Final = "bookworm"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: No step takes longer, in seconds.
TIMEOUT: Final = 300.0


class SourceUnavailable(Exception):
    """The source cannot be had here; the message says why."""


@dataclass(frozen=True)
class Archive:
    """One archive: Debian's source package, the file, its digest, and the folder that is in it.

    ``version`` is that of the authors; ``licences`` are files in the folder."""

    package: str
    file: str
    sha256: str
    folder: str
    licences: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The authors' version."""
        return self.file.split("_", 1)[1].split(".orig", 1)[0].split("+", 1)[0].removesuffix(".dfsg")


# fmt: off
ARCHIVES: Final = {archive.package: archive for archive in (
    Archive("libtomcrypt", "libtomcrypt_1.18.2.orig.tar.xz", "96ad4c3b8336050993c5bc2cf6c057484f2b0f9f763448151567fbab5e767b84", "libtomcrypt-1.18.2", ("LICENSE",)),
    Archive("zlib", "zlib_1.2.13.dfsg.orig.tar.bz2", "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1", "zlib-1.2.13.dfsg", ("README",)),
    Archive("bzip2", "bzip2_1.0.8.orig.tar.gz", "ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269", "bzip2-1.0.8", ("LICENSE",)),
    Archive("libjpeg-turbo", "libjpeg-turbo_2.1.5.orig.tar.gz", "254f3642b04e309fee775123133c6464181addc150499561020312ec61c1bf7c", "libjpeg-turbo-2.1.5", ("LICENSE.md", "README.ijg")),
    Archive("openjpeg2", "openjpeg2_2.5.0.orig.tar.xz", "007e19d772c8b6b22e35379630b06ff3549e49ba719d96453607a36ad7b4de73", "openjpeg-2.5.0", ("LICENSE",)),
    Archive("libogg", "libogg_1.3.5.orig.tar.xz", "c4d91be36fc8e54deae7575241e03f4211eb102afb3fc0775fbbc1b740016705", "libogg-1.3.5", ("COPYING",)),
    Archive("libvorbis", "libvorbis_1.3.7.orig.tar.gz", "0e982409a9c3fc82ee06e08205b1355e5c6aa4c36bca58146ef399621b0ce5ab", "libvorbis-1.3.7", ("COPYING",)),
    Archive("flac", "flac_1.4.2+ds.orig.tar.xz", "47274ac8fcb1f0e6caa91d29f943925d7a40c0a3f6357c3275773bdb1ee46638", "flac-1.4.2", ("COPYING.Xiph",)),
    Archive("xz-utils", "xz-utils_5.4.1.orig.tar.xz", "5d9827aa1875b21c288f78864bb26d2650b436ea8d2cad364e4921eb6266a5a5", "xz-5.4.1", ("COPYING",)),
    Archive("libzstd", "libzstd_1.5.4+dfsg2.orig.tar.xz", "8cf4bbb65e77ec348d052c8d6230eba66d435bddf64c8b5be2fcb16880c19953", "zstd-1.5.4", ("LICENSE",)),
    Archive("brotli", "brotli_1.0.9.orig.tar.gz", "f9e8d81d0405ba66d181529af42a3354f838c939095ff99930da6aa9cdf6fe46", "brotli-1.0.9", ("LICENSE",)),
    Archive("libpng1.6", "libpng1.6_1.6.39.orig.tar.gz", "a00e9d2f2f664186e4202db9299397f851aea71b36a35e74910b8820e380d441", "libpng-1.6.39", ("LICENSE",)),
    # Its mathematics: the guest library has none.
    Archive("musl", "musl_1.2.3.orig.tar.gz", "7d5b0b6062521e4627e099e4c9dc8248d32a30285e959b7eecaa780cf8cfd4a4", "musl-1.2.3", ("COPYRIGHT",)),
    Archive("libsodium", "libsodium_1.0.18.orig.tar.gz", "d59323c6b712a1519a5daf710b68f5e7fde57040845ffec53850911f10a5d4f4", "libsodium-1.0.18", ("LICENSE",)),
    Archive("lua5.4", "lua5.4_5.4.4.orig.tar.gz", "164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61", "lua-5.4.4"),
    # The programs of a tree for the Plan 9 kernel.
    Archive("9base", "9base_6.orig.tar.gz", "2997480eb5b4cf3092c0896483cd2de625158bf51c501aea2dc5cf74176d6de9", "9base-6", ("LICENSE",)),
    # DBD::SQLite carries SQLite as one file, which SQLite's own source package makes with Tcl.
    Archive("libdbd-sqlite3-perl", "libdbd-sqlite3-perl_1.72.orig.tar.gz", "5ca41e61eb52b52bd862a3088b912a75fe70910ac789b9a9983e0a449e94f551", "DBD-SQLite-1.72"),
)}
# fmt: on


def fetch(package: str) -> Path:
    """The folder of an archive: kept from the last time, or downloaded and unpacked. Raises SourceUnavailable."""
    found = _fetched(package)
    if isinstance(found, str):
        raise SourceUnavailable(found)
    return found


@cache
def _fetched(package: str) -> Path | str:
    """The folder, or why there is none: what failed once in a process is not tried again."""
    archive = ARCHIVES[package]
    place = BUILD / archive.sha256[:16] / archive.folder
    if place.is_dir():
        return place
    try:
        with tempfile.TemporaryDirectory(prefix="vx32py-") as name:
            file = _download(archive, Path(name))
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            if digest != archive.sha256:
                return f"{archive.file} is not the file it should be: its SHA-256 is {digest}"
            _unpack(file, place.parent)
    except (SourceUnavailable, OSError, tarfile.TarError) as error:
        return f"{archive.package}: {error}"
    return place


def _unpack(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=place.parent, prefix=".fresh-"))
    try:
        with tarfile.open(file) as archive:
            archive.extractall(fresh, filter="data")
        fresh.rename(place)
    except OSError:
        if not place.is_dir():  # another process may have put it there first
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _download(archive: Archive, folder: Path) -> Path:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise SourceUnavailable(f"{tool} is missing: the source comes from Debian's archive")
    apt = ["apt-get", "--quiet=2", *(part for option in _apt_options() for part in ("-o", option))]
    _run([*apt, "source", "--download-only", "--tar-only", archive.package], folder)
    file = folder / archive.file
    if not file.is_file():
        raise SourceUnavailable(f"Debian {RELEASE} has another version of it than {archive.file}")
    return file


@cache
def _apt_options() -> tuple[str, ...]:
    """Options of an apt that knows nothing but the source packages of one release. Its lists are fetched once."""
    state = BUILD / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    listed = state / "sources.list"
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    line = f"deb-src {signed}{_mirror()} {RELEASE} main\n"
    options = (
        f"Dir::Etc::sourcelist={listed}",
        "Dir::Etc::sourceparts=-",
        f"Dir::State::lists={state / 'lists'}",
        f"Dir::Cache={state / 'cache'}",
        "Acquire::Languages=none",
        "Acquire::Retries=2",
        "Acquire::http::Timeout=20",
        "APT::Sandbox::User=",  # the download goes to a folder that only this user can reach
    )
    if not listed.exists() or listed.read_text(encoding="utf-8") != line:
        listed.write_text(line, encoding="utf-8")
        try:
            _run(["apt-get", "--quiet=2", *(part for option in options for part in ("-o", option)), "update"], state)
        except SourceUnavailable:
            listed.unlink()
            raise
    return options


def _mirror() -> str:
    """The archive that the host itself uses."""
    wanted = "$(ORIGIN) $(RELEASE) $(REPO_URI)"
    lines = _run(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"], Path.cwd()).split("\n")
    uris = [line.split() for line in lines if line.startswith("Debian ")]
    found = [fields[2] for fields in uris if len(fields) == 3 and "-security" not in fields[1] + fields[2]]
    if not found:
        raise SourceUnavailable("apt-get knows no archive of Debian here, or 'apt-get update' was never run")
    return found[0]


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise SourceUnavailable(f"{command[0]} took more than {TIMEOUT:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise SourceUnavailable(f"{command[0]}: {lines[-1]}")
    return done.stdout
