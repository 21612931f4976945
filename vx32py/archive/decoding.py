"""Decoders: what turns a member's data into files again, each by the decoder that its archive brought, in a sandbox.

A decoder is a guest that reads standard input and writes standard output and has nothing else: no files, no other process, no
clock, the deterministic instruction set. What it writes is compared with what the archive says of it.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, Final, Self

from vx32py._errors import BadImage, UnsupportedHost, Vx32Error
from vx32py._module import Module
from vx32py.archive import records
from vx32py.archive.bytestore import PIECE
from vx32py.archive.errors import ArchiveError, MemberError
from vx32py.archive.extras import Reference
from vx32py.archive.guests import Checked, Guests
from vx32py.archive.limits import Limits
from vx32py.archive.members import CODEC_OF, Member
from vx32py.archive.reader import Archive

#: How many decoders are kept loaded; an archive may have any number of them.
_KEPT: Final = 16


class Decoders:
    """The decoders of an archive, ready to run; a context manager. Several threads may use it.

    ``engine`` is as for :class:`vx32py.Sandbox`. Each member is decoded by a guest in the state in which it first wants to
    read; one that offers to go on with the next member (``vx_done``) may do so where owner, group and mode of the two are
    the same, and with ``fresh`` never. ``guests`` is how many members the caller means to decode at the same time.
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
        self.fresh = fresh
        self.engine = engine
        self.guests = Guests(engine=engine, memory=self.limits.memory, kept=guests)
        self._modules: dict[bytes, Module] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self) -> None:
        """End what other threads are decoding, who get an error."""
        self.guests.stop()

    def close(self) -> None:
        """Let go of all guests."""
        self._modules.clear()
        self.guests.close()

    def decode(self, member: Member, output: BinaryIO | None = None, *, decoded: bool = False) -> int:
        """Write a member's content to ``output`` (nowhere, if None) and return how many bytes that were.

        The content is the file that went into the archive; with ``decoded``, of a file that was compressed before, what its
        decoder makes of it. Raises MemberError where that is not what the archive says, after some of it may have been
        written, OSError where ``output`` cannot be written or the archive cannot be read, and UnsupportedHost where the engine
        cannot run any decoder.
        """
        checked = Checked(output, self.guests)
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

    def _by_reference(self, member: Member, reference: Reference, stored: io.RawIOBase, output: Checked) -> None:
        try:
            elf = self.archive.decoder(reference)
            module = self._modules.get(elf)
            if module is None:
                module = Module.from_bytes(elf, reference.codec)
                if len(self._modules) >= _KEPT:
                    self._modules.clear()
                self._modules[elf] = module
        except BadImage as error:
            raise MemberError(member.name, f"its decoder {reference.codec!r}: {error}") from None
        except ArchiveError as error:
            raise MemberError(member.name, str(error)) from None
        self._run(member, reference.codec, module, stored, output, reference.size)

    def _without_reference(self, member: Member, stored: io.RawIOBase, output: Checked) -> None:
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
        self._run(member, codec, module, stored, output, member.size)

    def _run(
        self, member: Member, codec: str, module: Module, stored: io.RawIOBase, output: Checked, size: int
    ) -> None:
        seconds = self.limits.cpu_time(member.compressed_size, size, native=self.engine in {"auto", "jit"})
        what = f"its decoder {codec!r}"
        try:
            wrong = self.guests.decode(
                codec, module, stored, output, most=size, seconds=seconds, owner=None if self.fresh else member.owner
            )
        except UnsupportedHost as error:
            self.guests.require_host()  # or it is this decoder that there is no room for
            raise MemberError(member.name, f"{what}: {error}") from None
        except Vx32Error as error:
            raise MemberError(member.name, f"{what}: {error}") from None
        if wrong is not None:
            raise MemberError(member.name, f"{what}: {wrong}")


def _copy(source: io.RawIOBase, output: Checked) -> None:
    while piece := source.read(PIECE):
        output.write(piece)


def _inflate(member: Member, stored: io.RawIOBase, output: Checked) -> None:
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
