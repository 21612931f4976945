"""Run the crew, sample what the host process has, and find out what was wrong."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from conformance.plan9 import kernels
from conformance.soak import resources
from conformance.soak.resources import Trend
from vx32py._compile import compile_guest
from vx32py.plan9.devices.mnt import Mnt
from vx32py.plan9.devices.pipe import Pipes
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.proc import Proc

CREW: Final = Path(__file__).with_name("crew.c")
#: Seconds between two samples.
INTERVAL: Final = 1.0
#: After so many seconds without any message for the boss somebody hangs.
PATIENCE: Final = 120.0
#: A worker may have so many children at a time, and there are a few more.
_CHILDREN: Final = 6
_MOST_TOLD: Final = 20
_NEARLY: Final = 0.9


@dataclass
class Report:
    """What came of it: numbers that the boss has told, samples of the host process, and complaints."""

    engine: str
    workers: int
    seconds: float = 0.0
    made: int = 0
    waited: int = 0
    refused: int = 0
    processes: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    #: How many processes there were at each sample.
    living: list[int] = field(default_factory=list)
    samples: list[dict[str, int]] = field(default_factory=list)
    trends: list[Trend] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def most_at_a_time(self) -> int:
        """How many processes there were at a time."""
        return max(self.living, default=0)

    @property
    def steady(self) -> list[dict[str, int]]:
        """The samples from when nearly as many processes lived as ever did: until then there is more of everything."""
        enough = (i for i, living in enumerate(self.living) if living >= _NEARLY * self.most_at_a_time)
        return self.samples[next(enough, 0) :]

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.complaints


@cache
def crew() -> bytes:
    """The program. Raises CompileError."""
    with tempfile.TemporaryDirectory() as folder:
        return compile_guest([CREW], Path(folder, "crew"), libc="plan9").read_bytes()


def soak(
    *, seconds: float, workers: int, engine: str, seed: int, memory: str = "8M",
    progress: Callable[[Report], None] = lambda report: None,
) -> Report:  # fmt: skip
    """Let the crew work for so long. Raises CompileError, UnsupportedHost."""
    report = Report(engine, workers)
    image = crew()
    _once(engine, image, memory)  # everything is made for the first time
    before = resources.settled(engine)
    _work(report, image, seconds, seed, memory, progress)
    after = resources.settled(engine)
    report.trends = resources.trends(report.steady, before, after)
    report.complaints += [f"{trend.name} grows: {trend}" for trend in report.trends if not trend.is_flat]
    return report


def kernel_with_crew(engine: str, image: bytes, memory: str, workers: int) -> Kernel:
    """A kernel in whose /bin the program is, with room for so many workers."""
    kernel = Kernel(engine=engine, memory=memory, processes=workers * _CHILDREN + 50)
    kernels.put(kernel, "crew", image)
    return kernel


def _once(engine: str, image: bytes, memory: str) -> None:
    with kernel_with_crew(engine, image, memory, 8) as kernel:
        kernel.run(["crew", "4", "1", "1"])


def _work(
    report: Report, image: bytes, seconds: float, seed: int, memory: str, progress: Callable[[Report], None]
) -> None:
    said = bytearray()
    with kernel_with_crew(report.engine, image, memory, report.workers) as kernel:
        free = kernel.account.left
        words = ["crew", str(report.workers), str(max(int(seconds), 1)), str(seed)]
        boss = kernel.start(words, stdout=said.extend, stderr=said.extend)
        began = told = time.monotonic()
        while boss.status is None:
            kernel.family.add_timer(time.monotonic() + INTERVAL, kernel.family.interrupt)
            kernel.wait(boss)
            waited = report.waited
            _listen(report, said)
            now = time.monotonic()
            told = now if report.waited != waited else told
            report.seconds = now - began
            report.living.append(len(kernel.family.tasks))
            report.samples.append(resources.sample())
            progress(report)
            if now - told > PATIENCE:
                report.complaints.append(f"for {PATIENCE:.0f} s nobody has ended: {_state(kernel)}")
                break
        _listen(report, said + b"\n")
        _look(report, kernel, boss, free)


def _listen(report: Report, said: bytearray) -> None:
    """Take whole lines of the boss's."""
    end = said.rfind(b"\n") + 1
    lines = bytes(said[:end]).decode(errors="replace").splitlines()
    del said[:end]
    for line in lines:
        words = line.split()
        if len(words) == 5 and all(word.isdigit() for word in words):
            report.made, report.waited, _, report.refused = map(int, words[1:])
        elif line and len(report.complaints) < _MOST_TOLD:
            report.complaints.append(line)


def _look(report: Report, kernel: Kernel, boss: Proc, free: int) -> None:
    """What there is in a kernel whose boss has ended; at the beginning its account had so much ``free``."""
    complain = report.complaints.append
    report.processes = kernel.family.processes_started
    if boss.status:
        complain(f"the boss has ended with {boss.status!r}")
    if report.made != report.waited:
        complain(f"of {report.made} children {report.waited} were waited for")
    for _ in range(100):  # orphans sleep for a moment
        if not any(proc.alive for proc in kernel.procs()):
            break
        kernel.host.attend()
        _let_run(kernel, 0.05)
    left = [repr(proc) for proc in kernel.procs() if proc.alive]
    if left:
        complain(f"processes that have not ended: {', '.join(left[:5])}")
    gc.collect()
    kernel.host.attend()
    pipes, servers, timers = kernel.devices["|"], kernel.devices["M"], kernel.family
    assert isinstance(pipes, Pipes)
    assert isinstance(servers, Mnt)
    counts = {
        "bytes of the kernel's account": free - kernel.account.left,
        "pipes": pipes.count, "semaphores that somebody waits for": len(kernel.semaphores),
        "groups of processes": len(timers.processes), "calls to servers": len(kernel.attendants.waits()),
        "files in /tmp": len(kernel.host.entries("/tmp")),  # noqa: S108
    }  # fmt: skip
    for name, count in counts.items():
        if count:
            complain(f"{name} that are left: {count}")


def _let_run(kernel: Kernel, seconds: float) -> None:
    someone = next((proc for proc in kernel.procs() if proc.alive), None)
    if someone is not None:
        kernel.family.add_timer(time.monotonic() + seconds, kernel.family.interrupt)
        kernel.wait(someone)


def _state(kernel: Kernel) -> str:
    waits = [f"{proc.pid} {proc.call or 'runs'}" for proc in kernel.procs() if proc.alive]
    return ", ".join(waits[:20])
