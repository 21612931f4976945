"""What a case is: a program, what it is run with, and what is compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: Of every case. The C locale is the one that needs no files.
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C",
    "LC_ALL": "C",
    "TZ": "UTC",
    "TERM": "dumb",
    "USER": "root",
}


@dataclass(frozen=True)
class Case:
    """One run of a program in a directory of its own, natively and in the jail.

    ``script`` is what a shell (``interpreter``) is given as a file, ``argv`` what is run without one; exactly one is there.
    ``files`` are in the current directory before, by name. What both runs print (``stderr`` only where ``stderr`` is
    true), their exit codes and the files they leave are compared, after each pattern of ``scrub`` was replaced by "…"
    in the output; files whose names match ``ignore`` are not compared. ``build`` is a script that is run once,
    natively and with ``files`` as they are, and what it leaves in its directory is there before each run: for programs that
    a compiler of the tree makes. ``ports`` are how many ports of the loopback
    interface it may use: the environment has them as PORT, PORT2 …. ``default`` says whether the test suite runs it, and
    ``engines`` on what. ``memory`` and ``threads`` are what the jail allows, each process and all of them.
    """

    name: str
    package: str
    script: str | None = None
    argv: tuple[str, ...] = ()
    root: str = "base"
    interpreter: str = "/bin/sh"
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    build: str | None = None
    timeout: float = 30.0
    engines: tuple[str, ...] = ("jit",)
    ports: int = 0
    stderr: bool = True
    scrub: tuple[str, ...] = ()
    ignore: str | None = None
    default: bool = True
    memory: str = "64M"
    threads: int = 64

    def __post_init__(self) -> None:
        """Raise ValueError for a case that says too much or too little."""
        if (self.script is None) == (not self.argv):
            raise ValueError(f"{self.name}: either script or argv")

    def scrubbed(self, output: bytes) -> bytes:
        """Output without what differs from run to run."""
        for pattern in self.scrub:
            output = re.sub(pattern.encode(), "…".encode(), output)
        return output
