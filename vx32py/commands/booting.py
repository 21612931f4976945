"""What ``vx32py plan9`` does, without click: a kernel made of its options, a program on this command's terminal, its end."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from vx32py.cli import EXIT_LIMIT, EXIT_SIGNAL, fail, say
from vx32py.commands import guests
from vx32py.commands.guests import SANDBOX_OPTIONS, Option, WrongUsage
from vx32py.commands.jailing import printable

if TYPE_CHECKING:
    from vx32py.plan9.boot import Beginning
    from vx32py.plan9.kernel import Kernel
    from vx32py.plan9.proc import Proc
    from vx32py.plan9.terminal import Terminal
    from vx32py.vfs.host import HostTree

#: As for every other guest.
_COMMON: Final = {option.name: option for option in SANDBOX_OPTIONS}
OPTIONS: Final = (
    Option("--root", "root", "The root of a Plan 9 tree for the 386, a directory of this host's.", None, "TREE"),
    Option("--writable", "writable", "Programs may change the root; otherwise /tmp is in memory.", False, is_flag=True),
    Option("--tree", "trees", "Another directory of this host's, as /mnt/NAME and #UNAME; read-only without :rw.", (),
           "NAME=DIR[:rw]", multiple=True),
    Option("--net", "net",
           "none, host, or what may be reached: ADDRESS:PORT[/udp], listen:ADDRESS:PORT. Several, or with commas.", (),
           "none|host|ALLOW", multiple=True),
    Option("--host", "hosts", "A name that programs can look up.", (), "NAME=ADDRESS", multiple=True),
    Option("-c", "command", "Run a command with the root's /bin/rc, and end.", None, "COMMAND"),
    Option("--aout", "aout", "PROGRAM is a file of this host's. It always is without --root.", False, is_flag=True),
    Option("--user", "user", "Who programs run as.", "glenda", "NAME"),
    Option("--sysname", "sysname", "What the system is called.", "gnot", "NAME"),
    Option("--env", "environment", "Set an environment variable.", (), "NAME=VALUE", multiple=True),
    _COMMON["engine"],
    Option("--memory", "memory", "How much memory each process may have: image, stack and heap.", "128M", "SIZE"),
    _COMMON["timeout"],
    _COMMON["cpu_time"],
    _COMMON["fuel"],
    Option("--processes", "processes", "How many processes there may be at a time.", 500, "N", int),
    _COMMON["policy"],
    _COMMON["verify"],
    Option("--trace", "trace", "Show each call on stderr.", False, is_flag=True),
    Option("--stats", "stats", "Afterwards, show on stderr what the run took.", False, is_flag=True),
)  # fmt: skip
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_LONGEST_NAME: Final = 64
#: What a process of the host's needs no more of, however many programs it runs.
_MOST_DESCRIPTORS: Final = 65536


def run(options: dict[str, Any]) -> None:
    """``vx32py plan9``: never returns, but ends as its program does. Raises WrongUsage."""
    from reference.errors import VerificationError
    from vx32py._errors import LimitExceeded, NotModelled, Vx32Error

    program, command = options["program"], options["command"]
    if program is not None and program.startswith("-") and command is None:
        raise WrongUsage(f"no such option: {printable(program)}")
    if options["aout"] and program is None:
        raise WrongUsage("there is no PROGRAM", "--aout")
    if options["root"] is None and command is not None:
        raise WrongUsage("there is no shell without --root", "-c")
    if options["root"] is None and program is None:
        raise WrongUsage("there is nothing to run: neither --root nor PROGRAM")
    name = program or "rc"
    guests.tell_of_progress()
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        with _Signals() as signals:
            ended = _run(options, name, signals)
    except LimitExceeded as error:
        say(f"vx32py: {printable(name)}: {error}")
        sys.exit(EXIT_LIMIT)
    except (Vx32Error, NotModelled, VerificationError) as error:
        fail(name, error)
    if isinstance(ended, int):
        sys.exit(EXIT_SIGNAL + ended)
    if ended:
        say(f"vx32py: {printable(name)}: {printable(ended)}")
    sys.exit(bool(ended))


def _kernel_of(options: dict[str, Any]) -> Kernel:
    from reference.policy import Policy
    from vx32py._errors import UnsupportedHost
    from vx32py._network import Network
    from vx32py.plan9.kernel import Kernel

    try:
        policy = Policy.parse(options["policy"])
    except ValueError as error:
        raise WrongUsage(str(error), "--policy") from None
    for key in ("user", "sysname"):
        if not _is_name(options[key]):
            raise WrongUsage(f"{options[key]!r} is no name", f"--{key}")
    trees = dict(_tree(text) for text in options["trees"])
    columns, lines = _size()
    environment = {"COLS": str(columns), "LINES": str(lines)} if columns else {}
    for text in options["environment"]:
        name, equals, value = text.partition("=")
        if not equals or not name or "/" in name:
            raise WrongUsage(f"{text!r} is not NAME=VALUE", "--env")
        environment[name] = value
    hosts = {}
    for text in options["hosts"]:
        name, equals, address = text.partition("=")
        if not equals or not name or not address:
            raise WrongUsage(f"{text!r} is not NAME=ADDRESS", "--host")
        hosts[name] = address
    try:
        net = Network.parse(options["net"] or "none")
    except ValueError as error:
        raise WrongUsage(str(error), "--net") from None
    _take_descriptors()
    source, *outputs = _standard()
    sink = next((fd for fd in outputs if fd is not None and os.isatty(fd)), outputs[0])
    try:
        return Kernel(
            source=source, sink=sink, env=environment, policy=policy, trees=trees, net=net, hosts=hosts,
            **{key: options[key] for key in (
                "root", "writable", "user", "sysname", "engine", "memory", "timeout", "cpu_time", "fuel", "processes", "verify",
            )},
        )  # fmt: skip
    except OSError as error:
        fail(options["root"] or "plan9", error.strerror or error)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    except UnsupportedHost as error:
        fail(options["program"] or "plan9", error)


def _take_descriptors() -> None:
    """As many descriptors as the host lets this process have: each process of the kernel needs some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tree(text: str) -> tuple[str, HostTree]:
    from vx32py.vfs.host import HostTree

    name, equals, path = text.partition("=")
    if not equals or not _is_name(name) or not path:
        raise WrongUsage(f"{text!r} is not NAME=DIR or NAME=DIR:rw", "--tree")
    writable = path.endswith(":rw")
    path = path.removesuffix(":rw").removesuffix(":ro")
    if os.path.exists(path) and not os.path.isdir(path):
        fail(path, "Not a directory")
    try:
        return name, HostTree(path, writable=writable)
    except OSError as error:
        fail(path, error.strerror or error)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and "/" not in name and name not in (".", "..")


