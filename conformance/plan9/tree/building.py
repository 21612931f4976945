"""Compile the programs with ``gcc -m32``, and link each into an a.out. Objects and programs are kept by what they are made of."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

from conformance.plan9.tree import oracle
from conformance.plan9.tree.oracle import Unavailable, run
from conformance.plan9.tree.recipes import ALIASES, LIBRARY, PROGRAMS, SHARED, SHARED_FLAGS, Recipe
from vx32py import guest
from vx32py.plan9 import linking
from vx32py.upstream import sources

#: What is ours.
OURS: Final = Path(__file__).resolve().parent / "c"
#: As Plan 9's own compiler has it: a plain 386 with an x87. Its C knows no strict aliasing, lets integers wrap and tentative
#: definitions meet.
_OPTIONS: Final = (
    "-m32", "-march=i686", "-std=gnu11", "-O1", "-g0", "-w", "-ffreestanding", "-fno-builtin", "-nostdinc", "-fno-pic",
    "-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
    "-ffunction-sections", "-fdata-sections", "-fcommon", "-fno-strict-aliasing", "-fwrapv",
    "-mpreferred-stack-boundary=2", "-fno-tree-loop-distribute-patterns",
)  # fmt: skip
_LINK: Final = (
    "-m32", "-no-pie", "-nostdlib", "-static", f"-Wl,-T,{OURS / 'tree.ld'}", "-Wl,--gc-sections", "-Wl,--build-id=none",
    "-Wl,-z,noexecstack", "-Wl,-e,_main", *(f"-Wl,--defsym={alias}={name}" for alias, name in ALIASES.items()),
)  # fmt: skip

Progress = Callable[[str], None]


@cache
def source() -> Path:
    """9base's sources. Raises Unavailable."""
    try:
        return sources.fetch("9base")
    except sources.SourceUnavailable as error:
        raise Unavailable(str(error)) from None


