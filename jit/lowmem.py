"""Linear memory below 4 GiB, the only part of a process that 32-bit segments reach.

Two kinds of places. *Based*: a range anywhere below 4 GiB, taken from the top down. *Zero base*: guest addresses equal
linear addresses; everything from the lowest address that the system lets a process map up to the guest's limit is
reserved, so that nothing but the guest can live there. One guest at a time can have it; on a host whose executable is
not position-independent nobody can.

A reservation is private, anonymous, without access rights and without swap behind it: it costs address space only.
"""

from __future__ import annotations

import errno
import functools
import os
import threading
from typing import Final

from jit import system
from jit.system import NONE, PAGE
from reference.records import dataclass

END: Final = 1 << 32
#: Why a guest is not at linear address zero: the reason that may pass.
TAKEN: Final = "another guest has it"

#: So much stays reserved at linear address zero, whoever needs room elsewhere.
_KEPT_AT_ZERO: Final = 256 << 20
#: Nothing is placed below this unless it must be: there are the guests at linear address zero.
_BASED_FLOOR: Final = 0x1000_0000


class LowMemoryError(MemoryError):
    """There is no room below 4 GiB, or the system refused; the message says which."""


def _claim(address: int, size: int, kept: list[int]) -> None:
    """Reserve exactly there. Raises OSError; EEXIST if something is there."""
    found = system.mmap_into(kept, address, size, NONE, system.MAP_NORESERVE | system.MAP_FIXED_NOREPLACE)
    if found != address:  # a kernel before 4.17 takes the unknown flag for a hint
        system.munmap_from(kept, size)
        raise OSError(errno.EEXIST, f"{size:#x} bytes at {address:#x}: the place is taken")


def renew(address: int, size: int, protection: int = NONE) -> None:
    """Replace what is mapped there by fresh pages of zeros. Raises OSError."""
    system.mmap(address, size, protection, system.MAP_NORESERVE | system.MAP_FIXED)


def anywhere(size: int, kept: list[int] | None = None) -> int:
    """Readable and writable pages above 4 GiB; ``kept`` has their address at once. Raises OSError."""
    kept = [] if kept is None else kept
    address = system.mmap_into(kept, 0, size, system.READ | system.WRITE, 0)
    if address < END:
        system.munmap_from(kept, size)
        raise OSError(errno.ENOMEM, "the system has no memory above 4 GiB to give")
    return address


def mappings() -> list[tuple[int, int]]:
    """(start, end) of everything that is mapped below 4 GiB, in order."""
    found = []
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        for line in file:
            start, _, end = line.split(" ", 1)[0].partition("-")
            if int(start, 16) >= END:
                break
            found.append((int(start, 16), int(end, 16)))
    return found


