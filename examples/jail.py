"""A jail with a say: run a Linux i386 program, write down which files it looks for, and keep it from the network.

    python examples/jail.py [--root DIR] PROGRAM [ARGS]...

Shows guards: functions that see calls before they are made. The program has the tree of --root as its /, read-only, a /tmp
of its own, a minute, and nothing else.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections import Counter

import vx32py


def main() -> int:
    """Run the program; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", metavar="DIR", help="a tree of Linux i386 programs")
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER)
    options = parser.parse_args()

    jail = vx32py.Jail(options.root, tmpfs={"/tmp": "64M"}, timeout=60, allow_exec=True)
    paths: Counter[str] = Counter()

    @jail.on("%file")
    def note(call: vx32py.GuardedCall) -> None:
        paths.update(path for path in (call.absolute_path,) if path is not None)

    @jail.on("socket", "%network")
    def refuse(call: vx32py.GuardedCall) -> None:
        raise vx32py.CallError(errno.EACCES)

    result = jail.run([options.program, *options.arguments], stdin=0, stdout=1, stderr=2)
    for path, times in paths.most_common(20):
        print(f"{times:6}  {path}", file=sys.stderr)
    print(result.describe(), file=sys.stderr)
    return result.exit_code if result.exit_code is not None else 1


if __name__ == "__main__":
    sys.exit(main())
