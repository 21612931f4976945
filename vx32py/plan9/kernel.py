"""Kernel: Plan 9 as a library.

with vx32py.plan9.kernel.Kernel() as kernel:
    proc = kernel.start(program, ["hello"])
    kernel.wait(proc)
    proc.status                          # nothing is good
"""

from __future__ import annotations

import enum
import errno
import os
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from reference.policy import Group, Policy
from reference.records import dataclass
from vx32py import _engines
from vx32py._clock import HostClock, VirtualClock
from vx32py._descriptors import Descriptors
from vx32py._errors import BadImage, LimitExceeded
from vx32py._family import MOST_SPACES, Family
from vx32py._group import ThreadGroup
from vx32py._network import Network
from vx32py._sandbox import Sandbox
from vx32py.plan9 import boot, driving, execution, loading, naming, transfers
from vx32py.plan9.account import Account
from vx32py.plan9.aout import TEXT, Program
from vx32py.plan9.calls.files import channel
from vx32py.plan9.calls.table import complete_table
from vx32py.plan9.chan import OREAD, OWRITE
from vx32py.plan9.devices.ip.device import Ip
from vx32py.plan9.devices.srv import Services
from vx32py.plan9.devices.table import devices_of
from vx32py.plan9.errors import Ebadexec, Enovmem, Error
from vx32py.plan9.execution import Programs
from vx32py.plan9.groups import FdGroup, NoteGroup, RendezvousGroup
from vx32py.plan9.host import Host
from vx32py.plan9.memory import Memory, used_by_all
from vx32py.plan9.namespace import MCREATE, MREPL
from vx32py.plan9.ninep import serving
from vx32py.plan9.proc import Proc
from vx32py.plan9.semaphores import Semaphores
from vx32py.plan9.waiting import Attendants
from vx32py.vfs.files import Files
from vx32py.vfs.host import HostTree
from vx32py.vfs.mounts import Grant, parse_size

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reference.traps import Trap
    from vx32py._calls import Observer
    from vx32py.plan9.chan import Chan
    from vx32py.plan9.devices.objects import Served
    from vx32py.plan9.devices.streams import Sink, Source
    from vx32py.plan9.ninep.server import Export
    from vx32py.plan9.ninep.serving import Listener
    from vx32py.plan9.waiting import Result as Returned
    from vx32py.plan9.waiting import Running

#: So many times the memory of one process all together may have besides their stacks, if nothing else is said.
SPACES: Final = 32
#: The number of who starts the first processes: the kernel itself.
BOOT_PID: Final = 1
#: So many messages of the kernel's wait at a time until somebody reads them.
_MOST_SAYINGS: Final = 32
#: What the kernel itself puts into the environment (/sys/src/9/pc/main.c, init0).
ENVIRONMENT: Final = {"terminal": "generic pc", "cputype": "386", "objtype": "386", "service": "terminal"}
#: So much of the addresses below 4 GiB is for processes; and so much is what each needs besides its memory: a stack, and what
#: its engine has.
_ROOM: Final = 3328 << 20
_ROOM_BESIDES: Final = 56 << 20


class Console(enum.Enum):
    """That a descriptor is the console."""

    CONSOLE = 0


CONSOLE: Final = Console.CONSOLE


@dataclass(frozen=True, slots=True)
class Result:
    """How a program has ended: ``status`` is empty where all was well; and what it has written."""

    status: str
    stdout: bytes
    stderr: bytes


class Collected:
    """Takes what a program writes, up to a limit. Raises LimitExceeded."""

    def __init__(self, most: int) -> None:
        self.data = bytearray()
        self._most = most

    def __call__(self, data: bytes) -> None:
        """Some more."""
        if len(self.data) + len(data) > self._most:
            raise LimitExceeded("output", f"the program wrote more than {self._most} bytes")
        self.data += data


