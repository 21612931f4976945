"""Plan 9's programs read and write Python's objects: a directory of the application's in their name space.

vx32py cc --libc plan9 examples/plan9/cat.c -o cat
python examples/plan9.py cat
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from vx32py.plan9 import Error, File, Kernel, Opened


class Counter(File):
    """A file that says how often it was read, and starts again from the number that is written to it."""

    def __init__(self) -> None:
        self.count = 0

    def read(self, opened: Opened, count: int, offset: int) -> bytes:
        if offset:  # the rest of what was read before: there is none
            return b""
        self.count += 1
        return b"%d\n" % self.count

    def write(self, opened: Opened, data: bytes, offset: int) -> None:
        try:
            self.count = int(data)
        except ValueError:
            raise Error("not a number") from None  # what the program gets as its error string


def main(program: str) -> None:
    """Let a program read files that Python makes."""
    with Kernel() as kernel:
        kernel.bind({"cat": Path(program).read_bytes()}, "/bin")
        kernel.bind(
            {"motd": b"hello from Python\n", "now": lambda: time.ctime() + "\n", "counter": Counter()}, "/mnt/app"
        )
        for name in ("motd", "now", "counter", "counter"):
            print(kernel.run(["cat", f"/mnt/app/{name}"]).stdout.decode(), end="")
        kernel.host.write("/mnt/app/counter", b"100")
        print(kernel.run(["cat", "/mnt/app/counter", "/mnt/app/nothing"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
