"""The loop of a campaign: shards go out to a runner, results go into the store, and people are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from conformance.campaign.local import Done, Runner, Ticks
from conformance.campaign.plan import Shard
from conformance.campaign.progress import Progress
from conformance.campaign.store import Store


def run_campaign(
    store: Store,
    runner: Runner,
    progress: Progress,
    *,
    cases: int | None,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run the shards of ``store``'s plan that are not in it yet: those of the first ``cases`` cases, as many of them as can
    be begun in ``seconds``.

    Ends early with whatever the runner raises, or KeyboardInterrupt. The store has all shards that came back.
    """
    deadline = None if seconds is None else clock() + seconds

    def shards() -> Iterator[Shard]:
        for shard in store.plan.shards(cases, store.done()):
            if deadline is not None and clock() >= deadline:
                return
            yield shard

    for event in runner.run(shards()):
        if isinstance(event, Done):
            if store.add(event.shard, event.report):
                progress.done(event.shard, event.report)
        elif isinstance(event, Ticks):
            progress.ticks(event.worker, event.count)
        progress.beat()