class Kernel:
    """A Plan 9 kernel, and all of its processes; a context manager.

    ``engine``, ``memory`` (of each process), ``timeout``, ``cpu_time``, ``fuel``, ``policy`` and ``verify`` are a
    :class:`vx32py.Sandbox`'s; ``processes`` is how many there may be at a time, and ``total_memory`` what all of them may have
    together, with their stacks and their programs: their stacks and 32 times ``memory``, if nothing else is said. ``user`` and ``sysname`` are what programs
    are told. The console reads from ``source`` (a descriptor of the host's, or bytes), and writes to ``sink`` (a descriptor,
    or a function). ``env`` is the environment that processes begin with, besides what a kernel puts there. ``root``
    is a directory of the host's with a tree of Plan 9's; one that is not ``writable`` has a /tmp in memory. ``trees`` are more
    directories, by name: ``/mnt/name``, and ``#Uname``; read-only but for those of a :class:`vx32py.Grant` that says otherwise. ``net`` is what may be connected to and listened at, a :class:`vx32py.Network` or its
    words; without any there is no ``#I``. ``hosts`` are names that programs can look up, with their addresses; others the
    host is asked for where all of the network is granted. Raises OSError for what is not there.
    """

    def __init__(
        self,
        *,
        engine: str = "auto",
        memory: int | str = "128M",
        timeout: float | None = None,
        cpu_time: float | None = None,
        fuel: int | None = None,
        policy: Policy | None = None,
        processes: int = 500,
        total_memory: int | str | None = None,
        user: str = "glenda",
        sysname: str = "gnot",
        source: Source = None,
        sink: Sink = None,
        env: Mapping[str, str] | None = None,
        root: str | os.PathLike[str] | None = None,
        writable: bool = False,
        trees: Mapping[str, str | os.PathLike[str] | Grant | HostTree] | None = None,
        net: Network | str | Iterable[str] = "none",
        hosts: Mapping[str, str] | None = None,
        verify: bool = False,
    ) -> None:
        self.sandbox = Sandbox(
            engine=engine, memory=memory, timeout=timeout, cpu_time=cpu_time, fuel=fuel, policy=policy,
            calls=complete_table(), processes=processes, verify=verify,
        )  # fmt: skip
        self.user = user
        self.sysname = sysname
        clock = HostClock() if Group.TIME in self.sandbox.policy.groups else VirtualClock()
        self.family = Family(clock, timeout=timeout, fuel=fuel, most=processes, cpu_time=cpu_time, endless=True)
        self.family.next_number = BOOT_PID
        self.family.most_spaces = max(MOST_SPACES, _ROOM // (self.sandbox.memory + _ROOM_BESIDES))
        #: Who has started the first processes.
        self.boot = ThreadGroup(self.family, None, self.family.new_number())
        self.family.threads_started = 0
        self.descriptors = Descriptors(3)
        self.files = Files({})
        self.semaphores = Semaphores()
        self.account = Account()
        self.total_memory = _together(total_memory, self.sandbox)
        self.programs = Programs()
        self._next_note_group = 1
        self._sayings = 0
        granted = {name: _tree(tree) for name, tree in (trees or {}).items()}
        if root is not None:
            granted[""] = _directory(root, writable=writable)
        #: They see every call of processes that are started from now on (:class:`vx32py._calls.Observer`).
        self.observers: list[Observer] = []
        self.attendants = self.family.attendants = Attendants()
        network = net if isinstance(net, Network) else Network.parse(net)
        self.devices = devices_of(self, source, sink, granted, network, hosts or {})
        #: The application, as it is seen in the name space.
        self.host: Host = Host(self, user)
        self.host.boot(read_only=not writable)
        for name, value in {**ENVIRONMENT, "user": user, "sysname": sysname, **(env or {})}.items():
            self.host.env.set(name, os.fsencode(value))
        self.zero_is_possible = _zero_is_possible(_engines.resolve(engine))

    # -- processes -------------------------------------------------------------------------------------------------

    def procs(self) -> Iterator[Proc]:
        """All processes, by number."""
        return (task for _, task in sorted(self.family.tasks.items()) if isinstance(task, Proc))

    def proc(self, pid: int) -> Proc | None:
        """A process by its number."""
        task = self.family.tasks.get(pid)
        return task if isinstance(task, Proc) else None

    def start(
        self,
        command: Sequence[str | bytes],
        *,
        stdin: Source | Console = CONSOLE,
        stdout: Sink | Console = CONSOLE,
        stderr: Sink | Console = CONSOLE,
        env: Mapping[str, str] | None = None,
        directory: str = "/",
    ) -> Proc:
        """A process with a program of the name space; nothing of it runs yet. A program without a slash is one of /bin.

        Descriptors 0, 1 and 2 are the console, or ``stdin`` (bytes, a descriptor of the host's, None for nothing), ``stdout``
        and ``stderr`` (a descriptor, a function, None for nowhere). ``env`` is added to the environment. Raises Error,
        LimitExceeded, UnsupportedHost.
        """
        words = [os.fsencode(word) for word in command]
        path = os.fsdecode(words[0])
        if not path.startswith(("/", "#", "./", "../")):
            path = "/bin/" + path
        host = self.host
        program, words, name, found = host.do(execution.find(self, host, path, words), None)
        try:
            proc = self.start_program(program, words, streams=(stdin, stdout, stderr))
        except BadImage:
            raise Error(Ebadexec) from None
        proc.text, proc.program_path = name, found
        for variable, value in (env or {}).items():
            proc.env.set(variable, os.fsencode(value))
        try:
            if directory != "/":
                dot, proc.dot = proc.dot, host.do(naming.find_directory(host, directory))
                dot.close()
        except Error:
            proc.kill("no directory")
            raise
        return proc

    def run(
        self,
        command: Sequence[str | bytes],
        *,
        stdin: Source = b"",
        env: Mapping[str, str] | None = None,
        directory: str = "/",
        output_limit: int = 64 << 20,
    ) -> Result:
        """Run a program of the name space to its end, and collect what it writes, each at most ``output_limit`` bytes. Raises
        what :meth:`start` and :meth:`wait` raise."""
        stdout, stderr = Collected(output_limit), Collected(output_limit)
        proc = self.start(command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, directory=directory)
        try:
            self.wait(proc)
        finally:
            proc.kill("killed")
        return Result(proc.status or "", bytes(stdout.data), bytes(stderr.data))

    def rc(
        self,
        command: str,
        arguments: Sequence[str] = (),
        *,
        stdin: Source = b"",
        env: Mapping[str, str] | None = None,
        output_limit: int = 64 << 20,
    ) -> Result:
        """Run a command of the root's shell, with $* from ``arguments``, in the user's home; else as :meth:`run`. Raises Error
        where there is no shell, too."""
        what = boot.shell(self, command, arguments)
        return self.run(
            what.command,
            stdin=stdin,
            env={**what.env, **(env or {})},
            directory=what.directory,
            output_limit=output_limit,
        )

    def start_program(
        self,
        program: Program,
        arguments: Iterable[str | bytes] = (),
        *,
        streams: tuple[Source | Console, Sink | Console, Sink | Console] = (CONSOLE, CONSOLE, CONSOLE),
    ) -> Proc:
        """A process with a program that is not in the name space; nothing of it runs yet. ``arguments`` begin with its name.
        Raises LimitExceeded, BadImage, UnsupportedHost, Error."""
        words = [os.fsencode(argument) for argument in arguments] or [os.fsencode(program.name)]
        sandbox = self.sandbox
        layout = loading.plan(program, sandbox.memory)
        try:
            self.check_room(loading.needed(program, layout))
        except Error:
            raise LimitExceeded("memory", f"the processes may have {self.total_memory} bytes together") from None
        engine = _engines.create(
            sandbox.engine, limit=layout.limit, budget=sandbox.memory, policy=sandbox.policy, program=program.identity,
            verify=sandbox.verify, metered=sandbox.fuel is not None, prefer_zero=self.zero_is_possible,
        )  # fmt: skip
        fds = self.host.fds.empty()
        try:
            self._connect(fds, streams)
            memory = Memory(engine.space, program, layout)
            number = self.family.next_number
            loading.begin(engine, program, layout, words, number)
            proc = Proc(self, engine, memory, group=ThreadGroup(self.family, self.boot, number))
        except BaseException:
            fds.leave()
            engine.close()
            engine.space.close()
            raise
        proc.waited_for = False
        proc.observers = self.observers
        proc.segments = loading.segments_of(program, layout)
        proc.text, proc.args = os.fsdecode(os.path.basename(words[0])), loading.shown(words)
        proc.fds, proc.env, proc.rendezvous = fds, self.host.env.clone(), RendezvousGroup()
        proc.names, proc.slash, proc.dot = self.host.names.share(), self.host.slash.incref(), self.host.slash.incref()
        proc.note_group = self.new_note_group()
        proc.note_group.members.append(proc)
        proc.expect_calls()
        return proc

    def _connect(self, fds: FdGroup, streams: tuple[Source | Console, Sink | Console, Sink | Console]) -> None:
        """Descriptors 0, 1 and 2. Raises Error."""
        source, *sinks = streams
        host = self.host
        if isinstance(source, Console):
            fds.install(self._console(OREAD))
        else:
            fds.install(host.channel("stdin", source, None, OREAD))
        for name, sink in zip(("stdout", "stderr"), sinks, strict=True):
            if isinstance(sink, Console):
                fds.install(self._console(OWRITE))
            else:
                assert not isinstance(sink, bytes)
                fds.install(host.channel(name, None, sink, OWRITE))

    def _console(self, mode: int) -> Chan:
        """By the name that programs expect of a terminal, unless somebody has put something else there."""
        try:
            chan = self.host.open("/dev/cons", mode)
        except Error:
            return self.host.open("#c/cons", mode)
        if chan.device.letter == "c":
            return chan
        chan.close()
        return self.host.open("#c/cons", mode)

    def new_note_group(self) -> NoteGroup:
        """A note group without members."""
        self._next_note_group += 1
        return NoteGroup(self._next_note_group)

    def check_room(self, more: int) -> None:
        """Whether processes may have so many bytes more. Raises Error."""
        if used_by_all(self.procs()) + more > self.total_memory:
            raise Error(Enovmem)

    def ended(self, proc: Proc) -> None:
        """A process has ended."""

    def say(self, proc: Proc, message: bytes) -> None:
        """Write to a process's descriptor 2, if it can be written to."""
        try:
            chan = channel(proc, 2, OWRITE).incref()
        except Error:
            return
        if self._sayings >= _MOST_SAYINGS:  # nobody listens
            chan.close()
            return
        self._sayings += 1
        self.attendants.start(self._say(chan, message))

    async def _say(self, chan: Chan, message: bytes) -> None:
        try:
            await transfers.write(self.host, chan, message, None)
        finally:
            self._sayings -= 1
            chan.close()

    @property
    def tally(self) -> dict[str, int]:
        """How many calls of each name there were."""
        procs = tuple(self.procs())
        for proc in procs:
            if proc.native is not None:
                proc.native.count()
        return procs[0].tally if procs else {}

    # -- names -----------------------------------------------------------------------------------------------------

    def bind(self, new: str | Served, old: str, flag: int = MREPL) -> None:
        """Let something be found at ``old`` (bind(2)): a file of the name space, if ``new`` is a name, or an object of the
        application's (:mod:`vx32py.plan9.devices.objects`): a mapping is a directory, bytes are a file, and so on. Processes
        that have been started see it, unless they have a name space of their own. Raises Error, TypeError."""
        if isinstance(new, str):
            self.host.bind(new, old, flag)
        else:
            self.host.bind_object(new, old, flag)

    def mount(self, connection: socket.socket | int, old: str, flag: int = MREPL | MCREATE, spec: str = "") -> None:
        """Let the files of a server be found at ``old`` that speaks 9P2000 at the other end of a connection (mount(2)): a
        socket, or the number of a descriptor, which stays the caller's. Raises Error, also where it does not answer."""
        chan = self.host.stream(_descriptor(connection), owned=True)
        try:
            self.host.mount(chan, old, flag, spec)
        finally:
            chan.close()

    def export(self, connection: socket.socket | int, root: str = "/", *, writable: bool = True) -> Export | Listener:
        """Serve the name space, from ``root`` on, by 9P2000 to who is at the other end of a connection, or to everybody who
        connects to a listening socket. It is served while the kernel waits for a process (:meth:`wait`) or serves
        (:meth:`serve`). Raises Error where there is no such root."""
        return serving.export(self.host, _descriptor(connection), root, writable=writable)

    def carry_out(self, running: Running[Returned], timeout: float) -> Returned:
        """See :func:`vx32py.plan9.driving.carry_out`."""
        return driving.carry_out(self, running, timeout)

    def serve(self, *exports: Export | Listener, timeout: float | None = None) -> bool:
        """Serve until these have ended, or without any until all processes have, and run what processes there are meanwhile;
        False if that takes longer than ``timeout`` seconds. Raises what :meth:`wait` raises."""
        return driving.serve(self, exports, timeout)

    # -- running ---------------------------------------------------------------------------------------------------

    def wait(self, proc: Proc) -> Trap | None:
        """Run all processes until one has ended. Raises LimitExceeded, KeyboardInterrupt, and what a device raises that is
        the application's. None; or an IRQ trap where somebody has called ``family.interrupt()``."""
        if not proc.alive:
            return None
        trap = self.family.run(proc)
        self.attendants.advance()  # the farewells to those whose files it had
        return trap if proc.status is None else None

    def close(self) -> None:
        """End all processes, and give back what they had. What is interrupted by Ctrl-C does not keep the rest from being
        done."""
        with ExitStack() as last:  # the last one first
            last.callback(self.family.close)
            services, ip = self.devices["s"], self.devices.get("I")
            if isinstance(ip, Ip):
                last.callback(ip.close)
            assert isinstance(services, Services)
            last.callback(services.close)
            last.callback(self.attendants.close)
            last.callback(self.host.names.dispose)  # servers are left
            for proc in self.procs():
                last.callback(proc.kill, "killed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _descriptor(connection: socket.socket | int) -> int:
    """A descriptor of its own for a connection."""
    return os.dup(connection if isinstance(connection, int) else connection.fileno())


def _directory(path: str | os.PathLike[str], *, writable: bool) -> HostTree:
    """A directory of the host's, granted. Raises OSError."""
    if not os.path.isdir(path) and os.path.exists(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))
    return HostTree(path, writable=writable)


def _tree(granted: str | os.PathLike[str] | Grant | HostTree) -> HostTree:
    """What is granted. Raises OSError."""
    if isinstance(granted, HostTree):
        return granted
    if isinstance(granted, Grant):
        return _directory(granted.path, writable=granted.writable)
    return _directory(granted, writable=False)


def _together(total_memory: int | str | None, sandbox: Sandbox) -> int:
    """What all processes may have together, in bytes."""
    if total_memory is not None:
        return parse_size(total_memory)
    return SPACES * sandbox.memory + sandbox.processes * loading.stack_size(sandbox.memory)


def _zero_is_possible(engine: str) -> bool:
    """Whether a program can be at linear address zero: its text is in a page that many hosts keep to themselves."""
    if engine != "jit":
        return True
    from jit.lowmem import lowest

    return lowest() <= TEXT
