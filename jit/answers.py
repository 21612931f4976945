"""Native answers: which system calls the gateway answers by itself, without coming back to Python.

The code is ``answers.s``; here is the page that tells it what to do: which calls by which trap, which of the guest's
descriptors stand for which of the host's, where guest memory is, and what its pages permit. The page is a guest's own,
above 4 GiB and outside all of its segments. The gateway believes every word of it, so whatever is written here must be
true: a descriptor's rights are those that Python would grant, and a call is only listed with the kind of answer that
Python would give.

The page also has the places where guests have gone on behind their calls: EIP of the guest → EIP in the code segment.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from jit import hostarea
from reference import layout
from reference.memory import PAGE, WATCHED, AddressSpace
from reference.records import dataclass
from reference.traps import Access

if TYPE_CHECKING:
    from jit.gateway import Gateway

# What a page of guest memory must permit: bits of AddressSpace.permissions.
PAGE_READ: Final = int(Access.READ)
PAGE_WRITE: Final = int(Access.WRITE)
PAGE_WATCHED: Final = WATCHED

# The page. 64-bit words: the permission bytes and how many there are, the linear address of guest address 0, the C
# library's clock_gettime, and where monotonic and processor time begin, in nanoseconds.
PERMISSIONS: Final = 0x00
PAGES: Final = 0x08
BASE: Final = 0x10
CLOCK_FUNCTION: Final = 0x18
START_MONOTONIC: Final = 0x20
START_PROCESSOR: Final = 0x28
#: 32-bit words: the trap by which calls are made; where in the control block the first three arguments are; the heap, whose
#: end is 0 as long as nobody has said where it is.
CALL_TRAP: Final = 0x30
ARGUMENT_0: Final = 0x34
ARGUMENT_1: Final = 0x38
ARGUMENT_2: Final = 0x3C
HEAP_START: Final = 0x40
HEAP_END: Final = 0x44
#: For each call number a byte: which record answers it, 0 for none.
CALL_INDEX: Final = 0x80
CALL_NUMBERS: Final = 512
#: Records: the address of a routine of ``answers.s``, how often it has answered (64 bits each), and a value.
RECORDS: Final = CALL_INDEX + CALL_NUMBERS
RECORD_BYTES_SHIFT: Final = 5
RECORD_COUNT_OF: Final = 32
RECORD_ROUTINE: Final = 0
RECORD_COUNT: Final = 8
RECORD_VALUE: Final = 16
#: For each descriptor of the guest: the host's, RIGHT_ bits, and the most bytes that may be transferred at a time.
DESCRIPTOR_TABLE: Final = RECORDS + (RECORD_COUNT_OF << RECORD_BYTES_SHIFT)
DESCRIPTOR_BYTES_SHIFT: Final = 4
DESCRIPTORS: Final = 64
DESCRIPTOR_HOST: Final = 0
DESCRIPTOR_RIGHTS: Final = 4
DESCRIPTOR_MOST: Final = 8
#: Known places: pairs of 32-bit words, at the hash of the guest's EIP, or right beside.
KNOWN: Final = DESCRIPTOR_TABLE + (DESCRIPTORS << DESCRIPTOR_BYTES_SHIFT)
KNOWN_BITS: Final = 7
END: Final = KNOWN + (8 << KNOWN_BITS)
assert END <= PAGE

RIGHT_READ: Final = 1
RIGHT_WRITE: Final = 2
#: A transfer may take long: not while the interpreter lock is held.
RIGHT_LASTING: Final = 4
#: A transfer may have to wait for somebody: only if it need not.
RIGHT_NO_WAIT: Final = 8

_CLEAR_KNOWN: Final = bytes(8 << KNOWN_BITS)
_NO_CALLS: Final = bytes(RECORDS - CALL_INDEX)


def constants() -> dict[str, int]:
    """Every number above, by name, for the assembler."""
    return {name: value for name, value in globals().items() if name.isupper() and type(value) is int}


@dataclass(frozen=True, slots=True)
class Prepared:
    """The parts of a page that say which calls are answered, and the number of each record's call, from record 1 on."""

    index: bytes
    records: bytes
    numbers: tuple[int, ...]


