"""The code of a program as far as it can be seen without running it, as fragments."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from reference.cache import choose_window
from reference.isa.instruction import DecodeError
from reference.layout import FIRST_FRAGMENT, segment_size
from reference.translator import FETCH_BYTES, Fragment, placed, translate

if TYPE_CHECKING:
    from reference.memory import AddressSpace
    from reference.policy import Policy
    from vx32py._module import Module

Translate: TypeAlias = Callable[..., Fragment]

#: Fragments stand one behind the other up to here, and then from the beginning again: none of them runs.
_LAST: Final = 12 << 20


class Reached(NamedTuple):
    """One fragment, or why there is none; ``code`` is the guest's from ``eip`` on."""

    eip: int
    code: bytes
    made: Fragment | DecodeError
    window: int | None


def space_of(module: Module) -> AddressSpace:
    """Memory with a program in it, and nothing else. Raises Vx32Error."""
    from reference.memory import AddressSpace
    from vx32py import _loader

    size = sum(end - start for start, end, _ in module.pages())
    layout = _loader.plan(module, 2 * size + _loader.MIB)
    space = AddressSpace(layout.limit)
    _loader.load(module, space, layout)
    return space


def reachable(
    space: AddressSpace,
    policy: Policy,
    starts: Iterable[int],
    *,
    gs_base: int | None = None,
    translator: Translate = translate,
) -> Iterator[Reached]:
    """The fragments at some EIPs, and those that they lead to directly or by a return, breadth first."""
    window = choose_window(space, segment_size(space.limit))
    waiting = deque(dict.fromkeys(starts))
    seen, offset = set(waiting), FIRST_FRAGMENT
    while waiting:
        here = waiting.popleft()
        code = space.fetch(here, FETCH_BYTES)
        where = placed(offset, here, window)
        try:
            fragment = translator(code, here, policy, offset=where, gs_base=gs_base, window=window)
        except DecodeError as error:
            yield Reached(here, code, error, window)
            continue
        yield Reached(here, code, fragment, window)
        offset = fragment.end if fragment.end < _LAST else FIRST_FRAGMENT
        for target in (*(e.target for e in fragment.exits), *(landing.eip for landing in fragment.landings)):
            if target not in seen and not fragment.eip <= target < fragment.eip + fragment.length:
                seen.add(target)
                waiting.append(target)
