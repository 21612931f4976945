"""Shards on this machine: so many isolated processes, each with a thread that feeds it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Protocol, Self

from conformance.campaign.finding import ShardReport
from conformance.campaign.isolation import Isolated, Stopped
from conformance.campaign.plan import Shard
from conformance.campaign.shard import PATIENCE, PRELOAD, run_shard

#: How often a runner yields when nothing happens, in seconds.
HEARTBEAT: Final = 0.25


@dataclass(frozen=True, slots=True)
class Done:
    """A shard came back."""

    shard: Shard
    report: ShardReport


@dataclass(frozen=True, slots=True)
class Ticks:
    """A worker has begun with so many cases of its present shard."""

    worker: int
    count: int


Event = Done | Ticks | None


class Runner(Protocol):
    """Whatever runs shards somewhere."""

    #: What it runs them on, in words.
    where: str

    def run(self, shards: Iterator[Shard]) -> Iterator[Event]:
        """Run all of ``shards``, which is asked for the next one only when somebody is free to run it.

        Yields what happens, and None from time to time. Raises CannotRun.
        """

    def close(self) -> None:
        """End everything at once; shards that are under way are lost."""


class LocalRunner:
    """Runs shards in ``jobs`` processes. ``modules`` are those that make the cases."""

    def __init__(self, jobs: int, modules: Sequence[str] = (), *, patience: float = PATIENCE) -> None:
        self.where = f"{jobs} process{'es' if jobs > 1 else ''}"
        self._patience = patience
        self._events: SimpleQueue[Event | _Broken] = SimpleQueue()
        self._inboxes: list[SimpleQueue[Shard | None]] = [SimpleQueue() for _ in range(jobs)]
        self._processes: list[Isolated] = [Isolated((*PRELOAD, *modules)) for _ in range(jobs)]
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), name=f"worker {number}", daemon=True)
            for number in range(jobs)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, shards: Iterator[Shard]) -> Iterator[Event]:
        """Run all of ``shards``."""
        busy: dict[tuple[int, int, int], int] = {}
        idle = list(range(len(self._inboxes)))
        while True:
            while idle and (shard := next(shards, None)) is not None:
                worker = idle.pop()
                busy[shard.group, shard.number, shard.first] = worker
                self._inboxes[worker].put(shard)
            if not busy:
                return
            try:
                event = self._events.get(timeout=HEARTBEAT)
            except Empty:
                yield None
                continue
            if isinstance(event, _Broken):
                raise event.error
            if isinstance(event, Done):
                idle.append(busy.pop((event.shard.group, event.shard.number, event.shard.first)))
            yield event

    def _serve(self, worker: int) -> None:
        process = self._processes[worker]
        while (shard := self._inboxes[worker].get()) is not None:
            try:
                report = run_shard(
                    process,
                    shard,
                    patience=self._patience,
                    progress=lambda count: self._events.put(Ticks(worker, count)),
                )
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - raised again by whoever waits for events
                self._events.put(_Broken(error))
                return
            self._events.put(Done(shard, report))

    def close(self) -> None:
        """Stop the processes."""
        for process in self._processes:
            process.stop()
        for inbox in self._inboxes:
            inbox.put(None)
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Broken:
    """A worker cannot go on."""

    error: Exception
