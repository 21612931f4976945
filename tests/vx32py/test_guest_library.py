"""The guest library behaves as the host's C library does: one program, compiled against either, prints the same."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import get_args

import pytest

import vx32py
from conformance import guests
from vx32py import _compile
from vx32py._compile import CompilerName

pytestmark = pytest.mark.compiler

SOURCE = Path(__file__).with_name("guest_library.c")
STDIN = b"first line\nsecond line\nand a tail of some length\n" + bytes(range(256)) * 200


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[bytes]:
    if not _compile.can_build_native("gcc"):
        pytest.skip("no gcc with a 32-bit C library here (gcc-multilib, libc6-dev-i386)")
    program = _compile.compile_native([SOURCE], tmp_path_factory.mktemp("native") / "program", compiler="gcc")
    return subprocess.run([program, "last"], input=STDIN, capture_output=True, check=False)


@pytest.mark.parametrize("optimise", ["-O0", "-O2"])
@pytest.mark.parametrize("compiler", [name for name in get_args(CompilerName) if name != "auto"])
def test_the_guest_library_does_what_the_hosts_does(
    compiler: CompilerName, optimise: str, native: subprocess.CompletedProcess[bytes], tmp_path: Path
) -> None:
    if compiler not in _compile.compilers():
        pytest.skip(f"{compiler} cannot build guests here")
    if "jit" not in vx32py.engines():
        pytest.skip("some ten million instructions: only the jit engine is fast enough")
    program = _compile.compile_guest([SOURCE], tmp_path / "guest", compiler=compiler, optimise=optimise)
    result = vx32py.Sandbox(engine="jit", timeout=60).run(program, args=["last"], stdin=STDIN)
    assert result.stdout.decode().splitlines() == native.stdout.decode().splitlines()
    assert result.stderr == native.stderr
    assert result.exit_code == native.returncode == 42


@pytest.mark.parametrize("engine", vx32py.engines())
@pytest.mark.parametrize(
    ("name", "args", "stdin", "expected"),
    [
        ("hello", (), b"", b"hello, world\n"),
        ("echo", ("one", "two words"), b"", b"one two words\n"),
        ("cat", (), b"some\0bytes", b"some\0bytes"),
        ("fib", ("10",), b"", b"55\n"),
    ],
)
def test_examples_run_on_every_engine(
    engine: str, name: str, args: tuple[str, ...], stdin: bytes, expected: bytes
) -> None:
    if not _compile.compilers():
        pytest.skip("no compiler for guests here")
    result = vx32py.Sandbox(engine=engine, timeout=120).run(guests.example(name), args=list(args), stdin=stdin)
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, b"")
