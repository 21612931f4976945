"""Shards on a Dask cluster.

Every thread of a Dask worker has an isolated process of its own, so a case that kills its process does not kill the
worker. Dask's scheduler hands the shards of a worker that is lost to another one; a shard is a pure function of what it is
made from, so that a second run of it gives the same result, and each future delivers once.

The workers need this package in the same version, with the same instruction table.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any, Final
from uuid import uuid4

from conformance.campaign.finding import ShardReport
from conformance.campaign.isolation import Isolated, Stopped
from conformance.campaign.local import HEARTBEAT, Done, Event
from conformance.campaign.plan import Shard, table_fingerprint
from conformance.campaign.shard import PATIENCE, PRELOAD, CannotRun, run_shard

#: How long to wait for the scheduler, and for the first worker, in seconds.
_CONNECT: Final = 10.0
_WORKERS: Final = 30.0
#: Shards under way for each thread of the cluster: one that runs and one that is there when it ends.
_AHEAD: Final = 2
#: How often the cluster's threads are counted, in seconds: workers come and go.
_COUNT_EVERY: Final = 1.0
#: How often a shard is submitted again after Dask has given it up, since several workers were lost with it.
_RETRIES: Final = 3

_local = threading.local()


def remote(shard: Shard, fingerprint: str, patience: float) -> ShardReport:
    """Run a shard on a worker of the cluster."""
    if fingerprint != table_fingerprint():
        raise CannotRun("a worker of the cluster has another version of the instruction table")
    process: Isolated | None = getattr(_local, "process", None)
    if process is None:
        process = _local.process = Isolated((*PRELOAD, shard.module))
    try:
        return run_shard(process, shard, patience=patience)
    except Stopped:
        process.close()
        _local.process = None
        raise


class ClusterRunner:
    """Runs shards on the workers of a Dask scheduler. Raises CannotRun where it cannot be reached or has no workers."""

    def __init__(self, address: str, *, patience: float = PATIENCE) -> None:
        try:
            distributed: Any = import_module("distributed")
        except ImportError as error:
            raise CannotRun("--cluster needs Dask: pip install 'vx32py[cluster]'") from error
        for name in ("distributed", "distributed.client"):  # what they would say, CannotRun says in one line
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.where = f"cluster {address}"
        self._patience = patience
        self._campaign = uuid4().hex[:8]
        self._threads, self._counted = 1, -_COUNT_EVERY
        try:
            self._client = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise CannotRun(f"no Dask scheduler at {address}: {error}") from error
        try:
            self._client.wait_for_workers(1, timeout=_WORKERS)
        except TimeoutError as error:
            self._client.close()
            raise CannotRun(f"the cluster {address} has no workers") from error

    def run(self, shards: Iterator[Shard]) -> Iterator[Event]:
        """Run all of ``shards``."""
        try:
            yield from self._run(shards)
        except OSError as error:
            raise CannotRun(f"{self.where} is lost: {error}") from error

    def _run(self, shards: Iterator[Shard]) -> Iterator[Event]:
        finished: SimpleQueue[Any] = SimpleQueue()
        under_way: dict[str, Shard] = {}
        retries: Counter[str] = Counter()
        more = True
        while True:
            while more and len(under_way) < self._room():
                shard = next(shards, None)
                if shard is None:
                    more = False
                else:
                    self._submit(shard, 0, under_way, finished)
            if not under_way:
                return
            try:
                future = finished.get(timeout=HEARTBEAT)
            except Empty:
                yield None
                continue
            shard = under_way.pop(future.key)
            try:
                report = future.result()
            except (CannotRun, OSError):
                raise
            except Exception as error:
                # The workers that had it were lost, or the scheduler was.
                retries[shard.name] += 1
                if retries[shard.name] > _RETRIES:
                    raise CannotRun(f"{self.where} gave up {shard.name}: {error}") from error
                self._submit(shard, retries[shard.name], under_way, finished)
            else:
                yield Done(shard, report)

    def _room(self) -> int:
        """How many shards are to be under way."""
        now = time.monotonic()
        if now - self._counted > _COUNT_EVERY:
            self._counted, self._threads = now, sum(self._client.nthreads().values())
        return _AHEAD * max(1, self._threads)

    def _submit(self, shard: Shard, attempt: int, under_way: dict[str, Shard], finished: SimpleQueue[Any]) -> None:
        key = f"vx32py-fuzz-{self._campaign}-{shard.name}-{attempt}"
        future = self._client.submit(remote, shard, table_fingerprint(), self._patience, key=key, pure=False)
        under_way[key] = shard
        future.add_done_callback(finished.put)

    def close(self) -> None:
        """Leave the cluster; what its workers have begun they finish for nobody."""
        self._client.close()
