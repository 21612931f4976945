"""Decoders: what turns a member's data into files again, each by the decoder that its archive brought, in a sandbox.

A decoder is a guest that reads standard input and writes standard output and has nothing else: no files, no other process, no
clock, the deterministic instruction set. What it writes is compared with what the archive says of it.
"""

from __future__ import annotations

import hashlib
import io
import threading
import zlib
from collections.abc import Hashable
from typing import BinaryIO, Final, Self

from reference.policy import Policy
from vx32py._calls import SystemCalls
from vx32py._errors import BadImage, LimitExceeded, Vx32Error
from vx32py._module import Module
from vx32py._result import Result
from vx32py._sandbox import Sandbox
from vx32py.archive import records
from vx32py.archive.bytestore import PIECE
from vx32py.archive.errors import MemberError, printable
from vx32py.archive.extras import Reference
from vx32py.archive.limits import Limits
from vx32py.archive.members import CODEC_OF, Member
from vx32py.archive.reader import Archive

#: How many decoders are kept loaded; an archive may have any number of them.
_KEPT: Final = 16
#: A wall clock that is not a measure of work: for a decoder that sleeps, or a host that is very busy.
_PATIENCE: Final = 20.0


class Decoders:
    """The decoders of an archive, ready to run; a context manager. Several threads may use it.

    ``engine`` is as for :class:`vx32py.Sandbox`; ``guests`` how many guests of one decoder may work at the same time;
    ``fresh`` has every member decoded by a guest that has seen no other, even where neither owner, group nor mode differ.
    """

    def __init__(
        self,
        archive: Archive,
        *,
        engine: str = "auto",
        limits: Limits | None = None,
        guests: int = 1,
        fresh: bool = False,
    ) -> None:
        self.archive = archive
        self.limits = limits or Limits()
        self.guests = guests
        self.fresh = fresh
        self.engine = engine
        self._modules: dict[bytes, Module] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all guests."""
        self._modules.clear()

    def decode(self, member: Member, output: BinaryIO | None = None, *, decoded: bool = False) -> int:
        """Write a member's content to ``output`` (nowhere, if None) and return how many bytes that were.

        The content is the file that went into the archive; with ``decoded``, of a file that was compressed before, what its
        decoder makes of it. Raises MemberError where that is not what the archive says, after some of it may have been
        written, and OSError where ``output`` cannot be written or the archive cannot be read.
        """
        checked = _Checked(output)
        reference = member.decoder
        stored = self.archive.open_stored(member)
        if reference is not None and (decoded or not reference.precompressed):
            self._refuse(member, reference.size)
            self._by_reference(member, reference, stored, checked)
            if checked.count != reference.size or checked.sha256.digest() != reference.content:
                raise MemberError(member.name, f"what {reference.codec!r} makes of it has another SHA-256 or size")
            if reference.precompressed:
                return checked.count
        elif member.method == records.STORED:
            _copy(stored, checked)
        else:
            self._refuse(member, member.size)
            self._without_reference(member, stored, checked)
        if checked.count != member.size or checked.crc != member.crc:
            raise MemberError(member.name, "its content has another CRC-32 or size than the archive says")
        return checked.count

    def _refuse(self, member: Member, size: int) -> None:
        reason = self.limits.refuse(member.compressed_size, size)
        if reason is not None:
            raise MemberError(member.name, reason)

    def _by_reference(self, member: Member, reference: Reference, stored: io.RawIOBase, output: _Checked) -> None:
        module = self._modules.get(reference.sha256)
        if module is None:
            try:
                module = Module.from_bytes(self.archive.decoder(reference), reference.codec)
            except BadImage as error:
                raise MemberError(member.name, f"its decoder {reference.codec!r}: {error}") from None
            except Vx32Error as error:
                raise MemberError(member.name, str(error)) from None
        self._run(member, module, stored, output, reference.size)

    def _without_reference(self, member: Member, stored: io.RawIOBase, output: _Checked) -> None:
        """A member of an archive that somebody else made: by the host's zlib, or by a decoder that comes with vx32py."""
        if member.method == records.DEFLATE:
            _inflate(member, stored, output)
            return
        codec = CODEC_OF.get(member.method)
        if codec is None:
            raise MemberError(
                member.name, f"it is compressed by a method that is not known here ({member.method_name})"
            )
        from vx32py import decoders  # what built them takes a while to import

        try:
            module = decoders.load(codec)
        except decoders.DecoderMissing as error:
            raise MemberError(member.name, str(error)) from None
        self._run(member, module, stored, output, member.size)

    def _run(self, member: Member, module: Module, stored: io.RawIOBase, output: _Checked, size: int) -> None:
        seconds = self.limits.cpu_time(member.compressed_size, size, native=self.engine in {"auto", "jit"})
        try:
            result = run(
                module, stored, output, engine=self.engine, memory=self.limits.memory, seconds=seconds, most=size,
                owner=member.owner, fresh=self.fresh,
            )  # fmt: skip
        except LimitExceeded as error:
            raise MemberError(member.name, f"its decoder {module.name!r}: {error}") from None
        wrong = complaint(result, size)
        if wrong is not None:
            raise MemberError(member.name, f"its decoder {module.name!r}: {wrong}")


