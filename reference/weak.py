"""Weak references: to a method, and a group of objects that it does not keep alive, for several threads.

Unlike those of :mod:`weakref` they execute no Python code when one of them goes: an exception of a signal handler's would be
swallowed there, and a Ctrl-C be lost. What has gone is swept out from time to time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Final, Generic, ParamSpec, TypeVar

Member = TypeVar("Member")
Arguments = ParamSpec("Arguments")

_LEAST: Final = 16


class WeakGroup(Generic[Member]):
    """Who is in it may be asked at any time, and sees those who were in it at that moment.

    Dictionaries are copied before they are gone through, in one step. Even ``tuple(them.items())`` is not one step: it may
    begin with a garbage collection, and the finalizers which that calls let other threads run.
    """

    def __init__(self) -> None:
        #: By the references' identities: there is one reference to an object, and members' own identities would be other
        #: members' when they have gone.
        self._members: dict[int, weakref.ref[Member]] = {}
        self._most = _LEAST

    def add(self, member: Member) -> None:
        """Take somebody in."""
        if len(self._members) >= self._most:
            for key, reference in self._members.copy().items():
                if reference() is None:
                    self._members.pop(key, None)
            self._most = max(_LEAST, 2 * len(self._members))
        reference = weakref.ref(member)
        self._members[id(reference)] = reference

    def discard(self, member: Member) -> None:
        """Forget somebody, who need not be in it."""
        self._members.pop(id(weakref.ref(member)), None)

    def __iter__(self) -> Iterator[Member]:
        for reference in self._members.copy().values():
            member = reference()
            if member is not None:
                yield member


def weakly(method: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A function that calls a method as long as its object is there for others: a space that is to be closed when nobody
    uses its engine any more must not be one that does."""
    assert isinstance(method, MethodType)
    # Not a WeakMethod: that executes Python code when the object goes, where a Ctrl-C would be swallowed.
    weak, function = weakref.ref(method.__self__), method.__func__

    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        there = weak()
        if there is not None:
            function(there, *args, **kwargs)

    return call
