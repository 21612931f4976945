"""Stream: a program that decodes one file after another, from standard input to standard output (VXA, section 4).

    with box.stream(module) as decoder:
        for file in files:
            result = decoder.run(file.read())          # Result: exit_code, stdout, stderr, trap, limit

The guest is an ordinary program: it reads standard input to its end, writes standard output and exits. It is loaded once and
run until it first uses a standard stream; a snapshot is taken there, and every file starts from the snapshot. So nothing that
a guest has seen of one file is left when the next one begins: memory, registers, descriptors, made-up time, forked children.

A guest that calls ``vx_done(code)`` instead of exiting offers to go on with the next file as it stands. It may, if nobody
wants it ``fresh``, if the file is of the same ``owner`` as the last one, and if that went well: the rule of VXA.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Hashable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from vx32py import _sandbox
from vx32py._calls import VX_TRAP, SystemCalls
from vx32py._descriptors import BytesFile, OpenFile, Status
from vx32py._errors import CallError, LimitExceeded
from vx32py._streams import Capture, FileObject, Input, Output, open_input, open_output
from vx32py._wait import Waiter

if TYPE_CHECKING:
    from reference.traps import Trap
    from vx32py._module import Module
    from vx32py._result import Result
    from vx32py._sandbox import Program, Sandbox, Text
    from vx32py._snapshot import Snapshot
    from vx32py._task import Task
    from vx32py.vfs.files import Files

#: The VX call "done" (exit code): ends a file. The ABI's own calls are 1 to 29 (DESIGN, section 8).
DONE: Final = 30
#: So much of what a guest writes to standard error is kept; the rest of it is thrown away.
MOST_STDERR: Final = 64 << 10

_NOTHING: Final = memoryview(b"")
#: Limits that a guest passes again that has passed them once, if it is given nothing else.
_THE_SAME_AGAIN: Final = frozenset({"cpu", "fuel"})


class Stream:
    """A program that decodes files, one at a time. Made by ``Sandbox.stream``; a context manager.

    The limits of the sandbox are for each file, as if a guest of its own decoded it: time, processor time, fuel, output,
    bytes written to granted files. For one thread at a time; :meth:`close` for all of them.
    """

    def __init__(
        self,
        box: Sandbox,
        program: Program,
        args: Iterable[Text] = (),
        *,
        env: Mapping[str, str] | None = None,
        name: Text | None = None,
        files: Files | None = None,
        load: bool = True,
    ) -> None:
        """Load the program and run it to its first use of a standard stream; without ``load`` that is left to the first
        :meth:`run`, which another thread can end. Raises what ``Sandbox.spawn`` raises, and whatever a handler of the host
        raises."""
        self._box = box
        self._module = _sandbox.load_program(program)
        self._how: dict[str, Any] = {"args": tuple(args), "env": env, "name": name, "files": files}
        self._lock = threading.Lock()
        self._closed = False
        self._guest: _Guest | None = None
        #: Whose file the guest can go on after, in the state that it is in.
        self._owner: Hashable = None
        #: How many files began with the snapshot, and how many went on without.
        self.restored = self.continued = 0
        if load:
            self._load()
        else:
            self._guest = _Guest(self._box, self._module, self._how)

    def run(
        self,
        stdin: Input,
        stdout: Output = None,
        *,
        owner: Hashable = None,
        fresh: bool = False,
        output_limit: int | None = None,
    ) -> Result:
        """Decode one file. ``stdin`` and ``stdout`` are what ``Sandbox.spawn`` takes: bytes, a binary file or a descriptor;
        None as ``stdout`` to capture it. Of a descriptor or file is read and written from where it stands.

        ``owner`` says whose file it is, for example (user, group, mode): a guest that offers it goes on without being
        brought back to the snapshot if the file before was of the same one. None is nobody's, and ``fresh`` asks for the
        snapshot in any case. ``output_limit`` is how many bytes may be written to ``stdout``, in place of the sandbox's.

        A trap, an exit code that is not 0, or a limit that was passed is in the result, not raised. Of standard error the first
        64 KiB are captured. Whatever ends a file, the next one does not notice.

        Raises TypeError for streams that are none, RuntimeError while another thread is in here, ValueError when the
        stream is closed (also meanwhile), NotModelled, and whatever a file object of the caller's raises.
        """
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("the stream is at work already")
        try:
            streams = self._open(stdin, stdout, output_limit)
            self._require_open()
            guest = self._guest
            if guest is None or not guest.loaded:
                guest = self._load()
            self._require_open()
            if (limit := guest.passed()) is not None:
                return guest.process.result(None, limit)
            try:
                if self._goes_on(guest, owner, fresh=fresh) and guest.go_on(streams):
                    self.continued += 1
                else:
                    guest.begin(streams)
                    self.restored += 1
                self._owner = owner
                self._require_open()  # again: to go back to a snapshot takes back a kill
                result = guest.finish()
            except BaseException:
                self._drop()
                raise
            finally:
                if self._closed:
                    self._drop()
            self._require_open("the stream was closed while it ran")
            if not guest.sound:
                self._drop()
            return result
        finally:
            self._lock.release()

    def _goes_on(self, guest: _Guest, owner: Hashable, *, fresh: bool) -> bool:
        return guest.offers and not fresh and owner is not None and owner == self._owner

    def _open(self, stdin: Input, stdout: Output, output_limit: int | None) -> tuple[OpenFile, ...]:
        limit = self._box.output_limit if output_limit is None else output_limit
        if limit is not None and limit < 0:
            raise ValueError(f"output_limit must be a number of bytes, not {output_limit!r}")
        return open_input(stdin), open_output(stdout, "stdout", limit), _Errors()

    def _load(self) -> _Guest:
        guest = self._guest
        if guest is None:
            self._guest = guest = _Guest(self._box, self._module, self._how)
        try:
            guest.load()  # this late, for close() to find it
        except BaseException:
            self._drop()
            raise
        return guest

    def _drop(self) -> None:
        """Nobody knows what the guest is like: the next file gets another one."""
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.process.close()

    def _require_open(self, message: str = "the stream is closed") -> None:
        if self._closed:
            raise ValueError(message)

    def close(self) -> None:
        """Give back memory and descriptors. A :meth:`run` that another thread is in raises ValueError soon. Closing twice is
        fine."""
        self._closed = True
        guest = self._guest
        if guest is not None:
            guest.process.kill()
        if self._lock.acquire(blocking=False):  # else whoever is at work does it
            try:
                self._drop()
            finally:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.restored + self.continued} files"
        return f"<Stream {self._module.name}: {state}>"


class _Guest:
    """A process that :meth:`load` brings to its first use of a standard stream, and the snapshot of that."""

    def __init__(self, box: Sandbox, module: Module, how: dict[str, Any]) -> None:
        self._box = box
        self._module = module
        self._how = how
        #: Whether :meth:`load` has been called.
        self.loaded = False
        self._passed: LimitExceeded | None = None
        self._spawn()

    def _spawn(self) -> None:
        self.process = process = self._box.spawn(self._module, **self._how)
        self._done = _Done()
        table = process.tables.get(VX_TRAP)
        if table is not None and self._module.abi != "linux" and table.get(DONE) is None:
            process.tables = process.tables | {VX_TRAP: self._done.defined_in(table)}
            process.expect_calls()
        self._doors = tuple(_Door(flags) for flags in (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY))
        process.streams = self._doors
        for fd, door in enumerate(self._doors):
            process.descriptors.install_at(fd, door)

    def load(self) -> None:
        """Run to the first use of a standard stream; where that does not come, or where others have been started by then,
        let each file begin at the very beginning."""
        if not self._warm_up():
            self.process.close()
            self._spawn()
        process = self.process
        self._snapshot: Snapshot = process.snapshot()
        self._engine = process.engine
        self._fuel = process.family.fuel
        meters = process.files.meter, process.files.names
        self._meters = [(meter, meter.left) for meter in meters if meter is not None]
        self.loaded = True

    def _warm_up(self) -> bool:
        try:
            self.process.run()
        except _AtDoor:
            return self._is_alone()
        except LimitExceeded as error:
            self._passed = error.with_traceback(None)
        except _FileDone:
            pass
        return False

    def passed(self) -> LimitExceeded | None:
        """The limit that it passed before it used any standard stream, which it will with every file; but that of time may
        have been the host's fault, and is for one file only."""
        error = self._passed
        if error is not None and error.limit not in _THE_SAME_AGAIN:
            self._passed = None
        return error

    def _is_alone(self) -> bool:
        family = self.process.family
        return len(family.tasks) == len(family.processes) == 1

    @property
    def offers(self) -> bool:
        """Whether the guest can go on with another file as it stands."""
        return self._done.code == 0 and self.sound and self._is_alone()

    @property
    def sound(self) -> bool:
        """Whether it can go back to its snapshot: not if it has executed another program."""
        return self.process.engine is self._engine

    def begin(self, streams: tuple[OpenFile, ...]) -> None:
        """Go back to the snapshot, with other standard streams."""
        self._done.code, self._done.answered = None, False
        for door, file in zip(self._doors, streams, strict=True):
            file.flags |= door.flags & os.O_NONBLOCK
        self.process.rewind(self._snapshot, streams)
        self._count_anew(streams)

    def go_on(self, streams: tuple[OpenFile, ...]) -> bool:
        """Answer the call with which the last file was ended, with other standard streams. False where somebody still has
        the old ones."""
        before = self.process.streams
        self._connect(streams)
        if any(file.references for file in before):
            return False
        descriptors = self.process.descriptors
        for fd, file in enumerate(streams):
            if not file.references:
                descriptors.install_at(fd, file)
        self._count_anew(streams)
        self._done.code, self._done.answered = None, True
        return True

    def _connect(self, streams: tuple[OpenFile, ...]) -> None:
        """Let these take the places of the standard streams, wherever those are."""
        process, descriptors = self.process, self.process.descriptors
        places = dict(zip(process.streams, streams, strict=True))
        for old, new in places.items():
            new.flags |= old.flags & os.O_NONBLOCK
        for fd in descriptors:
            new_file = places.get(descriptors.get(fd))
            if new_file is not None:
                descriptors.install_at(fd, new_file, close_on_exec=fd in descriptors.close_on_exec)
        process.streams = streams
        process.look_for_foreign_streams()

    def _count_anew(self, streams: tuple[OpenFile, ...]) -> None:
        """All limits are this file's from now on."""
        for door, file in zip(self._doors, streams, strict=True):
            door.file = file
        family = self.process.family
        family.seconds = family.cpu_seconds = 0.0
        family.fuel = self._fuel
        for meter, left in self._meters:
            meter.left = left

    def finish(self) -> Result:
        """Run to the end of the file; how it ended."""
        process = self.process
        trap: Trap | None = None
        limit: LimitExceeded | None = None
        try:
            trap = process.run()
        except _FileDone as done:
            self._done.code = done.code
        except LimitExceeded as error:
            limit = error.with_traceback(None)
        result = process.result(trap, limit, exit_code=self._done.code)
        for file in process.streams[:2]:  # what was the caller's, and what he has now
            if isinstance(file, FileObject):
                file.file = None
            elif isinstance(file, BytesFile):
                file.data = _NOTHING
            elif isinstance(file, Capture):
                file.data = bytearray()
        return result


