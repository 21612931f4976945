"""The runtime: the few stubs of 32-bit code at the start of every code segment that all fragments share.

    NO_CODE   not a stub: bytes that fault, from offset 0 on
    LOOKUP    an indirect branch missed the first level of the hashed table: probe the second, go on; else leave
    MISS      leave with Reason.LOOKUP
    CHAIN     a direct branch is not linked yet: leave with Reason.CHAIN
    STEPPED   the single instruction in the scratch area is done: leave with Reason.STEPPED
    EXIT      jump to the host, with the guest's registers as they are

LOOKUP and MISS are for the hashed table alone (reference/layout.py): unused entries of it lead to the lookup stub, and so
do those that several targets compete for. ECX then holds the target EIP, and the guest's EDX and ECX are spilled. The flags
of the guest pass through it unharmed: LAHF and SETO keep them in EAX (the original vx32 lost the overflow flag here).
"""

from __future__ import annotations

from typing import Final

from reference import encode as e
from reference import layout as at
from reference.layout import Reason
from reference.registers import EAX, ECX, EDX

_JE, _JMP = 0x74, 0xEB
_HLT: Final = b"\xf4"


class _Stubs:
    """Bytes under construction, with labels for short jumps."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def add(self, *parts: bytes) -> None:
        for part in parts:
            self.code += part

    def label(self, name: str) -> None:
        self.labels[name] = len(self.code)

    def jump(self, opcode: int, label: str) -> None:
        self.code += e.jump_short(opcode, 0)
        self._jumps.append((len(self.code), label))

    def finish(self) -> bytes:
        for end, label in self._jumps:
            distance = self.labels[label] - end
            assert -128 <= distance <= 127, f"stub jump to {label} is too long"
            self.code[end - 1] = distance & 0xFF
        return bytes(self.code)


def _build() -> tuple[bytes, dict[str, int]]:
    stub = _Stubs()

    stub.add(_HLT * at.NO_CODE)

    stub.label("lookup")
    stub.add(
        e.mov_gs_from(at.SPILL_EAX, EAX),
        e.lahf_seto(),
        e.imul_immediate(EDX, ECX, at.HASH_MULTIPLIER),
        e.shr(EDX, 32 - at.PROBED_BITS),
    )
    for probe in range(at.PROBES):
        if probe:
            stub.add(e.increment(EDX))
        stub.add(e.cmp_gs_indexed8(at.PROBED_TABLE, EDX, ECX))
        stub.jump(_JE, "hit")
    stub.jump(_JMP, "miss")

    stub.label("hit")
    stub.add(e.mov_from_gs_indexed8(EDX, at.PROBED_TABLE + 4, EDX), e.test(EDX))
    stub.jump(_JE, "miss")
    stub.add(
        e.mov_gs_from(at.SCRATCH, EDX),
        e.restore_flags(),
        e.mov_from_gs(EAX, at.SPILL_EAX),
        e.jmp_gs(at.SCRATCH),
    )

    stub.label("miss")
    stub.add(
        e.restore_flags(),
        e.mov_from_gs(EAX, at.SPILL_EAX),
        e.mov_gs_from(at.TRAP_EIP, ECX),
        e.mov_from_gs(EDX, at.SPILL_EDX),
        e.mov_from_gs(ECX, at.SPILL_ECX),
        e.mov_gs_immediate(at.REASON, Reason.LOOKUP),
    )
    stub.jump(_JMP, "exit")

    stub.label("stepped")
    stub.add(e.mov_gs_immediate(at.REASON, Reason.STEPPED))
    stub.jump(_JMP, "exit")

    stub.label("chain")
    stub.add(e.mov_gs_immediate(at.REASON, Reason.CHAIN))

    stub.label("exit")
    stub.add(e.jmp_far_gs(at.LEAVE_POINTER))
    return stub.finish(), stub.labels


#: The stubs' bytes, from code offset 0 on, and the offset of each.
STUBS, _LABELS = _build()
LOOKUP: Final = _LABELS["lookup"]
MISS: Final = _LABELS["miss"]
STEPPED: Final = _LABELS["stepped"]
CHAIN: Final = _LABELS["chain"]
EXIT: Final = _LABELS["exit"]

assert len(STUBS) <= at.SCRATCH_CODE, "the stubs run into the scratch area"
