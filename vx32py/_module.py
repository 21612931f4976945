"""Module: a guest program, checked and ready to be loaded."""

from __future__ import annotations

import bisect
import os
import weakref

# As jit.diskcache has it: hashlib would load OpenSSL first.
from _blake2 import blake2b
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Literal

from reference.memory import PAGE
from reference.records import dataclass
from reference.traps import Access
from vx32py import _elf
from vx32py._elf import Segment, Symbol
from vx32py._errors import BadImage

#: An image of more bytes than this is refused without being read.
MAX_FILE: Final = 1 << 30

#: Program headers that tell an executable of a Linux toolchain from one that was linked for the VX ABI.
_LINUX_TYPES: Final = frozenset({_elf.PT_TLS, _elf.PT_GNU_STACK, _elf.PT_GNU_RELRO, _elf.PT_DYNAMIC, _elf.PT_NOTE})
#: What the guest library of this package leaves in every image.
_VX_MARK: Final = b"VX ABI 1\0"


class Identity:
    """Tells one module from another: by identity within a process, by :attr:`digest` across processes."""

    def __init__(self, module: Module) -> None:
        self._module = weakref.ref(module)

    @cached_property
    def digest(self) -> bytes:
        """A digest of the module's code; empty where nobody has asked for it while there was the module."""
        module = self._module()
        if module is None:
            return b""
        digest = blake2b(digest_size=32)
        for segment in module.segments:
            if segment.access & Access.EXECUTE:
                digest.update(segment.start.to_bytes(4, "little") + len(segment.data).to_bytes(4, "little"))
                digest.update(segment.data)
        return digest.digest()


@dataclass(frozen=True, eq=False)
class Module:
    """A guest program: an ELF image that has passed every check. Immutable; load it as often as you like.

    ``name`` is what messages call it, and argv[0] by default.

    >>> Module.from_bytes(b"MZ")
    Traceback (most recent call last):
    vx32py._errors.BadImage: not an ELF file: it does not begin with 7F 45 4C 46
    """

    data: bytes
    name: str
    image: _elf.Image

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, name: str = "guest") -> Module:
        """Check an image that is already in memory. Raises BadImage."""
        held = bytes(data)
        return cls(held, name, _elf.parse(held))

    def with_interpreter(self, interpreter: bytes | bytearray | memoryview) -> Module:
        """This program with the file of its interpreter, as it is loaded. Raises BadImage."""
        return Module(self.data, self.name, _elf.with_interpreter(self.image, bytes(interpreter)))

    @property
    def is_complete(self) -> bool:
        """Whether it can be loaded as it is: it needs no interpreter, or has it."""
        return not self.image.interpreter or bool(self.image.interpreter_entry)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Module:
        """Read and check an image. Raises BadImage, and OSError where the file cannot be read."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE:
                raise BadImage(f"an image of {size} bytes; {MAX_FILE} are the most")
            data = file.read(MAX_FILE + 1)
        return cls.from_bytes(data, os.path.basename(os.fsdecode(path)))

    @property
    def entry(self) -> int:
        """The address of the program's first instruction; an interpreter comes before that."""
        return self.image.entry

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is loaded, by address."""
        return self.image.segments

    @property
    def start(self) -> int:
        """The first address of the image, rounded down to a page."""
        return self.segments[0].pages[0]

    @property
    def end(self) -> int:
        """The first address behind the image, rounded up to a page."""
        return self.segments[-1].pages[1]

    @cached_property
    def abi(self) -> Literal["vx", "linux"]:
        """Which conventions the program was built for. It decides where the stack is, and nothing else.

        "vx" where the image carries the mark of the guest library, or has none of the program headers that Linux
        toolchains write (thread-local storage, stack flags, notes, RELRO, dynamic section).
        """
        if any(_VX_MARK in bytes(s.data) for s in self.segments if not s.access & Access.WRITE):
            return "vx"
        return "linux" if self.image.types & _LINUX_TYPES else "vx"

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about the image but no reason to refuse it, one line each."""
        found = [f"segment {s.index} is both writable and executable" for s in self.segments if s.access == Access.RWX]
        for below, above in pairwise(self.segments):
            if below.pages[1] > above.pages[0] and below.access != above.access:
                found.append(
                    f"segments {below.index} and {above.index} share the page at {above.pages[0]:#010x}, "
                    "which gets the rights of both"
                )
        return tuple(found)

    def pages(self) -> list[tuple[int, int, Access]]:
        """The image as runs of whole pages (start, end, rights). A page of two segments has the rights of both."""
        return list(self._pages)

    @cached_property
    def _pages(self) -> list[tuple[int, int, Access]]:
        runs: list[tuple[int, int, Access]] = []
        for segment in self.segments:
            start, end = segment.pages
            if runs and runs[-1][1] > start:  # at most one page: segments are sorted and do not overlap
                shared_start, shared_end, access = runs.pop()
                if shared_end - PAGE > shared_start:
                    runs.append((shared_start, shared_end - PAGE, access))
                runs.append((shared_end - PAGE, shared_end, access | segment.access))
                start = shared_end
            if start < end:
                runs.append((start, end, segment.access))
        return runs

    @cached_property
    def identity(self) -> Identity:
        """What tells this module from every other, also to those who must not keep it alive."""
        return Identity(self)

    @cached_property
    def loaded(self) -> dict[object, Any]:
        """What the loader keeps for all guests of this module."""
        return {}

    @cached_property
    def symbols(self) -> dict[str, Symbol]:
        """Functions and objects by name; of several with one name the first that is not local to a file. Raises BadImage for
        a broken table."""
        if isinstance(self._symbols, BadImage):
            raise BadImage(str(self._symbols))
        found: dict[str, Symbol] = {}
        for symbol in self._symbols[1]:
            if found.setdefault(symbol.name, symbol).is_local and not symbol.is_local:
                found[symbol.name] = symbol
        return found

    def symbol_at(self, address: int) -> str | None:
        """``"name"`` or ``"name+0x1c"`` for an address within a function or object, else None. Never raises."""
        if isinstance(self._symbols, BadImage):
            return None
        addresses, symbols = self._symbols
        here = bisect.bisect_right(addresses, address) - 1
        if here >= 0:
            here = bisect.bisect_left(addresses, addresses[here])  # the first of equals is the best name
        if here < 0 or not any(s.start <= address < s.end for s in self.segments):
            return None
        symbol = symbols[here]
        offset = address - symbol.address
        if symbol.size and offset >= symbol.size:
            return None
        return f"{symbol.name}+{offset:#x}" if offset else symbol.name

    @cached_property
    def _symbols(self) -> tuple[list[int], list[Symbol]] | BadImage:
        """By address; or what is wrong with the table, which takes as long to find out."""
        try:
            symbols = _elf.symbols(self.data, self.image)
        except BadImage as error:
            return error.with_traceback(None)
        return [symbol.address for symbol in symbols], symbols

    def __repr__(self) -> str:
        return f"Module({self.name!r}, entry={self.entry:#010x}, [{self.start:#x}, {self.end:#x}), abi={self.abi!r})"