@functools.cache
def lowest() -> int:
    """The lowest address that an unprivileged process may map (vm.mmap_min_addr)."""
    try:
        with open("/proc/sys/vm/mmap_min_addr", encoding="ascii") as file:
            return max(PAGE, -(-int(file.read()) // PAGE) * PAGE)
    except (OSError, ValueError):
        return 0x1_0000


class _Process:
    """What this process has reserved. A fork copies it with the memory."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        #: Where the next based reservation is tried first: right below the last one.
        self.cursor = END
        #: Whether a guest is at linear address zero, the limit of the last one, and how far the reservation there reaches,
        #: which is given up only where somebody needs the room (:func:`trim_zero`).
        self.zero_taken = False
        self.zero_limit = 0
        self.zero_end = 0
        self.zero_refused = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.lock = threading.RLock()  # another thread of the parent may have held it


_process: Final = _Process()


def reserve(size: int, kept: list[int] | None = None) -> int:
    """Reserve ``size`` bytes (rounded up to pages) below 4 GiB without access rights; their address, which ``kept`` has as
    soon as they are reserved.

    Raises LowMemoryError.
    """
    size = -(-size // PAGE) * PAGE
    kept = [] if kept is None else kept
    with _process.lock:
        if _process.cursor - size >= _BASED_FLOOR:
            try:
                _claim(_process.cursor - size, size, kept)
                _process.cursor -= size
                return _process.cursor
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.EINVAL):
                    raise LowMemoryError(str(error)) from error
        end = END
        for start, stop in [*reversed(mappings()), (0, lowest())]:
            if end - stop >= size:
                try:
                    _claim(end - size, size, kept)
                except OSError as error:
                    if error.errno != errno.EEXIST:
                        raise LowMemoryError(str(error)) from error
                else:
                    _process.cursor = end - size
                    return end - size
            end = min(end, start)
    raise LowMemoryError(f"no {size:#x} free bytes of linear memory below 4 GiB")


def start_over() -> None:
    """Look for room from the top again: what was there may have been given back since."""
    with _process.lock:
        _process.cursor = END


def trim_zero() -> None:
    """Give up what a large guest, which has gone, has left reserved at linear address zero: others need the room."""
    with _process.lock:
        keep = max(_KEPT_AT_ZERO, _process.zero_limit if _process.zero_taken else 0)
        end = _process.zero_end
        if end > keep:
            # In this order: what is not reserved must never be taken for what is.
            _process.zero_end = keep
            system.munmap(keep, end - keep)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a guest's memory is: linear address ``base`` and ``limit`` bytes. ``reason`` says why not at zero, if not."""

    base: int
    limit: int
    reason: str = ""

    @property
    def lowest(self) -> int:
        """The lowest guest address that can be mapped: in zero base the system keeps the first pages to itself."""
        return lowest() if self.base == 0 else 0

    def __str__(self) -> str:
        if self.base == 0:
            return f"linear address zero, limit {self.limit:#x}"
        return f"base {self.base:#x}, limit {self.limit:#x}: {self.reason}"


class Hold:
    """Who has a placement. ``placement`` is None before there is one, and after; ``room`` is its address if that is not
    zero."""

    __slots__ = ("placement", "room", "size")

    def __init__(self) -> None:
        self.placement: Placement | None = None
        self.room: list[int] = []
        self.size = 0

    def take(self, placement: Placement) -> None:
        """Be the one who has it from now on."""
        room = [placement.base] if placement.base else []
        self.placement, self.room, self.size = placement, room, placement.limit

    def end(self) -> None:
        """Undo :func:`place`; the memory is wiped. May be interrupted by an exception, and called again."""
        if self.room:
            system.munmap_from(self.room, self.size)
        elif self.placement is not None and self.placement.base == 0:
            with _process.lock:
                floor = lowest()
                renew(floor, self.placement.limit - floor)
                # Both or none: behind it the place may be another guest's.
                self.placement, _process.zero_taken = None, False


def place(
    limit: int, *, needs_page_zero: bool = False, prefer_zero: bool = True, hold: Hold | None = None
) -> Placement:
    """Reserve ``limit`` bytes for a guest, at linear address zero where that is possible; ``hold`` is who has them.
    Raises LowMemoryError."""
    hold = Hold() if hold is None else hold
    if not prefer_zero:
        reason = "asked for"
    elif needs_page_zero:
        reason = "the guest needs page 0"
    else:
        with _process.lock:
            reason = TAKEN if _process.zero_taken else _extend_zero(limit)
            if not reason:
                placement = Placement(0, limit)
                _process.zero_limit = limit
                hold.placement, _process.zero_taken = placement, True
                return placement
    hold.size = limit
    reserve(limit, hold.room)
    hold.placement = Placement(hold.room[-1], limit, reason)
    return hold.placement


def give_back(placement: Placement) -> None:
    """Undo :func:`place`; the memory is wiped."""
    hold = Hold()
    hold.take(placement)
    hold.end()


def zero_may_be_free() -> bool:
    """Whether no guest is at linear address zero, and nothing else was found there the last time that somebody looked."""
    return not (_process.zero_taken or _process.zero_refused)


def why_no_zero(limit: int) -> str:
    """Why no guest with this limit could be at linear address zero; empty if one could."""
    with _process.lock:
        return _extend_zero(limit)


def _extend_zero(limit: int) -> str:
    """Make the reservation at zero reach ``limit``; why not, or an empty string."""
    _process.zero_refused = False
    if limit <= _process.zero_end:
        return ""
    _process.zero_refused = True
    floor = lowest()
    start = max(floor, _process.zero_end)
    if limit <= floor:
        return f"the system keeps the first {floor:#x} bytes to itself"
    taken = next(((first, end) for first, end in mappings() if first < limit and end > start), None)
    if taken is not None:
        return f"something else is at {taken[0]:#x} (an executable that is not position-independent, perhaps)"
    try:
        _claim(start, limit - start, [])
    except OSError as error:
        return str(error)
    _process.zero_end = limit
    _process.zero_refused = False
    return ""
