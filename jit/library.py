"""Translated code that outlives its process: what is known of each program, kept on disk.

Most programs have run before, and a short one spends most of its time on being translated. So fragments are noted down when
a guest ends, and the next guest of the same program, perhaps in another process, *borrows* one where it would translate:
at the same code offset, and only if its guest's pages are what they were when the fragment was made.

A :class:`Library` is one entry of the disk cache (:mod:`jit.diskcache`, which checks that nobody else can have written it,
and that no bit of it has changed). Its key has everything that all fragments depend on: the program's code, the policy,
this package's sources. What may differ from guest to guest of a program is a *circumstance*; for each there is a section.

Only code from pages that are executable and not writable is noted down, as in :mod:`jit.kept`.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import threading

# As jit.diskcache has it: hashlib would load OpenSSL first.
from _blake2 import blake2b
from collections.abc import Iterator
from functools import cache
from typing import Final, TypeAlias

from jit import diskcache
from jit.kept import is_fixed
from jit.packed import PackedFragment
from reference.cache import CodeCache, rebased
from reference.memory import PAGE, PAGE_SHIFT, WATCHED, AddressSpace
from reference.policy import Policy, host_groups
from reference.records import dataclass
from reference.translator.fragment import Fragment

#: What fragments depend on beside what the key has: the thread pointer, the window of the entry table, and whether they have
#: meters.
Circumstances: TypeAlias = tuple[int | None, int | None, bool]
#: A fragment without its EIP: length, offset, tail; code, for a code segment with origin 0; landings, exits and spans as
#: :class:`PackedFragment` has them.
_Stored: TypeAlias = tuple[int, int, int, bytes, bytes, bytes, bytes]

#: A library has so many sections at most, the process holds so many libraries.
_MOST_SECTIONS: Final = 8
_MOST_LIBRARIES: Final = 8
#: So many fragments are installed at once at most.
_MOST_AT_ONCE: Final = 256
#: A guest may change its circumstances as often as it likes; after so many times it does without its library.
_MOST_CHANGES: Final = 4
#: Nothing from behind this code offset is noted down.
_MOST_CODE: Final = 4 << 20
_ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: Where the sources are that decide what fragments look like, and some others.
_SOURCES: Final = ("reference", "reference/translator", "reference/isa", "reference/isa/tables", "jit", "jit/passes")


@dataclass(frozen=True, slots=True)
class Section:
    """What is known under some circumstances. ``fragments`` has them by EIP; ``end`` is the code offset behind all of them;
    ``pages`` has a digest of each guest page that they were made from."""

    end: int
    pages: dict[int, bytes]
    fragments: dict[int, _Stored]


class Library:
    """The sections of one program, in the order in which they were last written. Good for several threads."""

    def __init__(self, key: str, sections: dict[Circumstances, Section]) -> None:
        self._key = key
        self._sections = sections
        self._changed = False

    def section(self, circumstances: Circumstances) -> Section | None:
        """What is known under these circumstances."""
        return self._sections.get(circumstances)

    def put(self, circumstances: Circumstances, section: Section) -> None:
        """Note a section down, in place of what was there."""
        with _process.lock:
            sections = dict(self._sections)
            sections.pop(circumstances, None)
            sections[circumstances] = section
            for old in list(sections)[:-_MOST_SECTIONS]:
                del sections[old]
            self._sections, self._changed = sections, True

    def save(self) -> None:
        """Write it to disk, if there is anything new."""
        with _process.lock:
            changed, self._changed = self._changed, False
        if changed:
            sections = {known: (each.end, each.pages, each.fragments) for known, each in self._sections.items()}
            diskcache.save(self._key, marshal.dumps(sections))


class _Process:
    """The libraries that guests of this process use, the last one last."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may run guests, wherever it comes.
        self.lock = threading.RLock()
        self.libraries: dict[str, Library] = {}
        self.used = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.lock = threading.RLock()  # another thread of the parent may have held it


_process: Final = _Process()


