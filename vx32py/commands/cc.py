"""``vx32py cc``: compile C to a guest program."""

from __future__ import annotations

import sys
from typing import Any

import click

from vx32py.cli import fail

_EPILOG = """\b
Examples:
  vx32py cc hello.c -o hello.elf
  vx32py cc -O3 main.c hash.c -o hash.elf -- -DFAST -mno-sse
  vx32py cc -O3 --compiler gcc hash.c -o hash.elf -- -march=x86-64-v2
  vx32py cc --plugin digest.c -o digest.elf   functions for Sandbox.instantiate (docs/plugins.md)
  vx32py cc --libc musl tool.c -o tool.elf    a static Linux program instead
  vx32py cc --libc plan9 hello.c -o 8.out     a program for "vx32py plan9", with Plan 9's u.h and libc.h

\b
Speed:
  The defaults are -O2, SSE2 arithmetic, no frame pointer and no stack protector. The default policy admits what
  x86-64-v2 has (up to SSE4.2, POPCNT); "run --policy host" what this processor has, up to AVX2 and BMI2 (-march=haswell).
  gcc and clang differ by up to a half, in both directions: try both --compiler gcc and zig.
"""


@click.command(epilog=_EPILOG)
@click.option("-o", "--output", required=True, metavar="OUT", help="Where the program goes.")
@click.option(
    "-O", "level", default="2", show_default=True, metavar="LEVEL", help="How much to optimise: 0, 1, 2, 3, s."
)
@click.option("--compiler", default="auto", show_default=True, type=click.Choice(["auto", "zig", "gcc"]))
@click.option("--libc", default="vx", show_default=True, type=click.Choice(["vx", "musl", "plan9"]),
              help="The guest library of this package, musl for a static Linux program, or Plan 9's for an a.out.")  # fmt: skip
@click.option("--plugin", is_flag=True, help="Make a plug-in: functions for a host to call (vxplugin.h), and no main.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is being done.")
@click.argument("sources", metavar="FILES...", nargs=-1, required=True)
def cc(output: str, level: str, sources: tuple[str, ...], verbose: bool, **options: Any) -> None:
    """Compile C (or assembly) to a guest program. Options for the compiler follow the files, after "--"."""
    from vx32py._compile import CompileError, compile_guest

    files = [source for source in sources if not source.startswith("-")]
    flags = [source for source in sources if source.startswith("-")]
    progress = (lambda line: click.echo(line, err=True)) if verbose else None
    try:
        compile_guest(files, output, optimise=f"-O{level}", flags=flags, progress=progress, **options)
    except CompileError as error:
        if error.stderr:
            click.echo(error.stderr.rstrip(), err=True)
        fail("cc", error, 1)
    except (ValueError, OSError) as error:
        fail("cc", error, 1)
    sys.exit(0)
