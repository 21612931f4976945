"""The soak as it is seen from outside: starts the crew's process, shows how it goes, and says how it went.

In a process of its own, so that a death by a signal is one line of the report and not the end of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

from conformance.guests import ROOT
from conformance.soak import resources
from jit import diskcache

#: Seconds of silence after which the process hangs: it says something every two seconds, but for its preparations.
SILENCE: Final = 180.0
#: What the interpreter runs.
CREW: Final = ("-m", "conformance.soak.crew")


@dataclass
class Report:
    """What a soak has come to. ``complaints`` are what went wrong, one text each; none if all is well."""

    engine: str
    threads: int
    seed: int
    seconds: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, int]] = field(default_factory=list)
    trends: list[resources.Trend] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong, and nothing has grown."""
        return not self.complaints and all(trend.is_flat for trend in self.trends)


def soak(
    *, seconds: float, threads: int, engine: str, seed: int, replay: int | None = None,
    progress: Callable[[Report], None] = lambda report: None,
) -> Report:  # fmt: skip
    """Run a soak to its end. ``progress`` is called whenever there is something new."""
    arguments = {"seconds": seconds, "threads": threads, "engine": engine, "seed": seed, "replay": replay}
    report = Report(engine, threads, seed)
    command = [sys.executable, *CREW, json.dumps(arguments)]
    with tempfile.TemporaryFile() as errors, _cache() as environment:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, env=environment)
        end: dict[str, Any] | None = None
        try:
            for message in _messages(process):
                if "complaint" in message:
                    found = message["complaint"]
                    report.complaints.append(f"{found['story']} (--replay {found['seed']}): {found['what']}")
                elif "sample" in message:
                    report.seconds = message["at"]
                    report.samples.append(message["sample"])
                elif "end" in message:
                    end = message["end"]
                report.done = Counter(message.get("done", report.done))
                progress(report)
            code = process.wait(SILENCE)
        except TimeoutError:
            process.send_signal(signal.SIGABRT)  # faulthandler shows where it stands
            code = process.wait()
            report.complaints.append(f"not a word for {SILENCE:.0f} s")
        finally:
            process.kill()
            process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    if code not in (0, 1):
        ending = f"died of {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        report.complaints.append(f"the process {ending}\n{said[-8000:]}")
    elif said:
        report.complaints.append(f"said on stderr: {said[-8000:]}")
    if end is not None:
        report.trends = resources.trends(report.samples, end["before"], end["after"])
    elif not report.complaints:
        report.complaints.append("the process ended before the soak did")
    return report


@contextlib.contextmanager
def _cache() -> Iterator[dict[str, str]]:
    """The environment of a process with a copy of the cache on disk: thousands of programs that nobody runs again would
    crowd everything out of the user's."""
    directory = diskcache.directory()
    if directory is None or not os.path.isdir(directory):
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "cache")
        os.mkdir(copy, 0o700)
        with os.scandir(directory) as entries:
            for entry in entries:
                # Others use it meanwhile: what is half written gets another name.
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy2(entry.path, copy)
        yield os.environ | {"VX32PY_CACHE": copy}


def _messages(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """What the process says until it closes its output. Raises TimeoutError where it falls silent."""
    output: IO[bytes] | None = process.stdout
    assert output is not None
    waiting = b""
    until = time.monotonic() + SILENCE
    with output:
        while True:
            if not select.select([output], [], [], max(until - time.monotonic(), 0))[0]:
                raise TimeoutError
            data = output.raw.read(1 << 16) if hasattr(output, "raw") else output.read(1)
            if not data:
                return
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                until = time.monotonic() + SILENCE
                yield json.loads(line)
