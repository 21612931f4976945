"""A guest of a few instructions for tests of engines: code, stack, data, and what came out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from asm import assemble

from reference.engine import Engine
from reference.memory import PAGE
from reference.policy import Policy
from reference.traps import Access
from vx32py._engines import create, engines

CODE = 0x0001_0000
DATA = 0x0002_0000
STACK_TOP = 0x0004_0000
LIMIT = 0x0010_0000

#: What registers hold at the start, so that a lost or mixed-up one shows.
SENTINELS = {
    "eax": 0xA0A0_0001, "ecx": 0xC1C1_0002, "edx": 0xD2D2_0003, "ebx": 0xB3B3_0004,
    "ebp": 0x0002_0800, "esi": 0x5151_0006, "edi": 0xD1D1_0007,
}  # fmt: skip


@contextmanager
def guest(
    name: str,
    code: str | bytes,
    *,
    policy: Policy | None = None,
    code_access: Access = Access.RX,
    limit: int = LIMIT,
    **registers: int,
) -> Iterator[Engine]:
    """An engine with ``code`` at CODE, two pages of data at DATA and a stack of two pages below STACK_TOP."""
    engine = create(name, limit=limit, budget=limit, policy=policy or Policy.default())
    try:
        space = engine.space
        space.map(CODE, 4 * PAGE, code_access)
        space.store(CODE, assemble(code) if isinstance(code, str) else code)
        space.map(DATA, 2 * PAGE, Access.RW)
        space.map(STACK_TOP - 2 * PAGE, 2 * PAGE, Access.RW)
        for register, value in {**SENTINELS, "esp": STACK_TOP - 64, "eip": CODE, **registers}.items():
            setattr(engine.cpu, register, value)
        yield engine
    finally:
        engine.close()


@dataclass(frozen=True)
class End:
    """How a guest ended: all that engines must agree on."""

    number: int
    eip: int
    address: int
    access: Access
    vector: int | None
    words: tuple[int, ...]
    memory: tuple[bytes, ...]


def end_of(engine: Engine, trap: object = None) -> End:
    """Run to a trap (or take the one given) and collect the guest's state."""
    from reference.traps import Trap

    found = trap if isinstance(trap, Trap) else engine.run()
    memory = tuple(engine.space.load(start, end - start) for start, end, _ in engine.space.regions())
    return End(found.number, found.eip, found.address, found.access, found.vector, tuple(engine.cpu.words), memory)


def all_agree(code: str | bytes, **options: object) -> End:
    """Run the same guest on every engine of this host; they must agree, and their common end is returned."""
    ends = {}
    for name in engines():
        with guest(name, code, **options) as engine:  # type: ignore[arg-type]
            ends[name] = end_of(engine)
    first, *rest = ends.items()
    for other in rest:
        assert other[1] == first[1], f"{other[0]} differs from {first[0]}"
    return first[1]
