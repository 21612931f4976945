"""``vx32py run``: run a guest program as if it were a program of the host."""

from __future__ import annotations

from typing import Any

import click

from vx32py.commands import guests
from vx32py.commands.options import GUEST_ARGUMENTS, options_of, wrong_usage_to_click

_EPILOG = """\b
Examples:
  vx32py run hello.elf -v name            options after PROGRAM are the guest's
  tar c . | vx32py run --timeout 10 --memory 256M --output-limit 100M gzip.elf > out.gz
  vx32py run --dir ~/data:/data --dir out:/out:rw convert.elf /data/a /out/b
  vx32py run --fuel 1000000 --stats hello.elf
  vx32py run --policy deterministic,aes,avx2 codec.elf < in > out

\b
Exit codes:
  the guest's own; 124 when it passed a limit; 125 when PROGRAM cannot run here;
  139, 136, 132, 133 where a native program would have died of SIGSEGV, SIGFPE, SIGILL, SIGTRAP.
"""


@click.command(epilog=_EPILOG, context_settings=GUEST_ARGUMENTS)
@options_of(guests.RUN_OPTIONS)
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
def run(**options: Any) -> None:
    """Run PROGRAM, a static 32-bit x86 ELF file, in a sandbox.

    Its standard streams are this command's own. It cannot reach files, the network or other processes; --dir grants
    files. Programs made by "vx32py cc" run, and so do static programs for i386 Linux that compute on their streams.
    """
    with wrong_usage_to_click():
        guests.run(options)
