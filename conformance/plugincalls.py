"""What a call of a plug-in costs: ``python -m conformance.plugincalls``, the figures of docs/plugins.md in microseconds."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import vx32py
from vx32py._compile import compile_guest

_SOURCE: Final = """
#include <vxplugin.h>
VX_IMPORT(none, host, "none", void);
void empty(void) {}                             VX_EXPORT(empty, "-> none");
uint32_t length(vx_bytes x) { return x.size; }  VX_EXPORT(length, "bytes -> u32");
vx_bytes echo(vx_bytes x) { return x; }         VX_EXPORT(echo, "bytes -> bytes");
void back(void) { host(); }                     VX_EXPORT(back, "-> none");
"""
_ROUNDS: Final = 60
_CALLS: Final = 400
_DATA: Final = bytes(64)
_LARGE: Final = bytes(1 << 20)


def best_of(work: Callable[[], object], calls: int = _CALLS) -> float:
    """Microseconds that a call takes, in the best of many short rounds: others use the machine, too."""
    found = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        for _ in range(calls):
            work()
        found.append((time.perf_counter() - started) / calls)
    return min(found) * 1e6


def measure(engine: str = "jit") -> dict[str, float]:
    """What is measured, in microseconds."""
    box = vx32py.Sandbox(engine=engine, memory="16M")
    callbacks = {"host": lambda: None}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "calls.c")
        source.write_text(_SOURCE)
        module = vx32py.Module.from_file(compile_guest([source], Path(folder, "calls.elf"), plugin=True))
    with box.instantiate(module, callbacks) as plugin:
        found = {
            "an empty call": best_of(lambda: plugin.call("empty")),
            "64 bytes in, a number out": best_of(lambda: plugin.call("length", _DATA)),
            "64 bytes in, 64 bytes out": best_of(lambda: plugin.call("echo", _DATA)),
            "1 MiB in, a number out": best_of(lambda: plugin.call("length", _LARGE), 40),
            "a call that calls the host once": best_of(lambda: plugin.call("back")),
        }
    with vx32py.Sandbox(engine=engine, memory="16M", timeout=10).instantiate(module, callbacks) as plugin:
        found["an empty call with a time-out"] = best_of(lambda: plugin.call("empty"))
    with box.instantiate(module, callbacks, reset=True) as plugin:
        found["an empty call with a reset"] = best_of(lambda: plugin.call("empty"))
        found["64 bytes in, 64 bytes out, with a reset"] = best_of(lambda: plugin.call("echo", _DATA))
    found["instantiate and close"] = best_of(lambda: box.instantiate(module, callbacks).close(), 10)
    return found


def main() -> int:
    """Print a line for each."""
    for what, microseconds in measure().items():
        print(f"{what:42} {microseconds:8.1f} µs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
