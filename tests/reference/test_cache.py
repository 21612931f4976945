"""The code cache: whatever is installed and dropped, in whatever order, each branch leads where it must."""

from __future__ import annotations

import random

import pytest

from reference import layout as at
from reference import runtime
from reference.cache import CodeCache
from reference.memory import PAGE_SHIFT
from reference.policy import Policy
from reference.translator import FETCH_BYTES, Fragment, translate

PAGES = range(0x10, 0x16)
FIRST = PAGES.start << PAGE_SHIFT
SIZE = len(PAGES) << PAGE_SHIFT


#: With the direct entry table, its first EIP among the code, so that some of it is outside; with the hashed one.
WINDOWS = pytest.mark.parametrize("window", [FIRST + 0x800, None])


def new_cache(window: int | None) -> CodeCache:
    code, control = bytearray(1 << 20), bytearray(at.CONTROL_BLOCK + at.LEAST_SEGMENT)
    cache = CodeCache(memoryview(code), memoryview(control).cast("I"))
    cache.arrange(window)
    return cache


def guest(rng: random.Random) -> tuple[bytes, list[int]]:
    """Branches, jumps and calls to a few places again and again, so that fragments share targets and trampolines; and the
    EIPs at which instructions begin."""
    code = bytearray()
    starts, fields = [], []
    while len(code) < SIZE - 16:
        starts.append(FIRST + len(code))
        code += rng.choice((b"\x0f\x84", b"\x0f\x85", b"\xe8", b"\xe9", b"\x40", b"\xc3"))
        if code[-1] in (0x84, 0x85, 0xE8, 0xE9):
            fields.append(len(code))
            code += bytes(4)
    places = rng.choices(starts, k=12)
    for field in fields:
        distance = rng.choice(places) - (FIRST + field + 4)
        code[field : field + 4] = (distance & 0xFFFF_FFFF).to_bytes(4, "little")
    return bytes(code), starts


def install(cache: CodeCache, code: bytes, eip: int) -> Fragment:
    taken = code[eip - FIRST : eip - FIRST + FETCH_BYTES]
    fragment = translate(taken, eip, Policy.default(), offset=cache.reserve(eip, 1 << 14), window=cache.window)
    cache.install(fragment)
    return fragment


def destination(cache: CodeCache, field: int) -> int:
    """Where the branch with its displacement at that code offset leads, from the bytes themselves."""
    return field + 4 + int.from_bytes(cache.code[field : field + 4], "little", signed=True) & 0xFFFF_FFFF


def check(cache: CodeCache, installed: list[Fragment]) -> None:
    assert sorted(f.offset for f in cache.fragments()) == sorted(f.offset for f in installed)
    landings = {landing.offset: landing for fragment in installed for landing in fragment.landings}
    bodies = {landing.body: landing for landing in landings.values()}
    for eip, body in cache.bodies.items():
        assert bodies[body].eip == eip
    for fragment in installed:
        for branch in fragment.exits:
            assert destination(cache, branch.field) == cache.bodies.get(branch.target, branch.trampoline)
            assert cache.branch_target(branch.trampoline) == branch.target
    if cache.window is None:
        first = at.control_word(at.HASHED_TABLE)
        for slot, entry in enumerate(cache.control[first : first + at.HASHED_ENTRIES]):
            assert entry == runtime.LOOKUP or landings[entry].eip & (at.HASHED_ENTRIES - 1) == slot
    else:
        first = at.control_word(at.DIRECT_TABLE)
        found = {cache.window + slot: entry for slot, entry in enumerate(cache.control[first:][::2]) if entry}
        assert found.keys() == {eip for eip in cache.bodies if eip >= cache.window}
        assert all(
            (landings[entry].eip, landings[entry].body) == (eip, cache.bodies[eip]) for eip, entry in found.items()
        )


@WINDOWS
@pytest.mark.parametrize("seed", range(6))
def test_branches_follow_what_is_installed_and_dropped(seed: int, window: int | None) -> None:
    rng = random.Random(seed)
    code, starts = guest(rng)
    cache = new_cache(window)
    installed: list[Fragment] = []
    for _ in range(40):
        for _ in range(rng.randrange(6)):
            targets = {branch.target for f in installed for branch in f.exits} & set(starts)
            eip = rng.choice(sorted(targets | {rng.choice(starts)}))
            if eip not in cache.bodies:
                installed.append(install(cache, code, eip))
        if cache.bodies and rng.random() < 0.5:
            cache.learn(rng.choice(sorted(cache.bodies)))
        if rng.random() < 0.2:
            cache.contend(FIRST + rng.randrange(SIZE))
        if rng.random() < 0.3:
            first = rng.choice(PAGES)
            doomed = [f for f in installed if f.eip >> 12 <= first <= (f.next_eip - 1) >> 12]
            assert cache.drop_pages(first, first + 1) == len(doomed)
            installed = [f for f in installed if f not in doomed]
        check(cache, installed)
    cache.drop_pages(PAGES.start, PAGES.stop)
    check(cache, [])
    assert not cache.bodies
    assert not cache.pages()


@WINDOWS
def test_a_dropped_fragment_leaves_no_trace_in_the_bookkeeping(window: int | None) -> None:
    cache = new_cache(window)
    code, starts = guest(random.Random(7))
    for eip in starts[::25]:
        if eip not in cache.bodies:
            install(cache, code, eip)
    cache.drop_pages(PAGES.start, PAGES.stop)
    assert not [name for name, value in vars(cache).items() if isinstance(value, dict | list) and value]
