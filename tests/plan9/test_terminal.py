"""``vx32py plan9`` on a terminal: what is typed, Ctrl-C, keys as they are pressed, and the terminal afterwards."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import termios
import time
from pathlib import Path
from typing import Self

import pytest
from plan9_tree import make_tree

pytestmark = pytest.mark.compiler

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("plan9"))


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "vx32py", "plan9", *arguments])  # noqa: S606
        self.seen = b""
        self.before = termios.tcgetattr(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def expect(self, text: bytes) -> None:
        """Read until something has been said that was not there before."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert select.select([self.fd], [], [], max(end - time.monotonic(), 0))[0], self.seen
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            assert data, self.seen
            self.seen += data
        self.seen = self.seen.partition(text)[2]

    def rest(self) -> bytes:
        """All that comes until it ends."""
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                return self.seen
            if not data:
                return self.seen
            self.seen += data

    def ended(self, keys: bytes = b"") -> int:
        """The exit code. These keys are pressed again and again until then."""
        end = time.monotonic() + PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            if keys:
                self.type(keys)
            time.sleep(0.05 if keys else 0.01)

    @property
    def settings_are_back(self) -> bool:
        return termios.tcgetattr(self.fd) == self.before

    def wait_for_settings(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self.settings_are_back:
            assert time.monotonic() < end, "the terminal was left as it was"
            time.sleep(0.01)


def test_a_shell_on_a_terminal_is_interactive_and_ends_at_the_end_of_input(tree: Path) -> None:
    with Terminal("--root", str(tree)) as terminal:
        terminal.expect(b"rc -m /rc/lib/rcmain -i;/usr/glenda;")
        terminal.type(b"hello\n")
        terminal.expect(b"<hello>")
        terminal.type(b"\x04")
        assert terminal.ended() == 0


def test_a_user_with_a_profile_has_a_login_shell_and_the_window_has_a_size(tree: Path) -> None:
    profile = tree / "usr" / "glenda" / "lib" / "profile"
    profile.touch()
    try:
        with Terminal("--root", str(tree)) as terminal:
            terminal.expect(b"rc -m /rc/lib/rcmain -li;/usr/glenda;")
            terminal.type(b"exit\n")
            terminal.expect(b"vx32py: rc: said so")
            assert terminal.ended() == 1
    finally:
        profile.unlink()
    with Terminal("--root", str(tree), "where") as terminal:
        terminal.expect(b"/dev/cons /dev/cons /dev/cons")
        assert terminal.ended() == 0


def test_ctrl_c_is_a_note_for_the_consoles_note_group_and_three_end_the_kernel(tree: Path) -> None:
    with Terminal("--root", str(tree), "listener") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"\x03")
        for _ in range(2):  # in whichever order
            terminal.expect(b" has interrupt.")
        assert terminal.ended(b"\x03") == 128 + signal.SIGINT


@pytest.mark.parametrize("engine", ["jit", "translated", "reference"])
def test_ctrl_c_ends_a_program_without_a_handler(tree: Path, engine: str) -> None:
    with Terminal("--root", str(tree), "--engine", engine, "spin") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"\x03")
        terminal.expect(b"vx32py: spin: interrupt")
        assert terminal.ended() == 1


def test_rawon_is_for_the_hosts_terminal_too_and_ends_with_the_program(tree: Path) -> None:
    with Terminal("--root", str(tree), "keys") as terminal:
        terminal.expect(b"ready")
        assert not terminal.settings_are_back
        for key, number in ((b"a", 97), (b"\x04", 4), (b"\x03", 3), (b"\x7f", 8), (b"\r", 10)):
            terminal.type(key)
            terminal.expect(b"[%d]" % number)
        terminal.type(b"c")
        terminal.expect(b"cooked")
        assert terminal.settings_are_back
        terminal.type(b"x\x7fline\n")
        terminal.expect(b"(line\r\n)")
        terminal.expect(b"again")
        assert not terminal.settings_are_back
        terminal.type(b"q")
        assert terminal.ended() == 0
        assert terminal.settings_are_back


def test_what_is_asked_of_consctl_ends_when_it_is_closed(tree: Path) -> None:
    with Terminal("--root", str(tree), "keys", "close") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"c")
        terminal.expect(b"cooked")
        assert terminal.settings_are_back
        terminal.type(b"line\n")
        assert terminal.ended() == 0


def test_keys_after_the_last_one_change_nothing(tree: Path) -> None:
    """Somebody who goes on to press Ctrl-C while the command ends was its exit code."""
    with Terminal("--root", str(tree), "spin") as terminal:
        terminal.expect(b"ready")
        assert terminal.ended(b"\x03") in (1, 128 + signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSEGV])
def test_a_raw_terminal_is_put_back_however_the_command_ends(tree: Path, number: signal.Signals) -> None:
    with Terminal("--root", str(tree), "keys") as terminal:
        terminal.expect(b"ready")
        assert not terminal.settings_are_back
        os.kill(terminal.pid, number)
        code = terminal.ended()
        assert code == (128 + number if number in (signal.SIGTERM, signal.SIGHUP) else -number)
        terminal.wait_for_settings()


def test_three_ctrl_c_end_the_kernel_on_a_raw_terminal_too(tree: Path) -> None:
    with Terminal("--root", str(tree), "keys") as terminal:
        terminal.expect(b"ready")
        assert terminal.ended(b"\x03") == 128 + signal.SIGINT
        assert terminal.settings_are_back
