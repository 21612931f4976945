"""The decoder: bytes to an :class:`~reference.isa.instruction.Instruction`, or the reason why not.

It accepts what the table has and the policy admits, and nothing else. What it is stricter about than a processor,
because no compiler emits it and each is a way for two decoders to disagree:

* FS overrides, and CS and GS overrides where they are not a hint or the thread pointer;
* a 16-bit operand size on near transfers, which would cut EIP to 16 bits;
* VEX bits that name registers 8 to 15, and values of VEX.W that the manual lists for 64-bit mode only.

What it is more lenient about: F2 and F3 where they mean nothing are accepted, and left out of ``copy``.

A byte is needed, and its absence reported as :class:`TruncatedCode`, in this order: prefixes, opcode, ModRM where the
opcode has one; then the instruction is admitted or refused; then the rest. So a refused instruction is refused even
where its last bytes are missing.
"""

from __future__ import annotations

from typing import Final

from reference.isa.encoding import NO_PREFIX, PREFIX_66, PREFIX_F2, PREFIX_F3, Space
from reference.isa.fields import Fields, Reader, reader_of
from reference.isa.instruction import Instruction, InvalidOpcode, Kind, Memory, Operand, TruncatedCode
from reference.isa.lookup import FORMS, Form, ImmediateRule, find, needs_modrm, root_of
from reference.policy import Policy
from reference.registers import EBP, EBX, EDI, ESI, MASK32, Segment

#: The longest instruction; one byte more is a fault on every processor (SDM volume 2, section 2.3.11).
MAX_LENGTH: Final = 15

_SEGMENTS: Final = {
    0x26: Segment.ES, 0x2E: Segment.CS, 0x36: Segment.SS, 0x3E: Segment.DS, 0x64: Segment.FS, 0x65: Segment.GS,
}  # fmt: skip
_PREFIXES: Final = frozenset({*_SEGMENTS, 0x66, 0x67, 0xF0, 0xF2, 0xF3})
_OTHER_SEGMENTS: Final = frozenset({Segment.CS, Segment.FS, Segment.GS})
_CLASS_OF_REPEAT: Final = {0xF2: PREFIX_F2, 0xF3: PREFIX_F3}
_TWO_BYTE_ESCAPES: Final = {0x38: Space.MAP_0F38, 0x3A: Space.MAP_0F3A}
_VEX_SPACES: Final = {1: Space.VEX_0F, 2: Space.VEX_0F38, 3: Space.VEX_0F3A}
_IMMEDIATE_SIZES: Final = {
    ImmediateRule.NONE: 0,
    ImmediateRule.BYTE: 1,
    ImmediateRule.WORD: 2,
    ImmediateRule.WORD_BYTE: 3,
}
#: ModRM.rm in 16-bit addressing: base and index (SDM volume 2, table 2-1).
_PAIRS_16: Final = (
    (EBX, ESI), (EBX, EDI), (EBP, ESI), (EBP, EDI), (ESI, None), (EDI, None), (EBP, None), (EBX, None),
)  # fmt: skip

_readers: Final[list[tuple[Reader, ...] | None]] = [None] * len(FORMS)


def decode(code: bytes, eip: int, policy: Policy) -> Instruction:
    """The instruction at ``eip``, whose bytes, and up to fifteen of those behind them, are ``code``.

    ``code`` may be shorter where the guest's executable memory ends. Raises :class:`TruncatedCode` only if a byte that
    is not there is needed, and :class:`InvalidOpcode` for everything that the table or the policy does not admit.

    >>> decode(bytes.fromhex("8b4508"), 0x1000, Policy.default()).operands[1].displacement
    8
    """
    fields = Fields(code[:MAX_LENGTH], eip)
    try:
        form = _read_opcode(fields, policy)
        _admit(fields, form, policy)
        _read_rest(fields, form)
    except IndexError:  # a byte beyond the end of the code
        if len(code) < MAX_LENGTH:
            raise TruncatedCode(eip, (eip + len(code)) & MASK32) from None
        raise InvalidOpcode(f"invalid opcode: longer than {MAX_LENGTH} bytes", eip) from None
    return _assemble(fields, form)


# -- bytes to fields -------------------------------------------------------------------------------------------------


