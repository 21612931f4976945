"""Adding a decoder: members of an archive that is there already get a decoder, or another one."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reference.records import dataclass, field, replace
from vx32py._errors import UnsupportedHost, Vx32Error
from vx32py._module import Module
from vx32py.archive import extras, records
from vx32py.archive.bytestore import PIECE, StrPath
from vx32py.archive.creating import replacing
from vx32py.archive.errors import ArchiveError, MemberError
from vx32py.archive.extras import Reference, check_codec_name, check_suffix
from vx32py.archive.guests import Checked, Guests
from vx32py.archive.limits import Limits
from vx32py.archive.members import METHOD_OF, Member
from vx32py.archive.packing import Decoder, load_decoder
from vx32py.archive.reader import Archive
from vx32py.archive.recognise import naming
from vx32py.archive.records import MAX32, CentralHeader
from vx32py.archive.writer import Writer

#: A file that nobody knows how much it decodes to may decode to this many times its size, and to FREE bytes at least.
_RATIO: Final = 1100


@dataclass(slots=True)
class Addition:
    """The members that the decoder reads now, and those that it was to read and does not, with the reasons."""

    members: list[str] = field(default_factory=list)
    failures: list[MemberError] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether it reads all that it was to read."""
        return not self.failures


def add_decoder(
    archive: StrPath,
    codec: str,
    decoder: Decoder,
    *,
    members: Iterable[str] | None = None,
    suffix: str | None = None,
    engine: str = "auto",
    limits: Limits | None = None,
) -> Addition:
    """Put a decoder into an archive, for members whose names match one of the patterns ``members`` (as in the shell), or, if
    None, for all that are of this codec already.

    The decoder is run over each of them. A member that has been compressed for the archive must decode to what it did before;
    of a stored one the result becomes its decoded form, whose name ends with ``suffix`` (such as ".wav") in place of the
    member's own. Members for which it fails stay as they are. The data of the archive is copied and stays where it is: only the
    directory changes, and the decoder is new.

    Raises ArchiveError where there is no such member or the archive has problems, BadImage, UnsupportedHost, OSError, and
    ValueError for arguments that make no sense.
    """
    check_codec_name(codec)
    if suffix is not None:
        check_suffix(suffix)
    patterns = None if members is None else list(members)
    module = load_decoder(decoder)
    report = Addition()
    limits = limits or Limits()
    with Archive(archive) as opened, Guests(engine=engine, memory=limits.memory) as guests:
        if opened.problems:
            raise ArchiveError(f"the archive must be whole before something is added to it: {opened.problems[0]}")
        if opened.shift:
            raise ArchiveError(f"{opened.shift} bytes stand before the archive in its file: nothing can be added to it")
        chosen = [member for member in opened.members() if _is_meant(member, codec, patterns)]
        if not chosen:
            raise ArchiveError(f"no member is of the codec {codec!r}" if patterns is None else "no member matches")
        found: dict[int, Reference] = {}
        for member in chosen:
            try:
                found[member.offset] = _tried(opened, member, codec, module, suffix, guests, limits)
            except MemberError as error:
                report.failures.append(error)
            else:
                report.members.append(member.name)
        if found:
            _rewrite(Path(archive), opened, codec, module, found)
    return report


def _is_meant(member: Member, codec: str, patterns: list[str] | None) -> bool:
    if not member.is_file or member.problems:
        return False
    if patterns is not None:
        return any(fnmatch.fnmatchcase(member.name, pattern) for pattern in patterns)
    if member.decoder is not None:
        return member.decoder.codec == codec
    return member.method != records.STORED and METHOD_OF.get(codec) == member.method


def _tried(
    archive: Archive, member: Member, codec: str, module: Module, suffix: str | None, guests: Guests, limits: Limits
) -> Reference:
    """What a member says of its decoder when it is this one. Raises MemberError."""
    before = member.decoder
    precompressed = member.method == records.STORED
    known = member.size if not precompressed else None
    if before is not None and before.codec == codec:
        known = before.size
    most = max(limits.free, member.size * _RATIO) if known is None else known
    output = Checked(None, guests)
    seconds = limits.cpu_time(
        member.compressed_size, known or 10 * member.size, native=guests.engine in {"auto", "jit"}
    )
    stored = archive.open_stored(member)
    try:
        wrong = guests.decode(codec, module, stored, output, most=most, seconds=seconds)
    except UnsupportedHost:
        raise
    except Vx32Error as error:
        wrong = str(error)
    if wrong is not None:
        raise MemberError(member.name, f"the decoder does not read it: {wrong}")
    content = output.sha256.digest()
    if not precompressed and (output.count, output.crc) != (member.size, member.crc):
        raise MemberError(member.name, "the decoder makes something else of it than the file that was archived")
    if before is not None and before.codec == codec and content != before.content:
        raise MemberError(member.name, "the decoder makes something else of it than the one before")
    cut, becomes = _naming(member, codec, before, suffix) if precompressed else (0, "")
    return Reference(codec, 0, bytes(32), output.count, content, precompressed=precompressed, cut=cut, suffix=becomes)


def _naming(member: Member, codec: str, before: Reference | None, suffix: str | None) -> tuple[int, str]:
    """How many bytes of a member's name the decoded form is without, and what it ends with."""
    if suffix is not None:
        return min(len(os.path.splitext(member.name)[1]), 255), suffix
    if before is not None and before.precompressed:
        return before.cut, before.suffix
    return naming(codec, member.name)


def _rewrite(path: Path, archive: Archive, codec: str, module: Module, found: dict[int, Reference]) -> None:
    """The archive with a decoder behind its last member, and a directory of which these members' entries say so."""
    entries = archive.members()
    with replacing(path) as output:
        os.fchmod(output.fileno(), os.stat(path).st_mode & 0o777)
        source = archive.data()
        while piece := source.read(PIECE):
            output.write(piece)
        writer = Writer(output, output.tell())
        for member in entries:
            if member.decoder is not None:
                writer.knows(member.decoder.sha256, member.decoder.offset)
        offset, digest = writer.decoder(codec, module.data)
        for member in entries:
            reference = found.get(member.offset)
            if reference is not None:
                reference = replace(reference, offset=offset, sha256=digest)
            writer.keep(_entry(member, reference))
        writer.finish(archive.comment)


def _entry(member: Member, reference: Reference | None) -> bytes:
    """A member's entry in the directory, as it was but for its decoder. Extra fields that nobody here knows are kept."""
    extra = member.extra
    if reference is not None:
        kept = [(identifier, content) for identifier, content in extras.fields(extra) if identifier != extras.DECODER]
        extra = b"".join(extras.pack(identifier, content) for identifier, content in kept) + reference.pack()
    sizes = [member.size, member.compressed_size, member.offset]
    large = max(sizes) >= MAX32
    if large or any(identifier == extras.ZIP64 for identifier, _ in extras.fields(extra)):
        rest = [(i, content) for i, content in extras.fields(extra) if i != extras.ZIP64]
        extra = extras.pack_zip64(member.size, member.compressed_size, member.offset)
        extra += b"".join(extras.pack(identifier, content) for identifier, content in rest)
    needed = records.NEEDED.get(member.method, 20)
    header = CentralHeader(
        member.made_by, max(needed, records.NEEDED_ZIP64) if large else needed, member.flags, member.method,
        member.dos_time, member.crc, min(member.compressed_size, MAX32), min(member.size, MAX32), len(member.raw_name),
        len(extra), len(member.comment), 0, member.external, min(member.offset, MAX32),
    )  # fmt: skip
    return header.pack() + member.raw_name + extra + member.comment
