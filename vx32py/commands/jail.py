"""``vx32py jail``: run a Linux i386 program with nothing but what it is granted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from vx32py._jailpolicy import ENGINES, WORDS, JailPolicy, PolicyError, Word
from vx32py.cli import EXIT_SIGNAL, fail
from vx32py.commands import guests
from vx32py.commands.options import GUEST_ARGUMENTS

if TYPE_CHECKING:
    from vx32py._jail import Jail
    from vx32py._process import Process
    from vx32py._result import Result

Function = TypeVar("Function", bound=Callable[..., Any])

_EPILOG: Final = """\b
Examples:
  vx32py jail ./hello                         a static program of the host's: it sees itself, /proc and /dev
  vx32py jail --root debian-i386 --allow-exec /bin/bash -c 'ls / | wc -l'
  vx32py jail --root debian-i386 --dir src:/src --dir out:/out:rw --tmpfs /tmp --cwd /src --allow-exec make
  vx32py jail --root debian-i386 --overlay --overlay-list --uid 0 --allow-exec sh -c 'rm -rf /'
  vx32py jail --root debian-i386 --net 127.0.0.1:6379 redis-cli ping
  vx32py jail --policy build.toml --timeout 60 --stats make
  vx32py jail --root debian-i386 --net '*:443' --show-policy > policy.toml

\b
Paths are looked up in the guest's name space: links, ".." and /proc lead nowhere but to what was granted. Without
--root, PROGRAM may be a static program of the host's. A policy file has the same words: "allow-exec = true".

\b
Ctrl-C, SIGTERM, SIGHUP and changes of the window's size go to the guest; Ctrl-\\ ends the jail.

\b
Exit codes:
  the guest's own; 128 + n when signal n ended it; 124 when it passed a limit; 125 when PROGRAM cannot run here;
  2 for options that make no sense.
"""


def policy_options(function: Function) -> Function:
    """A decorator that adds an option for each word of a policy."""
    for word in reversed(WORDS):
        function = _option(word)(function)
    return function


def _option(word: Word) -> Callable[[Function], Function]:
    flag = f"--{word.name}"
    if word.kind == "flag":
        opposite = f"--no-{word.name.removeprefix('allow-')}"
        return click.option(f"{flag}/{opposite}", word.key, default=None, help=word.help)
    kind: Any = {"seconds": click.FLOAT, "number": click.INT, "count": click.INT, "choice": click.Choice(ENGINES)}.get(
        word.kind
    )
    many = word.kind in {"dirs", "tmpfs", "rules", "env"}
    return click.option(flag, word.key, metavar=word.metavar, type=kind, multiple=many, help=word.help)


@click.command(epilog=_EPILOG, context_settings=GUEST_ARGUMENTS)
@click.option(
    "--policy", "policy_file", metavar="FILE", help="Take the policy from a TOML file; options change and add to it."
)
@policy_options
@click.option("--show-policy", is_flag=True, help="Print the policy as a file, and run nothing.")
@click.option("--trace", is_flag=True, help="Show each call on stderr.")
@click.option("--stats", is_flag=True, help="Afterwards, show on stderr what the run took.")
@click.argument("program", metavar="PROGRAM", required=False)
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
def jail(
    program: str | None,
    arguments: tuple[str, ...],
    *,
    policy_file: str | None,
    show_policy: bool,
    trace: bool,
    stats: bool,
    **options: Any,
) -> None:
    """Run PROGRAM, an unmodified Linux i386 program, in a jail: everything that is not granted is refused.

    Its standard streams are this command's own. It runs in this process, under no rights of its own: the host makes each
    call for it, on arguments that it has copied, and only what the policy grants.
    """
    policy = _policy(policy_file, options)
    if show_policy:
        click.echo(policy.as_toml(), nl=False)
        return
    if program is None:
        raise click.UsageError("Missing argument 'PROGRAM'.")
    made = _make(policy, program)
    result = _run(made, program, arguments, trace=trace)
    if stats:
        guests.show_stats(result)
    guests.exit_like(program, result)


def _policy(file: str | None, options: dict[str, Any]) -> JailPolicy:
    """The policy of a file, changed by options."""
    policy = JailPolicy()
    if file is not None:
        try:
            policy = JailPolicy.from_file(file)
        except PolicyError as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            raise click.UsageError(f"{file}: {error.strerror}") from None
    given = {word.name: options[word.key] for word in WORDS if options[word.key] not in (None, ())}
    try:
        return policy.altered(given)
    except PolicyError as error:
        hint = None if error.word is None else f"--{error.word}"
        raise click.BadParameter(str(error).removeprefix(f"{error.word}: "), param_hint=hint) from None


def _make(policy: JailPolicy, program: str) -> Jail:
    from vx32py._errors import UnsupportedHost
    from vx32py._jail import Jail

    try:
        return Jail.from_policy(policy)
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except UnsupportedHost as error:
        fail(program, error)


def _run(made: Jail, program: str, arguments: tuple[str, ...], *, trace: bool) -> Result:
    """Run a program on this command's streams; ends the command where it cannot."""
    from reference.errors import VerificationError
    from vx32py._errors import NotModelled, Vx32Error

    if sys.stdout is not None:
        sys.stdout.flush()
    observers = []
    if trace:
        from vx32py._strace import CallPrinter

        observers.append(CallPrinter(lambda line: print(line, file=sys.stderr)))
    try:
        process: Process = made.spawn([program, *arguments], **guests.standard_streams())
    except OSError as error:
        fail(program, error.strerror or error)
    except (Vx32Error, VerificationError) as error:
        fail(program, error)
    try:
        return made.sandbox.finish(process, observers=observers)
    except (Vx32Error, NotModelled, VerificationError) as error:
        fail(program, error)
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + 2)