@cache
def _compiler() -> tuple[str, str, str]:
    """gcc, its version, and where its headers are. Raises Unavailable without one that makes programs for the 386."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise Unavailable("gcc is missing")
    with tempfile.TemporaryDirectory() as name:
        Path(name, "probe.c").write_text("void _start(void) { for (;;) ; }\n")
        run([gcc, "-m32", "-nostdlib", "-static", "probe.c", "-o", "probe"], Path(name))
    version, headers = (
        run([gcc, option], Path()).strip() for option in ("-dumpfullversion", "-print-file-name=include")
    )
    return gcc, version, headers


@cache
def _ours() -> bytes:
    """A digest of what every object can depend on: our headers, and the compiler."""
    files = [*sorted((OURS / "include").rglob("*.h")), OURS / "tree.ld", *guest.plan9_files(), Path(linking.__file__)]
    return hashlib.sha256(b"\0".join([_compiler()[1].encode(), *(path.read_bytes() for path in files)])).digest()


def _key(*parts: str | bytes) -> str:
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(_ours() + joined).hexdigest()[:20]


def _kept(key: str, suffix: str) -> Path:
    place = oracle.folder() / "built"
    place.mkdir(parents=True, exist_ok=True)
    return place / (key + suffix)


def _compile(file: Path, options: tuple[str, ...], include: tuple[Path, ...]) -> Path:
    """The object of a C file. Raises Unavailable."""
    gcc, _, headers = _compiler()
    made = _kept(
        _key(file.read_bytes(), *options, *(folder.name for folder in include), sources.ARCHIVES["9base"].sha256), ".o"
    )
    if not made.is_file():
        searched = [part for folder in include for part in ("-I", str(folder))]
        fresh = made.with_suffix(f".{os.getpid()}.{os.urandom(3).hex()}")
        run([gcc, *_OPTIONS, *options, *searched, "-isystem", str(guest.INCLUDE), "-isystem", headers, "-c", str(file),
             "-o", str(fresh)], Path())  # fmt: skip
        os.replace(fresh, made)
    return made


def _located(name: str) -> Path:
    return OURS / name[2:] if name.startswith("@/") else source() / name


def _include() -> tuple[Path, ...]:
    return OURS / "include", source() / "lib9", source() / "lib9" / "sec"


@cache
def library() -> tuple[Path, ...]:
    """Objects to link each program with: where it begins and its calls, and an archive. Raises Unavailable."""
    jobs = [(_located(name), (), _include()) for name in LIBRARY]
    shared = guest.INCLUDE.parent / "lib"
    jobs += [(shared / f"{name}.c", SHARED_FLAGS, ()) for name in SHARED]  # type: ignore[misc]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        objects = list(pool.map(lambda job: _compile(*job), jobs))
    archive = _kept(_key("library", *(path.name for path in objects)), ".a")
    if not archive.is_file():
        fresh = archive.with_suffix(f".{os.getpid()}")
        run(["ar", "rcsD", str(fresh), *map(str, objects)], Path())
        os.replace(fresh, archive)
    return _compile(guest.PLAN9_CALLS, (), ()), archive


def _grammar(file: Path, folder: Path) -> Path:
    """What yacc makes of a grammar. Raises Unavailable."""
    run([str(oracle.programs() / "yacc"), "-d", str(file)], folder, {"PLAN9": str(source())})
    shutil.copy(folder / "y.tab.h", folder / "x.tab.h")  # rc's name for it
    return folder / "y.tab.c"


def _edited(file: Path, folder: Path, old: str, new: str) -> Path:
    """A copy of a file, with one text in place of another. Raises Unavailable where that is not in it."""
    text = file.read_text()
    if text.count(old) != 1:
        raise Unavailable(f"{file.name} is not what it was: {old!r} is not in it")
    copy = folder / file.name
    copy.write_text(text.replace(old, new))
    return copy


def build(name: str) -> Path:
    """The a.out of a program. Raises Unavailable, and KeyError for a program that is not there."""
    recipe = PROGRAMS[name]
    files = [_located(each) for each in recipe.files]
    key = _key(
        repr(recipe), repr(_LINK[-len(ALIASES) :]), sources.ARCHIVES["9base"].sha256, *(path.name for path in library()),
        *(path.read_bytes() for path in files),
    )  # fmt: skip
    made = _kept(key, ".out")
    if not made.is_file():
        with tempfile.TemporaryDirectory(prefix="vx32py-") as folder:
            program = _link(recipe, files, Path(folder))
            fresh = made.with_suffix(f".{os.getpid()}.{os.urandom(3).hex()}")
            fresh.write_bytes(linking.aout_of(program.read_bytes()))
        os.replace(fresh, made)
    return made


def _link(recipe: Recipe, files: list[Path], folder: Path) -> Path:
    include = (folder, source() / recipe.name, *_include())
    objects = []
    for name, file in zip(recipe.files, files, strict=True):
        options = ("-Dmain=p9main", *recipe.flags, *recipe.some.get(name, ()))
        if name in recipe.edits:
            file = _edited(file, folder, *recipe.edits[name])  # noqa: PLW2901
        objects.append(_compile(_grammar(file, folder) if file.suffix == ".y" else file, options, include))
    program = folder / "program"
    run([_compiler()[0], *_LINK, *map(str, objects), *map(str, library()), "-o", str(program)], folder)
    return program


def build_all(names: Iterable[str], progress: Progress = lambda line: None) -> tuple[dict[str, Path], dict[str, str]]:
    """The programs that can be built, and why the others cannot. Raises Unavailable where none can."""
    oracle.folder().mkdir(parents=True, exist_ok=True)
    with (oracle.folder() / ".lock").open("w") as lock:  # two processes would build the same
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build_all(names, progress)


def _build_all(names: Iterable[str], progress: Progress) -> tuple[dict[str, Path], dict[str, str]]:
    source(), oracle.programs(), library()
    built: dict[str, Path] = {}
    failed: dict[str, str] = {}

    def one(name: str) -> None:
        try:
            built[name] = build(name)
            progress(name)
        except (Unavailable, OSError, subprocess.SubprocessError) as error:
            failed[name] = str(error)
            progress(f"{name}: {error}")

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(one, names))
    return built, failed
