"""Packing: what one file, directory or link becomes in an archive, by the codec that makes the least of it.

A file that is compressed already (:mod:`.recognise`) is stored as it is, if its decoder reads all of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO, Final

from vx32py._errors import UnsupportedHost, Vx32Error
from vx32py._module import Module
from vx32py.archive import codecs as encoders
from vx32py.archive import records
from vx32py.archive.bytestore import PIECE, StrPath
from vx32py.archive.codecs import Effort
from vx32py.archive.extras import Reference, check_codec_name
from vx32py.archive.guests import Checked, Guests, Stopped
from vx32py.archive.limits import Limits
from vx32py.archive.members import METHOD_OF
from vx32py.archive.recognise import HEAD, Recognised, recognise
from vx32py.archive.sources import Source
from vx32py.archive.writer import Packed

#: So much of a compressed file is kept in memory until it is written; more is on disk.
_IN_MEMORY: Final = 8 << 20

#: Is told how many bytes more have been dealt with, from several threads.
Progress = Callable[[int], None]
#: A decoder: a module, the bytes of an ELF file, or the path of one.
Decoder = Module | bytes | StrPath


class Shelf:
    """Decoders, by codec: the caller's, or those that come with vx32py."""

    def __init__(self, given: Mapping[str, Decoder]) -> None:
        self._modules: dict[str, Module] = {}
        for codec, decoder in given.items():
            check_codec_name(codec)
            self._modules[codec] = load_decoder(decoder)

    def module(self, codec: str) -> Module:
        """Raises DecoderMissing."""
        found = self._modules.get(codec)
        if found is None:
            from vx32py import decoders

            found = self._modules[codec] = decoders.load(codec)
        return found

    def has(self, codec: str) -> bool:
        """Whether there is a decoder."""
        from vx32py import decoders

        try:
            self.module(codec)
        except (decoders.DecoderMissing, ValueError):
            return False
        return True

    def choose(self, codecs: Iterable[str] | None) -> list[str]:
        """The codecs to compress with. Raises ArchiveError, DecoderMissing and ValueError."""
        if codecs is None:
            chosen = [codec for codec in encoders.available() if self.has(codec)]
            if not chosen:
                self.module("deflate")
            return chosen
        chosen = encoders.check(codecs)
        for codec in chosen:
            self.module(codec)
        return chosen


def load_decoder(decoder: Decoder) -> Module:
    """A caller's decoder. Raises BadImage and OSError."""
    if isinstance(decoder, Module):
        return decoder
    if isinstance(decoder, bytes):
        return Module.from_bytes(decoder, "decoder")
    return Module.from_file(decoder)


class Prepared:
    """A member that is ready to be written. ``codec`` is that of its decoder, if it has one; a context manager that closes
    the file that its data is in."""

    def __init__(self, packed: Packed, codec: str | None, data: bytes | BinaryIO) -> None:
        self.packed = packed
        self.codec = codec
        self.data = data

    def pieces(self) -> Iterator[bytes]:
        """The data as it is to be written."""
        if isinstance(self.data, bytes):
            yield self.data
        else:
            self.data.seek(0)
            yield from _pieces(self.data)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        if not isinstance(self.data, bytes):
            self.data.close()


