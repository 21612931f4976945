"""What ``vx32py jail`` does, without click, so that it starts quickly: its command line, read where it is plain and correct,
and a guest run to its end. :mod:`.jail` has help and complaints."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from vx32py._jailpolicy import WORDS, JailPolicy, PolicyError
from vx32py.cli import EXIT_SIGNAL, fail, say
from vx32py.commands import guests
from vx32py.commands.guests import WrongUsage

if TYPE_CHECKING:
    from vx32py._jail import Jail
    from vx32py._process import Process
    from vx32py._result import Result

#: Kinds of words that may be said several times, and those whose values are numbers.
LISTS: Final = frozenset({"dirs", "tmpfs", "rules", "env"})
NUMBERS: Final[dict[str, type[int | float]]] = {"seconds": float, "number": int, "count": int}

#: Signals that go to the guest; and those of them that a terminal sends to processes in the foreground.
_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1, signal.SIGUSR2)
_OF_TERMINALS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGWINCH)

_FLAGS: Final = {"--show-policy": "show_policy", "--trace": "trace", "--stats": "stats"}


def opposite(name: str) -> str:
    """The option that takes a flag back.

    >>> opposite("allow-exec"), opposite("overlay")
    ('--no-exec', '--no-overlay')
    """
    return f"--no-{name.removeprefix('allow-')}"


def parse(arguments: Sequence[str]) -> dict[str, Any] | None:
    """The values of all options, ``program`` and ``arguments``, from a command line that is plain; None where click is to be
    asked. Whether values make sense is not looked at."""
    found: dict[str, Any] = {word.key: () if word.kind in LISTS else None for word in WORDS}
    found |= dict.fromkeys(_FLAGS.values(), False) | {"policy_file": None}
    known = {f"--{word.name}": word for word in WORDS}
    flags = {option: (word, option == f"--{word.name}") for word in WORDS if word.kind == "flag"
             for option in (f"--{word.name}", opposite(word.name))}  # fmt: skip
    words = list(reversed(arguments))
    while words and words[-1].startswith("-"):
        option, equals, value = words.pop().partition("=")
        if option in _FLAGS or option in flags:
            if equals:
                return None
            if option in flags:
                found[flags[option][0].key] = flags[option][1]
            else:
                found[_FLAGS[option]] = True
            continue
        if option != "--policy" and option not in known:
            return None
        if not equals:
            if not words:
                return None
            value = words.pop()
        if option == "--policy":
            found["policy_file"] = value
            continue
        word = known[option]
        try:
            converted = NUMBERS[word.kind](value) if word.kind in NUMBERS else value
        except ValueError:
            return None
        found[word.key] = (*found[word.key], converted) if word.kind in LISTS else converted
    if not words:
        return None
    return found | {"program": words.pop(), "arguments": tuple(reversed(words))}


def policy_of(options: dict[str, Any]) -> JailPolicy:
    """The policy of a file, if there is one, changed by options. Raises WrongUsage."""
    policy, file = JailPolicy(), options["policy_file"]
    if file is not None:
        try:
            policy = JailPolicy.from_file(file)
        except PolicyError as error:
            raise WrongUsage(str(error)) from None
        except OSError as error:
            raise WrongUsage(f"{file}: {error.strerror}") from None
    given = {word.name: options[word.key] for word in WORDS if options[word.key] not in (None, ())}
    try:
        return policy.altered(given)
    except PolicyError as error:
        option = None if error.word is None else f"--{error.word}"
        raise WrongUsage(str(error).removeprefix(f"{error.word}: "), option) from None


def run(options: dict[str, Any]) -> None:
    """``vx32py jail``: never returns, but ends as the guest does. Raises WrongUsage."""
    policy, program = policy_of(options), options["program"]
    if options["show_policy"]:
        sys.stdout.write(policy.as_toml())
        sys.exit(0)
    if program is None:
        raise WrongUsage("Missing argument 'PROGRAM'.")
    made = _make(policy, program)
    result = _run(made, program, options["arguments"], trace=options["trace"])
    if options["stats"]:
        guests.show_stats(result.stats)
    guests.exit_like(program, result)


def _make(policy: JailPolicy, program: str) -> Jail:
    from vx32py._errors import UnsupportedHost
    from vx32py._jail import Jail

    try:
        return Jail.from_policy(policy)
    except OSError as error:
        raise WrongUsage(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    except UnsupportedHost as error:
        fail(program, error)


def _run(made: Jail, program: str, arguments: Sequence[str], *, trace: bool) -> Result:
    """Run a program on this command's streams; ends the command where it cannot."""
    from reference.errors import VerificationError
    from vx32py._errors import NotModelled, Vx32Error

    if sys.stdout is not None:
        sys.stdout.flush()
    guests.tell_of_progress()
    observers = []
    if trace:
        from vx32py import strace

        observers.append(strace.printer(strace.to_stderr))
    try:
        process = made.spawn([program, *arguments], **guests.standard_streams())
    except OSError as error:
        fail(program, error.strerror or error)
    except (Vx32Error, VerificationError) as error:
        fail(program, error)
    try:
        with _passing_on_signals(process), _terminal_kept(made.policy):
            result = made.finish(process, observers=observers)
    except (Vx32Error, NotModelled, VerificationError) as error:
        fail(program, error)
    except OSError as error:
        fail(made.policy.overlay_save or program, error.strerror or error)
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + 2)
    if made.policy.overlay_list:
        for what, path in made.changes(process):
            say(f"{what:<8} {printable(path)}")
    return result


@contextmanager
def _passing_on_signals(process: Process) -> Iterator[None]:
    """What this command is sent goes to the guest: what a terminal sends to all processes in the foreground, the rest to the
    first. What the command was started to ignore, the guest does not see either."""
    before = {}

    def pass_on(number: int, frame: object) -> None:
        process.send_signal(number, foreground=number in _OF_TERMINALS)

    for number in _PASSED_ON:
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN and handler is not None:
            before[number] = handler
            signal.signal(number, pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _terminal_kept(policy: JailPolicy) -> Iterator[None]:
    """The settings of the terminal are afterwards what they were, however the guest has ended."""
    import termios

    before = {}
    for fd in range(3) if policy.terminal else ():
        with suppress(termios.error):  # no terminal
            before[fd] = termios.tcgetattr(fd)
    try:
        yield
    finally:
        for fd, settings in before.items():
            with suppress(termios.error):
                termios.tcsetattr(fd, termios.TCSADRAIN, settings)


def printable(path: str) -> str:
    """A path that a guest has made up, without what a terminal would take for a command.

    >>> printable("/tmp/\\x1b[2J")
    '/tmp/\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in path)
