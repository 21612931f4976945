"""Nothing was forgotten: each call, each flag of rfork and each error text of the kernel's is in a test of both engines."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from vx32py.plan9 import errors
from vx32py.plan9.calls.table import complete_table

#: What programs of the tests call instead: see plan9.h.
OTHER_NAMES = {"pread": "read", "pwrite": "write", "nsec": "_nsec"}
#: They end the process, or go back, or cannot fail but for a bad address, which is for test_hostile.py.
CANNOT_FAIL = {"sysr1", "_errstr", "exits", "alarm", "noted", "rendezvous", "notify", "nsec"}
#: Numbers that no call of the fourth edition has.
NO_CALLS = {48, 49}
FLAGS = ["NAMEG", "ENVG", "FDG", "NOTEG", "CNAMEG", "CENVG", "CFDG", "REND", "NOMNT"]
#: Without RFPROC they are refused.
ONLY_WITH_RFPROC = ["MEM", "NOWAIT"]
#: Only a server can bring that about that denies its own directory.
BEHIND_LIES = {"Efilename"}
#: Where the calls are. (Devices and protocols have tests of their own.)
_KERNEL = Path(errors.__file__).parent
MODULES = [path for path in (*_KERNEL.glob("*.py"), *_KERNEL.glob("calls/*.py")) if path.name != "errors.py"]


@cache
def programs() -> str:
    """The C programs of the tests that run on both engines."""
    found = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.name in ("test_hostile.py", Path(__file__).name):
            continue
        source = path.read_text(encoding="utf-8")
        if "engine_name" in source:
            nodes = ast.walk(ast.parse(source))
            found += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join(found)


def test_the_table_has_all_calls() -> None:
    assert sorted(entry.number for entry in complete_table()) == sorted(set(range(54)) - NO_CALLS)


@pytest.mark.parametrize("name", [entry.name for entry in complete_table()])
def test_each_call_has_a_test_and_one_of_how_it_fails(name: str) -> None:
    pattern = f"{name}|{OTHER_NAMES[name]}" if name in OTHER_NAMES else name
    assert re.search(rf"(?<!\w)({pattern})\(", programs())
    if name not in CANNOT_FAIL:
        assert re.search(rf"failed\((\(int\))?({pattern})\(|^(\(int\))?({pattern})\(", programs(), re.MULTILINE)


@pytest.mark.parametrize("flag", FLAGS + ONLY_WITH_RFPROC)
def test_each_flag_of_rfork_has_a_test_with_rfproc_and_one_without(flag: str) -> None:
    calls = [set(each.split("|")) for each in re.findall(r"rfork\(([A-Z|]+)\)", programs())]
    assert any(f"RF{flag}" in each and "RFPROC" in each for each in calls)
    if flag in ONLY_WITH_RFPROC:
        assert re.search(rf"^RF{flag}$", programs(), re.MULTILINE)
    else:
        assert any(f"RF{flag}" in each and "RFPROC" not in each for each in calls)


def _texts_of_calls() -> list[str]:
    source = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)
    return [
        name
        for name in vars(errors)
        if re.fullmatch("E[a-z]{2,}", name) and re.search(rf"Error\({name}\b", source) and name not in BEHIND_LIES
    ]


@pytest.mark.parametrize("name", _texts_of_calls())
def test_each_error_text_of_the_calls_is_expected_somewhere(name: str) -> None:
    tests = (path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert getattr(errors, name) in "\n".join(tests)
