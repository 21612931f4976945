"""Archive: the members of a ZIP file, their data and their decoders. Every byte of it may have been forged.

What is wrong with the archive is in ``Archive.problems``, what is wrong with one member in ``Member.problems``, and the
other members can be used all the same. Only a file in which there is nothing to be found is refused.
"""

from __future__ import annotations

import hashlib
import io
import stat
import threading
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Self

from vx32py.archive import extras, records
from vx32py.archive.bytestore import Bytes, Span, StrPath
from vx32py.archive.errors import ArchiveError, MemberError, printable
from vx32py.archive.extras import Reference
from vx32py.archive.members import MOST_MEMBERS, Member, decode_name, from_dos_time, mode_of
from vx32py.archive.records import CentralHeader, End, LocalHeader

#: A decoder's ELF file has no more bytes than this, before and after it is inflated.
MOST_DECODER: Final = 64 << 20
#: A link's target: PATH_MAX of Linux.
MOST_TARGET: Final = 4096
#: How many decoders are kept once they have been read.
_KEPT: Final = 32


class Archive:
    """A ZIP file that is open for reading; a context manager. Several threads may use it.

    ``source`` is a path or a binary file; one that cannot seek is copied to a temporary file. Raises ArchiveError for what is
    no archive, and OSError.
    """

    def __init__(self, source: StrPath | BinaryIO) -> None:
        self.problems: list[str] = []
        self.comment = b""
        self._bytes = Bytes(source)
        self._shift = 0
        self._end_of_data = 0
        self._members: list[Member] = []
        #: The member that comes next in the file, by a member's offset.
        self._following: dict[int, Member] = {}
        self._decoders: dict[tuple[int, bytes], bytes | str] = {}
        self._lock = threading.Lock()
        try:
            self._open()
        except BaseException:
            self._bytes.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._bytes.close()

    @property
    def size(self) -> int:
        """How many bytes the archive has."""
        return self._bytes.size

    @property
    def shift(self) -> int:
        """How many bytes stand before the archive in its file (a program that unpacks it, say)."""
        return self._shift

    def members(self) -> list[Member]:
        """All members, in the order of the directory."""
        return list(self._members)

    def data(self) -> Span:
        """Everything before the directory."""
        return self._bytes.span(0, self._end_of_data)

    def open_stored(self, member: Member) -> Span:
        """A member's data as it lies in the archive, after its local header has been compared with the directory. Raises
        MemberError."""
        start = self.data_offset(member)
        return self._bytes.span(start, start + member.compressed_size)

    def data_offset(self, member: Member) -> int:
        """Where a member's data begins. Raises MemberError for a member with problems, and where the local header says
        something else than the directory."""
        if member.problems:
            raise MemberError(member.name, member.problems[0])
        start = self._check_header(member)
        end = start + member.compressed_size
        if end > self._bytes.size:
            raise MemberError(
                member.name, f"it is cut off: {max(self._bytes.size - start, 0)} of {member.compressed_size} bytes"
            )
        following = self._following.get(member.offset)
        while following is not None and end > following.offset:
            if self._is_there(following):
                raise MemberError(member.name, _reaches_into(following))
            following = self._following.get(following.offset)
        return start

    def _is_there(self, member: Member) -> bool:
        """Whether there is a local header for a member, or the directory's word only."""
        try:
            self._check_header(member)
        except MemberError:
            return False
        return True

    def _check_header(self, member: Member) -> int:
        """Compare a member's local header with the directory; returns where its data begins. Raises MemberError."""
        header = LocalHeader.unpack(self._bytes.read_at(member.offset, records.LOCAL_SIZE))
        if header is None:
            raise MemberError(member.name, f"no local header at {member.offset:#x}")
        name_at = member.offset + records.LOCAL_SIZE
        start = name_at + header.name_length + header.extra_length
        if self._bytes.read_at(name_at, header.name_length) != member.raw_name:
            raise MemberError(member.name, "its local header has another name")
        if header.method != member.method:
            raise MemberError(member.name, f"its local header says method {header.method}, not {member.method}")
        if (header.flags ^ member.flags) & records.ENCRYPTED:
            raise MemberError(member.name, "its local header does not say the same about encryption")
        if not header.flags & records.DESCRIBED:
            self._compare_sizes(member, header, name_at + header.name_length)
        return start

    def _compare_sizes(self, member: Member, header: LocalHeader, extra_at: int) -> None:
        local, problems = extras.read(
            self._bytes.read_at(extra_at, header.extra_length),
            size=header.size, compressed_size=header.compressed_size, offset=0, raw_name=member.raw_name,
        )  # fmt: skip
        if problems and records.MAX32 in {header.size, header.compressed_size}:
            raise MemberError(member.name, f"local header: {problems[0]}")
        if (local.size, local.compressed_size, header.crc) != (member.size, member.compressed_size, member.crc):
            raise MemberError(member.name, "its local header has other sizes or another CRC-32")

    def decoder(self, reference: Reference) -> bytes:
        """The ELF file of a decoder, whose SHA-256 has been checked. Raises ArchiveError."""
        key = (reference.offset, reference.sha256)
        with self._lock:
            found = self._decoders.get(key)
            if found is None:
                try:
                    found = self._read_decoder(reference)
                except ArchiveError as error:
                    found = str(error)
                while len(self._decoders) >= _KEPT:
                    del self._decoders[next(iter(self._decoders))]
                self._decoders[key] = found
        if isinstance(found, str):
            raise ArchiveError(found)
        return found

    def _read_decoder(self, reference: Reference) -> bytes:
        what = f"its decoder {reference.codec!r} at {reference.offset:#x}"
        at = reference.offset + self._shift
        header = LocalHeader.unpack(self._bytes.read_at(at, records.LOCAL_SIZE))
        if header is None or header.name_length:
            raise ArchiveError(f"{what} is not there")
        if header.method not in {records.STORED, records.DEFLATE} or header.flags & ~records.UTF8:
            raise ArchiveError(f"{what} is not stored as a decoder is")
        start = at + records.LOCAL_SIZE + header.extra_length
        if max(header.size, header.compressed_size) > MOST_DECODER:
            raise ArchiveError(f"{what} is larger than {MOST_DECODER} bytes")
        data = self._bytes.read_at(start, header.compressed_size)
        if len(data) < header.compressed_size:
            raise ArchiveError(f"{what} is cut off")
        if header.method == records.DEFLATE:
            data = inflate(data, header.size, what)
        if len(data) != header.size or hashlib.sha256(data).digest() != reference.sha256:
            raise ArchiveError(f"{what} is not the one that the member asks for: its SHA-256 is another")
        return data

    # How the directory is found and read.

    def _open(self) -> None:
        from vx32py.archive import recovery

        found = self._find_end()
        if found is None:
            self.problems.append("no central directory: the file is cut off, or is no archive")
            end_of_data = self._bytes.size
        else:
            end, position = found
            end_of_data = self._read_directory(end, position)
        self._end_of_data = end_of_data
        if self.problems:
            known = {member.offset for member in self._members}
            for member in recovery.members(self._bytes, end_of_data):
                if member.offset not in known:
                    self._members.append(member)
        if not self._members and found is None:
            raise ArchiveError("not a ZIP archive: no member and no central directory in it")
        self._judge(end_of_data)

    def _find_end(self) -> tuple[End, int] | None:
        """The end of the central directory, and where the directory ends. The last record whose comment fills the file;
        if there is none, the last one at all."""
        start = max(self._bytes.size - records.END_SIZE - records.MAX16, 0)
        tail = self._bytes.read_at(start, self._bytes.size - start)
        best: tuple[End, int] | None = None
        at = tail.rfind(records.END)
        while at >= 0:
            end = End.unpack(tail[at : at + records.END_SIZE])
            if end is not None:
                exact = at + records.END_SIZE + end.comment_length == len(tail)
                if best is None or exact:
                    best = end, start + at
                if exact:
                    break
            at = tail.rfind(records.END, 0, at)
        if best is None:
            return None
        end, position = best
        self.comment = self._bytes.read_at(position + records.END_SIZE, end.comment_length)
        locator = records.unpack_locator64(
            self._bytes.read_at(position - records.LOCATOR64_SIZE, records.LOCATOR64_SIZE)
        )
        if locator is None:
            return end, position
        # Bytes may stand before the archive, which the locator knows nothing of: the record is right before it, too.
        for at64 in (locator, position - records.LOCATOR64_SIZE - records.END64_SIZE):
            end64 = End.unpack64(self._bytes.read_at(at64, records.END64_SIZE))
            if end64 is not None:
                return end64, at64
        self.problems.append(f"no ZIP64 end of the central directory at {locator:#x}")
        return end, position

    def _read_directory(self, end: End, position: int) -> int:
        """Read the members; returns where the directory begins."""
        if end.disk:
            self.problems.append("it is one part of several; such archives cannot be read")
        start = position - end.size
        if start < 0 or (end.size and self._bytes.read_at(start, 4) != records.CENTRAL):
            start = end.offset
        if start < 0 or start + end.size > position:
            self.problems.append("the central directory is not where the end of the archive says")
            return position
        self._shift = max(start - end.offset, 0)
        reader: BinaryIO = io.BufferedReader(self._bytes.span(start, start + end.size), 1 << 16)
        left = end.size
        while left:
            member, length = self._read_entry(reader, left)
            if member is None:
                at = start + end.size - left
                self.problems.append(
                    f"the central directory is damaged at {at:#x}, behind {len(self._members)} members"
                )
                return start
            if len(self._members) == MOST_MEMBERS:
                self.problems.append(f"more than {MOST_MEMBERS} members: the others are not read")
                return start
            self._members.append(member)
            left -= length
        number = len(self._members)
        if number != end.entries and not (end.entries < records.MAX16 and number & records.MAX16 == end.entries):
            self.problems.append(f"the archive says that it has {end.entries} members; there are {number}")
        return start

    def _read_entry(self, reader: BinaryIO, left: int) -> tuple[Member | None, int]:
        header = CentralHeader.unpack(reader.read(min(records.CENTRAL_SIZE, left)))
        if header is None:
            return None, 0
        length = records.CENTRAL_SIZE + header.name_length + header.extra_length + header.comment_length
        if length > left:
            return None, 0
        raw_name = reader.read(header.name_length)
        extra = reader.read(header.extra_length)
        comment = reader.read(header.comment_length)
        return self._member(header, raw_name, extra, comment), length

    def _member(self, header: CentralHeader, raw_name: bytes, extra: bytes, comment: bytes) -> Member:
        found, problems = extras.read(
            extra, size=header.size, compressed_size=header.compressed_size, offset=header.offset, raw_name=raw_name
        )
        try:
            name = found.name if found.name is not None else decode_name(raw_name, header.flags, header.made_by)
        except UnicodeDecodeError:
            name = raw_name.decode("utf-8", "backslashreplace")
            problems.append("its name is not UTF-8, and the archive says that it is")
        if header.disk:
            problems.append("it is in another part of the archive")
        return Member(
            name=name,
            raw_name=raw_name,
            method=header.method,
            flags=header.flags,
            mode=mode_of(header.made_by, header.external, raw_name) or found.mode or 0,
            mtime=found.mtime if found.mtime is not None else from_dos_time(header.time),
            uid=found.uid,
            gid=found.gid,
            size=found.size,
            compressed_size=found.compressed_size,
            crc=header.crc,
            offset=found.offset + self._shift,
            decoder=found.decoder,
            link_target=found.link,
            comment=comment,
            extra=extra,
            made_by=header.made_by,
            external=header.external,
            dos_time=header.time,
            problems=problems,
        )

    def _judge(self, end_of_data: int) -> None:
        """Say what is wrong with each member by itself, and between members; and read the targets of links."""
        names: set[str] = set()
        for member in self._members:
            member.problems += _problems_of(member, end_of_data)
            if member.name in names:
                member.problems.append("another member has the same name")
            names.add(member.name)
        self._judge_overlaps()
        for member in self._members:
            if member.is_link and member.link_target is None and not member.problems:
                try:
                    member.link_target = self._target(member)
                except MemberError as error:
                    member.problems.append(error.reason)

    def _judge_overlaps(self) -> None:
        """No byte belongs to two members, or a small file could be made of any number of large ones. What reaches into the
        next member is refused; but an entry of the directory that has no local header takes nothing from anybody."""
        order = sorted(enumerate(self._members), key=lambda entry: (-entry[1].offset, entry[0]))
        behind: list[Member] = []
        for _, member in order:
            if member.problems:
                continue
            end = member.offset + records.LOCAL_SIZE + len(member.raw_name) + member.compressed_size
            while behind and end > behind[-1].offset:
                following = behind[-1]
                try:
                    self._check_header(following)
                except MemberError as error:
                    following.problems.append(error.reason)
                    behind.pop()
                    continue
                try:
                    self._check_header(member)
                except MemberError as error:
                    member.problems.append(error.reason)
                else:
                    member.problems.append(_reaches_into(following))
                break
            else:
                if behind:
                    self._following[member.offset] = behind[-1]
                behind.append(member)

    def _target(self, member: Member) -> bytes:
        if max(member.size, member.compressed_size) > MOST_TARGET:
            raise MemberError(member.name, f"a link to a name of more than {MOST_TARGET} bytes")
        data = self.open_stored(member).readall()
        if member.method == records.DEFLATE:
            try:
                data = inflate(data, member.size, "the link's target")
            except ArchiveError as error:
                raise MemberError(member.name, str(error)) from None
        elif member.method != records.STORED:
            raise MemberError(member.name, f"a link whose target is compressed ({member.method_name})")
        if len(data) != member.size or zlib.crc32(data) != member.crc:
            raise MemberError(member.name, "the link's target has another CRC-32 or size")
        return data


