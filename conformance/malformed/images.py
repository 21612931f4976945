"""Judging one malformed image: it goes through everything that reads programs.

A program is refused with :class:`vx32py.BadImage` or :class:`vx32py.LimitExceeded`, on one line; or it runs, within limits,
to whatever end.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Mapping
from typing import Final

from conformance.malformed.finding import Verdict, cause_of
from conformance.malformed.mutate import case
from reference.errors import OutOfMemory
from reference.memory import AddressSpace
from reference.policy import Policy
from vx32py import BadImage, LimitExceeded, Module, Result, Sandbox, UnsupportedHost
from vx32py._explain import as_text, explain
from vx32py._loader import MIB, load, plan

#: What each run may have.
MEMORY: Final = "12M"
SECONDS: Final = 0.05
FUEL: Final = 1500
OUTPUT: Final = 1 << 14
FRAGMENTS: Final = 6
#: Images that end below have room on every engine.
HIGH: Final = 0xC000_0000
#: What the command line says when it runs for the first time on a machine.
_NEWS: Final = "vx32py: compiling the translator"
#: Every so many cases a slower engine runs the image too, and the command line.
SLOWER: Final = 10
COMMAND: Final = 20


def judge(data: bytes, number: int) -> Verdict:
    """What an image comes to."""
    verdict = Verdict()
    with verdict.bounded():
        module = _read(data, verdict)
        if module is not None:
            _look_at(module, verdict)
            _run(module, "jit", verdict)
            if number % SLOWER == 0:
                _run(module, ("translated", "reference")[number // SLOWER % 2], verdict)
            _explain(module, verdict)
        if number % COMMAND == 0:
            _use_command_line(data, verdict)
    return verdict


def _read(data: bytes, verdict: Verdict) -> Module | None:
    try:
        return Module.from_bytes(data)
    except BadImage as error:
        verdict.end("refused: BadImage")
        verdict.check_message(str(error), "BadImage")
    except Exception as error:  # noqa: BLE001 - this is what we are here for
        verdict.wrong(*cause_of(error))
    return None


def _look_at(module: Module, verdict: Verdict) -> None:
    """Everything that a module tells without being run."""
    try:
        repr(module)
        for note in module.notes:
            verdict.check_message(note, "Module.notes")
        ends = [(start, end) for start, end, _ in module.pages()]
        if not ends or any(not 0 < start < end <= 1 << 32 or start % 4096 or end % 4096 for start, end in ends):
            verdict.wrong("pages out of range", repr(ends[:8]))
        if any(above[0] < below[1] for below, above in itertools.pairwise(ends)):
            verdict.wrong("pages that overlap", repr(ends[:8]))
        if not any(start <= module.entry < end for start, end in ends):
            verdict.wrong("an entry point outside the image", f"{module.entry:#x}")
        if len(module.identity.digest) != 32:
            verdict.wrong("no digest")
        addresses = (0, module.entry, module.entry + 1, module.start, module.end - 1, module.end, 0xFFFF_FFFF)
        for address in addresses:
            name = module.symbol_at(address)
            if name is not None and not name.isprintable():
                verdict.wrong("a symbol that is not printable", repr(name))
        try:
            verdict.end("symbols" if module.symbols else "no symbols")
        except BadImage as error:
            verdict.end("symbols refused")
            verdict.check_message(str(error), "symbols")
    except Exception as error:  # noqa: BLE001
        verdict.wrong(*cause_of(error))


def _run(module: Module, engine: str, verdict: Verdict) -> None:
    try:
        sandbox = Sandbox(
            engine=engine, memory=MEMORY, output_limit=OUTPUT, open_files=8, processes=3,
            policy=Policy.deterministic(), timeout=SECONDS if engine == "jit" else None,
            fuel=None if engine == "jit" else FUEL,
        )  # fmt: skip
        result = sandbox.run(module, ["argument"], stdin=b"input")
    except BadImage as error:
        verdict.end(f"{engine}: BadImage")
        verdict.check_message(str(error), "BadImage of the loader")
    except LimitExceeded as error:
        verdict.end(f"{engine}: LimitExceeded {error.limit}")
        verdict.check_message(str(error), "LimitExceeded of the loader")
    except UnsupportedHost as error:  # an image so high up that the engine's own segments have no place
        verdict.end(f"{engine}: UnsupportedHost")
        verdict.check_message(str(error), "UnsupportedHost")
        if module.end < HIGH:
            verdict.wrong("no room for an image that is not that large", str(error))
    except Exception as error:  # noqa: BLE001
        verdict.wrong(*cause_of(error))
    else:
        verdict.end(f"{engine}: {_ending(result)}")
        verdict.check_message(result.describe(), "Result.describe()")
        if len(result.stdout) > OUTPUT or len(result.stderr) > OUTPUT:
            verdict.wrong("more output than the limit")


def _ending(result: Result) -> str:
    if result.exit_code is not None:
        return "exit"
    return f"limit {result.limit}" if result.limit is not None else "trap"


def _explain(module: Module, verdict: Verdict) -> None:
    """What ``vx32py explain`` does."""
    try:
        size = sum(end - start for start, end, _ in module.pages())
        layout = plan(module, 2 * size + MIB)
        if size > 64 * MIB:
            return  # nothing is wrong with it, and it takes a while
        space = AddressSpace(layout.limit)
        load(module, space, layout)
        lines = 0
        for explanation in explain(module, space, Policy.default(), module.entry, most=FRAGMENTS):
            for line in as_text(explanation):
                lines += 1
                if not line.isprintable():
                    verdict.wrong("a line of explain that is not printable", repr(line))
        verdict.end("explained" if lines else "explained by nothing")
    except (BadImage, LimitExceeded) as error:
        verdict.end(f"explain: {type(error).__name__}")
        verdict.check_message(str(error), "explain")
    except OutOfMemory as error:
        verdict.wrong(*cause_of(error))
    except Exception as error:  # noqa: BLE001
        verdict.wrong(*cause_of(error))


def _use_command_line(data: bytes, verdict: Verdict) -> None:
    """``vx32py run`` as people call it, in this process."""
    from click.testing import CliRunner

    from vx32py.commands.group import vx32py

    with tempfile.NamedTemporaryFile(prefix="vx32py-malformed-") as file:
        file.write(data)
        file.flush()
        null = os.open(os.devnull, os.O_RDWR)
        streams = [os.dup(fd) for fd in range(3)]
        try:
            for fd in range(3):
                os.dup2(null, fd)
            options = ["run", "--memory", MEMORY, "--timeout", str(SECONDS), file.name]
            done = CliRunner().invoke(vx32py, options)
        finally:
            for fd, kept in enumerate(streams):
                os.dup2(kept, fd)
                os.close(kept)
            os.close(null)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        verdict.wrong(*cause_of(done.exception))
        return
    if not 0 <= done.exit_code <= 255:
        verdict.wrong("an exit code out of range", str(done.exit_code))
    verdict.end("command line: " + ("its own exit code" if done.exit_code < 124 else f"exit code {done.exit_code}"))
    lines = [line for line in done.output.splitlines() if not line.startswith(_NEWS)]
    for line in lines:
        verdict.check_message(line, "the command line")
    if len(lines) > 1:
        verdict.wrong("more than one line from the command line", done.output[:300])


def judge_numbered(seed: int, number: int, sources: Mapping[str, bytes]) -> tuple[str, Verdict]:
    """Make a case and judge it: what it is, and what it comes to."""
    label, data = case(seed, number, sources)
    return label, judge(data, number)
