"""Code that guests of this process have had, for the next guest of the same program, or for a fork.

:mod:`jit.library` lends fragments one by one, and :mod:`jit.kept` keeps segments as they are for guests that never set a
thread pointer. Programs with libraries have some thousand fragments, of pages that are mapped by and by, and a shell starts
the same ones again and again: here is a code cache as a whole, a copy, linked, for each thread pointer and window that guests
of a program have had. It is good for a guest as far as its pages are what they were.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from jit.image import Image
from jit.kept import content_of, is_fixed, is_same
from jit.space import HostSpace
from reference.cache import CodeCache, HeldCode
from reference.memory import WATCHED
from reference.policy import Policy
from reference.records import dataclass

#: The policy, the thread pointer, the window of the entry table, and whether fragments have meters.
Circumstances: TypeAlias = tuple[Policy, int | None, int | None, bool]

#: Larger caches are not copied; and so many are held of a program.
_MOST_BYTES: Final = 4 << 20
_MOST_OF_PROGRAM: Final = 8
#: It is copied again when there is more, the first times; then when there is so many times as much.
_FIRST_TIMES: Final = 16
_MORE: Final = 1.1


@dataclass(frozen=True, slots=True)
class Held:
    """A code cache, and what its guest pages held: their bytes, or the image that they are from."""

    code: HeldCode
    pages: Mapping[int, bytes | Image]
    times: int = 1


_lock: Final = threading.RLock()
_held: Final[WeakKeyDictionary[object, dict[Circumstances, Held]]] = WeakKeyDictionary()


def hold(program: object, circumstances: Circumstances, cache: CodeCache, space: HostSpace) -> None:
    """Take a copy of what a guest of the program has, if there is not one as good."""
    with _lock:
        known = _held.setdefault(program, {})
        before = known.get(circumstances)
    count = len(cache.bodies)
    times = 1
    if before is not None:
        times = before.times + 1
        if count <= len(before.code.bodies) * (1 if times <= _FIRST_TIMES else _MORE):
            return
    found = _copy(cache, space, times)
    if found is None:
        return
    with _lock:
        known.pop(circumstances, None)
        while len(known) >= _MOST_OF_PROGRAM:
            del known[next(iter(known))]
        known[circumstances] = found


def resume(program: object, circumstances: Circumstances, cache: CodeCache, space: HostSpace) -> bool:
    """Give an empty cache what guests of the program have had, as far as it is good for this one; whether there was
    something."""
    with _lock:
        found = _held.get(program, {}).get(circumstances)
    if found is None:
        return False
    good: list[int] = []
    bad: list[int] = []
    for page, content in found.pages.items():
        (good if is_same(space, page, content) else bad).append(page)
    if not good:
        return False
    for page in good:
        space.watch(page, page + 1)
    cache.resume(found.code)
    for page in bad:
        cache.drop_pages(page, page + 1)
    return True


def _copy(cache: CodeCache, space: HostSpace, times: int) -> Held | None:
    if not cache.sound or cache.window is None or cache.next > _MOST_BYTES:
        return None
    pages: dict[int, bytes | Image] = {}
    for page in cache.pages():
        state = space.permissions[page]
        if not (state & WATCHED and is_fixed(state)):
            return None  # code that the guest may change: rare, and then nothing is held
        pages[page] = content_of(space, page)
    return Held(cache.hold(), pages, times) if pages else None
