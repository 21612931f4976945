"""Compile C to guests, and the same C to native 32-bit Linux programs to compare them with.

Two compilers will do: zig, which the ``guest`` extra installs and which needs nothing else, and a gcc that has ``-m32``.
The output depends on the sources, the compiler and the flags alone: no path, no time and no debug section gets in.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from jit import diskcache
from reference.records import dataclass
from vx32py import guest
from vx32py._errors import Vx32Error

CompilerName: TypeAlias = Literal["auto", "zig", "gcc"]
Libc: TypeAlias = Literal["vx", "musl", "plan9"]
Progress: TypeAlias = Callable[[str], None]
StrPath: TypeAlias = str | os.PathLike[str]

#: Code for a processor with SSE2 and nothing newer; no stack protector, no CET, no unwind tables, no debug sections. Zig
#: keeps frame pointers unless told not to, and there are few registers.
_COMMON: Final = (
    "-std=gnu11", "-march=pentium4", "-g0", "-fno-stack-protector", "-fcf-protection=none",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-pic", "-fomit-frame-pointer",
)  # fmt: skip
#: Plan 9 aligns a stack to four bytes, also where it enters a handler of notes; its C has anonymous members and a main of
#: its own, and lets a function have another type than C's.
_PLAN9: Final = ("-fno-builtin", "-fms-extensions", "-D__plan9__=1", "-Wno-main", "-Wno-main-return-type",
                 "-Wno-microsoft-anon-tag", "-Wno-unknown-pragmas", "-Wno-unknown-warning-option")  # fmt: skip
#: The library defines what these options would have the compiler call, and only its used functions are linked.
_LIBRARY: Final = ("-fno-builtin", "-ffunction-sections", "-fdata-sections")
_GUEST_LINK: Final = (
    "-nostdlib",
    "-static",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,-z,noexecstack",
)


class CompileError(Vx32Error):
    """A guest could not be compiled. One line; everything that the compiler said is in ``stderr``."""

    def __init__(self, message: str, stderr: str = "") -> None:
        super().__init__(message)
        self.stderr = stderr


@dataclass(frozen=True)
class _Compiler:
    """A compiler: its command, and the options in which it differs from others. Two purposes: guests and native.

    ``bare`` and ``headers`` (its own) are for guests, with ``plan9`` for those of Plan 9, ``library`` for their libraries."""

    name: Literal["zig", "gcc"]
    command: tuple[str, ...]
    version: str
    bare: tuple[str, ...]
    headers: tuple[str, ...]
    library: tuple[str, ...]
    native: tuple[str, ...]
    plan9: tuple[str, ...]
    link_guest: tuple[str, ...]
    link_native: tuple[str, ...]

    def guest(self, include: Path, *more: str) -> tuple[str, ...]:
        """The options for a guest whose headers are there, and no system's."""
        return (*self.bare, *more, "-isystem", str(include), *self.headers)


@dataclass(frozen=True)
class _Library:
    """What guests of one kind are linked with: a name for the cache, its units and their options, and all files that those
    are made of."""

    name: str
    units: tuple[tuple[Path, tuple[str, ...]], ...]
    files: tuple[Path, ...]


def compilers() -> dict[str, str]:
    """The compilers that can build guests on this machine, with their versions; the first one is ``auto``'s choice."""
    found = (_zig(), _gcc())
    return {compiler.name: compiler.version for compiler in found if compiler}


def can_build_native(compiler: CompilerName = "auto") -> bool:
    """Whether `compile_native` works here. Compiles a small program the first time it is asked."""
    return _for_native(compiler) is not None