class Packer:
    """Prepares members; several threads at once."""

    def __init__(
        self,
        shelf: Shelf,
        codecs: list[str],
        effort: Effort,
        guests: Guests,
        limits: Limits,
        progress: Progress | None,
        *,
        precompressed: bool,
    ) -> None:
        self._shelf = shelf
        self._codecs = codecs
        self._effort = effort
        self._guests = guests
        self._limits = limits
        self._progress = progress
        self._precompressed = precompressed

    def stop(self) -> None:
        """End what other threads are preparing, which raises Stopped, soon."""
        self._guests.stop()

    def prepare(self, source: Source) -> Prepared | str:
        """The member, or one line on why there is none."""
        try:
            if stat.S_ISDIR(source.mode):
                return Prepared(_packed(source, records.STORED, b""), None, b"")
            if stat.S_ISLNK(source.mode):
                assert source.path is not None
                target = os.readlink(source.path)
                return Prepared(_packed(source, records.STORED, target), None, target)
            try:
                return self._file(source)
            finally:
                if self._progress is not None and source.size:
                    self._progress(source.size)
        except OSError as error:
            return f"{os.fsdecode(source.path or b'standard input')}: {error.strerror or error}"

    def _file(self, source: Source) -> Prepared:
        file = _open(source)
        try:
            prepared = self._recognised(source, file) or self._general(source, file)
        except BaseException:
            file.close()
            raise
        if prepared.data is not file:
            file.close()
        return prepared

    def _recognised(self, source: Source, file: BinaryIO) -> Prepared | None:
        """A file that is compressed already, if its decoder reads it."""
        found = recognise(file.read(HEAD), os.fsdecode(source.name)) if self._precompressed else None
        if found is None or not self._shelf.has(found.codec):
            return None
        data = _Measured(file)
        made = self._tried(found, file, data.size)
        if made is None:
            return None
        reference = Reference(
            found.codec, 0, bytes(32), made.count, made.sha256.digest(), precompressed=True, cut=found.cut,
            suffix=found.suffix,
        )  # fmt: skip
        return Prepared(data.packed(source, reference), found.codec, data.content)

    def _tried(self, found: Recognised, file: BinaryIO, size: int) -> Checked | None:
        limits = self._limits
        most = limits.most
        if most is None:
            most = (1 << 62) if limits.ratio is None else max(limits.free, int(size * limits.ratio))
        output = Checked(None, self._guests)
        file.seek(0)
        try:
            wrong = self._guests.decode(
                found.codec, self._shelf.module(found.codec), file, output, most=most,
                seconds=limits.cpu_time(size, 10 * size, native=self._guests.engine in {"auto", "jit"}),
            )  # fmt: skip
        except (UnsupportedHost, Stopped):
            raise
        except Vx32Error:
            return None
        return output if wrong is None else None

    def _general(self, source: Source, file: BinaryIO) -> Prepared:
        """Any file: compressed by the codec that makes the least of it, or stored where none makes it smaller."""
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size <= encoders.WHOLE:
            data = b"".join(_pieces(file))
            best = encoders.best(self._codecs, data, self._effort) if data else None
            if best is None:
                return Prepared(_packed(source, records.STORED, data), None, data)
            codec, made = best
            return Prepared(_packed(source, METHOD_OF[codec], data, len(made), codec), codec, made)
        best = encoders.best(self._codecs, _sample(file, size), self._effort)
        prepared = None if best is None else self._compressed(source, file, best[0])
        if prepared is not None:
            packed = prepared.packed
            if self._limits.refuse(packed.compressed_size, packed.size) and "deflate" in self._codecs:
                # A file of zeros, say: what makes a bomb of it is not worth the doubt when it is extracted.
                prepared.__exit__()
                prepared = self._compressed(source, file, "deflate")
        if prepared is None:
            measured = _Measured(file)
            prepared = Prepared(measured.packed(source), None, measured.content)
        return prepared

    def _compressed(self, source: Source, file: BinaryIO, codec: str) -> Prepared | None:
        """The file compressed by a codec; None where that makes it no smaller."""
        file.seek(0)
        encoder = encoders.encoder(codec, self._effort)
        spool: BinaryIO = _spool()
        try:
            seen = Checked(None, self._guests)
            for piece in _pieces(file):
                seen.write(piece)
                spool.write(encoder.compress(piece))
            spool.write(encoder.flush())
            made = spool.tell()
        except BaseException:
            spool.close()
            raise
        if made >= seen.count:
            spool.close()
            return None
        reference = Reference(codec, 0, bytes(32), seen.count, seen.sha256.digest(), precompressed=False)
        packed = Packed(
            source.name, source.mode, source.mtime, source.uid, source.gid, METHOD_OF[codec], seen.count, made, seen.crc,
            reference,
        )  # fmt: skip
        return Prepared(packed, codec, spool)


class _Measured:
    """A file as it is to be stored: its size and CRC-32, and its content, in memory if there is little of it."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self.size = self.crc = 0
        kept: list[bytes] | None = []
        for piece in _pieces(file):
            self.size += len(piece)
            self.crc = zlib.crc32(piece, self.crc)
            if kept is not None:
                kept.append(piece)
                if self.size > _IN_MEMORY:
                    kept = None
        self.content: bytes | BinaryIO = file if kept is None else b"".join(kept)

    def packed(self, source: Source, reference: Reference | None = None) -> Packed:
        """The member."""
        return Packed(
            source.name, source.mode, source.mtime, source.uid, source.gid, records.STORED, self.size, self.size,
            self.crc, reference,
        )  # fmt: skip


def _packed(
    source: Source, method: int, data: bytes, compressed_size: int | None = None, codec: str | None = None
) -> Packed:
    reference = None
    if codec is not None:
        reference = Reference(codec, 0, bytes(32), len(data), hashlib.sha256(data).digest(), precompressed=False)
    return Packed(
        source.name, source.mode, source.mtime, source.uid, source.gid, method, len(data),
        len(data) if compressed_size is None else compressed_size, zlib.crc32(data), reference,
    )  # fmt: skip


def _open(source: Source) -> BinaryIO:
    """A file that can seek; of standard input a copy. Raises OSError."""
    if source.path is None:
        copy: BinaryIO = _spool()
        with open(0, "rb", closefd=False) as stdin:
            copy.writelines(_pieces(stdin))
        copy.seek(0)
        return copy
    # It may have become something else since it was looked at: a pipe would be waited for, a link followed.
    descriptor = os.open(source.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    if not is_file:
        os.close(descriptor)
        raise OSError("it is no file any more")
    return os.fdopen(descriptor, "rb")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _sample(file: BinaryIO, size: int) -> bytes:
    """Pieces of a file from its beginning to its end."""
    length = encoders.WHOLE // encoders.PIECES
    parts = []
    for number in range(encoders.PIECES):
        file.seek((size - length) * number // (encoders.PIECES - 1))
        parts.append(file.read(length))
    return b"".join(parts)


def _spool() -> BinaryIO:
    """A temporary file, in memory while it is small."""
    file: BinaryIO = tempfile.SpooledTemporaryFile(_IN_MEMORY, prefix="vx32py-")  # type: ignore[assignment] # noqa: SIM115 - the caller closes it
    return file
