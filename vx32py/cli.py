"""The command line: ``vx32py COMMAND``. Commands are loaded when they are used, and so is click (:mod:`.commands.group`).

Exit codes: the guest's own; 2 for wrong usage; 124 when a limit ended the guest; 125 for an image that
cannot run or a host that cannot run it; 128 + n where a native program would have died of signal n.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from vx32py._module import Module

EXIT_USAGE: Final = 2
EXIT_LIMIT: Final = 124
EXIT_CANNOT_RUN: Final = 125
EXIT_SIGNAL: Final = 128

#: How many objects a process that runs a guest makes before it looks for garbage. What a short one has made until its
#: end is all in use.
_ALLOCATIONS: Final = 50_000


def main() -> None:
    """The entry point of the ``vx32py`` command."""
    sys.unraisablehook = _thrown_away
    try:
        if sys.argv[1:2] in (["run"], ["jail"]):
            _run_at_once(sys.argv[1], sys.argv[2:])
        from vx32py.commands.group import vx32py

        try:
            vx32py(prog_name="vx32py")
        except SystemExit:
            if sys.argv[1:2] == ["plan9"]:  # one Ctrl-C more, while the interpreter ends, would be its exit code
                import signal

                signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(EXIT_SIGNAL + 13)
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + 2)


def _thrown_away(unraisable: sys.UnraisableHookArgs) -> None:
    """What Python does with an exception that nobody gets: for Ctrl-C that is not good enough."""
    from vx32py.commands import stopping

    stopping.thrown_away(unraisable)


def _run_at_once(command: str, arguments: list[str]) -> None:
    """``vx32py run`` and ``vx32py jail`` without click, which takes longer to import than most guests run, and without the interpreter's way
    to the end of a process. Returns where click is to have its say: to explain, or to complain."""
    gc.set_threshold(_ALLOCATIONS)
    from vx32py.commands import guests

    if command == "run":
        run, options = guests.run, guests.parse(guests.RUN_OPTIONS, arguments)
    else:
        from vx32py.commands import jailing

        run, options = jailing.run, jailing.parse(arguments)
    if options is None:
        return
    try:
        run(options)
    except guests.WrongUsage:
        return
    except KeyboardInterrupt:
        _leave(EXIT_SIGNAL + 2)
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else 0)


def _leave(code: int) -> NoReturn:
    """End this process as the interpreter does, but for clearing away one object after the other."""
    import atexit

    atexit._run_exitfuncs()  # noqa: SLF001 - there is no other way to have them run
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


def say(line: str) -> None:
    """A line on stderr, where there is one."""
    if sys.stderr is not None:
        print(line, file=sys.stderr)


def fail(program: str, message: object, code: int = EXIT_CANNOT_RUN) -> NoReturn:
    """End with one line on stderr that says what and where."""
    say(f"vx32py: {program}: {message}")
    sys.exit(code)


def open_program(path: str) -> Module:
    """The module in a file; ends the command where there is none."""
    from vx32py._errors import BadImage
    from vx32py._module import Module

    try:
        return Module.from_file(path)
    except BadImage as error:
        fail(path, error)
    except OSError as error:
        fail(path, error.strerror or error)
