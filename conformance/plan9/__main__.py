"""``python -m conformance.plan9``: build the Go programs, run each on the kernel, compare what it says with what it should.

Each program ends with a comment that begins with ``Output:``, and may say its status in a comment ``Status:``.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Final

from conformance.plan9 import golang
from reference.records import dataclass
from vx32py import LimitExceeded
from vx32py.plan9.devices.nodes import Folder
from vx32py.plan9.devices.root import Blob, Root
from vx32py.plan9.errors import Error
from vx32py.plan9.kernel import Kernel

PROGRAMS: Final = Path(__file__).resolve().parent / "programs"
#: Seconds for one program.
TIMEOUT: Final = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """``problem`` is empty where a program did what it should."""

    name: str
    seconds: float
    problem: str


def expected(source: Path) -> tuple[str, str]:
    """The output and the status that a program should have."""
    text = source.read_text()
    output = re.search(r"^// Output:\n((?://.*\n?)*)", text, re.MULTILINE)
    status = re.search(r"^// Status: (.*)$", text, re.MULTILINE)
    if output is None:
        raise ValueError(f"{source} does not say what its output is")
    lines = [line.removeprefix("//").removeprefix(" ") for line in output[1].splitlines()]
    return "\n".join(lines), status[1] if status else ""


def run(source: Path, engine: str, progress: golang.Progress = lambda line: None) -> Outcome:
    """Build a program, run it in a kernel with nothing else. Raises Unavailable."""
    image = golang.build(source, progress)
    output, status = expected(source)
    started = time.monotonic()
    try:
        with Kernel(engine=engine, timeout=TIMEOUT, memory="256M") as kernel:
            root = kernel.devices["/"]
            assert isinstance(root, Root)
            folder = root.folder.nodes["bin"]
            assert isinstance(folder, Folder)
            folder.add(Blob(source.stem, image))
            result = kernel.run([source.stem])
    except (LimitExceeded, Error) as error:
        return Outcome(source.stem, time.monotonic() - started, str(error))
    said = result.stdout.decode(errors="replace").rstrip("\n")
    problem = ""
    if said != output:
        problem = f"said {said!r}, not {output!r}"
    elif result.status != status:
        problem = f"its status is {result.status!r}, not {status!r}: {result.stderr.decode(errors='replace')!r}"
    return Outcome(source.stem, time.monotonic() - started, problem)


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 where all is well, 1 where a program is not, 2 where there is no Go."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["tree"]:
        from conformance.plan9.tree import command

        command.tree.main(words[1:], prog_name="python -m conformance.plan9 tree")
    parser = argparse.ArgumentParser(prog="python -m conformance.plan9", description=__doc__)
    parser.add_argument("--engine", default="auto", help="auto, jit, translated or reference")
    parser.add_argument("names", nargs="*", metavar="PROGRAM", help="only these: " + ", ".join(_names()))
    chosen = parser.parse_args(arguments)
    failed = 0
    for name in chosen.names or _names():
        source = PROGRAMS / f"{name}.go"
        if not source.is_file():
            print(f"there is no program {name}: {', '.join(_names())}", file=sys.stderr)
            return 2
        try:
            outcome = run(source, chosen.engine, lambda line: print(line, file=sys.stderr))
        except golang.Unavailable as error:
            print(error, file=sys.stderr)
            return 2
        failed += bool(outcome.problem)
        print(f"{outcome.name:12} {outcome.seconds:6.2f} s  {outcome.problem or 'as it should be'}")
    return 1 if failed else 0


def _names() -> list[str]:
    return sorted(source.stem for source in PROGRAMS.glob("*.go"))


if __name__ == "__main__":
    sys.exit(main())
