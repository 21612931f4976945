"""``vx32py verify``: a program's fragments before the verifier."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from vx32py.cli import fail, open_program

if TYPE_CHECKING:
    from reference.memory import AddressSpace
    from reference.policy import Policy
    from vx32py._module import Module
    from vx32py._reachable import Translate

_EPILOG = """\b
Examples:
  vx32py verify hello.elf
  vx32py verify --policy everything --translator reference busybox
  vx32py run --verify hello.elf           verify what is translated while it runs

\b
The verifier shares no code with the translators: it reads finished fragments with capstone, and accepts
those in which every byte is accounted for, and nothing can touch a segment, leave the code cache, or
do anything else than the guest's own code says. From the entry point and all functions with a name on,
all code is translated that direct branches and returns lead to.

\b
Exit codes: 0 when every fragment is accepted, 1 when one is not, 125 when PROGRAM cannot be loaded.
"""
#: A thread pointer, for programs that may have one.
_THREAD_POINTER: Final = 0x0123_4560


@click.command(epilog=_EPILOG)
@click.option("--policy", "policy_text", default="default", metavar="POLICY", show_default=True,
              help="Which instructions the guest has; as for run.")  # fmt: skip
@click.option("--translator", type=click.Choice(["both", "reference", "compiled"]), default="both", show_default=True,
              help="Whose fragments; without numba only the specification's are there.")  # fmt: skip
@click.argument("program", metavar="PROGRAM")
def verify(policy_text: str, translator: str, program: str) -> None:
    """Translate all of PROGRAM that can be reached, and verify every fragment. Nothing runs."""
    from dataclasses import replace

    from reference.policy import Policy
    from vx32py._errors import Vx32Error
    from vx32py._reachable import space_of

    try:
        policy = Policy.parse(policy_text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--policy") from None
    module = open_program(program)
    pointers: list[int | None] = [None]
    if module.abi == "linux":
        policy = replace(policy, thread_pointer=True)
        pointers.append(_THREAD_POINTER)
    try:
        space = space_of(module)
    except Vx32Error as error:
        fail(program, error)
    from rich.console import Console
    from rich.table import Table

    table = Table("translator", "GS", "fragments", "instructions", "guest bytes", "not code", "refused", box=None)
    refused: list[str] = []
    for name, translate in _translators(program, translator).items():
        for gs_base in pointers:
            row, found = _judge(module, space, policy, gs_base, translate)
            table.add_row(name, "unused" if gs_base is None else "in use", *(f"{number:,}" for number in row))
            refused += found
    Console().print(table)
    for line in refused[:20]:
        click.echo(line)
    if refused:
        click.echo(f"{len(refused)} reason{'s' * (len(refused) > 1)} to refuse fragments of {module.name}")
        sys.exit(1)


def _translators(program: str, choice: str) -> dict[str, Translate]:
    from reference.translator import translate
    from vx32py._errors import UnsupportedHost

    found: dict[str, Translate] = {} if choice == "compiled" else {"reference": translate}
    if choice == "reference":
        return found
    try:
        found["compiled"] = _compiled()
    except UnsupportedHost as error:
        if choice == "compiled":
            fail(program, error)
    return found


def _compiled() -> Translate:
    """The compiled translator. Raises UnsupportedHost."""
    from vx32py._errors import UnsupportedHost

    try:
        from jit import compiled
        from jit.translate import NumbaTranslator
    except ImportError as error:
        raise UnsupportedHost(f"no compiled translator: {error}") from error
    try:
        return NumbaTranslator(compiled.build()).translate
    except compiled.BuildError as error:
        raise UnsupportedHost(f"no compiled translator: {error}") from error


def _judge(
    module: Module, space: AddressSpace, policy: Policy, gs_base: int | None, translate: Translate
) -> tuple[list[int], list[str]]:
    """The numbers of a row, and what the verifier says."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from reference.translator import Fragment
    from vx32py._reachable import reachable
    from vx32py.verify import problems

    starts = [module.entry, *(symbol.address for symbol in module.symbols.values() if space.fetch(symbol.address, 1))]
    fragments = instructions = size = not_code = refused = 0
    found: list[str] = []
    with Progress(SpinnerColumn(), TextColumn("{task.completed:,.0f} fragments"), transient=True) as progress:
        task = progress.add_task("")
        for reached in reachable(space, policy, starts, gs_base=gs_base, translator=translate):
            if not isinstance(reached.made, Fragment):
                not_code += 1
                continue
            complaints = problems(reached.made, gs_base=gs_base, window=reached.window, guest=reached.code)
            found += complaints
            refused += bool(complaints)
            fragments += 1
            instructions += len(reached.made.spans)
            size += reached.made.length
            progress.update(task, completed=fragments)
    return [fragments, instructions, size, not_code, refused], found
