"""Races: what a call looks at is changed under its eyes, by the host, by another process of the jail, or another thread.

races.c makes the attempts. Natively the same programs get at the secret, in the same time.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prison import TIMEOUT, World, build, jail

PROGRAM = "races.c"
SECONDS = "0.5"
ENOUGH = 11
RENAME_EXCHANGE = 2

libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: Path, other: Path) -> None:
    """Swap two names at once (renameat2)."""
    done = libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), RENAME_EXCHANGE)
    assert done == 0, os.strerror(ctypes.get_errno())


@contextmanager
def host_does(step: Callable[[], None]) -> Iterator[None]:
    """In another process of the host, over and over: it goes on while a handler runs, which a thread might not."""

    def work() -> None:
        while True:
            step()

    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def race(
    world: World, name: str, *words: str, native: bool = False, opened: int = 0, refused: int = 0
) -> tuple[bool, dict[str, int], str]:
    """Whether it got what it should not, how often it was what (at least ``opened`` and ``refused``, where it has to go on for
    that), and all it printed."""
    arguments = [name, SECONDS, str(opened), str(refused), *words]
    if native:
        output = subprocess.run(
            [str(build(PROGRAM)), *arguments], capture_output=True, timeout=TIMEOUT, check=True
        ).stdout.decode()
    else:
        result = jail(world, build(PROGRAM), arguments)
        assert result.describe() == "exit code 0", result.stdout
        output = result.stdout.decode()
    fields = output.splitlines()[-1].split()
    counts = dict(zip(fields[::2], map(int, fields[1::2]), strict=True))
    return "secret" in output, counts, output


def leaks_natively(world: World, name: str, *words: str) -> bool:
    """Whether the same attempts succeed without a jail."""
    return any(race(world, name, *words, native=True)[0] for _ in range(20))


@pytest.fixture
def swapped(world: World) -> Iterator[World]:
    """A folder in the granted tree that is a link to the outside one half of the time."""
    (world.granted / "d").mkdir()
    (world.granted / "d" / "secret").write_bytes(b"what is in here")
    (world.granted / "l").symlink_to(world.outside)
    with host_does(lambda: exchange(world.granted / "d", world.granted / "l")):
        yield world


def test_the_host_swaps_a_folder_and_a_link(swapped: World) -> None:
    assert leaks_natively(swapped, "open_while_swapped", str(swapped.granted / "d" / "secret"))
    leaked, counts, output = race(swapped, "open_while_swapped", "/granted/d/secret", opened=ENOUGH, refused=ENOUGH)
    assert not leaked, output
    assert swapped.secret.decode() not in output
    assert counts["opened"] >= ENOUGH
    assert counts["refused"] >= ENOUGH


def test_the_host_swaps_while_it_is_asked_about(swapped: World) -> None:
    leaked, counts, output = race(swapped, "stat_while_swapped", "/granted/d/secret", opened=ENOUGH)
    assert not leaked, output
    assert counts["opened"] >= ENOUGH


def test_the_host_swaps_while_a_file_is_made(swapped: World) -> None:
    """The world looks whether it was made outside."""
    _, counts, _ = race(swapped, "create_while_swapped", "/granted/d/new", opened=ENOUGH, refused=ENOUGH)
    assert counts["opened"] >= ENOUGH
    assert counts["refused"] >= ENOUGH


def test_the_host_moves_a_folder_that_the_guest_is_in(world: World) -> None:
    """From deep in the tree to its top, and out of it and back."""
    inner = world.granted / "inner"
    (inner / "a" / "b").mkdir(parents=True)
    home, top, out = inner / "a" / "b", world.granted / "b", world.folder / "b"

    def step() -> None:
        for place in (top, home, out, home):
            there = next(each for each in (home, top, out) if each.is_dir())
            if there != place:
                there.rename(place)

    words = str(home), "../../../../outside/secret"
    with host_does(step):
        for up in (1, 2, 3, 4):
            path = "../" * up + "outside/secret"
            leaked, _, output = race(world, "climb_while_moved", "/granted/inner/a/b", path)
            assert not leaked, output
        assert leaks_natively(world, "climb_while_moved", *words)


def test_a_process_of_the_guest_swaps_a_folder_and_a_link(world: World) -> None:
    (world.granted / "d").mkdir()
    (world.granted / "d" / "secret").write_bytes(b"what is in here")
    (world.granted / "l").symlink_to(world.outside)
    words = "/granted/d", "/granted/l", "/granted/d/secret"
    leaked, counts, output = race(world, "swap_by_a_process", *words, opened=ENOUGH, refused=ENOUGH)
    assert not leaked, output
    assert counts["opened"] >= ENOUGH
    assert counts["refused"] >= ENOUGH


def test_a_thread_changes_the_path(world: World) -> None:
    secret = str(world.outside / "secret")
    assert leaks_natively(world, "path_by_a_thread", secret)
    leaked, counts, output = race(world, "path_by_a_thread", secret, refused=ENOUGH)
    assert not leaked, output
    assert counts["refused"] >= ENOUGH


def test_another_process_changes_a_path_in_shared_memory(world: World) -> None:
    secret = str(world.outside / "secret")
    leaked, counts, output = race(world, "path_in_shared_memory", secret)
    assert not leaked, output
    assert counts["tried"] >= ENOUGH


@pytest.mark.parametrize(
    "name", ["vector_by_a_thread", "buffer_by_a_thread", "descriptor_by_a_thread", "words_by_a_thread"]
)
def test_a_thread_changes_what_a_call_looks_at(world: World, name: str) -> None:
    """Whatever comes of it: errors for the guest."""
    (world.granted / "large").write_bytes(bytes(1 << 16))
    _, counts, _ = race(world, name, "/granted/large")
    assert counts["tried"] >= ENOUGH


def test_a_thread_changes_the_address_of_a_socket(world: World) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0vx32py-race-{os.getpid()}")
        listener.listen()
        listener.setblocking(False)
        leaked, counts, _ = race(world, "name_by_a_thread", f"/granted/../{world.outside}/socket", refused=ENOUGH)
        assert not leaked
        assert counts["refused"] >= ENOUGH
        with pytest.raises(BlockingIOError):
            listener.accept()
