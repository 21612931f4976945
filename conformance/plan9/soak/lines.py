"""An exception at every line of the library that a kernel's life executes: what Ctrl-C does to whoever runs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from conformance.plan9.soak import run
from conformance.soak import lines

#: Stories of the crew's that meet most of the kernel; each is lived by a kernel of its own.
NAMES: Final = ("run", "forks", "execs", "pipes", "semaphores", "mounts", "segments", "deaths", "left open")
_MEMORY: Final = "2M"
_WORKERS: Final = 4


def stories(engine: str) -> dict[str, Callable[[], None]]:
    """Short lives of kernels, by name. Raises CompileError."""
    image = run.crew()

    def live(*words: str) -> Callable[[], None]:
        def story() -> None:
            with run.kernel_with_crew(engine, image, _MEMORY, _WORKERS) as kernel:
                result = kernel.run(["crew", *words])
                assert result.status in {"", words[0]}, result.status

        return story

    def left_open() -> None:
        kernel = run.kernel_with_crew(engine, image, _MEMORY, _WORKERS)
        kernel.start(["crew", "3", "60", "1"])
        kernel.wait(kernel.start(["crew", "ok"]))
        kernel.close()

    found = {name: live("story", name) for name in NAMES if name not in {"run", "left open"}}
    return {"run": live("ok"), **found, "left open": left_open}


def sweep(engine: str, name: str, *, step: int, first: int = 0) -> Iterator[lines.Line]:
    """See :func:`conformance.soak.lines.sweep`."""
    return lines.sweep(engine, name, step=step, first=first, others=stories(engine))
