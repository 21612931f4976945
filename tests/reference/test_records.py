"""Records behave as the standard module's dataclasses do; the same classes are made both ways and compared."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from reference import records
from reference.policy import Policy
from reference.traps import Trap, Vector


def made_by(module: Any) -> SimpleNamespace:
    @module.dataclass(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 2

        @property
        def sum(self) -> int:
            return self.x + self.y

    @module.dataclass(slots=True)
    class Counter:
        total: int = 0
        seen: list[int] = module.field(default_factory=list)
        _work: list[int] = module.field(default_factory=list, compare=False, repr=False)

    @module.dataclass
    class Open:
        name: str
        tags: dict[str, int] = module.field(default_factory=dict)

    @module.dataclass(frozen=True, eq=False)
    class Identity:
        name: str

    @module.dataclass(frozen=True, slots=True)
    class Checked:
        value: int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError("negative")

        def __repr__(self) -> str:
            return "checked"

    @module.dataclass(frozen=True, slots=True)
    class Empty:
        """Without fields, all are equal."""

    return SimpleNamespace(Point=Point, Counter=Counter, Open=Open, Identity=Identity, Checked=Checked, Empty=Empty)


def outcome(action: Callable[[SimpleNamespace], Any], module: Any) -> Any:
    try:
        return action(made_by(module))
    except Exception as error:  # noqa: BLE001 - which one it is is what is compared
        return type(error)


ACTIONS: list[Callable[[SimpleNamespace], Any]] = [
    lambda m: repr(m.Point(1)),
    lambda m: repr(m.Counter(3, [1], [2])),
    lambda m: (m.Point(1) == m.Point(1, 2), m.Point(1) == m.Point(2), m.Point(1) == (1, 2), m.Point(1) != m.Point(1)),
    lambda m: hash(m.Point(1)) == hash(m.Point(1, 2)),
    lambda m: len({m.Point(1), m.Point(1, 2), m.Point(2)}),
    lambda m: (
        m.Empty() == m.Empty(),
        len({m.Empty(), m.Empty()}),
        hash(m.Empty()),
        m.Empty() == m.Point(1),
        repr(m.Empty()),
    ),
    lambda m: m.Counter(1, [2], [3]) == m.Counter(1, [2], [4]),
    lambda m: hash(m.Counter()),
    lambda m: m.Counter().seen is m.Counter().seen,
    lambda m: m.Open("a", {"b": 1}).__dict__,
    lambda m: repr(m.Open("a")),
    lambda m: m.Identity("a") == m.Identity("a"),
    lambda m: isinstance(hash(m.Identity("a")), int),
    lambda m: m.Checked(-1),
    lambda m: repr(m.Checked(1)),
    lambda m: m.Point(),
    lambda m: m.Point(1, 2, 3),
    lambda m: m.Point(1, z=3),
    lambda m: setattr(m.Point(1), "x", 2),
    lambda m: delattr(m.Point(1), "x"),
    lambda m: setattr(m.Counter(), "other", 2),
    lambda m: setattr(m.Identity("a"), "name", "b"),
    lambda m: m.Point(3).sum,
    lambda m: m.Point.__match_args__,
    lambda m: (m.Point.__doc__, m.Point.__qualname__, m.Point.__slots__),
    lambda m: dataclasses.asdict(m.Counter(1, [2])),
    lambda m: dataclasses.replace(m.Point(1), y=5).y,
    lambda m: [(f.name, f.default, f.compare, f.repr) for f in dataclasses.fields(m.Counter) if f.name != "seen"],
    lambda m: dataclasses.is_dataclass(m.Point),
    lambda m: copy.deepcopy(m.Point(1)).x,
]


@pytest.mark.parametrize("number", range(len(ACTIONS)))
def test_records_are_what_the_standard_module_makes(number: int) -> None:
    assert outcome(ACTIONS[number], records) == outcome(ACTIONS[number], dataclasses)


def test_replace_and_pickle() -> None:
    policy = Policy.default()
    changed = records.replace(policy, thread_pointer=True)
    assert (changed.groups, changed.thread_pointer, policy.thread_pointer) == (policy.groups, True, False)
    trap = Trap(Vector.PAGE_FAULT, 0x1000)
    assert pickle.loads(pickle.dumps((policy, trap))) == (policy, trap)  # noqa: S301 - its own


def test_the_standard_module_is_not_imported() -> None:
    script = "import sys, reference.policy, reference.traps; print({'dataclasses', 'inspect'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
