"""``vx32py run``: run a guest program as if it were a program of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vx32py.commands.options import GUEST_ARGUMENTS, exit_like, run_guest, sandbox_options

if TYPE_CHECKING:
    from vx32py._result import Result

_EPILOG = """\b
Examples:
  vx32py run hello.elf -v name            options after PROGRAM are the guest's
  tar c . | vx32py run --timeout 10 --memory 256M gzip.elf > out.gz
  vx32py run --dir ~/data:/data --dir out:/out:rw convert.elf /data/a /out/b
  vx32py run --engine reference --fuel 1000000 --stats hello.elf
  vx32py run --policy deterministic,aes,avx2 codec.elf < in > out

\b
Exit codes:
  the guest's own; 124 when time or fuel ran out; 125 when PROGRAM cannot run here;
  139, 136, 132, 133 where a native program would have died of SIGSEGV, SIGFPE, SIGILL, SIGTRAP.
"""


@click.command(epilog=_EPILOG, context_settings=GUEST_ARGUMENTS)
@sandbox_options
@click.option("--stats", is_flag=True, help="Afterwards, show on stderr what the run took.")
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
def run(stats: bool, **options: Any) -> None:
    """Run PROGRAM, a static 32-bit x86 ELF file, in a sandbox.

    Its standard streams are this command's own. It cannot reach files, the network or other processes; --dir grants
    files. Programs made by "vx32py cc" run, and so do static programs for i386 Linux that compute on their streams.
    """
    _, result = run_guest(options)
    if stats:
        show_stats(result)
    exit_like(options["program"], result)


def show_stats(result: Result) -> None:
    """The counters of a run on stderr, one a line."""
    stats, counters = result.stats, result.stats.counters
    lines = [
        ("engine", stats.engine),
        ("wall time", f"{stats.seconds:.6f} s"),
        ("running", f"{counters.seconds_running:.6f} s"),
        ("translating", f"{counters.seconds_translating:.6f} s"),
        ("instructions", f"{counters.instructions:,}" if counters.instructions else "not counted"),
        ("fragments", f"{counters.fragments:,}"),
        ("code translated", f"{counters.guest_bytes_translated:,} bytes to {counters.cache_bytes:,}"),
        ("traps", f"{counters.traps:,}"),
        ("invalidations", f"{counters.invalidations:,}"),
        ("memory mapped", f"{stats.memory:,} bytes"),
        ("system calls", ", ".join(f"{name} {count}" for name, count in stats.calls.most_common()) or "none"),
    ]
    if stats.unknown_calls:
        unknown = ", ".join(f"{table} {number} ({count})" for (table, number), count in stats.unknown_calls.items())
        lines.append(("unknown calls", unknown))
    for name, value in lines:
        click.echo(f"{name + ':':<17} {value}", err=True)
