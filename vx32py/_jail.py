"""Jail: unmodified Linux i386 programs, with the files, calls and limits that they are granted and nothing else.

    jail = vx32py.Jail(root="debian-i386", allow_exec=True)
    result = jail.run(["/bin/sh", "-c", "ls -l /etc | wc -l"])
    result.exit_code, result.stdout

A jail is a :class:`vx32py.Sandbox` with a name space: programs are named as the guest would name them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from reference.policy import Policy
from vx32py._calls import Observer, SystemCalls
from vx32py._errors import BadImage, CallError
from vx32py._files import Files
from vx32py._module import MAX_FILE, Module
from vx32py._process import Process
from vx32py._result import Result
from vx32py._sandbox import Sandbox, Text
from vx32py._streams import Input, Output
from vx32py.vfs.mounts import Grant, Granted

#: What a guest's environment is unless somebody says otherwise: nothing of the host's.
DEFAULT_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C",
}  # fmt: skip
#: Where a program of the host's appears in a jail that has no root.
PROGRAM_DIRECTORY: Final = "/bin"


class Jail:
    """What Linux programs may use. Everything that is not granted is refused.

    ``root`` is a host directory that is the guest's ``/``, read-only; None for a root with nothing in it. ``dirs`` are
    further parts of the host: guest path → host path (read-only), :class:`Grant` or bytes; or texts such as
    ``"/srv/data:/data:rw"``. ``env`` is the guest's environment, of which the default has PATH, HOME and LANG alone;
    ``cwd`` where it starts. ``allow_exec``: whether it may run other programs than the one it was started with. All other
    keywords are a :class:`Sandbox`'s.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        dirs: Mapping[str, Granted] | Iterable[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        allow_exec: bool = False,
        engine: str = "auto",
        memory: int | str = "256M",
        processes: int = 64,
        open_files: int = 256,
        timeout: float | None = None,
        cpu_time: float | None = None,
        fuel: int | None = None,
        output_limit: int | str | None = None,
        write_limit: int | str | None = None,
        policy: Policy | None = None,
        calls: SystemCalls | None = None,
        verify: bool = False,
    ) -> None:
        self.root = root
        grants: dict[str, Granted] = {} if root is None else {"/": Grant(root)}
        grants |= dict(dirs) if isinstance(dirs, Mapping) else dict(parse_directory(text) for text in dirs)
        self.grants = grants
        self.cwd = cwd
        self.sandbox = Sandbox(
            engine=engine, memory=memory, timeout=timeout, cpu_time=cpu_time, fuel=fuel, policy=policy,
            calls=SystemCalls.linux() if calls is None else calls, files=grants,
            env=DEFAULT_ENVIRONMENT if env is None else env, output_limit=output_limit, write_limit=write_limit,
            open_files=open_files, processes=processes, verify=verify, allow_exec=allow_exec,
        )  # fmt: skip

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
        if not command:
            raise ValueError("a command is a program and its arguments, not nothing")
        name = os.fsdecode(command[0])
        environment = self.sandbox.env if env is None else env
        files, path = self._find(name, environment)
        module = _load(files, path)
        return self.sandbox.spawn(
            module, command[1:], stdin=stdin, stdout=stdout, stderr=stderr, env=environment, name=command[0],
            files=files,
        )  # fmt: skip

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
        process = self.spawn(command, stdin=stdin, stdout=stdout, stderr=stderr, env=env)
        return self.sandbox.finish(process, observers=observers)

    def _find(self, name: str, environment: Mapping[str, str]) -> tuple[Files, str]:
        """The files of a guest, and the path of a program in them. Raises FileNotFoundError."""
        files = self.sandbox.files.clone()
        if self.cwd != "/":
            try:
                files.chdir(self.cwd)
            except CallError as error:
                raise FileNotFoundError(error.errno, os.strerror(error.errno), self.cwd) from None
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
        if self.root is None and os.path.isfile(name):
            shown = f"{PROGRAM_DIRECTORY}/{os.path.basename(name)}"
            lent = Files({**self.grants, shown: name})
            lent.cwd = files.cwd
            return lent, shown
        raise FileNotFoundError(2, "there is no such program in the jail", name)


def _load(files: Files, path: str) -> Module:
    """The module at a guest path. Raises BadImage and OSError."""
    try:
        file = files.open(path, os.O_RDONLY)
    except CallError as error:
        raise OSError(error.errno, os.strerror(error.errno), path) from None
    try:
        size = file.status().size
        if size > MAX_FILE:
            raise BadImage(f"an image of {size} bytes; {MAX_FILE} are the most")
        image = bytearray(size)
        count = file.read_at(memoryview(image), 0) if image else 0
    finally:
        file.close()
    return Module.from_bytes(image[:count], path.rsplit("/", 1)[-1])


def parse_directory(text: str) -> tuple[str, Grant]:
    """A grant from HOST[:GUEST][:ro|rw]; without GUEST the guest's path is the host's. Raises ValueError."""
    rest, colon, mode = text.rpartition(":")
    if not colon or mode not in {"ro", "rw"}:
        rest, mode = text, "ro"
    host, colon, guest = rest.rpartition(":")
    if not colon:
        host, guest = rest, os.path.abspath(rest)
    if not host or not guest.startswith("/"):
        raise ValueError(f"{text!r} is not HOST[:GUEST][:ro|rw] with an absolute GUEST")
    return guest, Grant(host, writable=mode == "rw")
