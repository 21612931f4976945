"""Plan 9's programs on a kernel in this process: started, fed and collected, with Python's objects among their files.

    python examples/plan9.py [TREE]

The programs are those of examples/plan9, compiled here. With TREE, the root of a Plan 9 system, its shell is asked for the
date as well.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from vx32py._compile import compile_guest
from vx32py.plan9 import MBEFORE, Error, File, Kernel, Opened

SOURCES = Path(__file__).parent / "plan9"


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


def compiled(name: str) -> bytes:
    """A program of examples/plan9, as `vx32py cc --libc plan9` makes it."""
    with tempfile.TemporaryDirectory() as folder:
        return compile_guest([SOURCES / f"{name}.c"], Path(folder, name), libc="plan9").read_bytes()


def main(tree: str | None = None) -> None:
    """Let programs run, together, and read files that Python makes."""
    with Kernel(root=tree, timeout=60) as kernel:
        # Before what the tree has in /bin, if there is one.
        kernel.bind({name: compiled(name) for name in ("cat", "sieve")}, "/bin", MBEFORE)
        kernel.bind(
            {"motd": b"hello from Python\n", "now": lambda: time.ctime() + "\n", "counter": Counter()}, "/mnt/app"
        )

        # One after the other, each to its end.
        for name in ("motd", "now", "counter", "counter"):
            print(kernel.run(["cat", f"/mnt/app/{name}"]).stdout.decode(), end="")
        kernel.host.write("/mnt/app/counter", b"100")
        print(kernel.run(["cat", "/mnt/app/counter"]).stdout.decode(), end="")
        failed = kernel.run(["cat", "/nosuch"])
        print("status:", failed.status)

        # At the same time: one is fed as it goes on, while the other one computes with thirty processes of its own.
        theirs, ours = os.pipe()
        fed, primes = bytearray(), bytearray()
        cat = kernel.start(["cat"], stdin=theirs, stdout=fed.extend)
        sieve = kernel.start(["sieve", "-n", "100"], stdout=primes.extend)
        os.write(ours, b"some input\n")
        kernel.wait(sieve)
        print(*map(int, primes.split()))
        os.write(ours, b"and more\n")
        os.close(ours)
        kernel.wait(cat)
        os.close(theirs)
        print(fed.decode(), end="")

        if tree is not None:
            print(kernel.rc("date").stdout.decode(), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
