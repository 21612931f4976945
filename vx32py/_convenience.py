"""``vx32py.run``: a sandbox for one program, in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vx32py._result import Result
from vx32py._sandbox import Program, Sandbox, Text
from vx32py._streams import Input, Output


def run(
    program: Program,
    args: Iterable[Text] = (),
    stdin: Input = b"",
    *,
    stdout: Output = None,
    stderr: Output = None,
    env: Mapping[str, str] | None = None,
    name: Text | None = None,
    check: bool = False,
    **limits: Any,
) -> Result:
    """Run a program to its end in a sandbox of its own, as the command ``vx32py run`` does.

    ``program`` is a path, the bytes of an image, or a Module. ``limits`` are the arguments of :class:`vx32py.Sandbox`:
    engine, memory, timeout, fuel, policy, calls, files. With ``check`` whatever is not exit code 0 raises, as
    ``Result.check`` says. Otherwise raises what ``Sandbox.run`` raises.
    """
    result = Sandbox(**limits).run(program, args, stdin=stdin, stdout=stdout, stderr=stderr, env=env, name=name)
    return result.check() if check else result
