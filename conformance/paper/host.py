"""The host side: what it costs to start, translate, call, fault, create guests and run several, in units of their own.

Each measurement is a function that gives a value of one attempt; :func:`measure` makes several, the first of which only
warms up. Times are wall time: these are things that somebody waits for.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import vx32py
from conformance import busybox, guests
from conformance.paper import programs, targets
from conformance.paper.inputs import BUILD
from conformance.paper.results import Figure
from jit import compiled, diskcache, library, translate
from jit.assemble import assemble
from jit.system import CALLS
from reference.isa.instruction import InvalidOpcode, TruncatedCode
from vx32py import _compile, guest
from vx32py.upstream import sources

HERE: Final = Path(__file__).resolve().parent
_PAGE: Final = 4096
_WARMING: Final = 10
_FETCH: Final = 4096
#: Pages that are written between a snapshot and the return to it.
_DIRTY: Final = 10
#: The text that a translator's speed is measured on.
_LARGE: Final = next(each for each in programs.PROGRAMS if each.upstream == "sqlite")


@dataclass(frozen=True)
class Measurement:
    """Something about the host side. ``attempt`` takes True for a quick look."""

    name: str
    unit: str
    attempt: Callable[[bool], float]
    remark: str = ""


def measure(measurement: Measurement, rounds: int, quick: bool) -> Figure:
    """So many attempts after one that does not count; or why there are none."""
    try:
        measurement.attempt(quick)
        values = tuple(measurement.attempt(quick) for _ in range(rounds))
    except (
        vx32py.Vx32Error, busybox.Unavailable, sources.SourceUnavailable, compiled.BuildError, targets.NotBuilt,
        OSError, RuntimeError,
    ) as error:  # fmt: skip
        return Figure(measurement.name, measurement.unit, remark=str(error))
    return Figure(measurement.name, measurement.unit, values, measurement.remark)


# -- in this process -------------------------------------------------------------------------------------------------


@cache
def _hostside() -> vx32py.Module:
    source = HERE / "hostside.c"
    if not source.is_file():
        raise FileNotFoundError(f"{source.name} is not here: it is in the source tree, not in the installed package")
    key = diskcache.key_of(*(file.read_bytes() for file in (source, *guest.files(), Path(_compile.__file__))))[:12]
    made = BUILD / f"hostside-{key}"
    if not made.exists():
        _compile.compile_guest([source], made, compiler=guests.compiler())
    return vx32py.Module.from_file(made)


def _sandbox() -> vx32py.Sandbox:
    table = vx32py.SystemCalls.vx()

    @table.define(100, "nothing")
    def nothing(process: vx32py.Process, value: int) -> int:
        return value

    return vx32py.Sandbox(engine="jit", calls=table)


def _seconds(args: list[str]) -> float:
    start = time.perf_counter()
    _sandbox().run(_hostside(), args).check()
    return time.perf_counter() - start


def _call(quick: bool) -> float:
    count = 20_000 if quick else 200_000
    return 1e6 * (_seconds(["calls", str(count)]) - _seconds(["calls", "0"])) / count


def _native(text: str) -> Callable[[], int]:
    """A function of 64-bit code, called without the interpreter lock."""
    code = assemble(text, bits=64).code
    memory = mmap.mmap(-1, len(code), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    window = (ctypes.c_ubyte * len(code)).from_buffer(memory)
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(window))

    def call() -> int:
        assert window  # which keeps the code where it is
        return int(function())

    return call


def _answer(mode: str, number: int) -> Callable[[bool], float]:
    """A call that is answered natively, on a descriptor of the host, over the same call made by 64-bit code."""

    def attempt(quick: bool) -> float:
        count = 20_000 if quick else 300_000
        module, box = _hostside(), _sandbox()
        with open(os.devnull, "r+b", buffering=0) as null:
            # /dev/null is at its end at once: reads and writes cost the host next to nothing.
            fd = null.fileno()
            bare = _native(
                f"push rbx\npush rax\nmov ebx, {count}\nagain: mov eax, {number}\nmov edi, {fd}\nmov rsi, rsp\n"
                "mov edx, 1\nsyscall\ndec ebx\njnz again\npop rax\npop rbx\nret"
            )

            def seconds(times: int) -> float:
                start = time.process_time()
                box.run(module, [mode, str(times)], stdin=fd, stdout=fd).check()
                return time.process_time() - start

            # Processor time, of both in turn: what is left is small, and the machine's other work must not show.
            guests, host = [], []
            for _ in range(3):
                guests.append(seconds(count) - seconds(0))
                start = time.process_time()
                bare()
                host.append(time.process_time() - start)
        return 1e6 * (min(guests) - min(host)) / count

    return attempt


def _fault(quick: bool) -> float:
    """Python gets the trap, maps the page and lets the guest go on."""
    count = 1000 if quick else 5000
    module = _hostside()
    first = (module.end + (1 << 22)) & -_PAGE
    with _sandbox().spawn(module, ["faults", hex(first), str(count)]) as process:
        space = process.engine.space
        start = time.perf_counter()
        while process.run().number == vx32py.Vector.PAGE_FAULT:
            assert process.trap is not None
            space.map(process.trap.address & -_PAGE, _PAGE, vx32py.Access.READ | vx32py.Access.WRITE)
        seconds = time.perf_counter() - start
        if process.exit_code != 0:
            raise RuntimeError(f"the guest stopped: {process.trap}")
    return 1e6 * seconds / count


def _creation(quick: bool) -> float:
    count = 20 if quick else 200
    module, box = _hostside(), _sandbox()
    start = time.perf_counter()
    for _ in range(count):
        box.spawn(module, ["spin", "0"]).close()
    return 1e6 * (time.perf_counter() - start) / count


def _whole(quick: bool) -> float:
    count = 20 if quick else 200
    module, box = _hostside(), _sandbox()
    start = time.perf_counter()
    for _ in range(count):
        box.run(module, ["spin", "0"])
    return 1e6 * (time.perf_counter() - start) / count


def _snapshot(quick: bool) -> float:
    """Of a guest that has just been created, and has written to some pages."""
    count = 20 if quick else 100
    module, box, seconds = _hostside(), _sandbox(), 0.0
    for _ in range(count):
        with box.spawn(module, ["spin", "0"]) as process:
            _write_pages(process)
            start = time.perf_counter()
            process.snapshot()
            seconds += time.perf_counter() - start
    return 1e6 * seconds / count


def _restore(quick: bool) -> float:
    count, seconds = 100 if quick else 1000, 0.0
    with _sandbox().spawn(_hostside(), ["spin", "0"]) as process:
        snapshot = process.snapshot()
        for _ in range(count):
            _write_pages(process)
            start = time.perf_counter()
            process.restore(snapshot)
            seconds += time.perf_counter() - start
    return 1e6 * seconds / count


def _write_pages(process: vx32py.Process) -> None:
    """Write to ten pages of the stack."""
    end = process.layout.stack_end
    for page in range(1, _DIRTY + 1):
        process.memory.write_u32(end - page * _PAGE, page)


def _together(work: Callable[[], object], threads: int) -> float:
    """How long threads take that all do the same."""
    running = [threading.Thread(target=work) for _ in range(threads)]
    start = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return time.perf_counter() - start


def _spin(steps: int) -> None:
    _sandbox().run(_hostside(), ["spin", str(steps)]).check()


def _throughput(work: Callable[[], object]) -> float:
    """The work that two threads do over what one does in the same time; one before and one behind, against drift."""
    before, together = _together(work, 1), _together(work, 2)
    return (before + _together(work, 1)) / together


def _threads(quick: bool) -> float:
    return _throughput(lambda: _spin(60_000_000 if quick else 500_000_000))


def _native_threads(quick: bool) -> float:
    """What the machine gives to two threads at all: it may be at other work, or its processors share a core."""
    steps = 60_000_000 if quick else 500_000_000
    loop = _native(
        f"mov ecx, {steps}\nagain: xor eax, ecx\nimul eax, eax, 1664525\nadd eax, ecx\ndec ecx\njnz again\nret"
    )
    return _throughput(loop)


def _translator(quick: bool) -> float:
    """All of the code of a large program, one fragment behind the other, through the compiled translator alone."""
    one = translate.NumbaTranslator(compiled.build(lambda seconds: None))
    module = targets.prepare(_LARGE).guest
    text = next(s for s in module.segments if s.access & vx32py.Access.EXECUTE)
    code, policy = bytes(text.data), vx32py.Policy.default()
    at, end, done = 0, min(len(code), 1 << 17 if quick else 1 << 20), 0
    start = time.perf_counter()
    while at < end:
        try:
            fragment = one.translate(code[at : at + _FETCH], text.start + at, policy, offset=_FETCH)
        except (InvalidOpcode, TruncatedCode):  # padding, or the end of the text
            at += 1
        else:
            at += fragment.length
            done += fragment.length
    return done / (time.perf_counter() - start) / 1e6


def _translation_at_work(quick: bool) -> float:
    """What a guest waits for: the same within a run, with fetching, watching and installing."""
    module = targets.prepare(_LARGE).guest
    with library.unused():
        result = vx32py.Sandbox(engine="jit").run(module, ["300"]).check()
    counters = result.stats.counters
    if not counters.guest_bytes_translated:
        raise RuntimeError("nothing was translated: the fragments had been kept")
    return counters.guest_bytes_translated / counters.seconds_translating / 1e6


# -- in processes of their own ---------------------------------------------------------------------------------------

_FIRST_STEP: Final = """
import time
start = time.perf_counter()
import sys, vx32py
with vx32py.Sandbox(engine="jit").spawn(sys.argv[1]) as process:
    process.step()
    print(time.perf_counter() - start)
