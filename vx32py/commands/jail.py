"""``vx32py jail``: run a Linux i386 program with nothing but what it is granted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from vx32py._jailpolicy import ENGINES, WORDS, Word
from vx32py.commands import jailing
from vx32py.commands.options import GUEST_ARGUMENTS, wrong_usage_to_click

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
        return click.option(f"{flag}/{jailing.opposite(word.name)}", word.key, default=None, help=word.help)
    kind: Any = click.Choice(ENGINES) if word.kind == "choice" else jailing.NUMBERS.get(word.kind)
    return click.option(
        flag, word.key, metavar=word.metavar, type=kind, multiple=word.kind in jailing.LISTS, help=word.help
    )


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
def jail(**options: Any) -> None:
    """Run PROGRAM, an unmodified Linux i386 program, in a jail: everything that is not granted is refused.

    Its standard streams are this command's own. It runs in this process, under no rights of its own: the host makes each
    call for it, on arguments that it has copied, and only what the policy grants.
    """
    with wrong_usage_to_click():
        jailing.run(options)
