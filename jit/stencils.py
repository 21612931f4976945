"""Stencils: the templates of the native translator, from assembly text (``stencils.s``) to bytes with holes.

LLVM's assembler finds out what the specification's encoders (:mod:`reference.encode`) say by hand: the bytes, and where a
value belongs in them. A hole is a symbol that the text leaves undefined; the relocation that the assembler makes for it
says where it is, how large, and whether it counts from its end. :data:`HOLES` says in which order the translator supplies
the values; the runtime stubs (``stubs.s``) are assembled along with them, and a stencil that leads to one knows where.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Final

from jit import assemble, objectfile
from reference import layout
from reference.records import dataclass
from reference.registers import MASK32

CONDITIONS: Final = ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
#: Jumps on ECX, in the order of their opcodes.
LOOPS: Final = ("loopne", "loope", "loop", "jecxz")

#: Every stencil, and the values that it takes, in order.
HOLES: Final[Mapping[str, tuple[str, ...]]] = {
    "landing": ("ecx_spilled",),
    "spill": (),
    "push_return": ("return_eip",),
    "dispatch": ("table",),
    "hashed_landing": ("edx_spilled", "ecx_spilled"),
    "hashed_spill": (),
    "hashed_push_return": ("return_eip", "entry_slot", "return_landing"),
    "hashed_dispatch": (),
    "trampoline": ("site",),
    "pop_target": (),
    "release": ("released",),
    "trap": ("reported", "reason"),
    "overflow": ("reported", "reason"),
    "jump_near": ("destination",),
    "jump_short": ("destination",),
    **{f"branch_near_{condition}": ("destination",) for condition in CONDITIONS},
    **{f"branch_short_{condition}": ("destination",) for condition in CONDITIONS},
    **{f"near_{loop}": ("destination",) for loop in LOOPS},
    **{f"short_{loop}": ("destination",) for loop in LOOPS},
    "address_prefix": (),
    "meter": ("charge",),
}
#: The number of each stencil: what the compiled translator knows it by.
NUMBERS: Final = {name: number for number, name in enumerate(HOLES)}
#: What to add to the number of a stencil for the direct entry table to get that for the hashed one.
HASHED: Final = NUMBERS["hashed_landing"] - NUMBERS["landing"]
#: More values than any stencil takes.
MOST_ARGUMENTS: Final = max(map(len, HOLES.values()))


class _I386(IntEnum):
    """Relocation types (System V ABI, Intel386 supplement, figure 4-4)."""

    R_386_32 = 1
    R_386_PC32 = 2
    R_386_8 = 22
    R_386_PC8 = 23


_SIZES: Final = {_I386.R_386_32: 4, _I386.R_386_PC32: 4, _I386.R_386_8: 1, _I386.R_386_PC8: 1}
_ABSOLUTE: Final = (_I386.R_386_32, _I386.R_386_8)


@dataclass(frozen=True, slots=True)
class Hole:
    """``size`` bytes at ``offset``. ``argument``: the number of the value that goes there, or None for the stub at code
    offset ``stub``. ``relative``: it counts from the end of the hole."""

    offset: int
    size: int
    relative: bool
    argument: int | None
    stub: int = 0


@dataclass(frozen=True, slots=True)
class Stencil:
    """A template: its bytes, zero in the holes."""

    name: str
    code: bytes
    holes: tuple[Hole, ...]

    def stamp(self, here: int, *arguments: int) -> bytes:
        """The bytes for code offset ``here`` and these values: what the compiled translator does, in Python."""
        code = bytearray(self.code)
        for hole in self.holes:
            value = hole.stub if hole.argument is None else arguments[hole.argument]
            if hole.relative:
                value -= here + hole.offset + hole.size
            code[hole.offset : hole.offset + hole.size] = (value & MASK32).to_bytes(4, "little")[: hole.size]
        return bytes(code)


@dataclass(frozen=True, slots=True)
class Stencils:
    """All stencils, by number, and the runtime stubs."""

    all: tuple[Stencil, ...]
    stubs: assemble.Blob

    def __getitem__(self, name: str) -> Stencil:
        return self.all[NUMBERS[name]]


def constants() -> dict[str, int]:
    """The symbols in capitals: the layout of the control segment, and the reasons for leaving."""
    named = {name: int(value) for name, value in vars(layout).items() if name.isupper() and isinstance(value, int)}
    return named | {reason.name: int(reason) for reason in layout.Reason}


def source(name: str) -> str:
    """The text of ``stencils.s`` or ``stubs.s``."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def build() -> Stencils:
    """Assemble them. Raises AssemblyError where text and :data:`HOLES` disagree; ImportError without llvmlite."""
    stubs = assemble.assemble(source("stubs.s"), bits=32, constants=constants())
    image = objectfile.read(assemble.assemble_object(source("stencils.s"), bits=32, constants=constants()))
    text = image.section_number(".text")
    starts = sorted((value, name) for name, value in image.defined(text).items())
    if {name for _, name in starts} != {*HOLES, "end"}:
        raise assemble.AssemblyError("stencils.s and its list of holes name different stencils")
    found: dict[str, Stencil] = {}
    for (start, name), (end, _) in itertools.pairwise(starts):
        code = bytearray(image.sections[text].data[start:end])
        holes = []
        for relocation in image.relocations:
            if relocation.section == text and start <= relocation.offset < end:
                hole = _hole(name, relocation, start, stubs.symbols)
                code[hole.offset : hole.offset + hole.size] = bytes(hole.size)
                holes.append(hole)
        _check(name, holes)
        found[name] = Stencil(name, bytes(code), tuple(holes))
    return Stencils(tuple(found[name] for name in HOLES), stubs)


def _hole(name: str, relocation: objectfile.Relocation, start: int, stubs: Mapping[str, int]) -> Hole:
    symbol = relocation.symbol
    if symbol.section != objectfile.UNDEFINED:
        raise assemble.AssemblyError(f"stencil {name} refers to {symbol.name}, which is another stencil")
    kind = _I386(relocation.type)
    offset, relative = relocation.offset - start, kind not in _ABSOLUTE
    if symbol.name in HOLES[name]:
        return Hole(offset, _SIZES[kind], relative, HOLES[name].index(symbol.name))
    if symbol.name not in stubs:
        raise assemble.AssemblyError(f"stencil {name} refers to {symbol.name}, which is neither a hole nor a stub")
    return Hole(offset, _SIZES[kind], relative, None, stubs[symbol.name])


def _check(name: str, holes: list[Hole]) -> None:
    filled = sorted(hole.argument for hole in holes if hole.argument is not None)
    if filled != list(range(len(HOLES[name]))):
        raise assemble.AssemblyError(f"stencil {name} does not have each of its holes once")