def run(
    module: Module,
    stdin: bytes | io.RawIOBase | BinaryIO,
    stdout: _Checked,
    *,
    engine: str = "auto",
    memory: int | str = "512M",
    seconds: float = 60.0,
    most: int,
    owner: Hashable = None,
    fresh: bool = False,
) -> Result:
    """Run a decoder over one file. It may write ``most`` bytes. Raises LimitExceeded where it is too large for its memory,
    UnsupportedHost, and OSError of stdin and stdout."""
    box = Sandbox(
        engine=engine, memory=memory, cpu_time=seconds, timeout=_PATIENCE * seconds, policy=Policy.deterministic(),
        calls=SystemCalls.vx(), open_files=3, processes=1, threads=0, output_limit=max(most, 4096),
    )  # fmt: skip
    return box.run(module, stdin=stdin, stdout=stdout)  # type: ignore[arg-type]


def complaint(result: Result, most: int) -> str | None:
    """What is wrong with how a decoder ended, on one line; None if nothing is."""
    if result.limit == "output":
        return f"it writes more than the {most} bytes that the archive says"
    if result.ok:
        return None
    said = result.stderr.decode("utf-8", "replace").strip().splitlines()
    if result.exit_code is not None and said:
        return f"it refuses the data: {printable(said[0])}"
    return result.describe()


class _Checked:
    """A file to write to that passes everything on, counts it, and knows its checksums."""

    def __init__(self, output: BinaryIO | None) -> None:
        self._output = output
        self.count = 0
        self.crc = 0
        self.sha256 = hashlib.sha256()

    def read(self, _: int = -1) -> bytes:
        """Nothing: it is to be written to."""
        return b""

    def write(self, data: bytes) -> int:
        """Take all of ``data``."""
        self.count += len(data)
        self.crc = zlib.crc32(data, self.crc)
        self.sha256.update(data)
        if self._output is not None:
            view = memoryview(data)
            while view:
                view = view[self._output.write(view) :]
        return len(data)


def _copy(source: io.RawIOBase, output: _Checked) -> None:
    while piece := source.read(PIECE):
        output.write(piece)


def _inflate(member: Member, stored: io.RawIOBase, output: _Checked) -> None:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        while not inflater.eof:
            data = inflater.unconsumed_tail or stored.read(PIECE)
            made = inflater.decompress(data, PIECE)
            output.write(made)
            if output.count > member.size:
                raise MemberError(member.name, "it decodes to more bytes than the archive says")
            if not data and not made:
                raise MemberError(member.name, "its deflate stream is cut off")
    except zlib.error as error:
        raise MemberError(member.name, f"it cannot be inflated: {error}") from None
