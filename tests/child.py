"""Tests that run in a child process: what goes wrong in 32-bit mode can take the whole process with it.

    @in_child
    def test_something() -> None: ...

runs the body in a fresh interpreter, and fails with its output, or with the name of the signal that killed it.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """The environment of a child: it finds the packages of this tree, and the helpers of the tests."""
    path = os.pathsep.join(str(p) for p in (ROOT, ROOT / "tests"))
    return os.environ | {"PYTHONPATH": path}


def describe(code: int) -> str:
    """An exit status in words."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def run(
    function: Callable[..., None], arguments: dict[str, Any], python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Call a function of a test module in a child process."""
    return subprocess.run(
        [python, __file__, function.__code__.co_filename, function.__name__, json.dumps(arguments)],
        env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def in_child(test: Callable[..., None]) -> Callable[..., None]:
    """Decorator: run the test in a child process. Its arguments must be what JSON can carry."""

    @functools.wraps(test)
    def wrapper(**arguments: Any) -> None:
        skip_without_ldt()
        done = run(test, arguments)
        if done.returncode != 0:
            pytest.fail(f"{describe(done.returncode)}\n{done.stdout}{done.stderr}", pytrace=False)

    marked: Callable[..., None] = pytest.mark.ldt(wrapper)
    return marked


def dies_of(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: run the test in a child process, which must be killed by that signal."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def wrapper(**arguments: Any) -> None:
            skip_without_ldt()
            done = run(test, arguments)
            assert describe(done.returncode) == describe(-number), done.stdout + done.stderr

        marked: Callable[..., None] = pytest.mark.ldt(wrapper)
        return marked

    return decorate


@functools.cache
def _why_not() -> str | None:
    from jit import native

    return native.available()


def skip_without_ldt() -> None:
    """Skip the running test, with the reason, where the host cannot run guests natively."""
    reason = _why_not()
    if reason is not None:
        pytest.skip(reason)


def main(file: str, name: str, arguments: str) -> None:
    """In the child: load the module and call the function under the decorator."""
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function = getattr(module, name)
    getattr(function, "__wrapped__", function)(**json.loads(arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
