"""What a verifier remembers about revocation, so that a replayed list or a withheld withdrawal changes nothing.

For each principal: which credentials it has withdrawn, and the highest number of a revocation list that has been seen, with the
digest of that list. A list with a lower number is refused from then on; so are both, where two lists have the same number.

What is remembered only grows. The file says how often it has changed, and so does a counter beside it (:mod:`.counter`): an
older file that somebody has put back, or a file that is gone, is refused.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from vx32py.pki import counter
from vx32py.pki.encoding import decode, encode
from vx32py.pki.errors import BadEncoding, BadState, BadTerm, Note
from vx32py.pki.logic import (
    MAX_NUMBER,
    Hashed,
    Key,
    Principal,
    Quorum,
    RevocationList,
    Role,
    Says,
    Verifier,
    Withdrawal,
)
from vx32py.pki.wire import from_data, to_bytes, to_data

MAGIC: Final = b"vx32py revocation state 1\n"
MAX_FILE: Final = 32 << 20
MAX_WITHDRAWN: Final = 100_000
MAX_LISTS: Final = 10_000
#: The digest of a number under which two lists have been seen.
_DISPUTED: Final = b""


class State:
    """What is known. ``path`` is the file that :meth:`save` writes, if any."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = path
        self.withdrawn: set[tuple[Principal, bytes]] = set()
        self._lists: dict[Principal, tuple[int, bytes]] = {}
        #: How often the file has changed.
        self.changes = 0

    @property
    def numbers(self) -> dict[Principal, int]:
        """The least number that a revocation list of a principal may have."""
        return {who: number + (digest == _DISPUTED) for who, (number, digest) in self._lists.items()}

    def learn(self, judgements: Iterable[Says]) -> list[Note]:
        """Take in what was proved. Answers what is wrong with it. Raises BadState where there is too much to remember."""
        notes: list[Note] = []
        for said in judgements:
            who, statement = said.speaker, said.statement
            if isinstance(statement, Withdrawal):
                self.withdrawn.add((who, statement.identity))
            elif isinstance(statement, RevocationList):
                notes += self._learn_list(who, statement)
        self._check_size()
        return notes

    def _check_size(self) -> None:
        if len(self.withdrawn) > MAX_WITHDRAWN or len(self._lists) > MAX_LISTS:
            raise BadState(f"more than {MAX_WITHDRAWN} withdrawals, or lists of more than {MAX_LISTS} principals")

    def _merge(self, other: State) -> None:
        """Take in what another process has learned meanwhile."""
        self.withdrawn |= other.withdrawn
        for who, (number, digest) in other._lists.items():
            mine, known = self._lists.get(who, (-1, digest))
            if number > mine:
                self._lists[who] = number, digest
            elif number == mine and digest != known:
                self._lists[who] = number, _DISPUTED
        self._check_size()

    def _learn_list(self, who: Principal, listing: RevocationList) -> list[Note]:
        digest = hashlib.sha256(to_bytes(listing)).digest()
        number, known = self._lists.get(who, (-1, digest))
        if listing.number > number:
            self._lists[who] = listing.number, digest
        elif listing.number == number and known != digest:
            self._lists[who] = number, _DISPUTED
            return [Note("current", f"{who} has issued two revocation lists with number {number}: neither counts")]
        return []

    def save(self) -> None:
        """Write the file, whole or not at all, and readable by nobody else, if there is anything new; what others have saved
        there meanwhile is learned. Raises BadState and OSError; ValueError without a path."""
        if self.path is None:
            raise ValueError("this state has no file")
        path = os.fspath(self.path)
        with counter.locked(path) as count:
            there = State.load(path)
            self._merge(there)
            self.changes = there.changes
            if os.path.exists(path) and self._content() == there._content():  # noqa: SLF001
                return
            self.changes += 1
            _write(path, MAGIC + encode(self._content() | {"changes": self.changes}))
            count.set(self.changes)

    def _content(self) -> dict[str, Any]:
        return {
            "withdrawn": sorted(([to_data(who), name] for who, name in self.withdrawn), key=encode),
            "lists": sorted(([to_data(who), *seen] for who, seen in self._lists.items()), key=encode),
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> State:
        """What a file says; nothing where there is no file yet. Raises BadState with its name, also for one that is older than
        what was saved last; and OSError."""
        state, name = cls(path), os.fspath(path)
        counted = counter.read(name)  # before the file: a change that comes in between makes that newer, not older
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            if counted:
                raise BadState(
                    f"{name}: missing, after {counted} changes (remove {counter.path_of(name)} to begin anew)"
                ) from None
            return state
        try:
            state._read(data)
        except (BadState, BadEncoding, BadTerm) as error:
            raise BadState(f"{name}: {error}") from None
        if counted is None and state.changes:
            raise BadState(
                f"{name}: its counter {counter.path_of(name)} is missing (if this is the newest state, write "
                f"{state.changes} there)"
            )
        if state.changes < (counted or 0):
            raise BadState(
                f"{name}: older than what was saved last: {state.changes} changes, and there were {counted} "
                f"({counter.path_of(name)})"
            )
        return state

    def _read(self, data: bytes) -> None:
        if not data.startswith(MAGIC):
            raise BadState("not a file of what is known about revocation")
        value = decode(data[len(MAGIC) :], most=MAX_FILE, items=2_000_000)
        # The first version did not count changes.
        if not isinstance(value, dict) or set(value) | {"changes"} != {"lists", "withdrawn", "changes"}:
            raise BadState('not a map of "lists", "withdrawn" and "changes"')
        changes = value.get("changes", 0)
        if type(changes) is not int or not 0 <= changes < MAX_NUMBER:
            raise BadState("no number of changes")
        self.changes = changes
        for row in _rows(value["withdrawn"], (list, bytes)):
            self.withdrawn.add((from_data(row[0], *_PRINCIPALS), Withdrawal(row[1]).identity))
        for row in _rows(value["lists"], (list, int, bytes)):
            if not 0 <= row[1] < MAX_NUMBER:
                raise BadState(f"number {row[1]} of a revocation list")
            self._lists[from_data(row[0], *_PRINCIPALS)] = row[1], row[2]


def _write(path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    descriptor, new = tempfile.mkstemp(prefix=".revocation-", dir=os.path.dirname(path) or ".")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise


_PRINCIPALS: Final = (Verifier, Key, Hashed, Role, Quorum)


def _rows(value: object, types: tuple[type, ...]) -> list[list[Any]]:
    if not isinstance(value, list):
        raise BadState("no list")
    for row in value:
        if not isinstance(row, list) or tuple(map(type, row)) != types:
            raise BadState("a row that is not as it should be")
    return value
