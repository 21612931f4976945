"""What an archive has: its decoders, and the sums of its members."""

from __future__ import annotations

from collections import Counter

from reference.records import dataclass, field
from vx32py.archive.errors import ArchiveError
from vx32py.archive.extras import Reference
from vx32py.archive.reader import Archive


@dataclass(slots=True)
class DecoderInfo:
    """A decoder in an archive: the codecs that members call it by, where it is, the SHA-256 and size of its ELF file, and how
    many members it reads. ``problem`` says why it cannot be used; then the size is 0."""

    codecs: list[str]
    offset: int
    sha256: bytes
    size: int = 0
    members: int = 0
    problem: str | None = None


@dataclass(slots=True)
class Info:
    """An archive in short. ``size`` is that of the file; ``content`` and ``stored`` are the bytes of all members before and in
    the archive. ``methods`` counts the files of each method; ``precompressed`` are those that came compressed. ``unusable`` are
    the members with problems."""

    size: int
    files: int = 0
    folders: int = 0
    links: int = 0
    content: int = 0
    stored: int = 0
    precompressed: int = 0
    unusable: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    decoders: list[DecoderInfo] = field(default_factory=list)
    comment: bytes = b""
    problems: list[str] = field(default_factory=list)


def info(archive: Archive) -> Info:
    """What there is in an archive. Nothing is decoded; decoders are read and compared with their SHA-256."""
    found = Info(archive.size, comment=archive.comment, problems=list(archive.problems))
    decoders: dict[tuple[int, bytes], tuple[DecoderInfo, Reference]] = {}
    for member in archive.members():
        found.folders += member.is_directory
        found.links += member.is_link
        found.files += member.is_file
        found.content += member.size
        found.stored += member.compressed_size
        found.unusable += bool(member.problems)
        if member.is_file:
            found.methods[member.method_name] += 1
        reference = member.decoder
        if reference is not None:
            found.precompressed += reference.precompressed
            key = reference.offset, reference.sha256
            if key not in decoders:
                decoders[key] = DecoderInfo([], reference.offset, reference.sha256), reference
            decoder, _ = decoders[key]
            decoder.members += 1
            if reference.codec not in decoder.codecs:
                decoder.codecs.append(reference.codec)
    for decoder, reference in decoders.values():
        try:
            decoder.size = len(archive.decoder(reference))
        except ArchiveError as error:
            decoder.problem = str(error)
        found.decoders.append(decoder)
    return found
