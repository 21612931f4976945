"""A recipe says how a program is put together: a driver of ours, libraries of others, headers, flags and a compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

from reference.records import dataclass
from vx32py.upstream.libraries import CONFIG, Library, located

#: A path of ours, or ``package/path`` in an archive of others.
Place: TypeAlias = Path | str

#: Their warnings are not ours.
_QUIET: Final = "-w"


@dataclass(frozen=True)
class Recipe:
    """A program. ``driver`` is its main file; headers beside it are found.

    ``files`` and ``include`` come on top of those of the ``libraries``. ``compiler`` is the one that makes the faster
    32-bit program (they differ by up to a half, in both directions); where it is missing, the other one will do.
    ``plugin``: functions to be called, and not a program with a main function.
    """

    name: str
    driver: Path
    libraries: tuple[Library, ...] = ()
    files: tuple[Place, ...] = ()
    include: tuple[Place, ...] = ()
    flags: tuple[str, ...] = ()
    compiler: Literal["gcc", "zig"] = "zig"
    optimise: str = "-O2"
    plugin: bool = False

    @property
    def packages(self) -> tuple[str, ...]:
        """The archives it needs."""
        places = (*self._files, *self._include)
        return tuple(dict.fromkeys(place.split("/", 1)[0] for place in places if isinstance(place, str)))

    @property
    def own_files(self) -> tuple[Path, ...]:
        """What it is made of that no archive has: driver, headers beside it, files and folders of ours."""
        folders = [CONFIG, *(place for place in self._include if isinstance(place, Path))]
        headers = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
        files = (place for place in self._files if isinstance(place, Path))
        return (self.driver, *sorted(self.driver.parent.glob("*.h")), *files, *headers)

    @property
    def options(self) -> tuple[str, ...]:
        """Its flags and those of its libraries."""
        return (_QUIET, *(flag for library in self.libraries for flag in library.flags), *self.flags)

    @property
    def sources_needed(self) -> tuple[str, ...]:
        """Names of its C files and folders of headers, as they are listed."""
        return tuple(place if isinstance(place, str) else place.name for place in (*self._files, *self._include))

    def sources(self) -> list[Path]:
        """All of its C files, fetched if they are not here yet. Raises SourceUnavailable."""
        return [self.driver, *map(_located, self._files)]

    def arguments(self) -> list[str]:
        """Where its headers are, and its options. Raises SourceUnavailable."""
        folders = [*map(_located, (place for place in self._include if isinstance(place, Path))), CONFIG,
                   self.driver.parent, *map(_located, (place for place in self._include if isinstance(place, str)))]  # fmt: skip
        return [*(part for folder in folders for part in ("-I", str(folder))), *self.options]

    @property
    def _files(self) -> tuple[Place, ...]:
        return (*(file for library in self.libraries for file in library.files), *self.files)

    @property
    def _include(self) -> tuple[Place, ...]:
        return (*(folder for library in self.libraries for folder in library.include), *self.include)


def _located(place: Place) -> Path:
    return place if isinstance(place, Path) else located(place)
