"""Thrash: guests that need as many fragments as they can, and what they cost the host.

    python -m conformance.thrash [--entries 2000000] [--engine jit] [--table direct|hashed] [--code-size BYTES]

A guest calls every address of an area of returns, one after the other, and so wants a fragment for each byte; or, with
``--collisions``, only those whose EIPs share an entry of the hashed table and a place in its second level. The result must
be right, and the memory of the host bounded by the size of the code cache and not by the number of entries.
"""

from __future__ import annotations

import functools
import resource
import sys
import time
from dataclasses import dataclass

import click

from reference import layout as at
from reference.engine import Engine
from reference.memory import PAGE, page_ceil
from reference.policy import Policy
from reference.traps import Access, Vector
from vx32py import _engines

CODE, STACK = 0x10_0000, 0x8_0000
#: Where the area begins: a multiple of 64 KiB.
AREA = 0x20_0000
_RETURN = b"\xc3"


@dataclass(frozen=True, slots=True)
class Thrashed:
    """``calls`` that returned, ``fragments`` made, ``flushes`` of the cache; ``seconds``; ``grown``, by how many bytes the
    process has at its largest been larger than before."""

    calls: int
    fragments: int
    flushes: int
    seconds: float
    grown: int


def colliding(count: int) -> list[int]:
    """EIPs with equal low halves whose probes in the second level of the hashed table begin at one place, or at one of the
    few before and behind it."""
    first = at.first_probe(AREA)
    found: list[int] = []
    for eip in range(AREA, 1 << 31, 1 << 16):
        if abs(at.first_probe(eip) - first) <= at.PROBES:
            found.append(eip)
            if len(found) == count:
                break
    return found


def _loop(entries: int) -> bytes:
    """``1: call eax; inc edx; inc eax; dec esi; jnz 1b; int3``"""
    assert entries
    return bytes.fromhex("ffd0 42 40 4e 75f9 cc")


def _table_loop(table: int) -> bytes:
    """``1: mov eax, [table + 4 * edi]; call eax; inc edx; inc edi; cmp edi, ebx; jb 1b; xor edi, edi; dec esi; jnz 1b; int3``"""
    return bytes.fromhex("8b04bd") + table.to_bytes(4, "little") + bytes.fromhex("ffd0 42 47 39df 72f1 31ff 4e 75ec cc")


def make(engine: str, limit: int, code_size: int) -> Engine:
    """An engine, the native one with a code cache of that size."""
    if engine != "jit":
        return _engines.create(engine, limit=limit, budget=limit, policy=Policy.default())
    from jit import native
    from jit.engine import JitEngine

    plain = native.NativeProcessor
    native.NativeProcessor = functools.partial(plain, code_size=code_size)  # type: ignore[misc, assignment]
    try:
        return JitEngine(limit=limit)
    finally:
        native.NativeProcessor = plain  # type: ignore[misc]


def thrash(
    engine: str,
    entries: int,
    *,
    hashed: bool = False,
    collisions: bool = False,
    rounds: int = 1,
    code_size: int = 16 << 20,
) -> Thrashed:
    """Run a guest that calls ``entries`` addresses, so many rounds. Raises AssertionError for a wrong result."""
    places = colliding(entries) if collisions else []
    end = (places[-1] if places else AREA + entries) + 2 * PAGE
    if hashed:
        end = max(end, CODE + 8 * at.direct_entries(at.LARGEST_SEGMENT))
    limit = page_ceil(end)
    made = make(engine, limit, code_size)
    try:
        space, cpu = made.space, made.cpu
        space.map(CODE, PAGE, Access.RX)
        space.map(STACK, PAGE, Access.RW)
        table = STACK + PAGE
        if places:
            space.map(table, page_ceil(4 * len(places)), Access.RW)
            for i, eip in enumerate(places):
                space.map(eip & -PAGE, PAGE, Access.RX)
                space.store(eip, _RETURN)
                space.write_u32(table + 4 * i, eip)
            space.store(CODE, _table_loop(table))
        else:
            space.map(AREA, page_ceil(entries), Access.RX)
            for start in range(AREA, AREA + entries, 1 << 20):
                space.store(start, _RETURN * min(1 << 20, AREA + entries - start))
            space.store(CODE, _loop(entries))
        if hashed:
            space.map(limit - PAGE, PAGE, Access.RX)
        before = _largest()
        flushes = _count_flushes(made)
        started = time.perf_counter()
        calls = 0
        for _ in range(1 if places else rounds):
            cpu.eip, cpu.esp, cpu.eax, cpu.edx = CODE, STACK + PAGE, AREA, 0
            cpu.esi, cpu.edi, cpu.ebx = (rounds if places else entries), 0, len(places)
            trap = made.run()
            assert trap.number == Vector.BREAKPOINT, str(trap)
            calls += cpu.edx
        seconds = time.perf_counter() - started
        assert calls == rounds * (len(places) or entries), f"{calls} calls returned"
        return Thrashed(calls, made.stats.fragments, flushes[0], seconds, _largest() - before)
    finally:
        made.close()


def _count_flushes(engine: Engine) -> list[int]:
    """A list whose only number grows with each flush of the engine's code cache, if it has one."""
    count = [0]
    cache = getattr(engine, "_cache", None)
    if cache is not None:
        flush = cache.flush

        def counted() -> None:
            count[0] += 1
            flush()

        cache.flush = counted
    return count


def _largest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--entries", default=2_000_000, show_default=True, help="How many addresses the guest calls.")
@click.option("--rounds", default=1, show_default=True, help="How often.")
@click.option("--engine", type=click.Choice(_engines.NAMES), default="jit", show_default=True)
@click.option("--table", type=click.Choice(["direct", "hashed"]), default="direct", show_default=True)
@click.option("--collisions", is_flag=True, help="Only addresses that compete for places in the hashed table.")
@click.option("--code-size", default=16 << 20, show_default=True, help="Bytes of the native engine's code cache.")
def main(entries: int, rounds: int, engine: str, table: str, collisions: bool, code_size: int) -> None:
    """Have a guest call many addresses, and say what that cost."""
    hashed = table == "hashed" or collisions
    found = thrash(engine, entries, hashed=hashed, collisions=collisions, rounds=rounds, code_size=code_size)
    click.echo(
        f"{found.calls} calls, {found.fragments} fragments, {found.flushes} flushes, {found.seconds:.1f} s,"
        f" {found.seconds / found.calls * 1e6:.1f} µs a call, {found.grown >> 20} MiB more memory"
    )


if __name__ == "__main__":
    sys.exit(main())
