"""The commands of ``vx32py`` as click knows them, and its help. A command's module is loaded when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from vx32py import __version__
from vx32py.cli import EXIT_SIGNAL

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Name of a command → the module that has it, under a name without dashes, and what ``--help`` says of it.
_COMMANDS: Final = {
    "run": ("vx32py.commands.run", "Run a guest program; its exit code passes through."),
    "jail": ("vx32py.commands.jail", "Run a Linux i386 program with the files, calls and limits that it is granted."),
    "plan9": ("vx32py.commands.plan9", "Run Plan 9 programs for the 386 on a Plan 9 kernel in Python."),
    "cc": ("vx32py.commands.cc", "Compile C to a guest program."),
    "trace": ("vx32py.commands.trace", "Run a guest and show its system calls, or every instruction."),
    "explain": ("vx32py.commands.explain", "Show guest code and the fragments it is translated to, side by side."),
    "verify": ("vx32py.commands.verify", "Translate all of a program and verify every fragment; nothing runs."),
    "archive": ("vx32py.commands.archive", "Make and read ZIP archives that carry their decoders."),
    "pki": (
        "vx32py.commands.pki",
        "Keys, signed statements and proofs, with hash and signature schemes that come along.",
    ),
    "doctor": ("vx32py.commands.doctor", "Show what this host supports, which engine runs, and why."),
}

_EPILOG: Final = """\b
Examples:
  vx32py cc hello.c -o hello.elf          compile C for the sandbox
  vx32py run hello.elf one two            run it; stdin and stdout pass through
  vx32py run --dir .:/data sort.elf /data/list.txt
  vx32py trace hello.elf                  what it asks of its host
  vx32py COMMAND --help                   more about one command

A guest reaches its own memory, stdin, stdout and stderr, and nothing else unless an option grants it.
"""


class _Commands(click.Group):
    """Loads a command's module when the command is asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # which click would call "Aborted!", with exit code 1
            sys.exit(EXIT_SIGNAL + 2)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *_plugged_in()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            plugged_in = _plugged_in().get(cmd_name)
            return None if plugged_in is None else _pass_on(cmd_name, plugged_in)
        command = getattr(import_module(entry[0]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])
        if plugged_in := _plugged_in():
            with formatter.section("From other packages"):
                formatter.write_dl([(name, entry.value) for name, entry in plugged_in.items()])


def _plugged_in() -> dict[str, EntryPoint]:
    """Commands that other packages add: entry points of the group ``vx32py.commands``, each a function that takes the
    arguments and returns the exit code. (``conformance`` comes by this way: nothing here may import it.)"""
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group="vx32py.commands")}


def _pass_on(name: str, entry: EntryPoint) -> click.Command:
    """A command that leaves all of its arguments, ``--help`` too, to the function behind an entry point."""

    @click.command(name, add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        sys.exit(entry.load()(list(arguments)))

    return command


@click.command(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="vx32py")
def vx32py() -> None:
    """Run untrusted 32-bit x86 programs in a sandbox, at native speed and without privileges."""
