"""Scripts for rc, each of which runs in a new directory, on the kernel and on Linux with the same programs.

A file in ``cases/`` has lines ``# program: NAME`` (else the file's own name says which program the cases are about) and ``# case: NAME``;
what follows is the script, up to the next one. ``# differs: WHY`` in it says that the two cannot do the same. Where there are
lines that begin with ``#=``, they are what the script writes, as the manual has it: it runs on the kernel alone.
Scripts find the files of :mod:`inputs` in ``../in``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reference.records import dataclass

#: Cases that take long are about this.
STRESS: Final = "stress"
FOLDER: Final = Path(__file__).resolve().parent / "cases"


@dataclass(frozen=True, slots=True)
class Case:
    """A script about a program. ``differs`` says why the outcomes are not the same; nothing, and they must be. ``output``: what
    it writes, where Linux cannot say it."""

    program: str
    name: str
    script: str
    differs: str = ""
    output: str | None = None

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{self.program}: {self.name}"


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case, in the order of the files."""
    return tuple(case for path in sorted(FOLDER.glob("*.rc")) for case in _read(path))


def _read(path: Path) -> Iterator[Case]:
    program, name, differs, lines, output = path.stem, "", "", list[str](), list[str]()
    for line in [*path.read_text().splitlines(), "# case: "]:
        key, colon, value = line.partition(": ")
        if colon and key in {"# program", "# case"}:
            if name:
                said = "".join(f"{each}\n" for each in output)
                yield Case(program, name, "\n".join(lines) + "\n", differs, said if output else None)
            lines, output, differs, name = [], [], "", value if key == "# case" else ""
            program = value if key == "# program" else program
        elif colon and key == "# differs":
            differs = value
        elif name and line.startswith("#="):
            output.append(line[2:].removeprefix(" "))
        elif name:
            lines.append(line)
        elif line:
            raise ValueError(f"{path.name}: {line!r} is in no case")