def _read_opcode(f: Fields, policy: Policy) -> Form:
    """Prefixes, opcode and ModRM byte: as much as names the row."""
    code = f.code
    position = 0
    byte = code[0]
    while byte in _PREFIXES:
        if byte == 0x66:
            f.operand_prefix = True
        elif byte == 0x67:
            f.address_size = 2
        elif byte == 0xF0:
            f.lock = True
        elif byte >= 0xF2:
            f.repeat = byte
        else:
            if f.segment in _OTHER_SEGMENTS:
                f.barred = f.segment
            f.segment = _SEGMENTS[byte]
        position += 1
        byte = code[position]
    f.opcode_offset = position
    if byte in (0xC4, 0xC5) and code[position + 1] >= 0xC0:
        root = _read_vex(f, position)
    else:
        space = Space.ONE_BYTE
        if byte == 0x0F:
            position += 1
            byte = code[position]
            space = Space.MAP_0F
            if byte in _TWO_BYTE_ESCAPES:
                space = _TWO_BYTE_ESCAPES[byte]
                position += 1
                byte = code[position]
        plain = PREFIX_66 if f.operand_prefix else NO_PREFIX
        root = root_of(space, _CLASS_OF_REPEAT.get(f.repeat, plain))
        f.opcode = byte
        f.position = position + 1
    if needs_modrm(root, f.opcode):
        _read_modrm(f)
    index = find(root, f.opcode, f.modrm)
    if index < 0:
        raise InvalidOpcode(f"invalid opcode: no instruction is encoded as {f.code[: f.position].hex(' ')}", f.eip)
    form = FORMS[index]
    if f.repeat and form.encoding.mandatory and not form.groups <= policy.groups:
        # TZCNT is BSF, LZCNT is BSR and so on where F3 means nothing, as on a processor without them.
        index = find(root_of(space, plain), f.opcode, f.modrm)
        if index >= 0 and not FORMS[index].encoding.mandatory and FORMS[index].groups <= policy.groups:
            form = FORMS[index]
    if f.operand_prefix and form.encoding.classes != (PREFIX_66,):
        f.operand_size = 2
    return form


def _read_modrm(f: Fields) -> None:
    modrm = f.code[f.position]
    f.modrm_offset = f.position
    f.position += 1
    f.modrm = modrm
    f.reg = modrm >> 3 & 7
    f.rm = modrm & 7


def _read_vex(f: Fields, position: int) -> int:
    """The two or three bytes of a VEX prefix and the opcode; the root of the trie that they select."""
    code = f.code
    first = code[position + 1]
    if f.operand_prefix or f.repeat or f.lock:
        raise InvalidOpcode("invalid opcode: a VEX prefix after 66, F2, F3 or LOCK", f.eip)
    if code[position] == 0xC5:
        space, last, width = Space.VEX_0F, first, 0
        position += 2
    else:
        last = code[position + 2]
        if first & 0x1F not in _VEX_SPACES:
            raise InvalidOpcode(f"invalid opcode: VEX map {first & 0x1F}", f.eip)
        if not first & 0x20 or not last & 0x40:
            raise InvalidOpcode("invalid opcode: VEX with a register above 7", f.eip)
        space, width = _VEX_SPACES[first & 0x1F], last >> 7
        position += 3
    f.third = ~last >> 3 & 7
    long = last >> 2 & 1
    f.vector_length = 32 if long else 16
    f.opcode = code[position]
    f.position = position + 1
    return root_of(space, last & 3 | width << 2 | long << 3)


def _read_rest(f: Fields, form: Form) -> None:
    """SIB, displacement and immediates. Raises IndexError where the code ends before them."""
    if f.modrm_offset >= 0 and f.modrm < 0xC0:
        if f.address_size == 4:
            _read_address_32(f, form)
        else:
            _read_address_16(f, form)
    rule = form.immediate
    if rule in _IMMEDIATE_SIZES:
        size = _IMMEDIATE_SIZES[rule]
    elif rule is ImmediateRule.OFFSET:
        _read_displacement(f, f.address_size)
        size = 0
    else:
        size = f.operand_size
    if size:
        f.immediate_offset = f.cursor = f.position
        f.immediate_size = size
        f.position += size
        if f.position > len(f.code):
            raise IndexError
    f.length = f.position


def _read_address_32(f: Fields, form: Form) -> None:
    mod = f.modrm >> 6
    f.base = f.rm
    if f.rm == 4:
        sib = f.code[f.position]
        f.position += 1
        f.base = sib & 7
        if sib & 0x38 != 0x20 or form.vsib:
            f.index = sib >> 3 & 7
            f.scale = 1 << (sib >> 6)
    elif form.vsib:
        raise _refusal(f, form, "without SIB")
    if mod == 0:
        if f.base == EBP:
            f.base = None
            _read_displacement(f, 4)
    else:
        _read_displacement(f, 1 if mod == 1 else 4)


def _read_address_16(f: Fields, form: Form) -> None:
    if form.vsib:
        raise _refusal(f, form, "with a 16-bit address")
    mod = f.modrm >> 6
    f.base, f.index = _PAIRS_16[f.rm]
    if mod == 0:
        if f.rm == 6:
            f.base = None
            _read_displacement(f, 2)
    else:
        _read_displacement(f, mod)


