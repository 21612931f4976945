"""``vx32py jail`` on the command line: what passes through, what it says, how it ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_programs import compiled

from vx32py._jailpolicy import WORDS

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


def test_a_policy_file_and_options_come_together(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("""cwd = "/none"\n[env]\nA = "file"\nB = "file"\n""")
    program = str(compiled(ECHO))
    arguments = ["--policy", str(tmp_path / "policy.toml"), "--env", "B=option"]
    assert jail(*arguments, program).stderr.endswith(b": No such file or directory\n")
    done = jail(*arguments, "--cwd", "/", program, "A", "B")
    assert (done.returncode, done.stdout) == (9, b"A=file\nB=option\n")


def test_what_is_wrong_with_a_policy_file_is_said_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("alow-exec = true\n")
    done = jail("--policy", str(path), "x")
    assert done.returncode == 2
    assert f"{path}: unknown key 'alow-exec'; did you mean 'allow-exec'?".encode() in done.stderr
    done = jail("--policy", str(tmp_path / "none"), "x")
    assert done.returncode == 2
    assert b"No such file" in done.stderr


def test_a_policy_is_shown_as_a_file_that_says_the_same(tmp_path: Path) -> None:
    arguments = ["--root", str(tmp_path), "--net", "127.0.0.1:80", "--allow-exec", "--memory", "1G", "--env", "A=b"]
    shown = jail(*arguments, "--show-policy")
    assert shown.returncode == 0
    (tmp_path / "policy.toml").write_bytes(shown.stdout)
    assert jail("--policy", str(tmp_path / "policy.toml"), "--show-policy").stdout == shown.stdout
    changed = jail("--policy", str(tmp_path / "policy.toml"), "--no-exec", "--show-policy").stdout
    assert changed == shown.stdout.replace(b"allow-exec = true", b"allow-exec = false")


def test_help_teaches_every_word_with_examples_and_exit_codes() -> None:
    text = jail("--help").stdout.decode()
    for word in WORDS:
        assert f"--{word.name}" in text
    for part in ("Examples:", "Exit codes:", "124", "125", "--no-exec", "--policy"):
        assert part in text


@pytest.mark.parametrize(
    ("option", "value"),
    [("--memory", "x"), ("--timeout", "-1"), ("--net", "x"), ("--tmpfs", "x"), ("--cwd", "x"), ("--uid", "-1"),
     ("--engine", "x"), ("--instructions", "x"), ("--dir", "x:y"), ("--hostname", "x" * 65), ("--open-files", "1")],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_named(option: str, value: str) -> None:
    done = jail(option, value, "program")
    assert done.returncode == 2
    message = done.stderr.decode().splitlines()[-1]
    assert option in message or option.removeprefix("--").replace("-", "_") in message
    assert "Traceback" not in message


def test_a_limit_ends_the_command_with_its_code() -> None:
    program = str(compiled("int main(void) { for (;;); }"))
    done = jail("--fuel", "100000", program)
    assert done.returncode == 124
    assert b"fuel" in done.stderr
    done = jail("--timeout", "0.2", program)
    assert done.returncode == 124


def test_a_signal_that_ends_the_guest_ends_the_command_as_a_shell_would_say() -> None:
    assert jail(str(compiled("int main(void) { *(volatile int *)16 = 1; }"))).returncode == 139


def test_trace_and_stats_are_on_stderr() -> None:
    done = jail("--trace", "--stats", str(compiled(ECHO)))
    assert (done.returncode, done.stdout) == (9, b"")
    assert b"exit_group(9)" in done.stderr
    assert b"system calls:" in done.stderr


def test_changes_to_an_overlay_are_listed_and_kept(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "old").write_text("old")
    source = """
#include <fcntl.h>
#include <unistd.h>
int main(void) { unlink("/old"); close(creat("/new\\033[2J", 0644)); return 0; }
"""
    shutil.copy(compiled(source), root / "prog")
    options = ["--root", str(root), "--overlay", "--overlay-list", "--overlay-save", str(tmp_path / "layer")]
    done = jail(*options, "/prog")
    assert (done.returncode, done.stderr) == (0, b"added    /new\\x1b[2J\nremoved  /old\n")
    assert sorted(path.name for path in (tmp_path / "layer").iterdir()) == [".wh.old", "new\x1b[2J"]
    assert (root / "old").exists()
