"""Sandbox: what a guest may use, and the ways to run one in it."""

from __future__ import annotations

import copy
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from reference.memory import page_ceil
from reference.policy import Group, Policy
from reference.records import replace
from vx32py import _engines, _execution, _loader
from vx32py._calls import LINUX_TRAP, VX_TRAP, Observer, SystemCalls
from vx32py._clock import HostClock, VirtualClock
from vx32py._descriptors import GUEST_ID, Descriptors, Meter
from vx32py._errors import LimitExceeded
from vx32py._family import Family
from vx32py._mm import Mm
from vx32py._module import Module
from vx32py._process import Process
from vx32py._result import Result
from vx32py._snapshot import Snapshot
from vx32py._streams import Input, Output
from vx32py.vfs.files import Files
from vx32py.vfs.mounts import Granted, parse_size

if TYPE_CHECKING:
    from reference.traps import Trap
    from vx32py._guard import Guards
    from vx32py._network import Network
    from vx32py._program import Programs
    from vx32py.plugin.loading import HostFunction
    from vx32py.plugin.plugin import Plugin
    from vx32py.plugin.stream import Stream

#: What runs: a module, the bytes of one, or the path of one.
Program = Module | bytes | bytearray | memoryview | str | os.PathLike[str]
Text = str | bytes | os.PathLike[str]

#: With a limit of what may be written, so many files, folders and links may be made on the host, and one more for so many
#: bytes of the limit: each takes an inode and a block there.
_NAMES_FREE: Final = 1024
_BYTES_A_NAME: Final = 4096

#: The user number that means "no user" to Linux (include/linux/uidgid.h).
NO_ID: Final = 0xFFFF_FFFF
#: Of a name in struct new_utsname, without the zero byte.
MOST_HOSTNAME: Final = 64


def _limit_of_bytes(name: str, size: int | str | None) -> int | None:
    if size is None:
        return None
    size = parse_size(size)
    if size < 0:
        raise ValueError(f"{name} must be a number of bytes, not {size!r}")
    return size