def _reaches_into(following: Member) -> str:
    return f"it overlaps: its data reaches into that of {printable(following.name)!r}"


def _problems_of(member: Member, end_of_data: int) -> Iterator[str]:
    if not member.raw_name:
        yield "it has no name"
    if b"\0" in member.raw_name or "\0" in member.name:
        yield "its name has a zero byte in it"
    if member.flags & (records.ENCRYPTED | records.MASKED):
        yield "it is encrypted"
    if member.flags & records.PATCHED:
        yield "it is a patch for another file"
    if member.method == records.STORED and member.size != member.compressed_size:
        yield "it is stored, and its two sizes differ"
    if member.offset + records.LOCAL_SIZE + len(member.raw_name) + member.compressed_size > end_of_data:
        yield "it does not end before the archive does"
    if member.is_directory and member.size:
        yield "a directory with content"
    if member.mode and stat.S_IFMT(member.mode) not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        yield "it is neither file nor directory nor link"
    if member.mode and member.is_directory != stat.S_ISDIR(member.mode):
        yield "its name and its mode do not agree whether it is a directory"
    if member.decoder is None and member.method == records.VX:
        yield "it needs a decoder, and the archive does not say which"
    if member.decoder is not None:
        if member.decoder.precompressed and member.method != records.STORED:
            yield "its decoder record says that it is stored as it was, and it is not"
        if not member.decoder.precompressed and member.method == records.STORED:
            yield "it is stored, and its decoder record says that it is compressed"
        if not member.decoder.precompressed and member.decoder.size != member.size:
            yield "its decoder record says another size"


def inflate(data: bytes, size: int, what: str) -> bytes:
    """A raw deflate stream that is to have ``size`` bytes; no more are made. Raises ArchiveError."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        made = inflater.decompress(data, size + 1)
    except zlib.error as error:
        raise ArchiveError(f"{what} cannot be inflated: {error}") from None
    if len(made) != size or not inflater.eof:
        raise ArchiveError(f"{what} has another size than its header says")
    return made