class Answers:
    """One guest's page. Everything is off to begin with; :meth:`switch` turns it on while the guest is running.

    ``page`` and ``control`` are the page and the host's words of the control block, as bytes.
    """

    def __init__(self, gate: Gateway, page: memoryview, address: int, control: memoryview, space: AddressSpace) -> None:
        self._gateway = gate
        self._address = address
        self._page = page
        self._words = page.cast("I")
        self._wide = page.cast("Q")
        self._switch = control[hostarea.ANSWERS : hostarea.ANSWERS + 8].cast("Q")
        self._space = space
        self._permissions: bytearray | None = None
        self._pinned: object = None
        #: The number of each record's call, from record 1 on.
        self._numbers: tuple[int, ...] = ()
        #: Of each call, how many of them :meth:`counts` has told of; and all that was counted for earlier tables.
        self._counted: list[int] = []
        self._before = 0

    # -- which calls ---------------------------------------------------------------------------------------------

    def expect(self, trap: int, arguments: tuple[int, ...]) -> None:
        """Calls are made by this trap, with the first arguments in these registers; so far all calls are Python's."""
        self._begin_to_count(())
        self._words[CALL_TRAP >> 2] = trap
        for word, register in zip((ARGUMENT_0, ARGUMENT_1, ARGUMENT_2), arguments, strict=False):
            self._words[word >> 2] = 4 * register

    def prepare(self, calls: Iterator[tuple[int, str, int]]) -> Prepared:
        """What :meth:`define` takes, good for every guest of this process: calls by number, kind (a routine ``answer_...``)
        and value. What there are too many of is left out."""
        index, records = bytearray(RECORDS - CALL_INDEX), bytearray(DESCRIPTOR_TABLE - RECORDS)
        # Also the records that no call has: one may be looked at just when the table of a running guest is changed.
        for record in range(RECORD_COUNT_OF):
            struct.pack_into("<Q", records, record << RECORD_BYTES_SHIFT, self._gateway.address_of("stopped"))
        numbers: list[int] = []
        for number, kind, value in calls:
            record = len(numbers) + 1
            if number < CALL_NUMBERS and record < RECORD_COUNT_OF:
                routine = self._gateway.address_of(f"answer_{kind}")
                struct.pack_into("<QQI", records, record << RECORD_BYTES_SHIFT, routine, 0, value)
                index[number] = record
                numbers.append(number)
        return Prepared(bytes(index), bytes(records), tuple(numbers))

    def define(self, calls: Prepared) -> None:
        """Answer these calls, and no others. Whoever wants the counts asks before."""
        # In this order, so that a guest that is running meanwhile does not take one call's record for another's.
        self._begin_to_count(calls.numbers)
        self._page[RECORDS:DESCRIPTOR_TABLE] = calls.records
        self._page[CALL_INDEX:RECORDS] = calls.index

    def set_value(self, number: int, value: int) -> None:
        """The value of a call's answer, if it has one: see :meth:`prepare`."""
        record = self._page[CALL_INDEX + number]
        if record:
            struct.pack_into("<I", self._page, RECORDS + (record << RECORD_BYTES_SHIFT) + 16, value)

    def _begin_to_count(self, numbers: tuple[int, ...]) -> None:
        self._page[CALL_INDEX:RECORDS] = _NO_CALLS
        self._before = self.total()
        self._numbers, self._counted = numbers, [0] * len(numbers)

    def counts(self) -> Iterator[tuple[int, int]]:
        """(number, how often) of what has been answered since the last time."""
        # Nobody but the guest writes to its counters: it may be counting at this moment.
        now, before = self._counts(), self._counted
        if now == before:
            return
        self._counted = now
        for number, count, earlier in zip(self._numbers, now, before, strict=True):
            if count != earlier:
                yield number, count - earlier

    def total(self) -> int:
        """How many calls have been answered."""
        return self._before + sum(self._counts())

    def _counts(self) -> list[int]:
        """How many calls of each number have been answered, from the first record on."""
        first = RECORDS + (1 << RECORD_BYTES_SHIFT) + RECORD_COUNT >> 3
        step = 1 << RECORD_BYTES_SHIFT >> 3
        return self._wide[first : first + step * len(self._numbers) : step].tolist()

    # -- what they are about -------------------------------------------------------------------------------------

    def grant(self, fd: int, host: int, rights: int, most: int) -> None:
        """The guest's descriptor ``fd`` stands for this one of the host."""
        if fd < DESCRIPTORS:
            at = DESCRIPTOR_TABLE + (fd << DESCRIPTOR_BYTES_SHIFT)
            struct.pack_into("<III", self._page, at, host, rights, min(most, 0x7FFF_F000))

    def revoke(self, fd: int) -> None:
        """Calls on this descriptor are Python's."""
        if fd < DESCRIPTORS:
            self._words[DESCRIPTOR_TABLE + (fd << DESCRIPTOR_BYTES_SHIFT) + DESCRIPTOR_RIGHTS >> 2] = 0

    def set_heap(self, start: int, end: int) -> None:
        """Where the heap is."""
        self._words[HEAP_START >> 2], self._words[HEAP_END >> 2] = start, end & 0xFFFF_FFFF

    def set_clocks(self, monotonic: int, processor: int) -> None:
        """Where monotonic and processor time begin, in nanoseconds of the host's clocks."""
        self._wide[CLOCK_FUNCTION >> 3] = _clock_function()
        self._wide[START_MONOTONIC >> 3], self._wide[START_PROCESSOR >> 3] = monotonic, processor

    def switch(self, on: bool) -> None:
        """Answer from now on, or leave it all to Python."""
        if not on:
            self._switch[0] = 0
            return
        permissions = self._space.permissions
        if permissions is not self._permissions:
            # Exported, so that nobody can resize it, which would move it.
            exported = (ctypes.c_ubyte * len(permissions)).from_buffer(permissions)
            self._permissions, self._pinned = permissions, exported
            self._wide[PERMISSIONS >> 3] = ctypes.addressof(exported)
            self._wide[PAGES >> 3] = len(permissions)
            self._wide[BASE >> 3] = getattr(self._space, "base", 0)
        self._switch[0] = self._address

    # -- where the guest goes on ---------------------------------------------------------------------------------

    def learn(self, eip: int, code: int) -> None:
        """The guest's EIP ``eip`` is at ``code`` in the code segment."""
        index = KNOWN + 8 * ((eip * layout.HASH_MULTIPLIER & 0xFFFF_FFFF) >> (32 - KNOWN_BITS)) >> 2
        words = self._words
        if words[index] != eip and words[index + 1] and not words[index ^ 2 | 1]:
            index ^= 2
        words[index], words[index + 1] = eip, code

    def forget(self) -> None:
        """Code is gone: nobody knows what is where."""
        self._page[KNOWN:END] = _CLEAR_KNOWN


@cache
def _clock_function() -> int:
    function: Callable[..., int] = ctypes.CDLL(None).clock_gettime
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]


class TickRate:
    """Seconds from cycles of the time-stamp counter, measured against the clock over all the time since this was made."""

    def __init__(self, gate: Gateway) -> None:
        self._ticks = ctypes.PYFUNCTYPE(ctypes.c_uint64)(gate.address_of("ticks"))
        self._start = self._ticks(), time.perf_counter()

    def seconds(self, ticks: int) -> float:
        """So many cycles in seconds."""
        passed = self._ticks() - self._start[0]
        return ticks * (time.perf_counter() - self._start[1]) / passed if passed > 0 else 0.0
