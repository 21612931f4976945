"""Groups of objects that somebody else keeps alive."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from reference.weak import WeakGroup


class Member:
    """Anything."""


class Garbage:
    """Part of a cycle; what is to be done when the collector comes."""

    def __init__(self, last_words: Callable[[], object]) -> None:
        self.last_words, self.itself = last_words, self

    def __del__(self) -> None:
        self.last_words()


@pytest.fixture
def collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.set_threshold(0)
    gc.freeze()  # it is quick where it has to look at little
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_those_who_are_there() -> None:
    group: WeakGroup[Member] = WeakGroup()
    members = [Member() for _ in range(100)]
    for member in [*members, *members[:50]]:
        group.add(member)
    assert list(group) == members
    group.discard(members.pop())
    group.discard(Member())
    assert list(group) == members
    del members[40:], member
    assert list(group) == members


def test_those_who_have_gone_are_swept_out() -> None:
    group: WeakGroup[Member] = WeakGroup()
    kept = []
    for number in range(1000):
        member = Member()
        group.add(member)
        if number % 100 == 0:
            kept.append(member)
    del member
    assert list(group) == kept
    assert len(group._members) < 100


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("use", [list, lambda group: group.add(group.first)], ids=["iterate", "sweep"])
def test_a_finalizer_that_changed_the_group_broke_whoever_went_through_it(use: Callable[[object], object]) -> None:
    """The collector came in the midst: RuntimeError, dictionary changed size during iteration."""

    class Group(WeakGroup[Member]):
        first = Member()

    group = Group()
    members = [Member() for _ in range(16)]
    for member in members:
        group.add(member)
    late = [Member() for _ in range(60)]
    for objects, each in enumerate(late, 1):
        group._most = 0
        gc.collect()
        Garbage(lambda each=each: group.add(each))  # type: ignore[misc]
        gc.set_threshold(objects)  # the collector comes when there are so many more
        use(group)
        gc.set_threshold(0)
    gc.collect()
    assert set(late) <= set(group)