def _size() -> tuple[int, int]:
    """Columns and lines of the terminal; 0 where there is none."""
    try:
        return os.get_terminal_size(0)
    except OSError:
        return 0, 0


# -- running -----------------------------------------------------------------------------------------------------------


class _Signals:
    """What this command is told by signals, a context manager: Ctrl-C is a note, and what asks it to end ends the kernel. What
    it was started to ignore it goes on to ignore. ``number`` is the signal that has ended the kernel."""

    def __init__(self) -> None:
        self.number = 0
        self.kernel: Kernel | None = None
        self.terminal: Terminal | None = None
        #: Nothing is left to be ended: whoever has pressed Ctrl-C may press it once more.
        self.over = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        handlers = dict.fromkeys(_ENDING, self._asked_to_end) | {signal.SIGINT: self._interrupted}
        for number, handler in handlers.items():
            there = signal.getsignal(number)
            if there is not signal.SIG_IGN and there is not None:
                self._before[number] = there
                signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked_to_end(self, number: int, frame: object) -> None:
        self.end(number)

    def _interrupted(self, number: int, frame: object) -> None:
        if self.terminal is not None and self.terminal.proc is not None:
            self.terminal.interrupt()
        else:
            self.end(number)

    def end(self, number: int) -> None:
        """End the kernel soon; or where it has been told before, or there is none, at once."""
        if self.over:
            return
        at_once, self.number = bool(self.number) or self.kernel is None, number
        if at_once:
            raise SystemExit(EXIT_SIGNAL + number)
        assert self.kernel is not None
        self.kernel.family.interrupt()


def _run(options: dict[str, Any], name: str, signals: _Signals) -> str | int:
    """How the program has ended: its status, or the number of the signal that this command got."""
    from vx32py.plan9.terminal import Terminal

    with _kernel_of(options) as kernel:
        if options["trace"]:
            from vx32py import strace
            from vx32py.plan9.tracing import Tracer

            kernel.observers.append(Tracer(strace.to_stderr))
        with Terminal(kernel, 0, lambda: signals.end(signal.SIGINT)) as terminal:
            signals.terminal = terminal
            proc = terminal.proc = _start(kernel, options, name)
            signals.kernel = kernel
            kernel.wait(proc)
            signals.over = True
        if options["stats"]:
            guests.show_stats(proc.stats)
    return signals.number if proc.status is None or signals.number else proc.status


def _start(kernel: Kernel, options: dict[str, Any], name: str) -> Proc:
    """Start what was asked for; ends the command where that cannot be."""
    from vx32py.plan9 import boot
    from vx32py.plan9.errors import Error

    root, program, arguments = options["root"], options["program"], options["arguments"]
    streams = _streams()
    try:
        if program is not None and options["command"] is None:
            if root is None or options["aout"]:
                return _start_file(kernel, program, arguments, streams)
            return _started(
                kernel, boot.Beginning((program, *arguments), boot.environment(kernel), boot.home_of(kernel)), streams
            )
        words = (*(() if program is None else (program,)), *arguments)
        return _started(kernel, boot.shell(kernel, options["command"], words, interactive=os.isatty(0)), streams)
    except boot.NoShell as error:
        fail(root, error)
    except Error as error:
        why = boot.what_is_wrong(kernel, program) if program is not None and not options["command"] else None
        fail(printable(name), printable(why or error.text))


def _started(kernel: Kernel, what: Beginning, streams: Sequence[Any]) -> Proc:
    stdin, stdout, stderr = streams
    return kernel.start(what.command, stdin=stdin, stdout=stdout, stderr=stderr, env=what.env, directory=what.directory)


def _start_file(kernel: Kernel, path: str, arguments: Sequence[str], streams: tuple[Any, Any, Any]) -> Proc:
    """A program of the host's."""
    from vx32py.plan9.aout import Program
    from vx32py.plan9.execution import MOST_FILE

    try:
        with open(path, "rb") as file:
            data = file.read(MOST_FILE + 1)
    except OSError as error:
        fail(path, error.strerror or error)
    if len(data) > MOST_FILE:
        fail(path, f"larger than {MOST_FILE} bytes")
    return kernel.start_program(Program.from_aout(data, os.path.basename(path)), [path, *arguments], streams=streams)


def _streams() -> tuple[Any, Any, Any]:
    """Descriptors 0, 1 and 2: those of this command, or the console where they are its terminal."""
    from vx32py.plan9.kernel import CONSOLE

    stdin, stdout, stderr = (CONSOLE if fd is not None and os.isatty(fd) else fd for fd in _standard())
    return stdin, stdout, stderr


def _standard() -> list[int | None]:
    return [stream if isinstance(stream, int) else None for stream in guests.standard_streams().values()]
