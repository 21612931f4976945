"""The example programs, compiled as guests and as native programs, and kept in ``build/guests`` by content.

``python -m conformance.guests`` compiles all of them as guests.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from jit import diskcache
from vx32py import _compile, guest

#: The source tree: examples are part of it, and not of an installed package.
ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLES: Final = ROOT / "examples"
BUILD: Final = ROOT / "build" / "guests"

#: Programs for Plan 9 are in a folder of their own.
PLAN9: Final = EXAMPLES / "plan9"

Kind = Literal["guest", "native", "plan9"]


def names() -> list[str]:
    """The examples there are, but for plug-ins, which have no main. Raises FileNotFoundError outside the source tree."""
    found = sorted(path.stem for path in EXAMPLES.glob("*.c") if "<vxplugin.h>" not in path.read_text())
    if not found:
        raise FileNotFoundError(f"no examples in {EXAMPLES}: they are in the source tree, not in the installed package")
    return found


def compiler() -> _compile.CompilerName:
    """One compiler for guest and native alike, so that a ratio says nothing about compilers: gcc if it can do both."""
    if "gcc" in _compile.compilers() and _compile.can_build_native("gcc"):
        return "gcc"
    return "auto"


def example(
    name: str,
    kind: Kind = "guest",
    *,
    using: _compile.CompilerName = "auto",
    optimise: str = "-O2",
    flags: Sequence[str] = (),
    progress: _compile.Progress | None = None,
) -> Path:
    """The compiled example, made if it is not there yet. Raises `vx32py._compile.CompileError`."""
    source = (PLAN9 if kind == "plan9" else EXAMPLES) / f"{name}.c"
    parts = sorted((EXAMPLES / name).glob("*.c"))
    chosen = next(iter(_compile.compilers()), "") if using == "auto" else using
    library = guest.plan9_files() if kind == "plan9" else guest.files()
    key = diskcache.key_of(
        kind, chosen, _compile.compilers().get(chosen, ""), optimise, *flags,
        *(path.read_bytes() for path in (source, *parts, *library, Path(_compile.__file__))),
    )  # fmt: skip
    made = BUILD / f"{name}-{kind}-{key[:12]}"
    if made.exists():
        return made
    if kind == "native":
        _compile.compile_native([source], made, compiler=using, optimise=optimise, flags=flags, progress=progress)
    else:
        libc: _compile.Libc = "plan9" if kind == "plan9" else "vx"
        _compile.compile_guest(
            [source], made, compiler=using, optimise=optimise, flags=flags, libc=libc, progress=progress
        )
    return made


def main() -> int:
    """Compile every example as a guest, under its plain name; 1 if that fails."""
    kinds: list[tuple[str, Kind, str]] = [(name, "guest", "elf") for name in names()]
    kinds += [(path.stem, "plan9", "8") for path in sorted(PLAN9.glob("*.c"))]
    for name, kind, suffix in kinds:
        try:
            made = example(name, kind, progress=lambda line: print(line, file=sys.stderr))
        except _compile.CompileError as error:
            print(f"{error}\n{error.stderr}", file=sys.stderr)
            return 1
        plain = BUILD / f"{name}.{suffix}"
        plain.write_bytes(made.read_bytes())
        print(f"{hashlib.sha256(made.read_bytes()).hexdigest()[:16]}  {plain.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
