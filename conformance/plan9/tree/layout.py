"""The tree: programs, rc's files, and what programs look for below /sys/lib."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from conformance.plan9.tree import building, oracle
from conformance.plan9.tree.recipes import PROGRAMS

FILES: Final = Path(__file__).resolve().parent / "files"
#: Directories that programs and people expect.
DIRECTORIES: Final = (
    "386/bin", "adm", "bin", "dev", "env", "fd", "lib", "mnt", "n", "net", "proc", "rc/bin", "rc/lib", "srv", "sys/lib", "tmp",
    "usr/glenda/lib", "usr/glenda/tmp",
)  # fmt: skip
#: What programs read: the place in 9base's sources, and in the tree.
_READ: Final = (("yacc/yaccpar", "sys/lib/yaccpar"), ("yacc/yaccpars", "sys/lib/yaccpars"), ("troff/tmac", "sys/lib/troff/tmac"),
                ("troff/font", "sys/lib/troff/font"), ("troff/term", "sys/lib/troff/term"),
                ("troff/hyphen.tex", "sys/lib/troff/hyphen.tex"))  # fmt: skip


def make(
    place: Path, names: Iterable[str] = tuple(PROGRAMS), progress: building.Progress = lambda line: None
) -> dict[str, str]:
    """Write a tree with these programs to a directory, which is made; the programs that could not be built, and why. Raises
    Unavailable, OSError."""
    built, failed = building.build_all(names, progress)
    for name in DIRECTORIES:
        (place / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree(FILES, place, dirs_exist_ok=True)
    for script in (place / "rc").rglob("*"):
        if script.is_file():
            script.chmod(0o755)
    for name, program in built.items():
        target = place / "386" / "bin" / name
        target.unlink(missing_ok=True)
        shutil.copy(program, target)
        target.chmod(0o755)
    for source, name in _READ:
        found, target = building.source() / source, place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, target, dirs_exist_ok=True)
        else:
            shutil.copy(found, target)
    return failed


def kept(names: Iterable[str] = tuple(PROGRAMS), progress: building.Progress = lambda line: None) -> Path:
    """A tree with these programs in the cache, made now or before. Nobody writes to it. Raises Unavailable."""
    wanted = sorted(names)
    built, failed = building.build_all(wanted, progress)
    if failed:
        raise oracle.Unavailable("; ".join(f"{name}: {why}" for name, why in failed.items()))
    files = sorted(path for path in FILES.rglob("*") if path.is_file())
    parts = [*(built[name].name.encode() for name in wanted), *(path.read_bytes() for path in files)]
    parts += [Path(__file__).read_bytes(), *(str(path.relative_to(FILES)).encode() for path in files)]
    place = oracle.folder() / "trees" / hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fresh-", dir=place.parent) as name:
            make(Path(name, "tree"), wanted)
            try:
                os.rename(Path(name, "tree"), place)
            except OSError:
                if not place.is_dir():  # else another process has put it there
                    raise
    return place
