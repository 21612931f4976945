"""``vx32py jail``: run a Linux i386 program with nothing but what it is granted."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from vx32py.cli import EXIT_SIGNAL, fail
from vx32py.commands import guests
from vx32py.commands.guests import Option, WrongUsage
from vx32py.commands.options import GUEST_ARGUMENTS, options_of, wrong_usage_to_click

JAIL_OPTIONS: Final = (
    Option("--root", "root", "A host directory that is the guest's /, read-only.", None, "DIR"),
    Option("--dir", "directories", "Show a host directory or file to the guest; read-only without :rw.", (),
           "HOST[:GUEST][:ro|rw]", multiple=True),
    Option("--env", "environment", "Set a variable of its environment, or take it from the host's.", (),
           "NAME[=VALUE]", multiple=True),
    Option("--cwd", "cwd", "The directory that it starts in.", "/", "PATH"),
    Option("--allow-exec", "allow_exec", "Let it run other programs.", False, is_flag=True),
    Option("--engine", "engine", "What runs the guest.", "auto", choices=("auto", "jit", "translated", "reference")),
    Option("--memory", "memory", "How much memory each process may have.", "256M", "SIZE"),
    Option("--timeout", "timeout", "How long it may run; then the exit code is 124.", None, "SECONDS", float),
    Option("--cpu-time", "cpu_time", "How much processor time it may use; then the exit code is 124.", None, "SECONDS",
           float),
    Option("--fuel", "fuel", "How many instructions it may execute; then the exit code is 124.", None, "N", int),
    Option("--processes", "processes", "How many processes it may have.", 64, "N", int),
    Option("--open-files", "open_files", "How many descriptors a process may have.", 256, "N", int),
    Option("--output-limit", "output_limit", "How much it may write to stdout, and as much to stderr.", None, "SIZE"),
    Option("--write-limit", "write_limit", "How much it may write to files.", None, "SIZE"),
    Option("--verify", "verify", "Have the verifier accept every fragment before it can be reached.", False, is_flag=True),
    Option("--stats", "stats", "Afterwards, show on stderr what the run took.", False, is_flag=True),
)  # fmt: skip

_EPILOG = """\b
Examples:
  vx32py jail ./hello                         a static program of the host's
  vx32py jail --root debian-i386 --allow-exec /bin/sh -c 'ls / | wc -l'
"""


@click.command(epilog=_EPILOG, context_settings=GUEST_ARGUMENTS)
@options_of(JAIL_OPTIONS)
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
def jail(**options: Any) -> None:
    """Run PROGRAM, an unmodified Linux i386 program, in a jail."""
    with wrong_usage_to_click():
        _jail(**options)


def _jail(
    program: str, arguments: tuple[str, ...], directories: tuple[str, ...], environment: tuple[str, ...], stats: bool,
    **options: Any,
) -> None:  # fmt: skip
    from reference.errors import VerificationError
    from vx32py._errors import NotModelled, Vx32Error
    from vx32py._jail import DEFAULT_ENVIRONMENT, Jail, parse_directory

    try:
        grants = dict(parse_directory(text) for text in directories)
        made = Jail(dirs=grants, env=DEFAULT_ENVIRONMENT | _variables(environment), **options)
    except OSError as error:
        raise WrongUsage(f"{error.filename}: {error.strerror}", "--dir") from None
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    except Vx32Error as error:
        fail(program, error)
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        result = made.run([program, *arguments], **guests.standard_streams())
    except OSError as error:
        fail(program, error.strerror or error)
    except (Vx32Error, NotModelled, VerificationError) as error:
        fail(program, error)
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + 2)
    if stats:
        guests.show_stats(result)
    guests.exit_like(program, result)


def _variables(texts: tuple[str, ...]) -> dict[str, str]:
    """The environment that --env asks for. Raises WrongUsage."""
    import os

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise WrongUsage(f"{text!r} is not NAME=VALUE or NAME", "--env")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found
