"""The *translated* engine: fragments, stubs and all, interpreted under modelled segmentation.

It runs the very bytes that the native engine runs, through an LDT with the three descriptors of a guest: writable data,
execute-only code, and the control segment. What would escape on hardware fails here, and can be looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from reference import layout as at
from reference.dispatch import TranslatingEngine
from reference.errors import MemoryFault, NotModelled
from reference.interpreter import Interpreter
from reference.isa.decode import decode
from reference.isa.instruction import Instruction, Kind, Row
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.memory import PAGE_SHIFT, WATCHED, AddressSpace, zeros
from reference.policy import Group, Policy
from reference.registers import CPU, EFLAGS, EIP, FP_IMAGE_BYTES, REGISTER_WORDS, Segment
from reference.segmentation import LDT, Descriptor, Segments
from reference.stop import Stop, StopKind
from reference.traps import Access, GuestTrap, Trap, Vector

#: Where the three segments lie in the model's linear memory. Guest memory may have any base below the code segment.
CODE_BASE: Final = 0xD000_0000
CONTROL_BASE: Final = 0xE000_0000

_CONTROL_INDEX: Final = 2
#: The raw "trap" with which the model's far jump out of 32-bit code comes back.
_LEFT: Final = -1
_TRAP_EIP: Final = at.control_word(at.TRAP_EIP)
#: The word with the EIP of the last x87 instruction, in the image within the control block.
_X87_POINTER: Final = at.FP_IMAGE + 8 >> 2
_FAR_JUMP: Final = b"\x65\xff\x2d"
_FAR_JUMP_ROW: Final = Row(-1, "FF /5", "leave code", (), Group.BASE, Kind.REWRITE, 0, 0, 0, False, "")
#: Translated code is judged by the translator, not by the model: templates use what guests may not.
_TRANSLATED: Final = Policy(frozenset(Group), thread_pointer=True)


class TranslatedEngine(TranslatingEngine):
    """One guest as translated code on the modelled processor. ``base`` is the linear address of guest memory;
    ``based_code`` tells whether the code segment has its own base or base zero (see layout.py). ``metered``: see
    :class:`reference.dispatch.TranslatingEngine`."""

    name = "translated"

    def __init__(
        self,
        space: AddressSpace,
        policy: Policy | None = None,
        *,
        base: int = 0,
        code_size: int = at.DEFAULT_CODE_SIZE,
        based_code: bool = True,
        metered: bool = False,
    ) -> None:
        if base + space.limit > CODE_BASE:
            raise ValueError(f"guest memory [{base:#x}, {base + space.limit:#x}) runs into the code segment")
        segment = at.segment_size(space.limit)
        code, control = zeros(code_size), zeros(at.CONTROL_BLOCK + segment)
        fp = control[at.FP_IMAGE : at.FP_IMAGE + FP_IMAGE_BYTES]
        cpu = CPU(control[: 4 * REGISTER_WORDS].cast("I"), fp)
        self._hardware = CPU(fp=fp)
        self._origin = 0 if based_code else CODE_BASE
        self._segments = segments = _load_segments(base, space.limit, code_size, based_code)
        self._bound_control(segment)
        memory = _LinearMemory(space, base, code, control)
        self._interpreter = Interpreter(
            self._hardware,
            memory,
            segments,
            _TRANSLATED,
            decode=_decode_translated,
            extra={_FAR_JUMP_ROW.mnemonic: _leave},
        )
        super().__init__(
            space,
            policy or Policy.default(),
            cpu=cpu,
            code=code,
            control=control,
            origin=self._origin,
            code_changed=memory.code_changed,
            metered=metered,
        )

    def _enter(self, offset: int, single: bool) -> Stop:
        words, saved = self._hardware.words, self.cpu.words
        words[:] = saved
        words[EIP] = self._origin + offset
        # As the gateway does it: a code address does not get into the guest's image.
        control = self._words
        guest_pointer, control[_X87_POINTER] = control[_X87_POINTER], control[at.X87_EIP >> 2]
        try:
            trap = self._interpreter.run(1) if single else self._interpreter.run()
        except NotModelled as error:
            saved[:EIP] = words[:EIP]
            saved[EFLAGS] = words[EFLAGS]
            offset = words[EIP] - self._origin
            saved[EIP] = self._scratch.eip if self._scratch is not None else self._span_at(offset).eip
            raise NotModelled(error.instruction, saved[EIP]) from None
        finally:
            control[at.X87_EIP >> 2], control[_X87_POINTER] = control[_X87_POINTER], guest_pointer
        saved[EFLAGS] = words[EFLAGS]
        if trap is not None and trap.number == _LEFT:
            saved[:EIP] = words[:EIP]
            saved[EIP] = control[_TRAP_EIP]
            return Stop(StopKind.LEFT)
        saved[:EIP] = words[:EIP]
        offset = words[EIP] - self._origin
        if trap is None:
            return Stop(StopKind.STEPPED, offset)
        if trap.number == Vector.IRQ:
            return Stop(StopKind.INTERRUPTED, offset)
        return Stop(StopKind.FAULT, offset, trap.vector or trap.number, trap.address, trap.access)

    def _last_stop(self) -> Stop:
        """The interpreter leaves registers as of the last whole instruction."""
        self.cpu.words[:EIP] = self._hardware.words[:EIP]
        self.cpu.eflags = self._hardware.eflags
        return Stop(StopKind.INTERRUPTED, self._hardware.eip - self._origin)

    def _bound_control(self, size: int) -> None:
        ldt = self._segments.ldt
        selector = ldt.set(_CONTROL_INDEX, Descriptor.data(CONTROL_BASE + at.CONTROL_BLOCK, size))
        self._segments.load(Segment.GS, selector)

    def _kick(self) -> None:
        self._interpreter.machine.interrupted = True

    def close(self) -> None:
        """Give the memory back."""
        super().close()
        self._interpreter.close()
        if self._owns_space:
            self.space.close()


def _load_segments(base: int, limit: int, code_size: int, based_code: bool) -> Segments:
    ldt = LDT()
    data = ldt.set(0, Descriptor.data(base, limit))
    own = Descriptor.execute_only(CODE_BASE, code_size)
    code = ldt.set(1, own if based_code else Descriptor.execute_only(0, CODE_BASE + code_size))
    segments = Segments(ldt)
    for register in (Segment.DS, Segment.ES, Segment.SS):
        segments.load(register, data)
    segments.load(Segment.CS, code)
    return segments


def _decode_translated(code: bytes, offset: int) -> Instruction:
    """The table's decoder, and the one instruction of the stubs that no guest may have: the far jump to the host."""
    if code.startswith(_FAR_JUMP):
        raw = code[:7]
        return Instruction(offset, raw, _FAR_JUMP_ROW, (), 4, 4, False, 0, Segment.GS, 1, 2, 3, 4, -1, 0, 0, raw)
    return decode(code, offset, _TRANSLATED)


