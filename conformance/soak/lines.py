"""An exception at every line: what Ctrl-C does that comes between any two lines of the library.

Signals at random moments (:mod:`conformance.soak.shots`) meet most lines seldom and some never. Python's tracing meets each:
the n-th line that a story executes raises KeyboardInterrupt, as a signal handler would there, for every n. It must come
out of the story, and leave everything as good as it was: the next guest, guest memory at address zero, and all that
processes have to give back.
"""

from __future__ import annotations

import ast
import dis
import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

import jit
import reference
import vx32py
from conformance.soak import programs, resources

_ROOTS: Final = tuple(os.path.dirname(str(package.__file__)) + os.sep for package in (vx32py, jit, reference))
#: The library calls these on its own: what is interrupted in there is interrupted in the library.
_HELPERS: Final = ("weakref.py", "_weakrefset.py", "contextlib.py", "threading.py")
_POP_EXCEPT: Final = dis.opmap["POP_EXCEPT"]


@dataclass(frozen=True)
class Line:
    """Where an exception was raised, and what was wrong then; nothing if ``problem`` is empty."""

    number: int
    where: str
    problem: str


class _Tracer:
    """Raises at the line with this number, counted from 0, of all that are executed in the library."""

    def __init__(self, number: int, error: type[BaseException]) -> None:
        self.left = number
        self.error = error
        self.where = ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        return self._line if name.startswith(_ROOTS) or name.endswith(_HELPERS) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        # A line that leaves an except clause begins with the end of that clause. Signal handlers do not come there, and
        # what is raised there leaves CPython with the old exception as the one that is being handled: all that its frames
        # refer to would stay.
        leaves_handler = frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == _POP_EXCEPT
        if (
            event == "line"
            and not self.where
            and not leaves_handler
            and frame.f_lineno not in _withs(frame.f_code.co_filename)
        ):
            self.left -= 1
            if self.left < 0:
                self.where = f"{os.path.relpath(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_name}"
                raise self.error
        return self._line


@cache
def _withs(path: str) -> frozenset[int]:
    """The lines of a file's ``with`` statements, to which tracing comes once more at their ends: an exception there would
    leave them without end, which those of signal handlers never do."""
    nodes = ast.walk(ast.parse(Path(path).read_text(encoding="utf-8")))
    return frozenset(node.lineno for node in nodes if isinstance(node, ast.With))


def stories(engine: str) -> dict[str, Callable[[], None]]:
    """Short lives of guests, by name."""
    box = vx32py.Sandbox(engine=engine, memory="1M")

    def run() -> None:
        assert box.run(programs.caller(2)).exit_code == programs.GOOD

    def mutate() -> None:
        assert box.run(programs.mutator(2)).exit_code == programs.GOOD

    def fork() -> None:
        assert box.run(programs.forker(1)).exit_code == programs.GOOD

    def go_back() -> None:
        with box.spawn(programs.counter()) as process:
            process.memory.write_u32(programs.DATA, 3)
            start = process.snapshot()
            process.run()
            process.restore(start)
            with box.spawn_from(start) as other:
                other.run()
                programs.expect(other, 3)

    def forget() -> None:
        box.spawn(programs.counter()).memory.write_u32(programs.DATA, 3)

    limited = vx32py.Sandbox(engine=engine, memory="1M", timeout=600.0, cpu_time=600.0)

    def limit() -> None:
        assert limited.run(programs.caller(2)).exit_code == programs.GOOD

    return {"run": run, "limit": limit, "mutate": mutate, "fork": fork, "go back": go_back, "forget": forget}


def sweep(
    engine: str, name: str, *, step: int = 1, first: int = 0, others: dict[str, Callable[[], None]] | None = None
) -> Iterator[Line]:
    """Raise at every ``step``-th line of a story, from ``first`` on: one of :func:`stories`, or of ``others``, of which
    ``run`` is a plain one."""
    all_of_them = others if others is not None else stories(engine)
    story, plain = all_of_them[name], all_of_them["run"]
    for _ in range(3):
        story()
        plain()
    number, before = first, _left(engine)
    while True:
        tracer = _Tracer(number, KeyboardInterrupt)
        problem = _tell(story, tracer)
        if not tracer.where:
            return
        try:
            story()
            plain()
            after = _left(engine)
            problem = problem or ", ".join(
                f"{key} {before[key]} -> {after[key]}" for key in after if after[key] > before[key]
            )
            before = after
        except Exception as error:  # noqa: BLE001 - whatever it is
            problem = f"the next guest failed: {type(error).__name__}: {error}"
        yield Line(number, tracer.where, problem)
        number += step


def _tell(story: Callable[[], None], tracer: _Tracer) -> str:
    """Live a story under the tracer; what was wrong, or nothing."""
    lost: list[str] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda args: lost.append(str(args.object))
    gc.disable()
    try:
        sys.settrace(tracer)
        try:
            story()
        finally:
            sys.settrace(None)
    except KeyboardInterrupt:
        return ""
    finally:
        gc.enable()
        sys.unraisablehook = before
    return f"the exception was lost in {lost}" if lost else "the exception was lost"


def _left(engine: str) -> dict[str, int]:
    """What the process has when no guest is there and nothing is kept for the next one."""
    settled = resources.settled(engine)
    left = {name: settled[name] for name in ("descriptors", "threads", "ldt", "timers")}
    if engine == "jit":
        from jit import lowmem

        left["bytes below 4 GiB"] = sum(end - start for start, end in lowmem.mappings())
    return left
