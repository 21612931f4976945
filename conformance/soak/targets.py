"""Programs that are shot at: each runs guests in one process for as long as the other side goes on, and finds out what a
signal has done to it. Started by :mod:`conformance.soak.shots`, with which they talk through standard input and output.

    python -m conformance.soak.targets interrupts|handlers ENGINE SEED

One line comes in before each shot, and one goes out when all is well behind it; anything else that is said is a complaint.
"""

from __future__ import annotations

import gc
import json
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

import vx32py
from conformance.soak import programs, resources

#: How many rounds of the stories make a moment.
_ROUNDS: Final = 3


class _Gun:
    """Counts the signals that have reached Python, and how many of them have come out of a story as an exception."""

    def __init__(self) -> None:
        self.arrived = 0
        #: How many of them need not come out, because no story was under way.
        self.harmless = 0
        self.counts: dict[int, int] = {}

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        self.arrived += 1
        here = frame
        while here is not None:
            if here.f_code is _Stories.any.__code__:
                raise KeyboardInterrupt
            here = here.f_back
        self.harmless += 1

    def count(self, number: int, frame: object) -> None:
        self.counts[number] = self.counts.get(number, 0) + 1


class _Stories:
    """What a program does with guests, with results that are checked."""

    def __init__(self, engine: str, rng: random.Random) -> None:
        self._rng = rng
        self._box = vx32py.Sandbox(engine=engine, memory="2M")
        self._counter = programs.counter()
        self._quick = self._box.spawn(self._counter)
        self._poke(self._quick, 10)
        self._start = self._quick.snapshot()
        scale = 1000 if engine == "jit" else 1
        #: How long the loops of guests are: none at all, up to some milliseconds.
        self._steps = (1, 10, 100, 2000 * scale)
        self._all: tuple[Callable[[], None], ...] = (
            self._compute, self._compute, self._call, self._mutate, self._trap, self._go_back, self._fork, self._write,
        )  # fmt: skip

    def each(self) -> None:
        """All of them. What is imported when it is first needed is there then: an exception in the middle of an import makes
        the interpreter itself lose signals, or die of one at its end."""
        for story in dict.fromkeys(self._all):
            story()
        self._go_back()

    def any(self) -> None:
        """One of them."""
        self._rng.choice(self._all)()

    def check(self) -> None:
        """After a signal the next guest must be as good as any."""
        self._compute()
        self._go_back()

    def _poke(self, process: vx32py.Process, steps: int) -> None:
        process.memory.write_u32(programs.DATA, steps)

    def _compute(self) -> None:
        steps = self._rng.choice(self._steps)
        with self._box.spawn(self._counter) as process:
            self._poke(process, steps)
            process.run()
            programs.expect(process, steps)

    def _call(self) -> None:
        result = self._box.run(programs.caller(self._rng.choice((1, 50, 500))))
        assert result.exit_code == programs.GOOD, result

    def _mutate(self) -> None:
        result = self._box.run(programs.mutator(self._rng.choice((1, 5, 20))))
        assert result.exit_code == programs.GOOD, result

    def _trap(self) -> None:
        result = self._box.run(programs.fault(0x20))
        assert result.trap is not None, result
        assert result.trap.address == 0x20, result

    def _go_back(self) -> None:
        self._quick.restore(self._start)
        self._quick.run()
        programs.expect(self._quick, 10)

    def _fork(self) -> None:
        with self._box.spawn(programs.forker(3)) as process:
            process.run()
            assert process.exit_code == programs.GOOD, (
                f"{process}: {process.trap}, {process.registers}, {process.calls}"
            )

    def _write(self) -> None:
        result = self._box.run(programs.writer(3, 1000))
        assert result.stdout == bytes(3000), result


def _lines() -> Iterator[str]:
    for line in sys.stdin:
        yield line.strip()


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


@contextmanager
def _checked() -> Iterator[None]:
    """Whatever goes wrong is said in one line."""
    try:
        yield
    except Exception as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _say("wrong: " + " | ".join(traceback.format_exception(error)).replace("\n", " ")[-1500:])
        raise SystemExit(1) from error


def interrupts(engine: str, seed: int) -> None:
    """SIGINT comes out of the guest, or from beside it, as KeyboardInterrupt: each one, and whatever was under way."""
    gun, rng = _Gun(), random.Random(seed)  # noqa: S311 - reproducible, not secret
    with _checked():
        stories = _Stories(engine, rng)
        stories.each()
        signal.signal(signal.SIGINT, gun.interrupt)
        for _ in _lines():
            seen = gun.arrived
            with suppress(KeyboardInterrupt):
                _say("ready")
                while gun.arrived == seen:
                    stories.any()
                    assert gun.arrived == gun.harmless, "a KeyboardInterrupt was lost"
            stories.check()
            gun.harmless = gun.arrived
            _say("well")
        _say(json.dumps(_footprint()))


def handlers(engine: str, seed: int) -> None:
    """Handlers that return: guests compute on, and of each burst the last signal is never lost."""
    gun, rng = _Gun(), random.Random(seed)  # noqa: S311 - reproducible, not secret
    with _checked():
        stories = _Stories(engine, rng)
        stories.each()
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, gun.count)
        for _ in _lines():
            seen = gun.counts.get(signal.SIGUSR2, 0)
            _say("ready")
            while gun.counts.get(signal.SIGUSR2, 0) == seen:
                for _ in range(_ROUNDS):
                    stories.any()
            _say("well")
        _say(json.dumps(_footprint()))


def _footprint() -> dict[str, int]:
    gc.collect()
    return resources.sample()


if __name__ == "__main__":
    {"interrupts": interrupts, "handlers": handlers}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