def of(program: object, policy: Policy) -> Library | None:
    """The library of a program; None where the cache is turned off or not to be used, or ``program`` has no ``digest``
    of its code."""
    digest: bytes = getattr(program, "digest", b"") if _process.used else b""
    if not digest or diskcache.directory() is None:
        return None
    key = _key(digest, policy)
    with _process.lock:
        library = _process.libraries.pop(key, None)
    if library is None:
        payload = diskcache.load(key)
        library = Library(key, {} if payload is None else _sections(payload))
    with _process.lock:
        library = _process.libraries.setdefault(key, library)
        for old in list(_process.libraries)[:-_MOST_LIBRARIES]:
            del _process.libraries[old]
    return library


@contextlib.contextmanager
def unused() -> Iterator[None]:
    """Guests that are created meanwhile do without libraries: for those who measure translation."""
    before, _process.used = _process.used, False
    try:
        yield
    finally:
        _process.used = before


def in_use() -> bool:
    """Whether code that was translated for other guests may be used again."""
    return _process.used


def forget() -> None:
    """Let go of the libraries in memory: what is on disk counts from now on."""
    with _process.lock:
        _process.libraries.clear()


def _key(digest: bytes, policy: Policy) -> str:
    groups = sorted(group.value for group in policy.groups)
    host = sorted(group.value for group in host_groups() or ())
    return diskcache.key_of(
        "code", _stamp(), sys.version, digest, " ".join(groups), " ".join(host),
        f"{policy.thread_pointer} {policy.reproducible}", diskcache.directory() or "",
    )  # fmt: skip


@cache
def _stamp() -> str:
    """What tells one state of this package's sources from another, as Python tells whether its bytecode is of today: by
    size and time. (To read them all would take longer than to translate a small program.)"""
    found = []
    for folder in _SOURCES:
        try:
            with os.scandir(os.path.join(_ROOT, folder)) as entries:
                for entry in entries:
                    if entry.name.endswith((".py", ".s")):
                        status = entry.stat()
                        found.append(f"{folder}/{entry.name} {status.st_size} {status.st_mtime_ns}")
        except OSError:  # not on a file system
            found.append(folder)
    return "\n".join(sorted(found))


def _sections(payload: bytes) -> dict[Circumstances, Section]:
    try:
        found = marshal.loads(payload)  # noqa: S302 - our own, as the digest tells
        return {circumstances: Section(*fields) for circumstances, fields in found.items()}
    except (ValueError, EOFError, TypeError, AttributeError):
        return {}


