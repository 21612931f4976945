"""What becomes of an encoding before it is executed: decoder, compiled translator, fragment, verifier, and capstone.

Of an instruction that is copied, and of one that is left to the host, the judge knows itself which bytes the fragment must
have, all of them: the landing, the copy or the template of a trap, and the trap of the INT3 behind. Of those that are
rewritten, or get the thread pointer into their displacement, the specification's translator says. The verifier of fragments
is asked besides.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import capstone

from conformance import disassembly
from conformance.encodings import POLICY_WITH_GS
from conformance.exhaustive.space import PREFIXES, Leaf
from conformance.exhaustive.states import GS_BASE
from jit import compiled
from jit.packed import PackedFragment
from jit.passes.records import Status
from jit.translate import NumbaTranslator
from reference import layout, runtime
from reference.isa.instruction import Instruction
from reference.translator import Shape, translate
from reference.translator.scan import classify
from reference.traps import Vector
from vx32py.verify import problems

#: Where fragments are put in the code segment, and the first EIP of the window of the entry table.
OFFSET: Final = 0x1_0000
WINDOW: Final = 0
_INT3: Final = b"\xcc"
_MOV_ECX_FROM_GS: Final = b"\x65\x8b\x89"
_STORE_GS: Final = b"\x65\xc7\x05"
#: Shapes whose templates are known here.
_TRAPS: Final = frozenset({Shape.TRAP, Shape.ASSIST})


class Verdict(NamedTuple):
    """What becomes of an encoding (``copied``, ``folded``, ``rewritten``, ``left to the host``, ``trapped``), and what
    is wrong with its fragment."""

    kind: str
    problems: tuple[str, ...] = ()


_KINDS: Final = {
    Shape.COPY: "copied",
    Shape.FOLD: "folded",
    Shape.ASSIST: "left to the host",
    Shape.TRAP: "trapped",
    Shape.OVERFLOW: "trapped",
}


class _Compiled(NumbaTranslator):
    """The compiled translator, asked a shorter question."""

    def admits(self, code: bytes, eip: int) -> bool:
        """Whether it makes a fragment."""
        if self._policy is not POLICY_WITH_GS:
            self._configure(POLICY_WITH_GS, GS_BASE, 0, WINDOW, metered=False)
        return bool(self._call(self._pointer, code, len(code), eip, OFFSET) == Status.DONE)


class Judge:
    """Judges one encoding after the other. Raises BuildError where there is no compiled translator."""

    def __init__(self) -> None:
        self._translator = _Compiled(compiled.build())
        self._disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)

    def admits_refused(self, leaf: Leaf, eip: int) -> bool:
        """Whether the compiled translator makes something of bytes that the decoder refuses."""
        return self._translator.admits(leaf.code, eip)

    def fragment(self, instruction: Instruction, eip: int, *, verify: bool) -> Verdict:
        """Translate an instruction, wherever it was decoded, at ``eip`` with an INT3 behind it, and look at every byte of
        what comes out; ``verify`` shows it to the verifier, too."""
        item = classify(instruction, GS_BASE, POLICY_WITH_GS)
        kind = _KINDS.get(item.shape, "rewritten")
        code = instruction.raw + _INT3
        try:
            made = self._translator.translate(
                code, eip, POLICY_WITH_GS, offset=OFFSET, gs_base=GS_BASE, origin=0, window=WINDOW
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            return Verdict(kind, (f"the translator raises {error!r}",))
        if not isinstance(made, PackedFragment):
            return Verdict(kind, ("the compiled translator refuses it",))
        if verify and (wrong := problems(made, gs_base=GS_BASE, window=WINDOW, guest=code)):
            return Verdict(kind, tuple(f"the verifier: {each}" for each in wrong))
        if item.shape is Shape.COPY:
            expected = _landing(eip) + instruction.copy
            expected += _trap(OFFSET + len(expected), eip + instruction.length + 1, Vector.BREAKPOINT)
        elif item.shape in _TRAPS:
            reported = eip if item.reason in (layout.Reason.ASSIST, Vector.INVALID_OPCODE) else eip + instruction.length
            expected = _landing(eip)
            expected += _trap(OFFSET + len(expected), reported, item.reason)
        else:
            other = translate(code, eip, POLICY_WITH_GS, offset=OFFSET, gs_base=GS_BASE, origin=0, window=WINDOW)
            return Verdict(kind) if made == other else Verdict(kind, ("the translators make different fragments",))
        if made.code != expected:
            return Verdict(kind, (f"fragment {made.code.hex(' ')}, not {expected.hex(' ')}",))
        return Verdict(kind)

    def capstone(self, leaf: Leaf) -> tuple[str, bool] | None:
        """How capstone differs about the length of an encoding, or whether it is one, and whether that is explained;
        None where it does not."""
        length = 0 if leaf.instruction is None else leaf.instruction.length
        found = self._length(leaf.code)
        if found == length:
            return None
        text = disassembly.difference(self._disassembler, leaf.code[:15])
        if text is None:
            return f"{length} or {found} bytes, and yet the same text", False
        known = disassembly.explanation(text)
        if known is not None:
            return known.why, True
        ordered = _ordered(leaf.code[:15])
        again = disassembly.difference(self._disassembler, ordered)
        if again is None or disassembly.explanation(again) is not None or self._length(ordered) == length:
            return "capstone wants 66, F2 and F3 to be the last of several prefixes", True
        return text, False

    def _length(self, code: bytes) -> int:
        """What capstone thinks it is; 0 for no instruction."""
        for _, length, _, _ in self._disassembler.disasm_lite(code[:15], disassembly.EIP, 1):
            return int(length)
        return 0


def _ordered(code: bytes) -> bytes:
    """The encoding with 66, and then F2 and F3, behind its other prefixes, which means the same."""
    rest = code.lstrip(PREFIXES)
    prefixes = code[: len(code) - len(rest)]
    return bytes(sorted(prefixes, key=lambda byte: 2 * (byte in (0xF2, 0xF3)) + (byte == 0x66))) + rest


def _landing(eip: int) -> bytes:
    return _MOV_ECX_FROM_GS + struct.pack("<I", layout.SPILL_ECX - eip & 0xFFFF_FFFF)


def _trap(offset: int, eip: int, reason: int) -> bytes:
    """The template at a code offset that tells the host ``reason`` with the guest at ``eip``."""
    stores = (
        _STORE_GS + struct.pack("<II", layout.TRAP_EIP, eip) + _STORE_GS + struct.pack("<II", layout.REASON, reason)
    )
    return stores + b"\xe9" + struct.pack("<I", runtime.EXIT - (offset + len(stores) + 5) & 0xFFFF_FFFF)