def compile_guest(
    sources: Iterable[StrPath],
    output: StrPath,
    *,
    compiler: CompilerName = "auto",
    optimise: str = "-O2",
    flags: Sequence[str] = (),
    libc: Libc = "vx",
    plugin: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Compile C (or assembly) to a guest and return where it is.

    ``libc`` is "vx" for a guest of the VX ABI, linked with the library of `vx32py.guest`, "musl" for a static i386 Linux
    program for the jail (zig only), or "plan9" for an a.out of Plan 9's, with a library of its names. ``plugin``: what is made is for ``Sandbox.instantiate``, and has functions to
    call (``vxplugin.h``) in place of main. ``flags`` go to the compiler after all others and reach the library as well,
    so that ``-mno-sse`` means the whole guest. ``progress`` is called with a line before each step, and with the
    compiler's warnings. Raises `CompileError`, and ValueError for arguments that make no sense.
    """
    files = _checked(sources, optimise)
    if plugin and libc != "vx":
        raise ValueError(f"a plug-in is linked with libc='vx', not {libc!r}")
    if libc == "musl":
        zig = _zig()
        if zig is None or compiler == "gcc":
            raise CompileError("libc='musl' needs the zig compiler (pip install 'vx32py[guest]')")
        return _build(zig, files, Path(output), (*zig.native, optimise, *flags), zig.link_native, progress)
    if libc not in {"vx", "plan9"}:
        raise ValueError(f"libc is 'vx', 'musl' or 'plan9', not {libc!r}")
    chosen = _for_guest(compiler)
    vx = chosen.guest(guest.INCLUDE, "-D__vx__=1")
    if libc == "plan9":
        options = (*chosen.guest(guest.PLAN9_INCLUDE, *chosen.plan9), optimise, *flags)
        link = (*chosen.link_guest, "-Wl,-e,_main", f"-Wl,-T,{guest.PLAN9_LINKER_SCRIPT}")
        own, shared = guest.PLAN9_LIBRARY
        units = ((guest.PLAN9_CALLS, options), (own, options), (shared, (*vx, *chosen.plan9, optimise, *flags)))
        library = _Library("lib9", units, tuple(guest.plan9_files()))
        return _build(chosen, files, Path(output), options, link, progress, library=library, finish=_to_aout)
    options = (*vx, optimise, *flags)
    link = (*chosen.link_guest, f"-Wl,-T,{guest.LINKER_SCRIPT}")
    if plugin:
        files, link = [*files, guest.PLUGIN], (*link, f"-Wl,-e,{guest.PLUGIN_ENTRY}")
    library = _Library("libvx", ((guest.LIBRARY, options),), tuple(guest.files()))
    return _build(chosen, files, Path(output), options, link, progress, library=library)


def _to_aout(program: Path) -> None:
    """Make a Plan 9 program of what has been linked for one. Raises CompileError."""
    from vx32py._errors import BadImage
    from vx32py.plan9.linking import aout_of

    try:
        program.write_bytes(aout_of(program.read_bytes()))
    except BadImage as error:
        raise CompileError(str(error)) from None


def compile_native(
    sources: Iterable[StrPath],
    output: StrPath,
    *,
    compiler: CompilerName = "auto",
    optimise: str = "-O2",
    flags: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Compile the same C to a static 32-bit Linux program for the host, with the options a guest gets.

    Raises `CompileError`, also where no compiler here has a 32-bit C library. Zig's first call builds its own, which
    takes a minute.
    """
    files = _checked(sources, optimise)
    chosen = _for_native(compiler)
    if chosen is None:
        raise CompileError(f"no 32-bit C library for native programs (compiler={compiler!r}): {_HINT}")
    return _build(chosen, files, Path(output), (*chosen.native, optimise, *flags), chosen.link_native, progress)


_HINT: Final = "pip install 'vx32py[guest]' for zig, or install a gcc with -m32 (gcc-multilib)"


def _checked(sources: Iterable[StrPath], optimise: str) -> list[Path]:
    if isinstance(sources, (str, os.PathLike)):
        raise TypeError("sources is a list of paths, not one path")
    files = [Path(source) for source in sources]
    if not files:
        raise ValueError("no source files")
    if not optimise.startswith("-O"):
        raise ValueError(f"optimise is an option such as '-O2', not {optimise!r}")
    for file in files:
        if not file.is_file():
            raise CompileError(f"no such source file: {file}")
    return files


@functools.cache
def _zig() -> _Compiler | None:
    if importlib.util.find_spec("ziglang") is None:
        return None
    command = (sys.executable, "-m", "ziglang")
    done = subprocess.run([*command, "version"], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    # Zig instruments C for undefined behaviour unless told not to, and refuses __DATE__, which is fixed here (see _run).
    # -fhosted: main is main, and returns 0.
    common = (*_COMMON, "-fno-sanitize=undefined", "-Wno-date-time", "-fhosted")
    return _Compiler(
        name="zig",
        command=(*command, "cc"),
        version=done.stdout.strip(),
        bare=("-target", "x86-freestanding-none", *common),
        headers=(),
        library=_LIBRARY,
        native=("-target", "x86-linux-musl", *common),
        plan9=(*_PLAN9, "-mstack-alignment=4", "-mstackrealign"),
        link_guest=(*_GUEST_LINK, "-Wl,--no-eh-frame-hdr"),
        link_native=("-static", "-Wl,--build-id=none"),
    )


@functools.cache
def _gcc() -> _Compiler | None:
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    common = ("-m32", *_COMMON, "-mtune=generic", "-mfpmath=sse")
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, "probe.c")
        probe.write_text("#include <stdarg.h>\nvoid _start(void) { for (;;) ; }\n")
        command = [gcc, *common, "-nostdlib", "-static", str(probe), "-o", str(probe.with_suffix(""))]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
    version, headers = (
        subprocess.run([gcc, option], capture_output=True, text=True, check=False).stdout.strip()
        for option in ("-dumpfullversion", "-print-file-name=include")
    )
    return _Compiler(
        name="gcc",
        command=(gcc,),
        version=version,
        # The compiler's own headers (stddef.h, stdarg.h, ...) but not the host's.
        bare=(*common, "-nostdinc"),
        headers=("-isystem", headers),
        library=(
            *_LIBRARY,
            "-fno-tree-loop-distribute-patterns",
        ),  # or memset would be a loop that calls memset
        native=common,
        plan9=(*_PLAN9, "-mpreferred-stack-boundary=2", "-fplan9-extensions"),
        link_guest=(*_GUEST_LINK, "-no-pie"),
        link_native=("-static", "-no-pie", "-Wl,--build-id=none", "-lm"),
    )


def _named(compiler: CompilerName) -> list[_Compiler]:
    if compiler not in {"auto", "zig", "gcc"}:
        raise ValueError(f"compiler is 'auto', 'zig' or 'gcc', not {compiler!r}")
    found = (_zig() if compiler != "gcc" else None, _gcc() if compiler != "zig" else None)
    return [each for each in found if each]


def _for_guest(compiler: CompilerName) -> _Compiler:
    found = _named(compiler)
    if not found:
        raise CompileError(f"no compiler for guests (compiler={compiler!r}): {_HINT}")
    return found[0]


@functools.cache
def _gcc_has_libc() -> bool:
    gcc = _gcc()
    if gcc is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, "probe.c")
        probe.write_text("#include <stdio.h>\nint main(void) { return puts(__FILE__) < 0; }\n")
        command = [*gcc.command, *gcc.native, *gcc.link_native, str(probe), "-o", str(probe.with_suffix(""))]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _for_native(compiler: CompilerName) -> _Compiler | None:
    """As for guests; but gcc only where it finds a 32-bit libc."""
    for found in _named(compiler):
        if found.name == "zig" or _gcc_has_libc():
            return found
    return None