def _leave(machine: Machine, operation: Operation) -> int:
    raise GuestTrap(Trap(_LEFT, operation.eip))


class _LinearMemory:
    """The linear memory that the three segments lie in. Guest pages are as the native engine maps them: never
    executable, and without write permission while fragments depend on them."""

    def __init__(self, space: AddressSpace, base: int, code: memoryview, control: memoryview) -> None:
        self._space = space
        self._base = base
        self._end = base + space.limit
        self._code = code
        self._control = control
        self._watchers: list[Callable[[int, int], None]] = []
        self._watched: set[int] = set()

    def check(self, address: int, length: int, access: Access) -> None:
        """Raise MemoryFault unless every byte permits ``access``."""
        if address >= CONTROL_BASE:
            return
        self._space.check(address - self._base, length, access)
        if access & Access.WRITE:
            self._check_watched(address - self._base, length)

    def read(self, address: int, length: int) -> bytes:
        """Bytes; raises MemoryFault with the guest's address."""
        if address >= CONTROL_BASE:
            return bytes(self._control[address - CONTROL_BASE : address - CONTROL_BASE + length])
        return self._space.read(address - self._base, length)

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; raises MemoryFault with the guest's address."""
        if address >= CONTROL_BASE:
            self._control[address - CONTROL_BASE : address - CONTROL_BASE + len(data)] = data
            return
        self._space.check(address - self._base, len(data), Access.WRITE)
        self._check_watched(address - self._base, len(data))
        self._space.write(address - self._base, data)

    def read_u8(self, address: int) -> int:
        """One byte."""
        if address < self._end:
            return self._space.read_u8(address - self._base)
        return self.read(address, 1)[0]

    def read_u16(self, address: int) -> int:
        """A little-endian word of 16 bits."""
        return int.from_bytes(self.read(address, 2), "little")

    def read_u32(self, address: int) -> int:
        """A little-endian word of 32 bits."""
        if address < self._end:
            return self._space.read_u32(address - self._base)
        return int(struct.unpack_from("<I", self._control, address - CONTROL_BASE)[0])

    def read_u64(self, address: int) -> int:
        """A little-endian word of 64 bits."""
        return int.from_bytes(self.read(address, 8), "little")

    def write_u8(self, address: int, value: int) -> None:
        """Store a byte."""
        self.write(address, (value & 0xFF).to_bytes(1, "little"))

    def write_u16(self, address: int, value: int) -> None:
        """Store a word of 16 bits."""
        self.write(address, (value & 0xFFFF).to_bytes(2, "little"))

    def write_u32(self, address: int, value: int) -> None:
        """Store a word of 32 bits."""
        self.write(address, (value & 0xFFFF_FFFF).to_bytes(4, "little"))

    def write_u64(self, address: int, value: int) -> None:
        """Store a word of 64 bits."""
        self.write(address, value.to_bytes(8, "little"))

    def fetch(self, address: int, most: int) -> bytes:
        """Code: there is none but in the code segment."""
        offset = address - CODE_BASE
        return bytes(self._code[offset : offset + most]) if 0 <= offset < len(self._code) else b""

    def watch(self, first_page: int, last_page: int) -> None:
        """Only pages of the code segment are ever asked for: nothing else is executed."""
        self._watched.update(range(first_page, last_page))

    def add_watcher(self, watcher: Callable[[int, int], None]) -> None:
        """Call ``watcher(first_page, last_page)`` when code in the code segment changes."""
        self._watchers.append(watcher)

    def remove_watcher(self, watcher: Callable[[int, int], None]) -> None:
        """Undo :meth:`add_watcher`."""
        self._watchers.remove(watcher)

    def code_changed(self, start: int, end: int) -> None:
        """The host has written [start, end) of the code segment."""
        first = (CODE_BASE + start) >> PAGE_SHIFT
        last = ((CODE_BASE + end - 1) >> PAGE_SHIFT) + 1
        if any(page in self._watched for page in range(first, last)):
            self._watched.difference_update(range(first, last))
            for watcher in self._watchers:
                watcher(first, last)

    def _check_watched(self, address: int, length: int) -> None:
        for page in range(address >> PAGE_SHIFT, (address + max(length, 1) - 1 >> PAGE_SHIFT) + 1):
            if self._space.permissions[page] & WATCHED:
                raise MemoryFault(max(address, page << PAGE_SHIFT), Access.WRITE)
