"""``vx32py plan9`` on a terminal: what is typed, Ctrl-C, keys as they are pressed, and the terminal afterwards."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from plan9_tree import make_tree
from terminals import Terminal

pytestmark = pytest.mark.compiler


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("plan9"))


def test_a_shell_on_a_terminal_is_interactive_and_ends_at_the_end_of_input(tree: Path) -> None:
    with Terminal("plan9", "--root", str(tree)) as terminal:
        terminal.expect(b"rc -m /rc/lib/rcmain -i;/usr/glenda;")
        terminal.type(b"hello\n")
        terminal.expect(b"<hello>")
        terminal.type(b"\x04")
        assert terminal.ended() == 0


def test_a_user_with_a_profile_has_a_login_shell_and_the_window_has_a_size(tree: Path) -> None:
    profile = tree / "usr" / "glenda" / "lib" / "profile"
    profile.touch()
    try:
        with Terminal("plan9", "--root", str(tree)) as terminal:
            terminal.expect(b"rc -m /rc/lib/rcmain -li;/usr/glenda;")
            terminal.type(b"exit\n")
            terminal.expect(b"vx32py: rc: said so")
            assert terminal.ended() == 1
    finally:
        profile.unlink()
    with Terminal("plan9", "--root", str(tree), "where") as terminal:
        terminal.expect(b"/dev/cons /dev/cons /dev/cons")
        assert terminal.ended() == 0


def test_ctrl_c_is_a_note_for_the_consoles_note_group_and_three_end_the_kernel(tree: Path) -> None:
    with Terminal("plan9", "--root", str(tree), "listener") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"\x03")
        for _ in range(2):  # in whichever order
            terminal.expect(b" has interrupt.")
        assert terminal.ended(b"\x03") == 128 + signal.SIGINT


@pytest.mark.parametrize("engine", ["jit", "translated", "reference"])
def test_ctrl_c_ends_a_program_without_a_handler(tree: Path, engine: str) -> None:
    with Terminal("plan9", "--root", str(tree), "--engine", engine, "spin") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"\x03")
        terminal.expect(b"vx32py: spin: interrupt")
        assert terminal.ended() == 1


def test_rawon_is_for_the_hosts_terminal_too_and_ends_with_the_program(tree: Path) -> None:
    with Terminal("plan9", "--root", str(tree), "keys") as terminal:
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
    with Terminal("plan9", "--root", str(tree), "keys", "close") as terminal:
        terminal.expect(b"ready")
        terminal.type(b"c")
        terminal.expect(b"cooked")
        assert terminal.settings_are_back
        terminal.type(b"line\n")
        assert terminal.ended() == 0


def test_keys_after_the_last_one_change_nothing(tree: Path) -> None:
    """Somebody who goes on to press Ctrl-C while the command ends was its exit code."""
    with Terminal("plan9", "--root", str(tree), "spin") as terminal:
        terminal.expect(b"ready")
        assert terminal.ended(b"\x03") in (1, 128 + signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSEGV])
def test_a_raw_terminal_is_put_back_however_the_command_ends(tree: Path, number: signal.Signals) -> None:
    with Terminal("plan9", "--root", str(tree), "keys") as terminal:
        terminal.expect(b"ready")
        assert not terminal.settings_are_back
        os.kill(terminal.pid, number)
        code = terminal.ended()
        assert code == (128 + number if number in (signal.SIGTERM, signal.SIGHUP) else -number)
        terminal.wait_for_settings()


def test_three_ctrl_c_end_the_kernel_on_a_raw_terminal_too(tree: Path) -> None:
    with Terminal("plan9", "--root", str(tree), "keys") as terminal:
        terminal.expect(b"ready")
        assert terminal.ended(b"\x03") == 128 + signal.SIGINT
        assert terminal.settings_are_back