class Loans:
    """What one guest borrows and gives back. Between :meth:`begin` and :meth:`end` it has the section for its
    circumstances; fragments of its own are behind the borrowed ones."""

    def __init__(self, library: Library, space: AddressSpace, origin: int) -> None:
        self._library = library
        self._space = space
        self._origin = origin
        self._circumstances: Circumstances | None = None
        self._is_hashed = False
        self._section: Section | None = None
        #: What can still be borrowed.
        self._offered: dict[int, _Stored] = {}
        #: Pages that are as they were.
        self._verified: set[int] = set()
        self._changes = 0

    def begin(self, cache: CodeCache, circumstances: Circumstances) -> None:
        """Let the guest borrow what is known under the circumstances; ``cache`` is empty."""
        if self._changes >= _MOST_CHANGES:
            return
        self._circumstances = circumstances
        self._is_hashed = circumstances[1] is None
        self._section = section = self._library.section(circumstances)
        self._verified.clear()
        if section is not None:
            self._offered = dict(section.fragments)
            cache.claim(section.end)

    def borrow(self, cache: CodeCache, eip: int) -> bool:
        """Install the fragment for ``eip``, where it has stood before, and those to which it leads; whether there is
        one for the guest as it is."""
        if eip not in self._offered:
            return False
        section = self._section
        if section is None or cache.claimed < section.end:  # the cache was flushed: others are there now
            self._offered.clear()
            return False
        # Whoever has gone here has gone on to the next ones, too, and each would be another way out of translated code.
        waiting, bodies = [eip], cache.bodies
        for _ in range(_MOST_AT_ONCE):
            if not waiting:
                break
            here = waiting.pop()
            stored = self._offered.pop(here, None)
            if stored is None or here in bodies or not self._is_unchanged(here, stored[0], section):
                continue
            fragment = _restored(here, stored, self._origin, self._is_hashed)
            cache.install(fragment)
            waiting += [
                target for _, target, _ in fragment.exit_words() if target in self._offered and target not in bodies
            ]
        return eip in bodies

    def changed(self, first: int, last: int) -> None:
        """Pages [first, last) are about to change."""
        self._verified = {page for page in self._verified if not first <= page < last}

    def end(self, cache: CodeCache) -> None:
        """Note down what the guest has, before its cache is emptied."""
        circumstances, self._circumstances = self._circumstances, None
        self._changes += 1
        if circumstances is None or not cache.sound:
            return
        section = self._section
        self._section, self._offered = None, {}
        known = section.fragments if section is not None else {}
        made = [fragment for fragment in cache.fragments() if fragment.eip not in known]
        if not made:
            return
        if section is not None and any(fragment.offset < section.end for fragment in made):
            known = {}  # the cache was flushed: they are in the place of others
        pages: dict[int, bytes] = {}
        fragments = {}
        for fragment in made:
            needed = _pages(fragment.eip, fragment.length)
            if fragment.end <= _MOST_CODE and all(self._note(page, pages) for page in needed):
                fragments[fragment.eip] = _stored(fragment, self._origin, circumstances[1] is None)
        for eip, stored in known.items():
            assert section is not None
            digests = {page: section.pages[page] for page in _pages(eip, stored[0])}
            if all(pages.setdefault(page, digest) == digest for page, digest in digests.items()):
                fragments[eip] = stored
        if fragments:
            last = max(offset + len(code) for _, offset, _, code, *_ in fragments.values())
            self._library.put(circumstances, Section(last, pages, fragments))

    def save(self) -> None:
        """Let what was noted down outlive this process."""
        self._library.save()

    def _is_unchanged(self, eip: int, length: int, section: Section) -> bool:
        """Whether the guest code of a fragment is what it was."""
        return all(page in self._verified or self._verify(page, section) for page in _pages(eip, length))

    def _verify(self, page: int, section: Section) -> bool:
        space = self._space
        if page >= len(space.permissions) or not is_fixed(space.permissions[page]):
            return False
        space.watch(page, page + 1)  # first: another thread of the guest may write
        if _digest(space, page) != section.pages[page]:
            return False
        self._verified.add(page)
        return True

    def _note(self, page: int, pages: dict[int, bytes]) -> bool:
        """Note a page's digest down, if it has not changed since fragments were made, and cannot change."""
        state = self._space.permissions[page]
        if not state & WATCHED or not is_fixed(state):
            return False
        if page not in pages:
            pages[page] = _digest(self._space, page)
        return True


def _digest(space: AddressSpace, page: int) -> bytes:
    return blake2b(space.fetch(page << PAGE_SHIFT, PAGE), digest_size=32).digest()


def _pages(eip: int, length: int) -> range:
    return range(eip >> PAGE_SHIFT, (eip + length - 1 >> PAGE_SHIFT) + 1)


def _stored(fragment: Fragment, origin: int, hashed: bool) -> _Stored:
    packed = PackedFragment.of(fragment)
    return (
        packed.length,
        packed.offset,
        packed.tail,
        rebased(packed.code, packed.offset, packed.landings, origin, 0) if hashed else packed.code,
        packed.packed_landings,
        packed.packed_exits,
        packed.packed_spans,
    )


def _restored(eip: int, stored: _Stored, origin: int, hashed: bool) -> Fragment:
    length, offset, tail, code, landings, exits, spans = stored
    fragment = PackedFragment(eip, length, offset, code, tail, landings, exits, spans)
    if hashed:
        fragment.code = rebased(code, offset, fragment.landings, 0, origin)
    return fragment
