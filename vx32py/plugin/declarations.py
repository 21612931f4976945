"""What a plug-in says of itself: the section ``.vx_plugin`` of its image, read and checked.

The section is a sequence of texts in ASCII, each with a zero byte behind it; empty ones are padding::

    vxplugin 1                          once at least: that this is a plug-in, and for which version of the interface
    export NAME SIGNATURE               the function of that symbol can be called
    import NAME SIGNATURE               the host is to have such a function; the address of the ``i`` names it in calls

Everything here is the guest's, and checked before it is used: what is wrong raises BadImage with the section and the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from reference.records import dataclass
from reference.traps import Access
from vx32py import _elf
from vx32py._errors import BadImage
from vx32py._module import Module
from vx32py.plugin.signatures import Signature

SECTION: Final = b".vx_plugin"
VERSION: Final = "vxplugin 1"
#: A larger section is refused.
MOST_BYTES: Final = 1 << 18

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.$]{0,254}", re.ASCII)
_MARK: Final = re.compile(r"vxplugin [0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Import:
    """A function that the plug-in expects of its host."""

    name: str
    signature: Signature


@dataclass(frozen=True, slots=True)
class Declarations:
    """``exports`` by name; ``imports`` by the address at which their text lies in the guest's memory."""

    exports: Mapping[str, Signature]
    imports: Mapping[int, Import]


def read(module: Module) -> Declarations:
    """What a module declares. Raises BadImage where it is no plug-in, or says nonsense."""
    section = _elf.section(module.data, module.image, SECTION, MOST_BYTES)
    if section is None:
        raise BadImage("not a plug-in: it has no section .vx_plugin (vx32py cc --plugin makes one)")
    exports: dict[str, Signature] = {}
    imports: dict[int, Import] = {}
    by_name: dict[str, Signature] = {}
    marked = False
    for offset, text in _texts(section.data):
        where = f"section .vx_plugin, offset {offset:#x}"
        word, _, rest = text.partition(" ")
        if word == "vxplugin":
            if text != VERSION:
                known = text if _MARK.fullmatch(text) else "no version"
                raise BadImage(f"{where}: {known}; what is known is {VERSION}")
            marked = True
            continue
        if word not in ("export", "import"):
            raise BadImage(f"{where}: {text[:40]!a} is neither vxplugin nor export nor import")
        name, _, signature_text = rest.partition(" ")
        if not _NAME.fullmatch(name):
            raise BadImage(f"{where}: {name[:80]!a} is no name of a function")
        try:
            signature = Signature.parse(signature_text)
        except ValueError as error:
            raise BadImage(f"{where}: {word} {name}: {error}") from None
        known_ones = exports if word == "export" else by_name
        if known_ones.setdefault(name, signature) != signature:
            raise BadImage(f"{where}: {word} {name} is there before, with another signature")
        if word == "import":
            imports[section.address + offset] = Import(name, signature)
    if not marked:
        raise BadImage(f"not a plug-in: its section .vx_plugin does not say {VERSION} (vx32py cc --plugin does)")
    return Declarations(exports, imports)


def _texts(data: bytes) -> Iterator[tuple[int, str]]:
    offset = 0
    while offset < len(data):
        end = data.find(0, offset)
        if end < 0:
            raise BadImage(f"section .vx_plugin, offset {offset:#x}: the last text has no zero byte at its end")
        if end > offset:
            try:
                yield offset, data[offset:end].decode("ascii")
            except UnicodeDecodeError as error:
                raise BadImage(f"section .vx_plugin, offset {offset + error.start:#x}: not ASCII") from None
        offset = end + 1


def address_of(module: Module, name: str) -> int:
    """Where the function of a symbol begins. Raises LookupError, and BadImage where that is no code of the image's."""
    symbol = module.symbols.get(name)
    if symbol is None:
        raise LookupError(f"the image has no symbol {name!a}, or was stripped of its symbols")
    if not any(s.start <= symbol.address < s.end and s.access & Access.EXECUTE for s in module.segments):
        raise BadImage(f"symbol {name}: {symbol.address:#010x} is in no executable segment")
    return symbol.address
