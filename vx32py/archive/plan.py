"""Plan: which path each member of an archive gets below the target directory, before anything is written.

What contradicts what is decided here, in the order of the archive and not in that in which decoders happen to finish: the
first member of a name has it, and what a later one would need is refused to that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reference.records import dataclass, field
from vx32py.archive.errors import ArchiveError, MemberError, printable
from vx32py.archive.limits import Limits
from vx32py.archive.members import Member
from vx32py.archive.names import Refused, parts_of

Parts = tuple[str, ...]

#: How many names are tried for a decoded file before it is given up.
_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Item:
    """A member, and where it goes. ``decoded``: whether what its decoder makes of it goes there, not the file itself."""

    member: Member
    parts: Parts
    decoded: bool = False


@dataclass(slots=True)
class Plan:
    """What is to be made, in the order of the archive. ``failures`` has the members that cannot be."""

    folders: list[Item] = field(default_factory=list)
    files: list[Item] = field(default_factory=list)
    links: list[Item] = field(default_factory=list)
    failures: list[MemberError] = field(default_factory=list)
    #: How many files, folders and links that makes, folders among them that are no members.
    names: int = 0


#: What will be in a folder, by name; None for what is no folder.
_Folder = dict[str, "_Folder | None"]


def plan(members: Iterable[Member], *, decoded: bool = False, limits: Limits | None = None) -> Plan:
    """Where members go. With ``decoded``, files that were compressed before they came into the archive go there decoded,
    under their decoded names: ``photo.jpg`` as ``photo.bmp``. If something else has that name, as ``photo.jpg.bmp``, then as
    ``photo.jpg.1.bmp`` and so on; a member that is extracted as it is has its own name in any case.

    Raises ArchiveError where more would come of them than ``limits`` allow: of a few bytes of a name come hundreds of folders.
    """
    made = Plan()
    limits = limits or Limits()
    root: _Folder = {}
    derived: list[Member] = []
    for member in members:
        if decoded and member.is_precompressed and member.is_file:
            derived.append(member)
            continue
        try:
            _place(made, root, member)
            _check(made, limits)
        except Refused as error:
            made.failures.append(MemberError(member.name, str(error)))
    for member in derived:
        try:
            made.files.append(Item(member, _take_decoded(made, root, member), decoded=True))
            _check(made, limits)
        except Refused as error:
            made.failures.append(MemberError(member.name, str(error)))
    refused = limits.refuse_all((item.member.compressed_size, _size(item)) for item in made.files)
    if refused is not None:
        raise ArchiveError(refused)
    return made


def _check(made: Plan, limits: Limits) -> None:
    refused = limits.refuse_files(made.names)
    if refused is not None:
        raise ArchiveError(refused)


def _size(item: Item) -> int:
    return item.member.decoded_size if item.decoded else item.member.size


def _place(made: Plan, root: _Folder, member: Member) -> None:
    parts = _parts_of(member)
    if not parts:
        return  # the target directory itself is as it is
    made.names += _take(root, parts, folder=member.is_directory)
    items = made.folders if member.is_directory else made.links if member.is_link else made.files
    items.append(Item(member, parts))


def _parts_of(member: Member) -> Parts:
    if member.problems:
        raise Refused(member.problems[0])
    parts = parts_of(member.name)
    if not parts and not member.is_directory:
        raise Refused("its name is that of the target directory")
    return parts


def _take_decoded(made: Plan, root: _Folder, member: Member) -> Parts:
    *folder, name = _parts_of(member)
    suffix = member.decoder.suffix if member.decoder is not None else ""
    candidates = [member.decoded_name.rpartition("/")[2], name + (suffix or ".decoded")]
    candidates += [f"{name}.{number}{suffix}" for number in range(1, _TRIES)]
    for candidate in candidates:
        path = (*folder, *parts_of(candidate))
        try:
            if len(path) == len(folder) + 1:
                made.names += _take(root, path)
                return path
        except _Taken:
            pass
    raise Refused("other members have all the names that the decoded file might get")


class _Taken(Refused):
    """Something else has this very path."""


def _take(root: _Folder, parts: Parts, *, folder: bool = False) -> int:
    """Reserve a path, with the folders on the way to it; how many of these there were not. Raises Refused, and reserves
    nothing then."""
    here = root
    known = 0
    for name in parts[:-1]:
        if name not in here:
            break
        known += 1
        below = here[name]
        if below is None:
            raise Refused(f"it lies in '{printable('/'.join(parts[:known]))}', which is no folder in this archive")
        here = below
    if known == len(parts) - 1 and parts[-1] in here:
        there = here[parts[-1]]
        if there is None:
            raise _Taken("another member has the same name")
        if not folder:
            raise _Taken("its name is that of a folder of this archive")
        return 0
    for name in parts[known:-1]:
        here[name] = here = {}
    here[parts[-1]] = {} if folder else None
    return len(parts) - known
