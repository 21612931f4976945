"""The ways to run a program, one a column: natively, as a guest of vx32py, under qemu-i386, as WebAssembly.

A runner runs a prepared program once, or so many times in a row, and gives a sample. Guests and WebAssembly run in
this process, the others in processes of their own; all read a file and write a file. WebAssembly is compiled by wasmtime
ahead of time and kept in ``build/paper``: what counts is how fast the code is, not Cranelift.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import vx32py
from conformance.paper import targets
from conformance.paper.programs import Program
from conformance.paper.samples import Failed, Sample, processor_time
from vx32py import _compile

if TYPE_CHECKING:
    import wasmtime

Column: TypeAlias = Literal["native", "native64", "guest", "qemu", "wasm"]
#: In the order in which they take turns. ``native`` is the 32-bit process that all others are compared with.
COLUMNS: Final[tuple[Column, ...]] = ("native", "native64", "guest", "qemu", "wasm")
#: What a column is called where there is room for it.
TITLES: Final[dict[Column, str]] = {
    "native": "native, 32-bit",
    "native64": "native, 64-bit",
    "guest": "vx32py",
    "qemu": "qemu-i386",
    "wasm": "wasmtime",
}
QEMU: Final = "qemu-i386"
#: A guest that needs more than this is broken, in seconds.
TIMEOUT: Final = 600.0
MEMORY: Final = "1G"


#: ``run(args, stdin, repeat)``: runs it with the file of that name as standard input. Raises RuntimeError if it fails.
Runner: TypeAlias = Callable[[Sequence[str], Path, int], Sample]


def unavailable(column: Column) -> str | None:
    """Why nothing can be run that way here, or None."""
    if column == "qemu" and shutil.which(QEMU) is None:
        return f"{QEMU} is not installed"
    if column == "wasm" and find_spec("wasmtime") is None:
        return "wasmtime is not installed (pip install 'vx32py[bench]')"
    return None


def runner(column: Column, program: Program, pair: targets.Pair, progress: _compile.Progress | None = None) -> Runner:
    """The program, ready to be run that way. Raises NotBuilt, and what :func:`targets.prepare` raises."""
    reason = unavailable(column)
    if reason is not None:
        raise targets.NotBuilt(reason)
    if column == "native":
        return native([pair.argv0], pair.native)
    if column == "native64":
        return native([pair.argv0], targets.build_native64(program, progress))
    if column == "qemu":
        found = shutil.which(QEMU)
        assert found is not None
        return native([QEMU, "-0", pair.argv0, str(pair.native)], Path(found))
    if column == "guest":
        return guest(pair)
    return wasm(targets.build_wasm(program, progress), pair.argv0)


def native(command: Sequence[str], executable: Path) -> Runner:
    """A process of its own; ``command`` are argv[0] and whatever comes before the program's arguments."""

    def run(args: Sequence[str], stdin: Path, repeat: int) -> Sample:
        with tempfile.TemporaryFile() as out, stdin.open("rb") as source:
            cpu = 0.0
            start = time.perf_counter()
            for _ in range(repeat):
                os.lseek(source.fileno(), 0, os.SEEK_SET)
                actions = [(os.POSIX_SPAWN_DUP2, source.fileno(), 0), (os.POSIX_SPAWN_DUP2, out.fileno(), 1)]
                pid = os.posix_spawn(executable, [*command, *args], {}, file_actions=actions)
                _, status, usage = os.wait4(pid, 0)
                cpu += usage.ru_utime + usage.ru_stime
                if status:
                    raise Failed(f"{executable.name} ended with status {status:#x}")
            wall = time.perf_counter() - start
            out.seek(0)
            return Sample(cpu, wall, out.read())

    return run


def guest(pair: targets.Pair) -> Runner:
    """A guest of this process: a sandbox that runs the program each time anew."""

    def run(args: Sequence[str], stdin: Path, repeat: int) -> Sample:
        with tempfile.TemporaryFile() as out, stdin.open("rb") as source:
            box = vx32py.Sandbox(engine="jit", memory=MEMORY, timeout=TIMEOUT)
            # Another module for each run, or the second would find the first one's code translated.
            modules = [vx32py.Module.from_bytes(pair.guest.data, pair.guest.name) for _ in range(repeat)]
            before, start = processor_time(), time.perf_counter()
            for module in modules:
                os.lseek(source.fileno(), 0, os.SEEK_SET)
                result = box.run(module, args, stdin=source.fileno(), stdout=out.fileno(), name=pair.argv0)
                if result.exit_code != 0:
                    raise Failed(f"the guest {result.describe()}")
            wall, cpu = time.perf_counter() - start, processor_time() - before
            counters = result.stats.counters
            out.seek(0)
            calls = sum(result.stats.calls.values())
            return Sample(cpu, wall, out.read(), counters.seconds_translating, calls)

    return run


def wasm(program: Path, argv0: str) -> Runner:
    """A WebAssembly program in this process: its module compiled before, an instance made each time anew."""
    import wasmtime

    engine = wasmtime.Engine()
    module = _module(engine, program)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()

    def run(args: Sequence[str], stdin: Path, repeat: int) -> Sample:
        outputs: list[bytes] = []
        with tempfile.NamedTemporaryFile() as out:
            before, start = processor_time(), time.perf_counter()
            for _ in range(repeat):
                _run_wasm(wasmtime, linker, module, [argv0, *args], stdin, out.name)
                if repeat > 1:
                    outputs.append(Path(out.name).read_bytes())
            wall, cpu = time.perf_counter() - start, processor_time() - before
            return Sample(cpu, wall, b"".join(outputs) or Path(out.name).read_bytes())

    return run


def _module(engine: wasmtime.Engine, program: Path) -> wasmtime.Module:
    """The compiled module, kept beside the program."""
    import wasmtime

    kept = program.with_name(f"{program.name}-{metadata.version('wasmtime')}")
    if not kept.exists():
        fresh = kept.with_name(f".{kept.name}.{os.getpid()}")
        fresh.write_bytes(wasmtime.Module.from_file(engine, str(program)).serialize())
        fresh.replace(kept)
    return wasmtime.Module.deserialize_file(engine, str(kept))


def _run_wasm(
    wasmtime: Any, linker: wasmtime.Linker, module: wasmtime.Module, argv: Sequence[str], stdin: Path, out: str
) -> None:
    settings = wasmtime.WasiConfig()
    settings.argv = argv
    settings.stdin_file, settings.stdout_file = str(stdin), out
    store = wasmtime.Store(linker.engine)
    store.set_wasi(settings)
    start: Any = linker.instantiate(store, module).exports(store)["_start"]
    try:
        start(store)
    except wasmtime.ExitTrap as exit_:
        if exit_.code:
            raise Failed(f"the WebAssembly program exited with {exit_.code}") from None
    except wasmtime.Trap as trap:
        raise Failed(f"the WebAssembly program trapped: {trap.message.splitlines()[-1]}") from None
    finally:
        store.close()
