"""``vx32py jail`` on the command line: what passes through, what it says, how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from small_programs import compiled

ROOT = Path(__file__).resolve().parents[2]
ECHO = r"""
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    int c;
    while ((c = getchar()) != EOF) putchar(c);
    for (int i = 1; i < argc; i++) printf("%s=%s\n", argv[i], getenv(argv[i]) ? getenv(argv[i]) : "none");
    return 9;
}
"""


def jail(*arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "vx32py", "jail", *arguments], input=stdin, capture_output=True, cwd=ROOT, check=False, env=env
    )  # fmt: skip


def test_streams_arguments_environment_and_exit_code_pass_through() -> None:
    program = str(compiled(ECHO))
    done = jail("--env", "A=1", "--env", "B", program, "A", "B", "C", stdin=b"in\n", env={"B": "2", "C": "3"})
    assert (done.returncode, done.stdout, done.stderr) == (9, b"in\nA=1\nB=2\nC=none\n", b"")


def test_what_cannot_run_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    for arguments in (["/no/such"], [str(tmp_path / "text")], ["--root", str(tmp_path), "sh"]):
        done = jail(*arguments)
        assert done.returncode == 125
        assert done.stderr.startswith(b"vx32py: ")
        assert done.stderr.count(b"\n") == 1


def test_wrong_usage_is_told_from_a_program_that_cannot_run(tmp_path: Path) -> None:
    for arguments in (["--dir", "x:y", "p"], ["--root", str(tmp_path / "none"), "p"], ["--env", "=x", "p"], []):
        done = jail(*arguments)
        assert done.returncode == 2, done.stderr
        assert b"Traceback" not in done.stderr
