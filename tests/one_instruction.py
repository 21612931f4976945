"""One instruction with registers, vector state and memory of the test's choosing, on any engine.

    with Bench("reference") as bench:
        after = bench.run(assemble("aesenc xmm1, xmm2"), fp=image(xmm1=..., xmm2=...))

Two results are equal if everything is that engines must agree on. A native bench with ``alone`` executes an instruction on
the processor as it stands, even if the engine would leave it to the reference semantics.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from reference.engine import Engine
from reference.flags import GUEST_WRITABLE
from reference.isa.decode import decode
from reference.memory import PAGE
from reference.policy import Group, Policy, host_groups
from reference.registers import CPU, EFLAGS
from reference.traps import Access, Vector
from vx32py._engines import create

LIMIT = 0x10_0000
CODE = 0x1_0000
DATA = 0x2_0000
DATA_END = DATA + 2 * PAGE
STACK_TOP = 0x4_0000

#: First byte and length of all that an image says of a guest's state, pointers apart: not every processor keeps those.
FIELDS = (
    (0, 5), (24, 4),
    *((32 + 16 * i, 10) for i in range(8)),
    (160, 128), (576, 128),
)  # fmt: skip


def image(base: bytes | None = None, /, **registers: int | bytes) -> bytes:
    """A floating-point image: that of a new guest, or ``base``, with some of fcw, fsw, ftw, mxcsr, st0 …, xmm0 …, ymm0 …
    (the upper half) as given."""
    fp = bytearray(base if base is not None else CPU().fp)
    for name, value in registers.items():
        if name in ("fcw", "fsw", "ftw", "mxcsr"):
            start, size = {"fcw": (0, 2), "fsw": (2, 2), "ftw": (4, 1), "mxcsr": (24, 4)}[name]
        else:
            kind, number = name[:-1], int(name[-1])
            start, size = {"st": (32, 10), "xmm": (160, 16), "ymm": (576, 16)}[kind]
            start += 16 * number
        fp[start : start + size] = value.to_bytes(size, "little") if isinstance(value, int) else value
    return bytes(fp)


def register(fp: bytes, name: str) -> int:
    """A register of an image as a number: ``xmm0``, ``ymm0`` for its upper half, ``st0``, ``mxcsr``."""
    if name == "mxcsr":
        return int.from_bytes(fp[24:28], "little")
    start, size = {"st": (32, 10), "xmm": (160, 16), "ymm": (576, 16)}[name[:-1]]
    start += 16 * int(name[-1])
    return int.from_bytes(fp[start : start + size], "little")


@dataclass(frozen=True)
class After:
    """What an instruction has led to. ``trap``: number, EIP, address, access and vector, or None."""

    words: tuple[int, ...]
    state: tuple[bytes, ...]
    memory: bytes
    trap: tuple[object, ...] | None
    fp: bytes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, After):
            return NotImplemented
        return (self.words, self.state, self.memory, self.trap) == (other.words, other.state, other.memory, other.trap)

    __hash__ = None  # type: ignore[assignment]


def all_groups(name: str) -> Policy:
    """All groups that an engine can have here: on some processors the native one cannot have LZCNT and BMI1."""
    lacking = frozenset(Group) - (host_groups() or frozenset(Group)) if name == "jit" else frozenset()
    return Policy.everything().without_groups(*lacking.intersection({Group.LZCNT, Group.BMI1}))


class Bench:
    """An engine with a page of code, two of data and one of stack. Registers are zero unless given, ESP apart."""

    def __init__(self, name: str, policy: Policy | None = None, *, alone: bool = False) -> None:
        self.engine: Engine = create(name, limit=LIMIT, budget=LIMIT, policy=policy or all_groups(name))
        space = self.engine.space
        space.map(CODE, PAGE, Access.RX)
        space.map(DATA, DATA_END - DATA, Access.RW)
        space.map(STACK_TOP - PAGE, PAGE, Access.RW)
        self._alone = alone
        if alone:  # the processor is asked, also about what is never copied
            self.engine.verify_with(None)  # type: ignore[attr-defined]
        self._code = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.engine.close()

    def run(
        self,
        code: bytes,
        *,
        fp: bytes | None = None,
        data: bytes = b"",
        at: int = DATA,
        **registers: int,
    ) -> After:
        """Execute the one instruction, with ``data`` at ``at`` and zeros around it."""
        cpu, space = self.engine.cpu, self.engine.space
        if code != self._code:
            space.store(CODE, code.ljust(32, b"\xcc"))
            self._code = code
        space.store(DATA, bytes(DATA_END - DATA))
        space.store(at, data)
        thread_pointer = cpu.gs_selector, cpu.gs_base
        cpu.reset()
        cpu.gs_selector, cpu.gs_base = thread_pointer
        if fp is not None:
            cpu.fp[:] = fp
        cpu.eip, cpu.esp = CODE, STACK_TOP - 64
        for name, value in registers.items():
            setattr(cpu, name, value)
        if self._alone:
            self.engine.processor.prepare()  # type: ignore[attr-defined]
            instruction = decode(code.ljust(15, b"\xcc"), CODE, self.engine.policy)
            trap = self.engine._alone(instruction)  # type: ignore[attr-defined]
        else:
            trap = self.engine.run()
            if trap.number == Vector.BREAKPOINT:
                cpu.eip, trap = trap.eip - 1, None
        words = [*cpu.words]
        words[EFLAGS] &= GUEST_WRITABLE
        after = bytes(cpu.fp)
        return After(
            tuple(words),
            tuple(after[start : start + length] for start, length in FIELDS),
            space.load(DATA, DATA_END - DATA),
            trap and (trap.number, trap.eip, trap.address, trap.access, trap.vector),
            after,
        )
