"""Waiting and moving bytes: C programs that say the result of each call, and say the same natively and in the jail."""

from __future__ import annotations

import subprocess

import pytest
from io_programs import program

from vx32py import Sandbox
from vx32py._network import Network

TIMEOUT = 60


def compare(name: str, engine: str, *arguments: str, network: Network | None = None) -> None:
    """Run a program both ways."""
    path = program(name)
    with path.open("rb") as regular:
        native = subprocess.run([path, *arguments], stdin=regular, capture_output=True, timeout=TIMEOUT, check=False)
    box = Sandbox(engine=engine, timeout=TIMEOUT, memory="64M", network=network)
    result = box.run(path, arguments, stdin=path.read_bytes())
    assert result.stderr == native.stderr
    assert result.stdout.decode().splitlines() == native.stdout.decode().splitlines()
    assert result.describe() == "exit code 0"
    assert native.returncode == 0


@pytest.mark.parametrize("name", ["pipes", "waits", "local"])
def test_calls_return_what_they_return_natively(name: str) -> None:
    compare(name, "jit")


def test_tcp_and_udp_over_loopback_behave_as_they_do_natively() -> None:
    compare("internet", "jit", network=Network.parse("127.0.0.1:*/any,listen:127.0.0.1:*/any"))


@pytest.mark.parametrize(("engine", "rounds"), [("jit", 10_000), ("translated", 50), ("reference", 50)])
def test_two_processes_that_wait_for_each_other_by_turns_both_get_to_the_end(engine: str, rounds: int) -> None:
    compare("pingpong", engine, str(rounds))
