"""Translated code that outlives its guest: the next guest with the same program finds it ready.

Translation takes longer than everything else that short guests do, and most guests run a program that has run before. So a
guest's code and control segment wait for the next guest of the same program with their code cache as it was. A fragment
depends on the guest's bytes, on the policy, on the thread pointer, on having meters or not, and on where the code segment
is; all of these must be equal. The bytes are compared, page by page, when the new guest first runs: it does not matter who has changed them, or
whether its program is loaded as the last one's was. What differs is dropped, and the rest is watched from then on. Where
both have a page from the same image, and nobody has written to it, there is nothing to compare.

Only what a program's image can hold is kept: code from pages that were executable and not writable to the end. A guest can
neither read what it finds nor reach more of it than its own code leads to; from how quickly that runs, it can tell that
another guest has run the same code before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jit.image import Image
from jit.space import HostSpace
from reference.cache import CodeCache
from reference.layout import FIRST_FRAGMENT
from reference.memory import PAGE, PAGE_SHIFT, WATCHED
from reference.policy import Policy
from reference.records import dataclass
from reference.traps import Access

#: With more code than this, much of which may be dead, it is better to begin anew.
_MOST_BYTES: Final = 4 << 20
_RIGHTS: Final = int(Access.WRITE | Access.EXECUTE)
_EXECUTE: Final = int(Access.EXECUTE)


@dataclass(frozen=True, slots=True)
class KeptCode:
    """What is known of a code and a control segment without a guest. ``program`` is whatever tells one program from
    another, by identity; ``pages`` has for each guest page with fragments its content, or the image that the content is
    from."""

    program: object
    policy: Policy
    cache: CodeCache
    pages: Mapping[int, bytes | Image]
    metered: bool

    def suits(self, program: object, policy: Policy, metered: bool) -> bool:
        """Whether a guest with this program and policy, whose fragments are ``metered`` or not, may have use for it."""
        return self.program is program and self.policy == policy and self.metered == metered


def keep(program: object, policy: Policy, cache: CodeCache, space: HostSpace, metered: bool) -> KeptCode | None:
    """Detach the cache of a guest that ends, without a thread pointer; None if it is not worth keeping, or not sound.

    A page that is watched has not changed since the first of its fragments was made. A cache that is empty is worth as
    much as a new one, and has cost less.
    """
    if not cache.sound or cache.next > _MOST_BYTES:
        return None
    pages: dict[int, bytes | Image] = {}
    for page in cache.pages():
        state = space.permissions[page]
        if state & WATCHED and is_fixed(state):
            pages[page] = content_of(space, page)
        else:
            cache.drop_pages(page, page + 1)
    if not pages and cache.next != FIRST_FRAGMENT:
        return None
    cache.detach()
    return KeptCode(program, policy, cache, pages, metered)


def adopt(kept: KeptCode, space: HostSpace) -> None:
    """Drop from the attached cache what was not made from the bytes that ``space`` has, and watch the rest."""
    for page, content in kept.pages.items():
        if is_same(space, page, content):
            space.watch(page, page + 1)
        else:
            kept.cache.drop_pages(page, page + 1)


def is_fixed(state: int) -> bool:
    """Whether a page with this permission byte holds code that its guest cannot write to: executable, and not writable."""
    return state & _RIGHTS == _EXECUTE


def content_of(space: HostSpace, page: int) -> bytes | Image:
    """What a page with code holds: the image that its content is from, or its bytes."""
    return space.origin(page) or space.fetch(page << PAGE_SHIFT, PAGE)


def is_same(space: HostSpace, page: int, content: bytes | Image) -> bool:
    """Whether a page holds that, and its guest cannot write to it."""
    if page >= len(space.permissions) or not is_fixed(space.permissions[page]):
        return False
    return content is space.origin(page) or space.fetch(page << PAGE_SHIFT, PAGE) == _bytes(content, page)


def _bytes(content: bytes | Image, page: int) -> bytes:
    return content if isinstance(content, bytes) else bytes(content.view[page << PAGE_SHIFT : (page + 1) << PAGE_SHIFT])
