"""``vx32py explain``: what the translator makes of a guest's code."""

from __future__ import annotations

import click

from vx32py.cli import fail, open_program

_EPILOG = """\b
Examples:
  vx32py explain hello.elf                      from the entry point on
  vx32py explain --symbol main hello.elf
  vx32py explain --eip 0x401000 --fragments 1 hello.elf

\b
Left: guest EIP, its bytes, the instruction. Right: offset in the code segment, the bytes that run in
its place, and why they are what they are. GS names the control segment.
"""


@click.command(epilog=_EPILOG)
@click.option("--eip", "address", metavar="ADDRESS", help="Start at this guest address.")
@click.option("--symbol", metavar="NAME", help="Start at this function.")
@click.option("--fragments", type=click.IntRange(min=0), default=4, show_default=True, metavar="N",
              help="How many fragments to show, following direct branches; 0 for all.")  # fmt: skip
@click.argument("program", metavar="PROGRAM")
def explain(address: str | None, symbol: str | None, fragments: int, program: str) -> None:
    """Show guest code of PROGRAM and the fragments it is translated to, side by side. Nothing runs."""
    from reference.policy import Policy
    from vx32py._errors import Vx32Error
    from vx32py._explain import as_text
    from vx32py._explain import explain as explanations
    from vx32py._reachable import space_of

    module = open_program(program)
    try:
        eip = int(address, 0) if address is not None else module.entry
    except ValueError:
        raise click.BadParameter(f"{address!r} is not an address", param_hint="--eip") from None
    try:
        if symbol is not None:
            found = module.symbols.get(symbol)
            if found is None:
                fail(program, f"no symbol {symbol!r}")
            eip = found.address
        space = space_of(module)
    except Vx32Error as error:
        fail(program, error)
    policy = Policy.default()
    for explanation in explanations(module, space, policy, eip, most=fragments):
        for line in as_text(explanation):
            click.echo(line)
        click.echo()
