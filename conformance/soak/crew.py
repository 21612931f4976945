"""The process in which the soak takes place: threads that live one story after the other, and one that watches them.

It speaks to whoever has started it (:mod:`conformance.soak.run`) in lines of JSON on standard output: counts and resources
every few seconds, complaints, and in the end what was left. A story that lasts too long is a hang: then all stacks are on
stderr, and the process ends at once.

    python -m conformance.soak.crew '{"seconds": 60, "threads": 2, "engine": "jit", "seed": 1}'
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.soak import benign, programs, resources, stories

#: Seconds between two samples, and seconds after which a story is stuck.
INTERVAL: Final = 2.0
STUCK: Final = 2 * stories.PATIENCE
#: Sizes of code caches, one of which each guest of a native engine gets: the last is the usual one.
_CODE_SIZES: Final = (64 << 10, 256 << 10, 16 << 20)
_SMALL_CACHES: Final = 0.2
#: More complaints than this are more of the same.
_MOST_COMPLAINTS: Final = 5


@dataclass
class Crew:
    """The threads and what they have done. ``replay`` is the seed of the one story that they are to live again and again."""

    seconds: float
    threads: int
    engine: str
    seed: int
    replay: int | None = None
    #: How many stories of each name have been lived.
    done: Counter[str] = field(default_factory=Counter)
    complaints: list[dict[str, Any]] = field(default_factory=list)
    #: For each thread its story, the story's seed, and when it began.
    current: dict[int, tuple[str, int, float]] = field(default_factory=dict)
    over: bool = False
    lives: int = 0

    def live(self, number: int, shared: stories.Shared) -> None:
        """A thread's life."""
        rng = random.Random(self.seed * 1000 + self.lives * 100 + number)  # noqa: S311 - reproducible, not secret
        while not self.over:
            seed = rng.getrandbits(48) if self.replay is None else self.replay
            story = stories.choose(random.Random(seed))  # noqa: S311
            self.current[number] = story.__name__, seed, time.monotonic()
            self.one(story, shared, seed)
            self.current.pop(number, None)

    def one(self, story: Callable[[stories.Actor], None], shared: stories.Shared, seed: int) -> None:
        """A story; what goes wrong is told."""
        try:
            story(stories.Actor(shared, seed))
        except BaseException as problem:  # noqa: BLE001 - all of them are findings
            self.complain(story.__name__, seed, "".join(traceback.format_exception(problem)))
        self.done[story.__name__] += 1

    def complain(self, name: str, seed: int, what: str) -> None:
        """Something is wrong with a story."""
        self.complaints.append({"story": name, "seed": seed, "what": what})
        say({"complaint": self.complaints[-1]})
        if len(self.complaints) >= _MOST_COMPLAINTS:
            self.over = True

    def watch(self, started: float, seconds: float) -> None:
        """Sample until so many have passed; end the process if a story is stuck."""
        while not self.over:
            time.sleep(min(INTERVAL, max(0.05, self.seconds / 20)))
            now = time.monotonic()
            for name, seed, since in tuple(self.current.values()):
                if now - since > STUCK:
                    say({"complaint": {"story": name, "seed": seed, "what": f"no end after {STUCK:.0f} s"}})
                    faulthandler.dump_traceback(all_threads=True)
                    os._exit(3)
            say({"at": now - started, "done": dict(self.done), "sample": resources.sample()})
            if now - started >= seconds:
                self.over = True

    def work(self) -> dict[str, Any]:
        """All of it; what is left in the end."""
        if benign.available():
            benign.prepare()
        shared = stories.Shared(self.engine)
        if self.engine == "jit":
            _vary_code_caches(self.seed)
        # Each story once: a fork in the middle of another thread's first import leaves a child that can never import that.
        for number, story in enumerate(stories.STORIES):
            self.one(story, shared, self.seed + number)
        started = time.monotonic()
        # What is made once is made in the first eighth.
        self.all_live(shared, started, self.seconds / 8)
        before = _rest(shared)
        if not self.complaints:
            self.all_live(shared, started, self.seconds)
        return {"before": before, "after": _rest(shared), "stories": sum(self.done.values())}

    def all_live(self, shared: stories.Shared, started: float, seconds: float) -> None:
        """Begin all threads, and end them at this time behind the start."""
        self.over = False
        self.lives += 1
        crew = [threading.Thread(target=self.live, args=(i, shared), name=f"actor {i}") for i in range(self.threads)]
        for thread in crew:
            thread.start()
        self.watch(started, seconds)
        for thread in crew:
            thread.join(STUCK)


def _rest(shared: stories.Shared) -> dict[str, int]:
    """What the process has when no guest is there, and nothing is kept for the next one."""
    shared.snapshots.clear()
    programs.program.cache_clear()
    benign.module.cache_clear()  # those that nobody had run before would count as more afterwards
    return resources.settled(shared.engine)


def _vary_code_caches(seed: int) -> None:
    """Give some guests a code cache so small that it is flushed again and again."""
    from jit import native

    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    original = native.NativeProcessor.__init__

    def init(self: native.NativeProcessor, **options: Any) -> None:
        size = _CODE_SIZES[-1] if rng.random() > _SMALL_CACHES else rng.choice(_CODE_SIZES)
        original(self, **({"code_size": size} | options))

    native.NativeProcessor.__init__ = init  # type: ignore[method-assign]


_speaking: Final = threading.Lock()


def say(message: dict[str, Any]) -> None:
    """One line to whoever has started this."""
    with _speaking:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def main(arguments: str) -> int:
    """Exit code 1 if there were complaints."""
    faulthandler.enable()
    crew = Crew(**json.loads(arguments))
    say({"end": crew.work(), "done": dict(crew.done)})
    return 1 if crew.complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
