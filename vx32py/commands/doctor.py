"""``vx32py doctor``: what this host can do for guests."""

from __future__ import annotations

from typing import Any

import click

_EPILOG = """\b
Examples:
  vx32py doctor
  vx32py doctor --json | jq .chosen
  vx32py doctor --clear-cache             remove what is kept on disk; it is made again when it is needed
"""


@click.command(epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Write the facts as JSON.")
@click.option("--clear-cache", is_flag=True, help="Empty the cache on disk, and do nothing else.")
def doctor(as_json: bool, clear_cache: bool) -> None:
    """Show what this host supports, which engine "auto" stands for, and why. Changes nothing, but for --clear-cache."""
    if clear_cache:
        from jit import diskcache

        click.echo(f"{diskcache.clear()} entries removed from {diskcache.directory() or 'no cache: it is turned off'}")
        return
    from vx32py._doctor import doctor as examine

    diagnosis = examine()
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps(asdict(diagnosis), indent=2, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    engines = Table("engine", "runs here", box=None, header_style="bold")
    for name, reason in diagnosis.engines.items():
        engines.add_row(name, "yes" if reason is None else f"no: {reason}")
    console.print(engines)
    console.print(f'\n"auto" is [bold]{diagnosis.chosen}[/bold]: {diagnosis.reason}\n')
    facts = Table("fact", "", "value", "what follows", box=None, header_style="bold")
    for fact in diagnosis.facts:
        facts.add_row(fact.name, _mark(fact.good), fact.value, fact.why)
    for name, value in diagnosis.jit.items():
        facts.add_row(f"jit: {name}", "", str(value), "")
    console.print(facts)


def _mark(good: Any) -> str:
    return {True: "[green]ok[/green]", False: "[red]no[/red]"}.get(good, "")