class Sandbox:
    """What guests may use. A sandbox holds no guest: every spawn gets an engine and memory of its own.

    All arguments are keywords:

    * ``engine``: auto, jit, translated or reference; see :func:`vx32py.engines`.
    * ``memory``: how many bytes a process may map: image, heap, stack. A number, or such as "64M".
    * ``timeout``: seconds of wall time that ``run()`` may take, all calls of it together; None for no limit.
    * ``cpu_time``: seconds of processor time that the thread in ``run()`` may use, all calls and processes together; what
      the guest waits for does not count. None for no limit.
    * ``fuel``: how many instructions may be executed, all processes together. Exact and reproducible, the same on every
      engine; it takes time wherever the guest jumps: decoders take 3 to 7 times as long on the jit engine.
      :meth:`reference.engine.Engine.run_for` says precisely what counts: each instruction
      once, also one that traps, a system call, or a whole repeated string instruction.
    * ``policy``: which instructions there are. A policy without the TIME group, such as ``Policy.deterministic()``, also
      gives the guest a made-up clock and made-up random numbers.
    * ``calls``: the tables of system calls. By default both ``SystemCalls.vx()`` and ``SystemCalls.linux()``.
    * ``files``: guest path → host path (read-only), :class:`Grant`, bytes, or another of :data:`vx32py.vfs.mounts.Granted`.
      Nothing by default.
    * ``env``: the environment. Empty by default: the host's is not passed on.
    * ``output_limit``: bytes that may be written to stdout, and as many to stderr, wherever they lead. None for no limit,
      but for 64 MiB of what is captured.
    * ``write_limit``: bytes that all processes together may write to granted files, and by which they may extend them with
      truncate; None for no limit. With one they may also make only so many files, folders and links there: 1024, and one
      for each 4 KiB of it.
    * ``open_files``, ``processes``: how many descriptors a process, and how many processes a fork family may have.
    * ``guests``: how many guests of this sandbox there may be at a time, from their spawn until they are closed; None for
      no limit.
    * ``native_answers``: whether an engine may answer calls that need no decision without asking the handlers, such as
      write on a descriptor of the host's. Guests see no difference; it is for comparison.
    * ``verify``: whether the verifier (:mod:`vx32py.verify`) must accept every fragment before it can be reached. What it
      refuses raises VerificationError. Translation takes several times as long, the guest itself as long as ever.
    * ``allow_exec``: whether a guest may run other programs than the one it was started with, from the files it has.
    * ``uid``: the user that a guest takes itself for, with the group of the same number; 0 for root's view. The host's
      rights are the same all the while.
    * ``hostname``: what uname calls the machine.
    * ``network``: which addresses it may reach and listen on: a :class:`Network`; None for none.
    * ``terminal``: whether it may read and change the settings of a terminal that its standard streams lead to.
    * ``threads``: how many threads all of its processes together may have, the first ones of each not counted.
    * ``guards``: functions that see calls before they are made: a :class:`Guards`, and :class:`Jail` makes one.

    A guest that passes a limit is stopped with LimitExceeded (Timeout for ``timeout``), which names it and says the
    figure; more memory, files and processes than there may be are simply refused. Guests whose output is limited are
    slower to write to descriptors of the host.

    Raises ValueError and TypeError for arguments that make no sense, UnsupportedHost for an engine that cannot run.
    """

    def __init__(
        self,
        *,
        engine: str = "auto",
        memory: int | str = "64M",
        timeout: float | None = None,
        fuel: int | None = None,
        policy: Policy | None = None,
        calls: SystemCalls | Iterable[SystemCalls] | None = None,
        files: Mapping[str, Granted] | Files | None = None,
        env: Mapping[str, str] | None = None,
        output_limit: int | str | None = None,
        open_files: int = 64,
        processes: int = 16,
        cpu_time: float | None = None,
        write_limit: int | str | None = None,
        guests: int | None = None,
        native_answers: bool = True,
        verify: bool = False,
        allow_exec: bool = True,
        uid: int = GUEST_ID,
        hostname: str = "guest",
        network: Network | None = None,
        terminal: bool = False,
        threads: int = 64,
        guards: Guards | None = None,
    ) -> None:
        _engines.check(engine)
        self.engine = engine
        self.memory = page_ceil(parse_size(memory))
        if not 0 < self.memory <= 1 << 32:
            raise ValueError(f"memory must be 1 byte to 4 GiB, not {memory!r}")
        for limit, seconds in (("timeout", timeout), ("cpu_time", cpu_time)):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{limit} must be a positive number of seconds, not {seconds!r}")
        if fuel is not None and fuel <= 0:
            raise ValueError(f"fuel must be a positive number of instructions, not {fuel!r}")
        if open_files < 3 or processes < 1:
            raise ValueError("open_files must be at least 3 and processes at least 1")
        if guests is not None and guests < 1:
            raise ValueError(f"guests must be at least 1, not {guests!r}")
        self.timeout = timeout
        self.cpu_time = cpu_time
        self.fuel = fuel
        self.policy = policy if policy is not None else Policy.default()
        tables = [SystemCalls.vx(), SystemCalls.linux()] if calls is None else calls
        self.tables = {t.trap: t for t in ([tables] if isinstance(tables, SystemCalls) else tables)}
        self.files = files if isinstance(files, Files) else Files(files, uid=uid, gid=uid)
        self.env = dict(env or {})
        self.output_limit = _limit_of_bytes("output_limit", output_limit)
        self.write_limit = _limit_of_bytes("write_limit", write_limit)
        self.guests = guests
        self._programs: Programs | None = None
        self._places = None if guests is None else threading.BoundedSemaphore(guests)
        self.open_files = open_files
        self.processes = processes
        #: Whether guests that all wait for one another, for ever, are left to wait, as natively; else one gets EDEADLK.
        self.endless_waits = False
        self.native_answers = native_answers
        self.verify = verify
        self.allow_exec = allow_exec
        if threads < 0:
            raise ValueError(f"threads must be 0 or more, not {threads!r}")
        if not 0 <= uid < NO_ID:
            raise ValueError(f"uid must be 0 to {NO_ID - 1}, not {uid!r}")
        if len(os.fsencode(hostname)) > MOST_HOSTNAME or not hostname.isprintable():
            raise ValueError(f"hostname must be at most {MOST_HOSTNAME} printable bytes, not {hostname!r}")
        self.uid = uid
        self.hostname = hostname
        self._network = network
        self.terminal = terminal
        self.threads = threads
        self.guards = guards

    @property
    def network(self) -> Network:
        """Which addresses guests may reach."""
        if self._network is None:
            from vx32py._network import Network  # takes a while to import, and most guests have no network

            self._network = Network.none()
        return self._network

    @property
    def programs(self) -> Programs:
        """What its guests have executed."""
        if self._programs is None:
            from vx32py._program import Programs  # most guests execute nothing

            self._programs = Programs()
        return self._programs

    def policy_for(self, module: Module) -> Policy:
        """Which instructions a program has."""
        if LINUX_TRAP in self.tables and (module.abi == "linux" or VX_TRAP not in self.tables):
            return replace(self.policy, thread_pointer=True)  # its C library keeps errno behind GS
        return self.policy

    def spawn(
        self,
        program: Program,
        args: Iterable[Text] = (),
        *,
        stdin: Input = None,
        stdout: Output = None,
        stderr: Output = None,
        env: Mapping[str, str] | None = None,
        name: Text | None = None,
        files: Files | None = None,
    ) -> Process:
        """Load a program; nothing of it runs yet.

        ``args`` follow argv[0], which is ``name`` or the module's name. ``stdin`` is bytes, a binary file or a
        descriptor; ``stdout`` and ``stderr`` are None (captured), a binary file or a descriptor. ``env`` and ``files`` replace
        the sandbox's. Raises BadImage, LimitExceeded("memory"), UnsupportedHost, and OSError for a path that cannot be read.
        """
        module = load_program(program)
        if not module.is_complete:
            module = self.programs.complete(files or self.files, module)
        layout = _loader.plan(module, self.memory)
        arguments = [os.fsencode(name if name is not None else module.name), *(os.fsencode(a) for a in args)]
        environment = [os.fsencode(f"{k}={v}") for k, v in (self.env if env is None else env).items()]
        for text in (*arguments, *environment):
            if 0 in text:
                raise ValueError(f"{text!r} contains a NUL, which ends a C string")

        def begin(process: Process) -> None:
            process.connect(stdin=stdin, stdout=stdout, stderr=stderr)
            _execution.start(process, arguments, environment)

        return self._make(module, layout, begin, files)

    def spawn_from(
        self, snapshot: Snapshot, *, stdin: Input = None, stdout: Output = None, stderr: Output = None
    ) -> Process:
        """A process of its own that is what another one was when ``snapshot`` was taken of it; it goes on from there.

        It gets standard streams of its own, as from :meth:`spawn`, which says what this raises, in all the places that the
        other's had, and copies of all other files: files of the host are opened again, with positions of their own, which
        are what they were; where the host refuses that, they are shared. A pipe has what was in it, and its other end only
        if the process has that, too.
        """

        def begin(process: Process) -> None:
            process.connect(stdin=stdin, stdout=stdout, stderr=stderr)
            process.restore(snapshot)

        return self._make(snapshot.module, snapshot.layout, begin)

    def instantiate(
        self,
        program: Program,
        callbacks: Mapping[str, HostFunction] | None = None,
        *,
        reset: bool = False,
        stdout: Output = None,
        stderr: Output = None,
    ) -> Plugin:
        """A guest as a library: load a plug-in (``vx32py cc --plugin``, docs/plugins.md) and run its initialisation.

        ``callbacks`` has the functions of the host's that it imports, by name: a function that takes what the plug-in's
        signature says, or a pair of the signature that the host wants and a function. With ``reset`` every call finds the
        plug-in as it was after its initialisation. ``stdout`` and ``stderr`` are what :meth:`spawn` says.

        The sandbox's limits of time, fuel and output are for the initialisation, and for each call anew. The plug-in is one
        thread: it cannot fork or execute anything.

        Raises BadImage for what is no plug-in, PluginError for an import that the host does not have, and what :meth:`spawn`
        and ``Plugin.call`` raise.
        """
        from vx32py.plugin.loading import instantiate  # most guests are programs

        return instantiate(self, load_program(program), callbacks or {}, reset=reset, stdout=stdout, stderr=stderr)

    def make_alone(self, module: Module, layout: _loader.Layout, begin: Callable[[Process], None]) -> Process:
        """A process of this sandbox that can make no others, and no threads, and execute nothing. For plug-ins."""
        alone = copy.copy(self)
        alone.processes, alone.threads, alone.allow_exec = 1, 0, False
        alone.native_answers = False  # it makes few calls, and to arrange for answers takes longer
        process = alone._make(module, layout, begin)
        process.family.program = None  # nor itself anew
        return process

    def fork(self, process: Process) -> Process:
        """See ``Process.fork``."""
        snapshot = process.snapshot()
        return self._make(
            snapshot.module, snapshot.layout, lambda other: other.restore(snapshot), process.files, process.tables
        )

    def _make(
        self,
        module: Module,
        layout: _loader.Layout,
        begin: Callable[[Process], None],
        files: Files | None = None,
        tables: dict[int, SystemCalls] | None = None,
    ) -> Process:
        policy = self.policy_for(module)
        if self._places is not None and not self._places.acquire(blocking=False):
            raise LimitExceeded("guests", f"the sandbox has {self.guests} guests, as many as there may be")
        try:
            process = self._make_process(module, layout, policy, files or self.files, tables or self.tables)
            if self._places is not None:
                process.when_closed = weakref.finalize(process, self._places.release)
                process.when_closed.atexit = False
        except BaseException:
            if self._places is not None:
                self._places.release()
            raise
        try:
            begin(process)
        except BaseException:
            process.close()
            raise
        return process

    def _make_process(
        self, module: Module, layout: _loader.Layout, policy: Policy, files: Files, tables: dict[int, SystemCalls]
    ) -> Process:
        clock = HostClock() if Group.TIME in policy.groups else VirtualClock()
        family = Family(
            clock, timeout=self.timeout, fuel=self.fuel, most=self.processes, cpu_time=self.cpu_time,
            endless=self.endless_waits,
        )  # fmt: skip
        family.program = module
        files = files.clone()
        if self.write_limit is not None:
            files.meter = Meter(
                "write", self.write_limit, f"the guest wrote more than {self.write_limit} bytes to files"
            )
            most = _NAMES_FREE + self.write_limit // _BYTES_A_NAME
            files.names = Meter("write", most, f"the guest made more than {most} files")
        engine = _engines.create(
            self.engine,
            limit=layout.limit,
            budget=self.memory,
            policy=policy,
            program=module.identity,
            verify=self.verify,
            metered=self.fuel is not None,
        )
        try:
            mm = Mm(engine.space, module, layout)
            return Process(self, engine, family, Descriptors(self.open_files), files, tables, mm)
        except BaseException:
            engine.close()
            raise

    def run(
        self,
        program: Program,
        args: Iterable[Text] = (),
        *,
        stdin: Input = None,
        stdout: Output = None,
        stderr: Output = None,
        env: Mapping[str, str] | None = None,
        name: Text | None = None,
        observers: Iterable[Observer] = (),
    ) -> Result:
        """Run a program to its end. A trap or a limit that ends it is in the result, not raised: see ``Result.check``.

        Raises what :meth:`spawn` raises, NotModelled, and whatever a handler of the host raises.
        """
        process = self.spawn(program, args, stdin=stdin, stdout=stdout, stderr=stderr, env=env, name=name)
        return self.finish(process, observers=observers)

    def finish(self, process: Process, *, observers: Iterable[Observer] = ()) -> Result:
        """Run a process that :meth:`spawn` made to its end, and close it. Raises what :meth:`run` raises."""
        with process:
            process.observers.extend(observers)
            trap: Trap | None = None
            limit: LimitExceeded | None = None
            try:
                trap = process.run()
            except LimitExceeded as error:
                limit = error.with_traceback(
                    None
                )  # or it keeps this frame, and all of the guest, until cycles are collected
            return process.result(trap, limit)

    def stream(
        self,
        program: Program,
        args: Iterable[Text] = (),
        *,
        env: Mapping[str, str] | None = None,
        name: Text | None = None,
        files: Files | None = None,
        load: bool = True,
    ) -> Stream:
        """A program that decodes one file after another, from standard input to standard output, with limits and memory of its
        own for each: a :class:`vx32py.Stream`, which says what ``load`` is. The other arguments are those of :meth:`spawn`, which
        says what this raises."""
        from vx32py.plugin.stream import Stream  # most programs are run once

        return Stream(self, program, args, env=env, name=name, files=files, load=load)

    def __repr__(self) -> str:
        return f"Sandbox(engine={self.engine!r}, memory={self.memory:#x}, timeout={self.timeout}, fuel={self.fuel})"


def load_program(program: Program) -> Module:
    """A module from whatever names one. Raises BadImage, OSError, TypeError."""
    if isinstance(program, Module):
        return program
    if isinstance(program, (bytes, bytearray, memoryview)):
        return Module.from_bytes(program)
    return Module.from_file(program)
