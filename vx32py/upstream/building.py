"""Make guests of recipes: only what has changed, several at once, and the same bytes every time.

Beside each guest lies what it was made from, as a key. The key knows the digests of the archives instead of their files, so
that nothing is fetched to find out that there is nothing to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeAlias

from jit import diskcache
from reference.records import dataclass
from vx32py import _compile, guest
from vx32py._errors import Vx32Error
from vx32py.upstream import recipes as _recipes
from vx32py.upstream import sources
from vx32py.upstream.recipes import Recipe

#: How far it has got: a line, the number of programs that are finished, and of all.
Progress: TypeAlias = Callable[[str, int, int], None]

#: Only what a program reaches stays in it.
SECTIONS: Final = ("-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True)
class Target:
    """A recipe, and the file that is to be made of it."""

    recipe: Recipe
    output: Path
    native: bool = False


class NotBuilt(Vx32Error):
    """Some programs could not be made; one line for each."""


def build(
    targets: Sequence[Target], *, force: bool = False, jobs: int = 0, progress: Progress | None = None
) -> list[Path]:
    """Make what is not there or has changed, and return what was made. ``jobs`` at once; 0 is one for each processor.

    Raises NotBuilt when all others are made, and `vx32py._compile.CompileError` without any compiler.
    """
    stale = [target for target in targets if force or not is_fresh(target)]
    failures: list[str] = []
    finished = 0

    def say(line: str) -> None:
        if progress:
            progress(line, finished, len(stale))

    def make(target: Target) -> None:
        nonlocal finished
        try:
            _make(target, say)
        except (sources.SourceUnavailable, Vx32Error, OSError) as error:
            failures.append(f"{target.recipe.name}: {error}")
        finished += 1
        say(f"{target.recipe.name} is finished")

    if stale:
        _fetch_all(stale, say)
        with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
            # The large ones first, so that none of them is left over at the end.
            list(pool.map(make, sorted(stale, key=lambda target: -len(target.recipe.sources_needed))))
    if failures:
        raise NotBuilt("\n".join(sorted(failures)))
    return [target.output for target in stale]


def is_fresh(target: Target) -> bool:
    """Whether the program is there and was made of what would be taken now."""
    try:
        return target.output.is_file() and _mark(target).read_text(encoding="ascii") == key(target)
    except OSError:
        return False


def key(target: Target) -> str:
    """What the program depends on: archives, files, options, compiler, guest library. Raises CompileError."""
    recipe = target.recipe
    chosen = _chosen(recipe)
    return diskcache.key_of(
        recipe.name, chosen, _compile.compilers()[chosen], recipe.optimise, *recipe.options,
        str(recipe.plugin), str(target.native), *recipe.sources_needed,
        *(sources.ARCHIVES[package].sha256 for package in recipe.packages),
        *(path.read_bytes() for path in (*recipe.own_files, *guest.files(), *_MACHINERY)),
    )  # fmt: skip


_MACHINERY: Final = (Path(_compile.__file__), Path(_recipes.__file__), Path(__file__))


def _mark(target: Target) -> Path:
    return target.output.with_suffix(".key")


def _chosen(recipe: Recipe) -> _compile.CompilerName:
    found = _compile.compilers()
    if recipe.compiler in found:
        return recipe.compiler
    if found:
        return "gcc" if "gcc" in found else "zig"
    raise _compile.CompileError("no compiler for guests: pip install 'vx32py[guest]' for zig, or install gcc-multilib")


def _fetch_all(targets: Sequence[Target], say: _compile.Progress) -> None:
    """One archive after another: apt does not like company. What cannot be had is told where it is needed."""
    for package in sorted({package for target in targets for package in target.recipe.packages}):
        say(f"source of {package}")
        try:
            sources.fetch(package)
        except sources.SourceUnavailable:
            continue


def _make(target: Target, say: _compile.Progress) -> None:
    recipe, chosen = target.recipe, _chosen(target.recipe)
    _mark(target).unlink(missing_ok=True)

    def tell(line: str) -> None:
        say(f"{recipe.name}: {line}")

    files, flags = recipe.sources(), [*SECTIONS, *recipe.arguments()]
    if target.native:
        _compile.compile_native(
            files, target.output, compiler=chosen, optimise=recipe.optimise, flags=flags, progress=tell
        )
    else:
        _compile.compile_guest(
            files,
            target.output,
            compiler=chosen,
            optimise=recipe.optimise,
            flags=flags,
            plugin=recipe.plugin,
            progress=tell,
        )
    _mark(target).write_text(key(target), encoding="ascii")


def notice(recipes: Sequence[Recipe]) -> str:
    """Whose work is in the programs, and under which licences: the authors' own texts. Raises SourceUnavailable."""
    packages = sorted({package for recipe in recipes for package in recipe.packages})
    parts = ["The programs beside this file were built from the sources of these authors, under their licences.\n"]
    for package in packages:
        archive = sources.ARCHIVES[package]
        users = ", ".join(recipe.name for recipe in recipes if package in recipe.packages)
        parts.append(f"{'=' * 78}\n{archive.package} {archive.version} (in {users})\n{'=' * 78}\n")
        for name in archive.licences:
            text = (sources.fetch(package) / name).read_text(encoding="utf-8", errors="replace")
            parts.append(text.strip() + "\n")
    return "\n".join(parts)