def _objects(compiler: _Compiler, library: _Library, folder: Path, progress: Progress | None) -> list[Path]:
    """A guest library as object files in ``folder``: from the cache, or compiled and put there for the next time."""
    made = []
    for unit, options in library.units:
        parts = [compiler.name, compiler.version, *options, *compiler.library, unit.name]
        names, contents = (file.name for file in library.files), _contents(library.files)
        key = diskcache.key_of(library.name, *parts, *names, *contents)
        target = folder / f"{library.name}-{unit.stem}.o"
        held = diskcache.load(key)
        if held is not None:
            target.write_bytes(held)
        else:
            _object(compiler, unit, target, (*options, *compiler.library), progress)
            diskcache.save(key, target.read_bytes())
        made.append(target)
    return made


@functools.cache
def _contents(files: tuple[Path, ...]) -> tuple[bytes, ...]:
    return tuple(file.read_bytes() for file in files)


def _build(
    compiler: _Compiler,
    files: Sequence[Path],
    output: Path,
    options: tuple[str, ...],
    link: tuple[str, ...],
    progress: Progress | None,
    *,
    library: _Library | None = None,
    finish: Callable[[Path], None] | None = None,
) -> Path:
    """Compile each file by itself, link the objects, let ``finish`` change the result, and move it into place as a whole."""
    with tempfile.TemporaryDirectory(prefix="vx32py-") as name:
        folder = Path(name)
        objects = [
            file if file.suffix in {".o", ".a"} else _object(compiler, file, folder / f"{i}.o", options, progress)
            for i, file in enumerate(files)
        ]
        if library is not None:
            objects += _objects(compiler, library, folder, progress)
        program = folder / "program"
        _say(progress, f"{compiler.name}: linking {output.name}")
        _run(
            [*compiler.command, *options, *map(str, objects), *link, "-o", str(program)],
            output.name,
            progress,
        )
        if finish is not None:
            finish(program)
        output.parent.mkdir(parents=True, exist_ok=True)
        fresh = output.with_name(f".{output.name}.{os.getpid()}.{os.urandom(4).hex()}")  # threads may make the same
        try:
            shutil.copy(program, fresh)  # not a rename: /tmp may be another file system
            fresh.replace(output)
        finally:
            fresh.unlink(missing_ok=True)
    return output


def _object(compiler: _Compiler, source: Path, made: Path, options: tuple[str, ...], progress: Progress | None) -> Path:
    _say(progress, f"{compiler.name}: compiling {source.name}")
    # __FILE__ is the file's name, wherever it lies; "" would not match a bare name.
    folder = source.absolute().parent
    mapped = f"-fmacro-prefix-map={folder}{os.sep}="
    _run(
        [*compiler.command, *options, mapped, "-c", str(folder / source.name), "-o", str(made)],
        source.name,
        progress,
    )
    return made


def _run(command: Sequence[str], what: str, progress: Progress | None) -> None:
    # LC_ALL: messages in one language; SOURCE_DATE_EPOCH: __DATE__ and __TIME__ are the same every time.
    environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        env=environment,
        check=False,
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        wrong = [line for line in lines if "error:" in line or "undefined" in line]
        reason = (wrong or lines or [f"the compiler failed with exit code {done.returncode}"])[0]
        raise CompileError(f"{what}: {reason}", done.stderr)
    if done.stderr.strip():
        _say(progress, done.stderr.strip())


def _say(progress: Progress | None, message: str) -> None:
    if progress:
        progress(message)
