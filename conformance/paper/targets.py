"""How programs get built for each way to run them: guest, native 32-bit, native 64-bit, WebAssembly.

Examples are linked for guest and native 32-bit use from the same object files at the same addresses: program, library, and
one of the two versions of the one function that makes system calls (``calls.S``). So what a ratio compares is the same
machine code in two places. :func:`differences` finds what else differs, and a program for which it finds something is not
measured. Upstream programs and busybox are static Linux programs: guest and native program are the same file.

All targets get the same sources, and options that make them fast: 32-bit programs may use what the default policy admits
(up to SSE4.2, which is x86-64-v2), WebAssembly its 128-bit vectors, and wasmtime whatever this processor has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import vx32py
from conformance import busybox, guests
from conformance.paper.inputs import BUILD
from conformance.paper.programs import Program
from conformance.paper.recipes import RECIPES
from jit import diskcache
from vx32py import _compile, guest

HERE: Final = Path(__file__).resolve().parent
_CALLS: Final = (HERE / "calls.S", HERE / "calls.h")

_COMMON: Final = (
    "-std=gnu11", "-g0", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
    "-fomit-frame-pointer",
)  # fmt: skip
#: Zig instruments C for undefined behaviour unless told not to, and refuses __DATE__.
_ZIG: Final = ("-fno-sanitize=undefined", "-Wno-date-time", "-Wno-deprecated-pragma")
#: What gcc gets for upstream programs. (Clang makes slower programs with either.)
_GCC: Final = ("-O3", "-march=x86-64-v2")
_X86_64: Final = ("-fcf-protection=none", "-static")
_WASI_EMULATION: Final = ("signal", "process-clocks")
_WASM: Final = (
    "-target", "wasm32-wasi", "-msimd128",
    *(f"-D_WASI_EMULATED_{name.upper().replace('-', '_')}" for name in _WASI_EMULATION),
    *(f"-lwasi-emulated-{name}" for name in _WASI_EMULATION),
)  # fmt: skip


class NotBuilt(Exception):
    """A program cannot be built for a target; the message says why, in a line."""


@dataclass(frozen=True)
class Pair:
    """A program as a guest and as a native 32-bit program."""

    guest: vx32py.Module
    native: Path
    argv0: str


def prepare(program: Program, progress: _compile.Progress | None = None) -> Pair:
    """Guest and native 32-bit program: compiled, or fetched.

    Raises CompileError, FileNotFoundError outside the source tree, busybox.Unavailable, sources.SourceUnavailable.
    """
    if program.upstream:
        made = _upstream(program, progress)
        return Pair(vx32py.Module.from_file(made), made, program.upstream)
    if not program.source:
        found = busybox.fetch()
        return Pair(vx32py.Module.from_file(found), found, "busybox")
    source = _source(program)
    both = [_example(source, program, flags, progress) for flags in ((), ("-DNATIVE",))]
    pair = Pair(vx32py.Module.from_file(both[0]), both[1], source.stem)
    found_differences = differences(pair)
    if found_differences:
        raise _compile.CompileError(f"{program.name}: guest and native program differ at {found_differences[0]:#x}")
    return pair


def build_native64(program: Program, progress: _compile.Progress | None = None) -> Path:
    """The same program, for 64-bit Linux. Raises NotBuilt, and what :func:`prepare` raises."""
    if not program.source and not program.upstream:
        raise NotBuilt("busybox is a 32-bit program")
    compiler, *tuning = _tools(program)
    options = [*_COMMON, *_X86_64, *tuning, *_portable(program)]
    by_zig = compiler == "zig"
    command = [*_zig(), "-target", "x86_64-linux-musl", *_ZIG] if by_zig else ["gcc", "-no-pie", "-fno-pic"]
    return _command(program, "native64", [*command, *options], progress)


def build_wasm(program: Program, progress: _compile.Progress | None = None) -> Path:
    """The same program, as WebAssembly with WASI. Raises NotBuilt, and what :func:`prepare` raises."""
    if not program.source and not program.upstream:
        raise NotBuilt("busybox is an x86 program")
    if program.not_wasm:
        raise NotBuilt(program.not_wasm)
    command = [*_zig(), *_WASM, *_ZIG, *_COMMON, _wasm_level(program), *_portable(program)]
    return _command(program, "wasm", command, progress)


def how_built(program: Program) -> dict[str, str]:
    """The compiler and the options that matter for each target; guest and native 32-bit program share theirs."""
    if not program.source and not program.upstream:
        return {"native": "Debian's binary"}
    versions = {"gcc": "?", "zig": "?", **_compile.compilers()}
    compiler, *tuning = _tools(program)
    built = {
        "native": [compiler, versions[compiler], "-m32", *tuning, *program.flags],
        "native64": [compiler, versions[compiler], *tuning, *_portable(program)],
    }
    if not program.not_wasm:
        built["wasm"] = ["zig", versions["zig"], "-msimd128", _wasm_level(program), *_portable(program)]
    return {target: " ".join(words) for target, words in built.items()}


def differences(pair: Pair) -> list[int]:
    """The addresses at which guest and native program differ, outside the function that makes system calls."""
    modules = (pair.guest, vx32py.Module.from_file(pair.native))
    shapes = [[(s.start, s.end, s.access) for s in module.segments] for module in modules]
    if shapes[0] != shapes[1]:
        return [modules[0].start]
    symbols = modules[0].symbols
    own = range(symbols["measured_call"].address, symbols["measured_call_end"].address)
    found = []
    for one, other in zip(*(module.segments for module in modules), strict=True):
        a, b = bytes(one.data), bytes(other.data)
        if a != b:
            found += [one.start + i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return [address for address in found if address not in own]


def _portable(program: Program) -> list[str]:
    """Flags that mean something for every processor."""
    return [flag for flag in program.flags if not flag.startswith("-m")]


def _source(program: Program) -> Path:
    source = guests.ROOT / program.source
    if not source.is_file():
        raise FileNotFoundError(f"{program.source} is not here: it is in the source tree, not in the installed package")
    return source


def _chosen() -> str:
    """The compiler of the examples: one for all targets that it can do."""
    using = guests.compiler()
    return next(iter(_compile.compilers()), "") if using == "auto" else using


def _wasm_level(program: Program) -> str:
    """As much as the compiler can do, unless the program is about code that is not optimised."""
    return program.optimise if program.optimise in {"-O0", "-O1"} else "-O3"


def _tools(program: Program) -> list[str]:
    """The compiler of the program's x86 versions, and the options that make them fast."""
    if not program.upstream:
        return [_chosen(), program.optimise]
    if RECIPES[program.upstream].compiler == "gcc" and guests.compiler() == "gcc":
        return ["gcc", *_GCC]
    return ["zig", "-O2"]