"""


def _python(*args: str, **environment: str) -> str:
    """What Python prints. Raises RuntimeError.

    Bytecode is kept, as it is for a package that is installed, wherever this process gets its own from.
    """
    kept = {"PYTHONPYCACHEPREFIX": str(BUILD / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    env = {**os.environ, "PYTHONPATH": str(guests.ROOT), **kept, **environment}
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it failed"])[-1])
    return done.stdout


def _hello() -> str:
    return str(guests.example("hello", using=guests.compiler()))


def _first_step(**environment: str) -> Callable[[bool], float]:
    return lambda quick: 1e3 * float(_python("-c", _FIRST_STEP, _hello(), **environment))


def _over_python(program: Callable[[], str], *args: str) -> Callable[[bool], float]:
    """Warm, that is with all fragments known: a program does not take the same path each time (C libraries look at random
    numbers and at where their stack is), so it runs some times before."""

    @cache
    def warmed() -> str:
        path = program()
        for _ in range(_WARMING):
            _python("-m", "vx32py", "run", path, *args)
        return path

    def attempt(quick: bool) -> float:
        path = warmed()
        start = time.perf_counter()
        _python("-m", "vx32py", "run", path, *args)
        middle = time.perf_counter()
        _python("-c", "pass")
        return (middle - start) / (time.perf_counter() - middle)

    return attempt


MEASUREMENTS: Final = (
    Measurement("first instruction, nothing cached", "ms", _first_step(VX32PY_CACHE=""), "import, engine, first step"),
    Measurement("first instruction, all cached", "ms", _first_step(), "import, engine, first step"),
    Measurement("translation, the translator", "MB/s", _translator, "megabytes of guest code; all of SQLite"),
    Measurement("translation, in a running guest", "MB/s", _translation_at_work, "with fetching and installing"),
    Measurement("system call into Python and back", "µs", _call),
    Measurement(
        "write answered natively over a bare write", "µs", _answer("writes", CALLS["SYS_WRITE"]), "processor time"
    ),
    Measurement("read answered natively over a bare read", "µs", _answer("reads", CALLS["SYS_READ"]), "processor time"),
    Measurement("page fault handled in Python", "µs", _fault, "trap, map a page, go on"),
    Measurement("guest created and closed", "µs", _creation),
    Measurement("a tiny guest, whole run", "µs", _whole, "created, run to its exit, closed"),
    Measurement("snapshot taken", "µs", _snapshot, "of a small guest"),
    Measurement("snapshot restored, ten dirty pages", "µs", _restore),
    Measurement("two guests in two threads over one", "x", _threads, "work in the same time"),
    Measurement(
        "two native loops in two threads over one", "x", _native_threads, "the same without guests: the most there is"
    ),
    Measurement("vx32py run hello / python -c pass", "x", _over_python(_hello), "wall time of processes"),
    Measurement("vx32py run busybox true / python -c pass", "x", _over_python(lambda: str(busybox.fetch()), "true")),
)


def names() -> Iterator[str]:
    """What there is."""
    return (each.name for each in MEASUREMENTS)
