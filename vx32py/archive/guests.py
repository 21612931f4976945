"""Guests: decoders at work in sandboxes, on archived files and on files that are to be archived.

A decoder has standard input, standard output and memory, and nothing else: no files, no other process, no clock, the
deterministic instruction set.
"""

from __future__ import annotations

import hashlib
import io
import math
import threading
import zlib
from collections.abc import Hashable
from typing import BinaryIO, Final, Self

from reference.policy import Policy
from vx32py import _engines
from vx32py._calls import SystemCalls
from vx32py._errors import UnsupportedHost, Vx32Error
from vx32py._module import Module
from vx32py._result import Result
from vx32py._sandbox import Sandbox
from vx32py.archive.errors import printable
from vx32py.plugin.stream import Stream

#: How many decoders are kept loaded, whatever an archive has of them.
_KEPT: Final = 8
#: A wall clock that is not a measure of work: for a decoder that sleeps, or a host that is very busy.
_PATIENCE: Final = 20.0
#: What a decoder may map that does not come with vx32py.
OTHER_MEMORY: Final = 256 << 20

#: The decoder, and how much memory and processor time it has.
_Key = tuple[bytes, int | str, float]


class Stopped(Vx32Error):
    """Work has been stopped from another thread."""


class Guests:
    """Loaded decoders, kept for the next file; a context manager. Several threads may use it."""

    def __init__(self, *, engine: str = "auto", memory: int | str | None = None, kept: int = 1) -> None:
        self.engine = engine
        self.kept = max(kept, _KEPT)
        self.memory = memory
        self._idle: list[tuple[_Key, Stream]] = []
        self._busy: set[Stream] = set()
        #: How many are at work or about to be, how many of those wait for room, how many have ended.
        self._working = self._waiting = self._returned = 0
        self._changed = threading.Condition()
        self._closed = self.stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is not at work; what is, is given back when it is done."""
        with self._changed:
            self._closed = True
            while self._idle:
                self._idle.pop()[1].close()

    def require_host(self) -> None:
        """Raises UnsupportedHost where no decoder at all can run here, by the engine that was asked for."""
        reason = _engines.unavailable(_engines.resolve(self.engine))
        if reason is not None:
            raise UnsupportedHost(f"the {self.engine} engine cannot run here: {reason}")

    def stop(self) -> None:
        """End what is at work, too, and let nothing begin any more: :meth:`decode` raises Stopped in all threads, soon."""
        with self._changed:
            self.stopped = True
            for stream in self._busy:
                stream.close()
            self._changed.notify_all()
        self.close()

    def decode(
        self,
        codec: str,
        module: Module,
        stdin: bytes | io.RawIOBase | BinaryIO,
        stdout: Checked,
        *,
        most: int,
        seconds: float,
        owner: Hashable = None,
    ) -> str | None:
        """Run the decoder of a codec over one file; what is wrong with how it ended, on one line, or None.

        It may write ``most`` bytes and take ``seconds`` of processor time (rounded up to a power of two). ``owner`` is as
        for :meth:`vx32py.Stream.run`. Raises Vx32Error where it cannot be run at all, UnsupportedHost among them, and
        OSError of stdin and stdout.
        """
        # Limits belong to the sandbox: files of about the same size share guests.
        memory = _memory(codec) if self.memory is None else self.memory
        key = module.data, memory, 2.0 ** math.ceil(math.log2(seconds))
        stream = self._take(key, module)
        try:
            result = stream.run(stdin, stdout, owner=owner, output_limit=most)  # type: ignore[arg-type]
        except BaseException as error:
            self._give_back(key, stream, sound=False)
            if self.stopped and isinstance(error, ValueError):
                raise Stopped("stopped") from None
            raise
        self._give_back(key, stream)
        return _complaint(result, most)

    def _take(self, key: _Key, module: Module) -> Stream:
        """A stream that nobody uses, or a new one. Where there is no room for another guest below 4 GiB, idle ones are given
        up, and then those at work are waited for."""
        with self._changed:
            self._working += 1
            for index in reversed(range(len(self._idle))):
                if self._idle[index][0] == key:
                    return self._at_work(self._idle.pop(index)[1])
        try:
            while True:
                before = self._returned
                try:
                    return self._at_work(self._box(key).stream(module, load=False))
                except UnsupportedHost:
                    with self._changed:
                        if self._idle:
                            self._idle.pop(0)[1].close()
                        elif self._returned == before:
                            if self._working - self._waiting <= 1:
                                raise
                            self._waiting += 1
                            self._changed.wait()
                            self._waiting -= 1
        except BaseException:
            self._left()
            raise

    def _at_work(self, stream: Stream) -> Stream:
        with self._changed:
            self._busy.add(stream)
            if self.stopped:
                stream.close()  # whoever has it will be told
        return stream

    def _box(self, key: _Key) -> Sandbox:
        _, memory, seconds = key
        return Sandbox(
            engine=self.engine, memory=memory, cpu_time=seconds, timeout=_PATIENCE * seconds,
            policy=Policy.deterministic(), calls=SystemCalls.vx(), open_files=3, processes=1, threads=0,
        )  # fmt: skip

    def _left(self) -> None:
        with self._changed:
            self._working -= 1
            self._returned += 1
            self._changed.notify_all()

    def _give_back(self, key: _Key, stream: Stream, *, sound: bool = True) -> None:
        with self._changed:
            self._busy.discard(stream)
            self._idle.append((key, stream))
            if not sound:
                self._idle.pop()[1].close()
            while len(self._idle) > (0 if self._closed else self.kept):
                self._idle.pop(0)[1].close()
        self._left()


def _memory(codec: str) -> int:
    """What a decoder of a codec may map."""
    from vx32py.decoders import MEMORY

    return MEMORY.get(codec, OTHER_MEMORY)


def _complaint(result: Result, most: int) -> str | None:
    """What is wrong with how a decoder ended, on one line; None if nothing is."""
    if result.limit == "output":
        return f"it writes more than the {most} bytes that the archive says"
    if result.ok:
        return None
    said = result.stderr.decode("utf-8", "replace").strip().splitlines()
    if result.exit_code is not None and said:
        return f"it refuses the data: {printable(said[0])}"
    return result.describe()


class Checked:
    """A file to write to that passes everything on, counts it, and knows its checksums. It raises Stopped once ``guests``
    have been stopped, whoever writes."""

    def __init__(self, output: BinaryIO | None, guests: Guests | None = None) -> None:
        self._output = output
        self._guests = guests
        self.count = 0
        self.crc = 0
        self.sha256 = hashlib.sha256()

    def read(self, _: int = -1) -> bytes:
        """Nothing: it is to be written to."""
        return b""

    def write(self, data: bytes) -> int:
        """Take all of ``data``."""
        if self._guests is not None and self._guests.stopped:
            raise Stopped("stopped")
        self.count += len(data)
        self.crc = zlib.crc32(data, self.crc)
        self.sha256.update(data)
        if self._output is not None:
            view = memoryview(data)
            while view:
                view = view[self._output.write(view) :]
        return len(data)