def _read_displacement(f: Fields, size: int) -> None:
    start = f.position
    end = start + size
    if end > len(f.code):
        raise IndexError
    value = int.from_bytes(f.code[start:end], "little")
    if size == 1 and value & 0x80:
        value += (1 << 8 * f.address_size) - 0x100
    f.displacement = value
    f.displacement_offset = start
    f.displacement_size = size
    f.position = end


# -- admission -------------------------------------------------------------------------------------------------------


def _admit(f: Fields, form: Form, policy: Policy) -> None:
    """Raise InvalidOpcode unless the table and the policy admit the instruction with these prefixes."""
    row = form.row
    if row.kind is Kind.REFUSE:
        raise InvalidOpcode(f"invalid opcode: {row.mnemonic} is refused to every guest", f.eip)
    if not form.groups <= policy.groups:
        missing = " and ".join(sorted(group.value for group in form.groups - policy.groups))
        raise InvalidOpcode(
            f"invalid opcode: {row.mnemonic} needs group {missing}, which the policy does not admit", f.eip
        )
    if form.thread and not policy.thread_pointer:
        raise _refusal(f, form, "of GS, for which the policy has no thread pointer,")
    if f.lock and not (row.lock and f.modrm < 0xC0):
        raise _refusal(f, form, "with LOCK")
    if form.near and f.operand_prefix:
        raise _refusal(f, form, "with a 16-bit operand size")
    if f.vector_length and f.third and not form.third:
        raise _refusal(f, form, "with a register in VEX.vvvv")
    if f.barred is not None:
        raise _refusal(f, form, f"with two overrides, {f.barred.name} the first of them,")
    if f.segment in _OTHER_SEGMENTS:
        _admit_segment(f, form, policy)


def _admit_segment(f: Fields, form: Form, policy: Policy) -> None:
    assert f.segment is not None
    if f.segment is Segment.CS and (form.hint or form.conditional):
        return
    if f.segment is Segment.GS and policy.thread_pointer:
        moffs = form.immediate is ImmediateRule.OFFSET
        if form.addressable and f.address_size == 4 and (moffs or f.modrm < 0xC0):
            return
    raise _refusal(f, form, f"with {f.segment.name} override")


def _refusal(f: Fields, form: Form, what: str) -> InvalidOpcode:
    return InvalidOpcode(f"invalid opcode: {form.row.mnemonic} {what} is not admitted", f.eip)


# -- fields to instruction -------------------------------------------------------------------------------------------


def _assemble(f: Fields, form: Form) -> Instruction:
    row = form.row
    readers = _readers[row.index]
    if readers is None:
        readers = _readers[row.index] = tuple(reader_of(text) for text in row.operands)
    operands = tuple([reader(f) for reader in readers])
    if form.vsib:
        _check_gather(f, form, operands)
    raw = f.code[: f.length]
    repeat = 0
    if f.repeat and row.rep:
        # REPNE on an instruction that compares nothing repeats just the same: make it REP.
        repeat = f.repeat if row.rep == "repe" else 0xF3
    return Instruction(
        f.eip,
        raw,
        row,
        operands,
        f.operand_size,
        f.address_size,
        f.lock,
        repeat,
        f.segment,
        f.opcode_offset,
        f.modrm_offset,
        f.displacement_offset,
        f.displacement_size,
        f.immediate_offset,
        f.immediate_size,
        f.vector_length,
        _copy(f, form, raw, repeat) if f.repeat or f.segment is Segment.CS else raw,
    )


def _copy(f: Fields, form: Form, raw: bytes, repeat: int) -> bytes:
    """``raw`` with one F2 or F3 where it means something and none where it does not, and with DS for CS."""
    mandatory = form.encoding.mandatory and form.encoding.classes in ((PREFIX_F2,), (PREFIX_F3,))
    keep = f.repeat if mandatory else repeat
    prefixes = bytearray([keep] if keep else [])
    for byte in raw[: f.opcode_offset]:
        if byte in (0xF2, 0xF3):
            continue
        prefixes.append(0x3E if byte == 0x2E else byte)
    return bytes(prefixes) + raw[f.opcode_offset :]


def _check_gather(f: Fields, form: Form, operands: tuple[Operand, ...]) -> None:
    """Destination, index and mask of a gather must be three registers (SDM volume 2, VGATHERDPS)."""
    index = next(operand.index for operand in operands if isinstance(operand, Memory))
    if len({f.reg, index, f.third}) != 3:
        raise _refusal(f, form, "with a register twice")
