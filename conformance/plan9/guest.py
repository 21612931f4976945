"""The tests of one package in a kernel, in a process of its own: a kernel that dies takes nothing else with it.

Started with a JSON object as its only argument; what the program writes goes to standard output, and its status to the file ``result``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from vx32py import LimitExceeded
from vx32py.plan9.errors import Error
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.namespace import MREPL
from vx32py.vfs.host import HostTree

_OUTPUT_LIMIT: Final = 256 << 20


def run(what: dict[str, Any]) -> str:
    """Run it; the status. ``goroot`` is at the same place in the name space as it is on the host, because programs know where
    their sources were; /tmp and the program are in a directory of the host's, which programs may write."""
    goroot, written = Path(what["goroot"]), [0]
    tree = goroot.parent.parent

    def write(data: bytes) -> None:
        written[0] += len(data)
        if written[0] > _OUTPUT_LIMIT:
            raise LimitExceeded("output", "the tests write too much")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    with tempfile.TemporaryDirectory(prefix="vx32py-gotests-") as name:
        root = Path(name)
        for each in ("tmp", "386/bin", str(tree).lstrip("/")):
            (root / each).mkdir(parents=True)
        (root / "lib" / "ndb").mkdir(parents=True)
        for each in ("common", "local"):  # which tests take for granted
            (root / "lib" / "ndb" / each).write_text("tcp=http port=80\n")
        for each, source in {**what["commands"], "test": what["program"]}.items():
            program = root / "386" / "bin" / each
            program.write_bytes(Path(source).read_bytes())
            program.chmod(0o755)
        root.chmod(0o777)
        with Kernel(
            engine=what["engine"], memory=what["memory"], timeout=what["timeout"], root=root, writable=True,
            trees={"go": HostTree(tree, writable=False)}, env={"GOROOT": str(goroot), "HOME": "/tmp", "home": "/tmp", "path": "/bin", "GO_GCFLAGS": what["go"]}, net=what["net"],  # noqa: S108
        ) as kernel:  # fmt: skip
            kernel.host.bind("#Ugo", str(tree), MREPL)
            proc = kernel.start(
                ["/bin/test", *what["arguments"]], stdin=b"", stdout=write, stderr=write, directory=what["directory"]
            )
            kernel.wait(proc)
            return proc.status or ""


def main() -> int:
    """The process."""
    what = json.loads(sys.argv[1])
    try:
        status = run(what)
    except LimitExceeded as error:
        status = f"limit: {error}"
    except Error as error:
        status = f"error: {error}"
    Path(what["result"]).write_text(json.dumps(status))
    sys.stdout.flush()
    os._exit(0)  # without waiting for anything that a kernel may have left


if __name__ == "__main__":
    sys.exit(main())
