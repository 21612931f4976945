"""A bench: registers and memory in which one case after the other runs.

What all oracles with a :class:`~reference.registers.CPU` and an address space have in common. There are two ways to run a
case, because campaigns run millions of them and most agree. :meth:`Bench.execute` takes and gives bytes as the engine
holds them: two :class:`State` are equal if nothing at all differs. Only where they are not, or where somebody wants to
know, :meth:`Bench.outcome` makes an :class:`~conformance.outcome.Outcome` of one.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from conformance.case import CODE, CODE_END, INT3, LAYOUT, LOW, MUTABLE, MUTABLE_END, WRITABLE, Case, background
from conformance.outcome import Outcome, changes
from reference.errors import OutOfMemory
from reference.memory import AddressSpace
from reference.registers import CPU, REGISTER_WORDS
from reference.traps import Access, Trap, Vector

_WORDS: Final = struct.Struct(f"<{REGISTER_WORDS}I")
#: The floating-point state of a new guest.
INITIAL_FP: Final = bytes(CPU().fp)

#: What a defect of an engine raises, as far as one can foresee.
_FAILURES: Final = (
    ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, struct.error,
)  # fmt: skip

#: (address, content) of what memory holds besides its background.
Contents = tuple[tuple[int, bytes], ...]


def pack_words(words: tuple[int, ...]) -> bytes:
    """Registers as an engine holds them."""
    return _WORDS.pack(*words)


class State(NamedTuple):
    """A machine after a case. ``memory`` is the content of what can be written, in the order of addresses; ``trap`` is None
    where EIP is that of an INT3. ``failure`` as in :class:`~conformance.outcome.Outcome`."""

    trap: Trap | None
    words: bytes
    fp: bytes
    memory: tuple[bytes, ...]
    failure: str = ""


class Bench:
    """Registers and memory in the layout of the cases; a subclass supplies :meth:`_run`.

    ``cpu`` and ``space`` are the engine's own. Low memory is mapped where the space has room for it.
    """

    def __init__(self, cpu: CPU, space: AddressSpace, *, low_memory: bool = True) -> None:
        self.cpu = cpu
        self.space = space
        for start, length, access in LAYOUT:
            if start == LOW and low_memory:
                try:
                    space.map(start, length, access)
                except OutOfMemory:
                    low_memory = False
            elif start not in (LOW, MUTABLE):
                space.map(start, length, access)
            if start != MUTABLE and (start != LOW or low_memory):
                space.store(start, background(start, length))
        self.low_memory = low_memory
        self._words = cpu.words.cast("B")
        self._fp = cpu.fp
        self._buffer = space.buffer
        #: What a case can write to without further ado: (start, end, zeros).
        self._data = tuple(
            (start, end, bytes(end - start))
            for start, end in WRITABLE
            if start != MUTABLE and (start != LOW or low_memory)
        )
        self._regions = tuple((start, end) for start, end in WRITABLE if start != LOW or low_memory)
        self._code = b""
        self._eip = CODE
        self._mutable: bytes | None = None

    def _run(self) -> Trap | None:
        """Run from EIP until an INT3 (None, with EIP there) or a trap."""
        raise NotImplementedError

    def load(self, code: bytes, eip: int) -> None:
        """Put the code of the next cases where it belongs, and INT3 where other code was."""
        if code == self._code and eip == self._eip:
            return
        space, size = self.space, MUTABLE_END - MUTABLE
        if self._mutable is None:
            space.store(self._eip, bytes([INT3]) * len(self._code))
        else:
            space.unmap(MUTABLE, size)
            self._mutable = None
        writable = MUTABLE <= eip < MUTABLE_END
        if writable:
            space.map(MUTABLE, size, Access.RWX)
            space.store(MUTABLE, background(MUTABLE, size))
        code = code[: (MUTABLE_END if writable else CODE_END) - eip]
        space.store(eip, code)
        self._code, self._eip = code, eip
        if writable:
            self._mutable = space.load(MUTABLE, size)

    def execute(self, words: bytes, fp: bytes, memory: Contents) -> State:
        """Run the code that was loaded last, with these registers, and this content of memory: of DATA, STACK or LOW."""
        buffer = self._buffer
        for start, end, zeros in self._data:
            buffer[start:end] = zeros
        for address, content in memory:
            buffer[address : address + len(content)] = content
        if self._mutable is not None:
            self.space.store(MUTABLE, self._mutable)
        self._words[:] = words
        self._fp[:] = fp
        failure = ""
        try:
            trap = self._run()
        except _FAILURES as error:
            trap, failure = None, f"{type(error).__name__}: {error}"
        if self._mutable is None:
            after = tuple([bytes(buffer[start:end]) for start, end, _ in self._data])
        else:
            after = tuple([self.space.load(start, end - start) for start, end in self._regions])
        return State(trap, bytes(self._words), bytes(self._fp), after, failure)

    def outcome(self, case: Case, state: State) -> Outcome:
        """A state in the terms of its case."""
        memory: list[tuple[int, bytes]] = []
        regions = [region for region in self._regions if region[0] != MUTABLE or case.modifies_code]
        for (start, end), after in zip(regions, state.memory, strict=True):
            memory += changes(start, case.before(start, end), after)
        fp = state.fp if case.fp is not None else None
        return Outcome(_WORDS.unpack(state.words), tuple(memory), state.trap, fp, state.failure)

    def run(self, case: Case) -> Outcome:
        """What a case leads to. Raises MemoryFault for content that is not where memory is mapped."""
        inside = tuple(each for each in case.memory if self._is_data(*each))
        elsewhere = [each for each in case.memory if each not in inside]
        self.load(case.code, case.eip)
        mutable = self._mutable
        for address, content in elsewhere:
            self.space.store(address, content)
        if elsewhere:
            self.space.store(case.eip, self._code)
            if mutable is not None:
                self._mutable = self.space.load(MUTABLE, MUTABLE_END - MUTABLE)
        state = self.execute(pack_words(case.words), INITIAL_FP if case.fp is None else case.fp, inside)
        outcome = self.outcome(case, state)
        for address, content in elsewhere:
            self.space.store(address, background(address, len(content)))
        if elsewhere:
            self.space.store(case.eip, self._code)
            self._mutable = mutable
        return outcome

    def _is_data(self, address: int, content: bytes) -> bool:
        return any(start <= address and address + len(content) <= end for start, end, _ in self._data)

    def close(self) -> None:
        """Let go of the registers."""
        self._words.release()


def at_int3(cpu: CPU, trap: Trap) -> Trap | None:
    """An engine's trap; None for the INT3 that ends a case, with EIP put back onto it."""
    if trap.number != Vector.BREAKPOINT:
        return trap
    cpu.eip -= 1
    return None
