"""Jail: unmodified Linux i386 programs, with the files, calls and limits that they are granted and nothing else.

    jail = vx32py.Jail(root="debian-i386", allow_exec=True)
    result = jail.run(["/bin/sh", "-c", "ls -l /etc | wc -l"])
    result.exit_code, result.stdout

A jail is a :class:`vx32py.Sandbox` with a name space: programs are named as the guest would name them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from reference.policy import Policy
from reference.records import replace
from vx32py import _jailfiles
from vx32py._calls import Observer, SystemCalls
from vx32py._errors import CallError
from vx32py._guard import EVERY, Guard, Guards
from vx32py._jailpolicy import DEFAULT_ENVIRONMENT, JailPolicy
from vx32py._process import Process
from vx32py._result import Result, signal_of
from vx32py._sandbox import Sandbox, Text
from vx32py._streams import Input, Output
from vx32py.vfs.files import Files
from vx32py.vfs.mounts import Grant, Granted

if TYPE_CHECKING:
    from vx32py._network import Network
    from vx32py.vfs.layers import Change

#: Where a program of the host's appears in a jail that has no root.
PROGRAM_DIRECTORY: Final = "/bin"

Path = str | os.PathLike[str]


class Jail:
    """What Linux programs may use. Everything that is not granted is refused.

    The keywords are the words of ``vx32py jail --help`` and of policy files, with these types:

    * ``root``: a host directory that is the guest's ``/``, read-only; None for a root with nothing in it.
    * ``dirs``: further parts of the host: guest path → host path (read-only), :class:`Grant`, bytes or another mount; or texts
      such as ``"/srv/data:/data:rw"``. ``tmpfs``: guest paths → sizes, or texts such as ``"/tmp:64M"``.
    * ``overlay``: whether the guest may change what it sees of ``root``, which stays as it is. ``overlay_save``: a directory
      for the changes, from which the next guest goes on.
    * ``env``: the whole environment; by default PATH, HOME and LANG. ``cwd``, ``uid``, ``hostname``: texts and a number.
    * ``net``: "none", "host", rules (see :class:`Network`), or a network.
    * ``allow_exec``: whether it may run other programs than the one it was started with. ``terminal``: whether it may change
      the settings of a terminal. ``engine``, ``verify``, and the limits are a :class:`Sandbox`'s; ``memory`` is each
      process's, ``disk`` each tmpfs's and the overlay's. ``instructions`` is the name of an instruction policy, or one.
    * ``guard``: a function that sees every call before it is made; :meth:`on` adds others.
    * ``calls``: another table of calls than ``SystemCalls.linux()``.

    Raises ValueError for words that make no sense, OSError for a host path that is not there, UnsupportedHost.
    """

    def __init__(
        self,
        root: Path | None = None,
        dirs: Mapping[str, Granted] | Iterable[str] = (),
        *,
        tmpfs: Mapping[str, int | str | None] | Iterable[str] = (),
        overlay: bool = False,
        overlay_save: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        uid: int = 1000,
        hostname: str = "guest",
        net: str | Iterable[str] | Network = "none",
        allow_exec: bool = False,
        terminal: bool = False,
        engine: str = "auto",
        instructions: str | Policy = "default",
        verify: bool = False,
        memory: int | str = "256M",
        disk: int | str = "256M",
        timeout: float | None = None,
        cpu_time: float | None = None,
        fuel: int | None = None,
        output_limit: int | str | None = None,
        write_limit: int | str | None = None,
        processes: int = 64,
        threads: int = 64,
        open_files: int = 256,
        guard: Guard | None = None,
        calls: SystemCalls | None = None,
    ) -> None:
        grants, texts = (dirs, ()) if isinstance(dirs, Mapping) else ({}, dirs)
        sizes, more = (tmpfs, ()) if isinstance(tmpfs, Mapping) else ({}, tmpfs)
        policy = JailPolicy(
            dirs=tuple((path, _granted(what)) for path, what in grants.items()),
            tmpfs=tuple(sizes.items()),
            env=(),
        )
        words = {
            "dir": list(texts), "tmpfs": list(more), "env": DEFAULT_ENVIRONMENT if env is None else env, "overlay": overlay, "cwd": cwd, "uid": uid, "hostname": hostname,
            "net": [net] if isinstance(net, str) else list(net.words() if hasattr(net, "words") else net),
            "allow-exec": allow_exec, "terminal": terminal, "engine": engine, "verify": verify, "memory": memory, "disk": disk,
            "processes": processes, "threads": threads, "open-files": open_files,
        }  # fmt: skip
        others = {
            "root": root, "overlay-save": overlay_save, "timeout": timeout, "cpu-time": cpu_time, "fuel": fuel,
            "output-limit": output_limit, "write-limit": write_limit, "instructions": instructions if isinstance(instructions, str) else None,
        }  # fmt: skip
        words |= {name: value for name, value in others.items() if value is not None}
        self._set_up(policy.altered(words), instructions if isinstance(instructions, Policy) else None, guard, calls)

    @classmethod
    def from_policy(
        cls, policy: JailPolicy | Path, *, guard: Guard | None = None, calls: SystemCalls | None = None
    ) -> Jail:
        """A jail of a policy, or of a file of one. Raises ValueError, which for a file names it, OSError, UnsupportedHost."""
        jail = cls.__new__(cls)
        policy = policy if isinstance(policy, JailPolicy) else JailPolicy.from_file(policy)
        jail._set_up(policy, None, guard, calls)  # noqa: SLF001 - another constructor
        return jail

    def _set_up(
        self, policy: JailPolicy, instructions: Policy | None, guard: Guard | None, calls: SystemCalls | None
    ) -> None:
        #: What the jail grants.
        self.policy = policy
        #: Who sees which calls.
        self.guards = Guards()
        if guard is not None:
            self.guards.add(guard, EVERY)
        self._mounts = _jailfiles.mounts(policy)
        self.sandbox = Sandbox(
            engine=policy.engine, memory=policy.memory, timeout=policy.timeout, cpu_time=policy.cpu_time, fuel=policy.fuel,
            policy=Policy.parse(policy.instructions) if instructions is None else instructions,
            calls=SystemCalls.linux() if calls is None else calls, files=self._mounts, env=dict(policy.env),
            output_limit=policy.output_limit, write_limit=policy.write_limit, open_files=policy.open_files,
            processes=policy.processes, threads=policy.threads, verify=policy.verify, allow_exec=policy.allow_exec,
            uid=policy.uid, hostname=policy.hostname, network=_network(policy), terminal=policy.terminal,
            guards=self.guards,
        )  # fmt: skip
        # A program may wait for a signal of the host's; one that waits for ever is the time limit's affair.
        self.sandbox.endless_waits = True

    def on(self, *calls: str | int) -> Callable[[Guard], Guard]:
        """A decorator for guards: functions that see these calls of all guests of the jail before they are made.

        Calls are names as in docs/linux-calls.md, numbers, classes such as ``%file``, ``%network``, ``%process``, or ``*``.
        A guard gets a :class:`GuardedCall`. It returns None to let the call be, or the result that the guest is to see; it
        raises CallError(errno) to refuse it, or ``call.kill()``s the process. Any other exception leaves ``run()``. Raises
        ValueError for a name that no call has.
        """

        def decorate(guard: Guard) -> Guard:
            self.guards.add(guard, *calls)
            return guard

        return decorate

    def spawn(
        self,
        command: Sequence[Text],
        *,
        stdin: Input = b"",
        stdout: Output = None,
        stderr: Output = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Load the program that ``command`` names, with the rest of it as arguments; nothing of it runs yet.

        The program is a path in the guest's name space, looked for in the guest's PATH if it has no slash. In a jail
        without a root it may be a path of the host's: then the guest finds it in /bin. Raises FileNotFoundError and what
        ``Sandbox.spawn`` raises.
        """
        if isinstance(command, str | bytes) or not command:
            raise ValueError("a command is a list of a program and its arguments")
        environment = self.sandbox.env if env is None else env
        files, path = self._find(os.fsdecode(command[0]), environment)
        words = [os.fsencode(word) for word in command]
        try:
            module, arguments = self.sandbox.programs.find(files, path, words)
            place = files.locate(path if arguments is words else os.fsdecode(arguments[0]))
        except CallError as error:
            raise OSError(error.errno, os.strerror(error.errno), path) from None
        process = self.sandbox.spawn(
            module, arguments[1:], stdin=stdin, stdout=stdout, stderr=stderr, env=environment, name=arguments[0],
            files=files,
        )  # fmt: skip
        process.mm.executable = place
        return process

    def run(
        self,
        command: Sequence[Text],
        *,
        stdin: Input = b"",
        stdout: Output = None,
        stderr: Output = None,
        env: Mapping[str, str] | None = None,
        observers: Iterable[Observer] = (),
    ) -> Result:
        """Run a program to its end: :meth:`spawn`, and ``Sandbox.run`` for what comes of it."""
        return self.finish(self.spawn(command, stdin=stdin, stdout=stdout, stderr=stderr, env=env), observers=observers)

    def finish(self, process: Process, *, observers: Iterable[Observer] = ()) -> Result:
        """Run a process that :meth:`spawn` made to its end, close it, and save the changes to an overlay where the policy
        says so. Raises what ``Sandbox.finish`` raises, and OSError where changes cannot be saved."""
        result = self.sandbox.finish(process, observers=observers)
        if result.trap is not None:  # as natively: a signal has ended it
            result = replace(result, exit_code=128 + signal_of(result.trap))
        if self.policy.overlay_save is not None:
            process.files.save()
        return result

    def changes(self, process: Process) -> list[Change]:
        """What a process of the jail, which may have ended, and its children have changed of the overlay: (what, path), in the
        order of paths; ``what`` is added, changed or removed."""
        if not self.policy.overlay:
            return []
        from vx32py.vfs.layers import changes

        return changes(process.files.space.trees["/"])

    def _find(self, name: str, environment: Mapping[str, str]) -> tuple[Files, str]:
        """The files of a guest, and the path of a program in them. Raises FileNotFoundError."""
        files = self._files(self.sandbox.files)
        candidates = [name]
        if "/" not in name:
            path = environment.get("PATH", DEFAULT_ENVIRONMENT["PATH"])
            candidates = [f"{directory or '.'}/{name}" for directory in path.split(":")]
        for candidate in candidates:
            try:
                if stat.S_ISREG(files.status(candidate).mode):
                    return files, candidate
            except CallError:
                continue
        if self.policy.root is None and os.path.isfile(name):
            shown = f"{PROGRAM_DIRECTORY}/{os.path.basename(name)}"
            return self._files(Files({**self._mounts, shown: name}, uid=self.policy.uid, gid=self.policy.uid)), shown
        raise FileNotFoundError(2, "there is no such program in the jail", name)

    def _files(self, files: Files) -> Files:
        """Those of a guest, in its first directory. Raises OSError."""
        files = files.clone()
        try:
            files.chdir(self.policy.cwd)
        except CallError as error:
            raise OSError(error.errno, os.strerror(error.errno), self.policy.cwd) from None
        return files

    def __repr__(self) -> str:
        return f"Jail(root={self.policy.root!r}, engine={self.policy.engine!r}, net={', '.join(self.policy.net)})"


def _network(policy: JailPolicy) -> Network | None:
    if policy.net == ("none",):
        return None
    from vx32py._network import Network  # takes a while to import, and most guests have no network

    return Network.parse(policy.net)


def _granted(what: Any) -> Granted:
    return Grant(what) if isinstance(what, str | os.PathLike) else what
