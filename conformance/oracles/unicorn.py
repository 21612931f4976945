"""Unicorn (QEMU's processor model) as an outside oracle: of its code, nothing is in this project.

It is an emulator of its own kind, with approximations and defects of its own. Where it cannot be exact, or is known to be
wrong, it has nothing to say, or takes that part of the outcome from the oracle that it is compared with: :data:`DEFECTS` is
the list of all of these, each with its reason. Processors, asked, agree with the manual and with us on each.

It has no segment limits, and reports page faults less exactly than a processor does: the address where the access began, a
read where a read-modify-write is a write. Of a store that reaches into a page that faults it has stored the first bytes by
then.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import unicorn as _unicorn
from unicorn import x86_const as x86

from conformance.case import CODE, CODE_END, LAYOUT, MUTABLE, MUTABLE_END, WRITABLE, Case, background
from conformance.listing import instructions_of
from conformance.oracles.bench import INITIAL_FP
from conformance.outcome import COMPARED_FLAGS, Outcome, changes
from reference.flags import AF, CF, OF, SF, STATUS
from reference.isa.instruction import File, Instruction, Kind, Memory, Register
from reference.isa.lookup import FORMS
from reference.policy import Group
from reference.registers import EFLAGS, EIP
from reference.traps import Access, Trap, Vector, page_fault, processor_trap

unicorn: Any = _unicorn  # it ships no types

_PROTECTIONS: Final = {
    Access.READ: unicorn.UC_PROT_READ,
    Access.RW: unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE,
    Access.RX: unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC,
    Access.RWX: unicorn.UC_PROT_ALL,
}
_REGISTERS: Final = (
    x86.UC_X86_REG_EAX, x86.UC_X86_REG_ECX, x86.UC_X86_REG_EDX, x86.UC_X86_REG_EBX, x86.UC_X86_REG_ESP,
    x86.UC_X86_REG_EBP, x86.UC_X86_REG_ESI, x86.UC_X86_REG_EDI, x86.UC_X86_REG_EIP, x86.UC_X86_REG_EFLAGS,
)  # fmt: skip
_MEMORY_ERRORS: Final = frozenset({
    unicorn.UC_ERR_READ_UNMAPPED, unicorn.UC_ERR_WRITE_UNMAPPED, unicorn.UC_ERR_READ_PROT, unicorn.UC_ERR_WRITE_PROT,
    unicorn.UC_ERR_FETCH_UNMAPPED, unicorn.UC_ERR_FETCH_PROT,
})  # fmt: skip
#: Where the emulator loads and saves the floating-point state for us: two pages beyond any guest's memory.
_HELPERS: Final = 0x7000_0000
_IMAGE: Final = _HELPERS + 0x1000
_FXRSTOR: Final = b"\x0f\xae\x0d" + struct.pack("<I", _IMAGE)
_FXSAVE: Final = b"\x0f\xae\x05" + struct.pack("<I", _IMAGE)
_SAVE: Final = _HELPERS + 0x100
#: What FXSAVE knows of an XSAVE image, without what it writes besides: pointers, and the mask of MXCSR.
_LEGACY: Final = ((0, 5), (24, 28), *((32 + 16 * i, 42 + 16 * i) for i in range(8)), (160, 288))
#: Far more instructions than a case has.
_MOST: Final = 2000
_MXCSR_MASKS: Final = 0x1F80
_X87_MASKS: Final = 0x3F
_FTZ_DAZ: Final = 0x8040


# -- what it cannot do -----------------------------------------------------------------------------------------------

Applies = Callable[[Case, Instruction], bool]
#: Own outcome and that of the other oracle, to the own one with the spoiled part of the other's.
Take = Callable[[Outcome, Outcome], Outcome]


@dataclass(frozen=True, slots=True)
class Defect:
    """``reason`` in words, and where it shows: instructions of these ``mnemonics`` (all if there are none) of which
    ``applies`` is true. ``take`` takes the part that it spoils from the other oracle; where it is None the oracle has
    nothing to say about a case with such an instruction."""

    reason: str
    mnemonics: frozenset[str] = frozenset()
    applies: Applies = lambda case, instruction: True
    take: Take | None = None

    def concerns(self, case: Case, instruction: Instruction) -> bool:
        """Whether it shows in a case, by this instruction."""
        return (not self.mnemonics or instruction.mnemonic in self.mnemonics) and self.applies(case, instruction)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _third(case: Case, instruction: Instruction) -> int:
    """The register of VEX.vvvv, which here is the last operand."""
    operand = instruction.operands[2]
    assert isinstance(operand, Register)
    return case.words[operand.number]


def _uses(instruction: Instruction, *files: File) -> bool:
    return any(isinstance(each, Register) and each.file in files for each in instruction.operands)


def _is_x87(instruction: Instruction) -> bool:
    return instruction.row.group is Group.X87 or instruction.mnemonic == "fisttp"


def _is_mmx(instruction: Instruction) -> bool:
    return _uses(instruction, File.MMX) or instruction.mnemonic == "emms"


def _unmasked(case: Case) -> bool:
    """Whether an exception of either unit may trap, or is pending."""
    if case.fp is None:
        return False
    control, status = struct.unpack_from("<HH", case.fp, 0)
    mxcsr = int.from_bytes(case.fp[24:28], "little")
    return bool(control & _X87_MASKS != _X87_MASKS or status & 0x80 or mxcsr & _MXCSR_MASKS != _MXCSR_MASKS)


def _may_overflow(case: Case, instruction: Instruction) -> bool:
    """Whether a register that is read may be empty, or one that is pushed onto not."""
    if case.fp is None or not _is_x87(instruction):
        return False
    empty = 0
    if instruction.mnemonic.startswith(("fld", "fild", "fbld", "fptan", "fsincos", "fxtract")):
        empty = 1 << ((case.fp[3] >> 3) - 1 & 7)
    return case.fp[4] != 0xFF ^ empty


def _has_odd_formats(case: Case, instruction: Instruction) -> bool:
    """Pseudo-denormals, and exponents without the integer bit (SDM volume 1, section 8.2.2)."""
    if case.fp is None or not _is_x87(instruction):
        return False
    for at in range(32, 160, 16):
        exponent = int.from_bytes(case.fp[at + 8 : at + 10], "little") & 0x7FFF
        if (exponent == 0) == bool(case.fp[at + 7] & 0x80):
            return True
    return False


def _flags(mask: int) -> Take:
    def take(own: Outcome, other: Outcome) -> Outcome:
        flags = own.words[EFLAGS] & ~mask | other.words[EFLAGS] & mask
        return replace(own, words=(*own.words[:EFLAGS], flags))

    return take


def _image(offset: int, length: int, mask: int) -> Take:
    """Bits of a field of the image."""

    def take(own: Outcome, other: Outcome) -> Outcome:
        if own.fp is None or other.fp is None:
            return own
        mine, others = (int.from_bytes(fp[offset : offset + length], "little") for fp in (own.fp, other.fp))
        field = (mine & ~mask | others & mask).to_bytes(length, "little")
        return replace(own, fp=own.fp[:offset] + field + own.fp[offset + length :])

    return take


def _exponents(own: Outcome, other: Outcome) -> Outcome:
    """Signs and exponents of x87 registers."""
    for i in range(8):
        own = _image(40 + 16 * i, 2, 0xFFFF)(own, other)
    return own


def _x87(own: Outcome, other: Outcome) -> Outcome:
    """Status, tags and registers."""
    return _image(0, 160, ((1 << 1280) - 1) & ~(((1 << 64) - 1) << 192))(own, other)


def _trapped(own: Outcome, other: Outcome) -> Outcome:
    return other if other.trap is not None else own


def _protection(own: Outcome, other: Outcome) -> Outcome:
    return other if other.trap is not None and other.trap.vector == Vector.GENERAL_PROTECTION else own


def _nans(own: Outcome, other: Outcome) -> Outcome:
    """NaNs in vector registers, where the other has NaNs too."""
    if own.fp is None or other.fp is None:
        return own
    image = bytearray(own.fp)
    for size, infinity in ((4, 0x7F80_0000), (8, 0x7FF0_0000_0000_0000)):
        positive = (1 << 8 * size - 1) - 1
        for at in range(160, 288, size):
            mine, others = (int.from_bytes(fp[at : at + size], "little") for fp in (image, other.fp))
            if min(mine & positive, others & positive) > infinity:
                image[at : at + size] = other.fp[at : at + size]
    return replace(own, fp=bytes(image))


def _if_trapped(own: Outcome, other: Outcome) -> Outcome:
    return _x87(own, other) if other.trap is not None else own


def _same_twice(instruction: Instruction) -> bool:
    return len(set(instruction.operands[:2])) == 1


def _computes(instruction: Instruction) -> bool:
    """Whether it works with floating-point values in vector registers."""
    return instruction.mnemonic.endswith(("ps", "pd", "ss", "sd")) or instruction.mnemonic.startswith("cvt")


def _flushes(case: Case, instruction: Instruction) -> bool:
    return case.fp is not None and bool(int.from_bytes(case.fp[24:28], "little") & _FTZ_DAZ) and _computes(instruction)


_SSSE3 = "phaddw phaddd phaddsw pmaddubsw phsubw phsubd phsubsw psignb psignw psignd pmulhrsw pabsb pabsw pabsd pshufb palignr"
#: Everything that Unicorn 2 (QEMU 5) is known not to do as a processor does.
DEFECTS: Final = (
    Defect("AVX is not implemented", applies=lambda case, each: Group.AVX in FORMS[each.row.index].groups),
    Defect("SHA is not implemented", applies=lambda case, each: each.row.group is Group.SHA),
    Defect("traps are for the host", applies=lambda case, each: each.row.kind is Kind.TRAP and each.mnemonic != "into"),
    Defect("the host does it for the guest", applies=lambda case, each: each.row.kind is Kind.ASSIST),
    Defect("no exception of x87 or SSE traps", applies=lambda case, each: _unmasked(case)),
    Defect("the x87 stack does not overflow", applies=_may_overflow),
    Defect(
        "flags of SSE exceptions stay in its own state",
        applies=lambda case, each: not _is_x87(each),
        take=_image(24, 4, 0x3F),
    ),
    Defect("exceptions and C1 of the x87", applies=lambda case, each: _is_x87(each), take=_image(2, 2, 0x827F)),
    Defect("operands need not be aligned", applies=lambda case, each: case.fp is not None, take=_protection),
    Defect("MMX leaves signs and exponents", applies=lambda case, each: _is_mmx(each), take=_exponents),
    Defect(
        "SSSE3 on MMX registers leaves TOP and tags",
        _names(_SSSE3),
        lambda case, each: _is_mmx(each),
        _x87,
    ),
    Defect("MMX begins before a fault", applies=lambda case, each: _is_mmx(each), take=_if_trapped),
    Defect("EMMS leaves TOP", _names("emms"), take=_x87),
    Defect("conversions from MMX operands in memory begin MMX", _names("cvtpi2ps cvtpi2pd"), take=_x87),
    Defect("flush-to-zero and denormals-are-zeros work in part", applies=_flushes),
    Defect("approximations take denormals as they are", _names("rcpps rcpss rsqrtps rsqrtss")),
    Defect("of two NaNs it takes the larger", applies=lambda case, each: _computes(each), take=_nans),
    Defect(
        "horizontal operations on a register with itself",
        _names("phaddw phaddd phsubw phsubd phaddsw phsubsw"),
        lambda case, each: _same_twice(each),
    ),
    Defect("constants are the same in all rounding modes", _names("fldl2t fldl2e fldpi fldlg2 fldln2")),
    Defect("the x87 control word keeps reserved bits, and ES does not follow it", _names("fldcw")),
    Defect(
        "comparisons into EFLAGS leave OF, SF and AF", _names("fcomi fcomip fucomi fucomip"), take=_flags(OF | SF | AF)
    ),
    Defect(
        "transcendental functions, remainders and scales are computed with doubles",
        _names("fsin fcos fsincos fptan fpatan f2xm1 fyl2x fyl2xp1 fprem fprem1 fscale"),
    ),
    Defect("formats that processors do not support any more, or that only the x87 has", applies=_has_odd_formats),
    Defect("signalling NaNs and values out of range stay so when stored", _names("fst fstp fbstp")),
    Defect(
        "signalling NaNs stay so when loaded",
        _names("fld"),
        lambda case, each: isinstance(each.operands[0], Memory) and each.operands[0].size < 10,
    ),
    Defect("FISTTP out of range stores the largest integer", _names("fisttp")),
    Defect(
        "ENTER does not ask whether there is memory for the end of its frame, and one of 16 bits sets all of EBP",
        _names("enter"),
    ),
    Defect(
        "predicates of comparisons above 7 are taken for invalid opcodes, not for their low three bits",
        _names("cmpps cmppd cmpss cmpsd"),
        lambda case, each: case.code[-1] > 7,
    ),
    Defect(
        "TEST as /1 of group 3 is taken for an invalid opcode",
        _names("test"),
        lambda case, each: each.row.opcode in ("F6 /1", "F7 /1"),
    ),
    Defect(
        "hints of 0F 18 on a register are taken for invalid opcodes",
        applies=lambda case, each: each.row.opcode.startswith("0F 18 /") and _uses(each, File.GENERAL),
    ),
    Defect(
        "LOCK NEG computes its flags from a value that it loads twice",
        _names("neg"),
        lambda case, each: each.lock,
        _flags(STATUS),
    ),
    Defect(
        "scalars in memory are loaded as whole registers",
        _names("roundss roundsd punpcklbw punpcklwd punpckldq cvtps2pi cvttps2pi"),
        take=lambda own, other: other if own.trap is not None and other.trap is None else own,
    ),
    Defect(
        "texts that end at the end of the register, compared in order",
        _names("pcmpestri pcmpestrm pcmpistri pcmpistrm"),
        lambda case, each: case.code[-1] & 0xC == 0xC,
    ),
    Defect(
        "LOOPE, LOOPNE and CMPXCHG8B lose the flags of earlier instructions",
        _names("loope loopne cmpxchg8b"),
        lambda case, each: case.code != each.raw,
    ),
    Defect(
        "a fault loses the flags of earlier instructions",
        applies=lambda case, each: case.code != each.raw,
        take=lambda own, other: own if own.trap is None else _flags(COMPARED_FLAGS)(own, other),
    ),
    Defect("FXTRACT of infinities and NaNs", _names("fxtract")),
    Defect("dot products begin with a positive zero", _names("dpps dppd")),
    Defect("BLSI inverts CF", _names("blsi"), take=_flags(CF)),
    Defect("BZHI from bit 31 on", _names("bzhi"), lambda case, each: _third(case, each) & 0xFF >= 31),
    Defect(
        "BEXTR from bit 31 on, or of 32 bits and more",
        _names("bextr"),
        lambda case, each: _third(case, each) & 0xFF >= 31 or _third(case, each) >> 8 & 0xFF >= 32,
    ),
    Defect("faults when half is done, or not at all", _names("rcl rcr cmpxchg8b clflush"), take=_trapped),
)


# -- the oracle ------------------------------------------------------------------------------------------------------


class UnicornOracle:
    """Unicorn as an :class:`~conformance.oracles.Oracle`."""

    name = "unicorn"

    def __init__(self) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
        self.uc.ctl_set_cpu_model(x86.UC_CPU_X86_SKYLAKE_CLIENT)
        # The emulator runs on memory of ours, which is looked at and replaced without asking it.
        self._memory: dict[int, mmap.mmap] = {}
        for start, length, access in LAYOUT:
            self._memory[start] = memory = mmap.mmap(-1, length)
            memory[:] = background(start, length)
            window = ctypes.c_char.from_buffer(memory)
            self.uc.mem_map_ptr(start, length, _PROTECTIONS[access], ctypes.addressof(window))
        self.uc.mem_map(_HELPERS, 0x2000, unicorn.UC_PROT_ALL)
        self.uc.mem_write(_HELPERS, _FXRSTOR)
        self.uc.mem_write(_SAVE, _FXSAVE)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._exception)
        self._code = (b"", CODE)
        self._vector: int | None = None
        self._fresh = self.uc.context_save()

    def cannot_judge(self, case: Case) -> str | None:
        """Its defects, as far as they spoil all of a case; and what has no meaning for it."""
        if case.gs_base is not None:
            return "no thread pointer"
        if case.groups != frozenset(Group):
            return "no policy but everything"
        instructions = instructions_of(case)
        if sum(each.length for each in instructions) < len(case.code):
            return "not admitted as it stands"
        if len(instructions) > 1 and case.fp is not None:
            return "of floating-point state in sequences, what it gets wrong spreads"
        for each in instructions:
            for defect in DEFECTS:
                if defect.take is None and defect.concerns(case, each):
                    return defect.reason
        return None

    def run(self, case: Case) -> Outcome:
        """What the case leads to."""
        self._load(case)
        self.uc.mem_write(_IMAGE, (INITIAL_FP if case.fp is None else case.fp)[:512])
        self.uc.emu_start(_HELPERS, _HELPERS + len(_FXRSTOR))
        self.uc.reg_write_batch(tuple(zip(_REGISTERS, case.words, strict=True)))
        trap = self._execute(case)
        words = list(self.uc.reg_read_batch(_REGISTERS))
        if trap is None and self._vector == Vector.BREAKPOINT:
            words[EIP] -= 1
        elif trap is not None:
            words[EIP] = trap.eip
        memory: list[tuple[int, bytes]] = []
        for start, end in WRITABLE:
            if start != MUTABLE or case.modifies_code:
                memory += changes(start, case.before(start, end), self._memory[start][:])
        if self._vector is not None:
            self.uc.context_restore(self._fresh)  # nobody handled the exception: the next would be a double fault
        return Outcome(tuple(words), tuple(memory), trap, self._image(case))

    def _load(self, case: Case) -> None:
        changed = (case.code, case.eip) != self._code or case.modifies_code
        for start, memory in self._memory.items():
            if changed or start not in (CODE, MUTABLE):
                memory[:] = background(start, len(memory))
        if changed:
            protection = unicorn.UC_PROT_ALL if case.modifies_code else unicorn.UC_PROT_NONE
            self.uc.mem_protect(MUTABLE, MUTABLE_END - MUTABLE, protection)
        for address, content in case.memory:
            self._put(address, content)
        if changed or any(CODE <= address < MUTABLE_END for address, _ in case.memory):
            self._put(case.eip, case.code)
            self.uc.ctl_remove_cache(CODE, CODE_END)
            self.uc.ctl_remove_cache(MUTABLE, MUTABLE_END)
        self._code = (case.code, case.eip)
        if any(CODE <= address < MUTABLE_END for address, _ in case.memory):
            self._code = (b"", CODE)

    def _put(self, address: int, content: bytes) -> None:
        start = max(each for each in self._memory if each <= address)
        self._memory[start][address - start : address - start + len(content)] = content

    def _execute(self, case: Case) -> Trap | None:
        self._vector = None
        try:
            self.uc.emu_start(case.eip, case.eip + len(case.code), count=_MOST if case.repeats else 0)
        except unicorn.UcError as error:
            eip = self.uc.reg_read(x86.UC_X86_REG_EIP)
            if error.errno == unicorn.UC_ERR_INSN_INVALID:
                return processor_trap(Vector.INVALID_OPCODE, eip)
            if error.errno in _MEMORY_ERRORS:
                return page_fault(eip, 0, Access.NONE)
            raise
        if self._vector is None or self._vector == Vector.BREAKPOINT:
            return None
        return processor_trap(Vector(self._vector), self.uc.reg_read(x86.UC_X86_REG_EIP))

    def _image(self, case: Case) -> bytes | None:
        """The XSAVE image after the case: what FXSAVE stores, the rest as it was."""
        if case.fp is None:
            return None
        self.uc.emu_start(_SAVE, _SAVE + len(_FXSAVE))
        saved = bytes(self.uc.mem_read(_IMAGE, 512))
        image = bytearray(case.fp)
        for start, end in _LEGACY:
            image[start:end] = saved[start:end]
        return bytes(image)

    def _exception(self, uc: Any, number: int, user_data: object) -> None:
        self._vector = number
        uc.emu_stop()

    def reconcile(self, case: Case, own: Outcome, other: Outcome) -> Outcome:
        """Its outcome, with the parts that it is known to get wrong taken from the other oracle's."""
        for each in instructions_of(case):
            for defect in DEFECTS:
                if defect.take is not None and defect.concerns(case, each):
                    own = defect.take(own, other)
        if own.trap is None or other.trap is None or own.trap.number != other.trap.number:
            return own
        words = (*own.words[:EIP], other.words[EIP], *own.words[EIP + 1 :])
        memory = other.memory if other.trap.number == Vector.PAGE_FAULT else own.memory
        return replace(own, words=words, memory=memory, trap=other.trap)

    def close(self) -> None:
        """Unicorn gives everything back by itself."""
