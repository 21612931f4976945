"""``python -m vx32py.decoders``: build the decoders, and the PKI's plug-ins, that are not there or have changed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import click

from vx32py import decoders
from vx32py._errors import Vx32Error
from vx32py.decoders.recipes import RECIPES
from vx32py.upstream import building, sources
from vx32py.upstream.building import Target
from vx32py.upstream.recipes import Recipe

ROOT = Path(__file__).resolve().parents[2]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[NAMES]...")
@click.option("--force", is_flag=True, help="Build them even if nothing has changed.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="So many at once; 0: one for each processor.")
@click.option(
    "--native",
    is_flag=True,
    help="Build the same sources as native 32-bit programs, in build/decoders, to compare with.",
)
def main(names: tuple[str, ...], force: bool, jobs: int, native: bool) -> None:
    """Build the decoders, and the plug-ins of vx32py.pki: all of them, or those with the NAMES given.

    The sources come from Debian's archive the first time. One whose sources, compiler and options are what they were is
    not built again.

    \b
    Examples:
      python -m vx32py.decoders
      python -m vx32py.decoders gzip bzip2
      python -m vx32py.decoders --native flac
    """
    folders = {decoders.BUILT: list(RECIPES.values())}
    if plugins := _plugins():
        folders[Path(decoders.__file__).resolve().parents[1] / "pki" / "built"] = plugins
    known = [recipe.name for recipes in folders.values() for recipe in recipes]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"nothing is called {name!r}; there are {', '.join(known)}")
    if native:
        folders = {ROOT / "build" / "decoders": [recipe for recipe in RECIPES.values() if not recipe.plugin]}
    suffix = "" if native else ".elf"
    targets = [
        Target(recipe, folder / f"{recipe.name}{suffix}", native=native)
        for folder, recipes in folders.items()
        for recipe in recipes
        if recipe.name in names or not names
    ]
    try:
        made = _build(targets, force, jobs)
        if not native:
            for folder, recipes in folders.items():
                _notice(folder, recipes)
    except (Vx32Error, sources.SourceUnavailable) as error:
        click.echo(error, err=True)
        sys.exit(1)
    for path in made:
        click.echo(f"{path.name}: {path.stat().st_size:,} bytes")
    if len(made) < len(targets):
        click.echo(f"{len(targets) - len(made)} of {len(targets)} were up to date")


def _plugins() -> list[Recipe]:
    if importlib.util.find_spec("vx32py.pki") is None or importlib.util.find_spec("vx32py.pki.plugins") is None:
        return []
    return list(importlib.import_module("vx32py.pki.plugins").RECIPES.values())


def _build(targets: list[Target], force: bool, jobs: int) -> list[Path]:
    """With a bar on a terminal, and a line for each program elsewhere."""
    if not sys.stderr.isatty():

        def tell(line: str, finished: int, total: int) -> None:
            if line.endswith("is finished"):
                click.echo(f"[{finished}/{total}] {line}", err=True)

        return building.build(targets, force=force, jobs=jobs, progress=tell)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("decoders", total=None)

        def show(line: str, finished: int, total: int) -> None:
            bar.update(task, description=line[:60], completed=finished, total=total)

        return building.build(targets, force=force, jobs=jobs, progress=show)


def _notice(folder: Path, recipes: list[Recipe]) -> None:
    """The licences of what is built, beside it."""
    text = building.notice(recipes)
    file = folder / "NOTICE"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(prog_name="python -m vx32py.decoders")