def _zig() -> list[str]:
    if "zig" not in _compile.compilers():
        raise NotBuilt("zig is not installed (pip install 'vx32py[bench]')")
    return [sys.executable, "-m", "ziglang", "cc"]


def _example(source: Path, program: Program, flags: Sequence[str], progress: _compile.Progress | None) -> Path:
    chosen = _chosen()
    parts = sorted(source.with_suffix("").glob("*.c"))
    files = (source, *parts, *_CALLS, *guest.files(), Path(_compile.__file__))
    digest = diskcache.key_of(*(file.read_bytes() for file in files))
    # The library's key on disk knows options, and not what a header included by one says: so the digest is an option.
    options = ("-include", str(_CALLS[1]), f"-DMEASURED=0x{digest[:8]}", *program.flags)
    version = _compile.compilers().get(chosen, "")
    name = diskcache.key_of(digest, chosen, version, program.optimise, *program.flags, *flags)[:12]
    made = BUILD / f"{source.stem}-{'native' if flags else 'guest'}-{name}"
    if not made.exists():
        _compile.compile_guest(
            [source, _CALLS[0]],
            made,
            compiler=guests.compiler(),
            optimise=program.optimise,
            flags=(*options, *flags),
            progress=progress,
        )
    return made


def _upstream(program: Program, progress: _compile.Progress | None) -> Path:
    recipe = RECIPES[program.upstream]
    files, options = recipe.sources(), recipe.arguments()
    compiler, optimise, *tuning = _tools(program)
    key = _key(files, [optimise, *tuning, *recipe.options, _compile.compilers().get(compiler, ""), *_settings()])
    made = BUILD / f"{recipe.name}-i386-{key}"
    if made.exists():
        return made
    flags = [*tuning, *options]
    if compiler == "gcc":
        _compile.compile_native(files, made, compiler="gcc", optimise=optimise, flags=flags, progress=progress)
    else:
        _compile.compile_guest(files, made, optimise=optimise, flags=flags, libc="musl", progress=progress)
    return made


def _settings() -> list[str]:
    """What the options that all compilations share depend on."""
    return [diskcache.key_of(Path(file).read_bytes()) for file in (__file__, _compile.__file__)]


def _key(files: Sequence[Path], options: Sequence[str]) -> str:
    headers = [file for folder in {file.parent for file in files} for file in sorted(folder.glob("*.h"))]
    return diskcache.key_of(*options, *(file.read_bytes() for file in (*files, *headers)))[:12]


def _command(program: Program, target: str, command: list[str], progress: _compile.Progress | None) -> Path:
    """One call of a compiler for all of a program's files."""
    if program.upstream:
        recipe = RECIPES[program.upstream]
        files, options, stem = recipe.sources(), recipe.arguments(), recipe.name
    else:
        source = _source(program)
        files, options, stem = [source], [], source.stem
    parts = sorted(files[0].with_suffix("").glob("*.c"))
    made = BUILD / f"{stem}-{target}-{_key([*files, *parts], [*command[1:], *options, *_settings()])}"
    if made.exists():
        return made
    if progress:
        progress(f"{program.name}: compiling for {target}")
    made.parent.mkdir(parents=True, exist_ok=True)
    fresh = made.with_name(f".{made.name}.{os.getpid()}")
    done = subprocess.run(
        [*command, *options, *map(str, files), "-lm", "-o", str(fresh)],
        capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line or "undefined" in line]
        raise NotBuilt(f"{target}: {(lines or ['the compiler failed'])[0]}")
    fresh.replace(made)
    return made
