"""Assembly text to machine code, by LLVM's assembler through llvmlite.

What comes out is position-independent: the bytes of the text section and the offsets of its symbols. A reference that
the assembler could not resolve within the text is an error, since nobody would relocate it.

Results are kept on disk (:mod:`jit.diskcache`), so that a process which finds them there imports no llvmlite.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from jit import diskcache
from reference.records import dataclass

_TRIPLES: Final = {32: "i386-unknown-linux-gnu", 64: "x86_64-unknown-linux-gnu"}
_PROLOGUE: Final = ".intel_syntax noprefix\n.text\n"


class AssemblyError(Exception):
    """Text that assembles, but not to something that stands alone: the message names the symbol."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Machine code and what its labels are: offsets from its start."""

    code: bytes
    symbols: Mapping[str, int]


def assemble(text: str, *, bits: int, constants: Mapping[str, int] | None = None) -> Blob:
    """``text`` in Intel syntax without register prefixes, for 32- or 64-bit mode; ``constants`` are defined before it.

    Labels that begin with ``.L`` do not show in the symbols. Raises AssemblyError for relocations and undefined
    symbols; on a syntax error LLVM itself prints the line and ends the process, so only text of ours belongs here.
    """
    source = "".join(f".set {name}, {value:#x}\n" for name, value in (constants or {}).items()) + text
    key = diskcache.key_of("assembly", str(bits), str(marshal.version), _llvmlite_version(), source)
    stored = diskcache.load(key)
    blob = _unpack(stored) if stored is not None else None
    if blob is None:
        blob = _text_section(_emit_object(_PROLOGUE + source, _TRIPLES[bits]))
        diskcache.save(key, _pack(blob))
    return blob


def assemble_object(text: str, *, bits: int, constants: Mapping[str, int] | None = None) -> bytes:
    """The relocatable object for ``text``, for those who resolve its references themselves. Not kept on disk."""
    source = "".join(f".set {name}, {value:#x}\n" for name, value in (constants or {}).items()) + text
    return _emit_object(_PROLOGUE + source, _TRIPLES[bits])


def _pack(blob: Blob) -> bytes:
    return marshal.dumps((blob.code, dict(blob.symbols)))


def _unpack(payload: bytes) -> Blob | None:
    try:
        code, symbols = marshal.loads(payload)  # noqa: S302 - our own, as the digest tells
    except (ValueError, EOFError, TypeError):
        return None
    return Blob(code, symbols)


@cache
def _llvmlite_version() -> str:
    """What tells one llvmlite from another, found without importing it: importing takes as long as assembling."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        return "none"
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "_version.py"), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return spec.origin


def _emit_object(source: str, triple: str) -> bytes:
    import llvmlite.binding as llvm  # here, because a warm start must not import it

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    escaped = source.replace("\\", "\\5C").replace('"', "\\22")
    module = f'target triple = "{triple}"\n' + "".join(f'module asm "{line}"\n' for line in escaped.splitlines())
    machine = llvm.Target.from_triple(triple).create_target_machine(reloc="static")
    return bytes(machine.emit_object(llvm.parse_assembly(module)))


def _text_section(image: bytes) -> Blob:
    """The text section of a relocatable object, checked to be all there is."""
    from jit import objectfile  # like llvmlite, only where nothing was found on disk

    found = objectfile.read(image)
    text = found.section_number(".text")
    for relocation in found.relocations:
        name = relocation.symbol.name or found.sections[relocation.symbol.section].name
        raise AssemblyError(f"unresolved reference to {name} at offset {relocation.offset:#x}")
    for symbol in found.symbols:
        if symbol.name and symbol.section == objectfile.UNDEFINED:
            raise AssemblyError(f"undefined symbol {symbol.name}")
    return Blob(found.sections[text].data, found.defined(text))