class _AtDoor(Exception):
    """The guest uses a standard stream, and there is no file yet."""


class _Door(OpenFile):
    """A standard stream before there is a file; and then, where the guest has it in hidden places, that file."""

    file: OpenFile | None = None

    def _behind(self) -> OpenFile:
        if self.file is None:
            raise _AtDoor
        return self.file

    def read(self, view: memoryview, waiter: Waiter) -> int:
        return self._behind().read(view, waiter)

    def write(self, view: memoryview, waiter: Waiter) -> int:
        return self._behind().write(view, waiter)

    def write_vector(self, views: list[memoryview], waiter: Waiter) -> int:
        return self._behind().write_vector(views, waiter)

    def read_at(self, view: memoryview, offset: int) -> int:
        return self._behind().read_at(view, offset)

    def write_at(self, view: memoryview, offset: int) -> int:
        return self._behind().write_at(view, offset)

    def seek(self, offset: int, whence: int) -> int:
        return self._behind().seek(offset, whence)

    def truncate(self, size: int) -> None:
        self._behind().truncate(size)

    def status(self) -> Status:
        return self._behind().status()

    def poll(self) -> int:
        return self._behind().poll()

    def available(self) -> int:
        return self._behind().available()

    def is_terminal(self) -> bool:
        return self._behind().is_terminal()

    def host_descriptor(self) -> int | None:
        return self._behind().host_descriptor()


class _Errors(Capture):
    """Standard error: the beginning of it is captured, and all of it is taken."""

    def put(self, view: memoryview, waiter: Waiter) -> int:
        self.data += view[: MOST_STDERR - len(self.data)]
        return len(view)


class _FileDone(Exception):
    """The guest has called "done"."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Done:
    """The call "done": it ends a file, and is answered when the next one is there. ``code`` is the exit code of a file that
    has been ended so; ``answered``: the call is about to be made again, and to return."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.answered = False

    def defined_in(self, table: SystemCalls) -> SystemCalls:
        """A table with this call, too."""
        other = table.copy()
        other.define(DONE, "done")(self.call)
        return other

    def call(self, process: Task, code: int) -> int:
        """0 when there is another file: its standard streams are there then. EPERM for any but the first process."""
        if process.parent is not None or process.tid != process.pid:
            raise CallError(errno.EPERM)
        if self.answered:
            self.answered = False
            return 0
        raise _FileDone(code & 0xFF)
