"""``python -m conformance.hashes``."""

from __future__ import annotations

import sys

import click

from conformance.hashes import PIECE, measure, piece_of
from vx32py.pki import plugins


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{line}\x1b[K\r", err=True, nl=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[NAMES]...")
@click.option("--mebibytes", default=1024, show_default=True, help="How much goes through each of them.")
@click.option("--turns", default=8, show_default=True, help="In so many parts.")
def main(names: tuple[str, ...], mebibytes: int, turns: int) -> None:
    """Stream a gigabyte through every hash plug-in, and compare digests and throughput with hashlib and with the native
    32-bit program of the same source. Exit code 1 where a digest differs.

    \b
    Examples:
      python -m conformance.hashes
      python -m conformance.hashes --mebibytes 64 --turns 4 whirlpool sha3_256
    """
    for name in names:
        if name not in plugins.HASHES:
            raise click.BadParameter(f"no hash is called {name!r}; there are {', '.join(plugins.HASHES)}")
    pieces = mebibytes * (1 << 20) // PIECE // turns
    if pieces < 1:
        raise click.BadParameter(f"{mebibytes} MiB are not enough for {turns} turns")
    seed = 20080101
    piece = piece_of(seed)
    click.echo(
        f"{pieces * turns} MiB each, in {turns} turns; MB per second of processor time; guest / native 32-bit time"
    )
    click.echo(f"{'hash':<12}{'guest':>8}{'native':>8}{'hashlib':>9}{'ratio':>7}  digests")
    good = True
    for name in names or plugins.HASHES:
        row = measure(name, pieces, turns, piece, seed, _progress)
        good = good and row.agrees
        known = f"{row.hashlib:9.0f}" if row.hashlib is not None else f"{'-':>9}"
        verdict = "agree" if row.agrees else "DIFFER"
        click.echo(f"{row.name:<12}{row.guest:8.0f}{row.native:8.0f}{known}{row.ratio:7.2f}  {verdict}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main(prog_name="python -m conformance.hashes")
