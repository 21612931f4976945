"""What the commands that run a guest have in common: their options, and how the guest's end becomes an exit code.

Nothing here needs click, so that ``vx32py run`` starts quickly. The options are a table, from which :func:`parse` reads a
plain command line; :mod:`.options` makes click's options of the same table, which help and complaints come from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from reference.records import dataclass
from vx32py.cli import EXIT_CANNOT_RUN, EXIT_LIMIT, EXIT_SIGNAL, fail, open_program, say

if TYPE_CHECKING:
    from vx32py._calls import Observer
    from vx32py._module import Module
    from vx32py._result import Result, RunStats
    from vx32py._sandbox import Sandbox
    from vx32py.vfs.mounts import Grant


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command. A value is text, a ``number`` (int or float, more than 0), or one of ``choices``;
    a ``flag`` has none. Of a ``multiple`` option the values are a tuple. ``name`` is the key of the parsed value."""

    flag: str
    name: str
    help: str
    default: Any = None
    metavar: str | None = None
    number: type[int | float] | None = None
    choices: tuple[str, ...] = ()
    is_flag: bool = False
    multiple: bool = False


#: What makes an image a plug-in (vx32py.plugin.declarations, which takes longer to import than to look for this).
PLUGIN_SECTION: Final = b".vx_plugin"

SANDBOX_OPTIONS: Final = (
    Option("--engine", "engine", "What runs the guest.", "auto", choices=("auto", "jit", "translated", "reference")),
    Option("--memory", "memory", "How much memory it may have: image, stack and heap.", "64M", "SIZE"),
    Option("--timeout", "timeout", "How long it may run; then the exit code is 124.", None, "SECONDS", float),
    Option("--cpu-time", "cpu_time", "How much processor time it may use; then the exit code is 124.", None, "SECONDS",
           float),
    Option("--fuel", "fuel", "How many instructions it may execute; then the exit code is 124.", None, "N", int),
    Option("--output-limit", "output_limit",
           "How much it may write to stdout, and as much to stderr; then the exit code is 124.", None, "SIZE"),
    Option("--write-limit", "write_limit",
           "How much it may write to files of --dir, all together; then the exit code is 124.", None, "SIZE"),
    Option("--dir", "directories", "Show a host directory or file to the guest; read-only without :rw.", (),
           "HOST:GUEST[:rw]", multiple=True),
    Option("--env", "environment", "Set a variable of its environment, which is empty otherwise.", (), "NAME=VALUE",
           multiple=True),
    Option("--policy", "policy",
           "Which instructions it has: default, deterministic, integer, host (what this processor has), everything, or"
           " groups such as cmov,sse2. Without the group time, as under deterministic and integer, clocks and random"
           " numbers are made up.", "default", "NAME|GROUP,..."),
    Option("--verify", "verify", "Have the verifier accept every fragment before it can be reached.", False, is_flag=True),
)  # fmt: skip
RUN_OPTIONS: Final = (
    *SANDBOX_OPTIONS,
    Option("--stats", "stats", "Afterwards, show on stderr what the run took.", False, is_flag=True),
)


class WrongUsage(Exception):
    """Options that make no sense, found before anything has run; ``option`` is the one to blame, if it is one."""

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


def parse(options: Sequence[Option], arguments: Sequence[str]) -> dict[str, Any] | None:
    """The values of all options, ``program`` and its ``arguments``, from a command line that is plain and correct.

    None where it is not: where click is to be asked.
    """
    known = {option.flag: option for option in options}
    found: dict[str, Any] = {option.name: option.default for option in options}
    words = list(reversed(arguments))
    while words and words[-1].startswith("-"):
        flag, equals, value = words.pop().partition("=")
        option = known.get(flag)
        if option is None or (option.is_flag and equals):
            return None
        if option.is_flag:
            found[option.name] = True
            continue
        if not equals:
            if not words:
                return None
            value = words.pop()
        try:
            converted = option.number(value) if option.number is not None else value
        except ValueError:
            return None
        if (option.choices and value not in option.choices) or (isinstance(converted, int | float) and converted <= 0):
            return None
        found[option.name] = (*found[option.name], converted) if option.multiple else converted
    if not words:
        return None
    return found | {"program": words.pop(), "arguments": tuple(reversed(words))}


def run(options: dict[str, Any]) -> None:
    """``vx32py run``: never returns, but ends as the guest does. Raises WrongUsage."""
    _, result = run_guest(options)
    if options["stats"]:
        show_stats(result.stats)
    exit_like(options["program"], result)


def make_sandbox(options: dict[str, Any]) -> Sandbox:
    """The sandbox that the options describe. Raises WrongUsage where they make no sense."""
    from reference.policy import Policy
    from vx32py._errors import UnsupportedHost
    from vx32py._sandbox import Sandbox

    try:
        policy = Policy.parse(options["policy"])
    except ValueError as error:
        raise WrongUsage(str(error), "--policy") from None
    environment = {}
    for text in options["environment"]:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise WrongUsage(f"{text!r} is not NAME=VALUE", "--env")
        environment[name] = value
    files = dict(_mount(text) for text in options["directories"])
    try:
        return Sandbox(
            engine=options["engine"],
            memory=options["memory"],
            timeout=options["timeout"],
            cpu_time=options["cpu_time"],
            fuel=options["fuel"],
            output_limit=options["output_limit"],
            write_limit=options["write_limit"],
            policy=policy,
            files=files,
            env=environment,
            verify=options["verify"],
        )
    except OSError as error:
        raise WrongUsage(f"{error.filename}: {error.strerror}", "--dir") from None
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    except UnsupportedHost as error:
        fail(options["program"], error)


def _mount(text: str) -> tuple[str, Grant]:
    from vx32py.vfs.mounts import Grant

    writable = text.endswith(":rw")
    host, colon, guest = text.removesuffix(":rw").removesuffix(":ro").rpartition(":")
    if not colon or not host or not guest.startswith("/"):
        raise WrongUsage(f"{text!r} is not HOST:GUEST[:rw] with an absolute GUEST", "--dir")
    return guest, Grant(host, writable)


def run_guest(options: dict[str, Any], *, observers: Iterable[Observer] = ()) -> tuple[Module, Result]:
    """Run the program that the options name on this process's standard streams. Ends the command where it cannot."""
    from reference.errors import VerificationError
    from vx32py._errors import NotModelled, Vx32Error

    sandbox = make_sandbox(options)
    module = open_program(options["program"])
    _refuse_plugin(options["program"], module)
    tell_of_progress()
    if sys.stdout is not None:
        sys.stdout.flush()
    streams = standard_streams()
    try:
        return module, sandbox.run(
            module, options["arguments"], **streams, name=options["program"], observers=observers
        )
    except (Vx32Error, NotModelled, VerificationError) as error:
        fail(options["program"], error)
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + 2)


def _refuse_plugin(path: str, module: Module) -> None:
    """A plug-in has an entry point, which returns to a place that is not there: nobody could make sense of that trap."""
    from vx32py import _elf
    from vx32py._errors import BadImage

    try:
        section = _elf.section(module.data, module.image, PLUGIN_SECTION, len(module.data))
    except BadImage:  # nothing that a program needs
        return
    if section is not None:
        fail(path, "a plug-in, whose functions are for a host to call: vx32py.Sandbox().instantiate(...) in Python")


#: Seconds that something may take without a word, where stderr is not a terminal.
_MOMENT: Final = 1.0


def tell_of_progress() -> None:
    """One line on stderr about work that makes the guest wait: at once on a terminal, else when it has taken a moment."""
    try:
        from jit import progress
    except ImportError:  # there is no jit on this system
        return

    def tell(what: str, seconds: float) -> None:
        if seconds > _MOMENT or (sys.stderr is not None and sys.stderr.isatty()):
            progress.listener = None
            say(f"vx32py: {what}")

    progress.listener = tell


def standard_streams() -> dict[str, Any]:
    """This process's standard streams for the guest; nothing in place of those that are closed."""
    from vx32py._streams import DEVNULL

    streams = {}
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
            streams[name] = fd
        except OSError:
            streams[name] = DEVNULL
    return streams


def exit_like(program: str, result: Result) -> None:
    """End this process as the guest ended, with a line on stderr where that was not its own doing."""
    from vx32py._result import signal_of

    if result.exit_code is not None and result.trap is None:
        sys.exit(result.exit_code)
    say(f"vx32py: {program}: {result.describe()}")
    if result.trap is not None:
        sys.exit(EXIT_SIGNAL + signal_of(result.trap))
    sys.exit(EXIT_LIMIT if result.limit is not None else EXIT_CANNOT_RUN)


def show_stats(stats: RunStats) -> None:
    """The counters of a run on stderr, one a line."""
    counters = stats.counters
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
        ("processes", f"{stats.processes:,} started, with {stats.threads:,} threads"),
        ("memory mapped", f"{stats.memory:,} bytes"),
        ("system calls", ", ".join(f"{name} {count}" for name, count in stats.calls.most_common()) or "none"),
    ]
    if stats.unknown_calls:
        unknown = ", ".join(f"{_unknown(*key)} ({count})" for key, count in stats.unknown_calls.items())
        lines.append(("unknown calls", unknown))
    for name, value in lines:
        say(f"{name + ':':<17} {value}")


def _unknown(table: str, number: int) -> str:
    """A call without a handler: by name where its table is Linux's, else by number."""
    if number < 0:
        return f"{table}, others"
    if table != "linux":
        return f"{table} {number}"
    from vx32py.personality.linux.calls import name_of

    return f"{table} {name_of(number)}"
