"""Campaigns on a Dask cluster: a scheduler and workers in processes of their own, of which some are killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import fuzz
from conformance.campaign import plan as plans
from conformance.campaign.cluster import ClusterRunner
from conformance.campaign.finding import ShardReport
from conformance.campaign.local import Done, LocalRunner, Runner
from conformance.campaign.plan import Plan
from conformance.campaign.shard import CannotRun

pytest.importorskip("distributed", reason="needs Dask, which the `test` extra installs")

ROOT = Path(__file__).resolve().parents[2]


class Cluster:
    """A scheduler, and workers that tests may kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"
        )

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        module = f"distributed.cli.dask_{what}"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def add_worker(self) -> subprocess.Popen[bytes]:
        """One more, with one thread."""
        worker = self._start("worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with contextlib.closing(Cluster(tmp_path_factory.mktemp("dask"))) as made:
        made.add_worker()
        made.add_worker()
        yield made


@pytest.fixture(autouse=True)
def fake_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(plans.KINDS, "isa", "fake_campaign")
    monkeypatch.setattr(plans, "_SHARD_CASES", 50)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def results(runner: Runner, plan: Plan, cases: int) -> dict[tuple[int, int], ShardReport]:
    found: dict[tuple[int, int], ShardReport] = {}
    for event in runner.run(plan.shards(cases)):
        if isinstance(event, Done):
            key = event.shard.group, event.shard.number
            assert key not in found
            event.report.elapsed, event.report.seconds, event.report.lost = 0.0, {}, 0
            found[key] = event.report
    return found


def test_a_cluster_finds_what_one_machine_finds(cluster: Cluster) -> None:
    plan = Plan("isa", 3, (("steady", "wrong"), ("steady", "dying")), 15)
    with contextlib.closing(ClusterRunner(cluster.address)) as runner:
        found = results(runner, plan, 60)
    with LocalRunner(1) as runner_here:
        assert found == results(runner_here, plan, 60)
    assert len(found) == 8
    assert any(report.findings for report in found.values())


def test_a_worker_that_is_killed_loses_no_shard_and_doubles_none(cluster: Cluster) -> None:
    plan = Plan("isa", 4, (("slow", "wrong"),), 100)
    victim = cluster.add_worker()

    def strike() -> None:
        time.sleep(1.5)
        victim.send_signal(signal.SIGKILL)
        victim.wait()

    killer = threading.Thread(target=strike)
    with contextlib.closing(ClusterRunner(cluster.address)) as runner:
        runner._client.wait_for_workers(3, timeout=100)
        killer.start()
        found = results(runner, plan, 2500)
        killer.join()
    assert sorted(found) == [(0, number) for number in range(25)]
    assert sum(report.cases for report in found.values()) == 2500
    with LocalRunner(2) as runner_here:
        assert found == results(runner_here, plan, 2500)


def test_the_command_runs_on_a_cluster(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["isa", "--oracles", "steady,wrong", "--cluster", cluster.address, "--store", "s.db"]
    assert fuzz.main([*options, "--count", "120"]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"steady / wrong +120 +3", out)
    assert err.splitlines()[-1].startswith("120 of 120 cases")
    assert fuzz.main(["isa", "--resume", "--store", "s.db", "--cluster", cluster.address, "--count", "200"]) == 1
    assert re.search(r"steady / wrong +200 +", capsys.readouterr().out)


def test_an_oracle_that_no_worker_has_is_125(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.KINDS, "isa", "no_such_module")
    plan = Plan("isa", 4, (("slow", "wrong"),), 100)
    with contextlib.closing(ClusterRunner(cluster.address)) as runner, pytest.raises(CannotRun, match="no_such_module"):
        results(runner, plan, 100)


def test_workers_with_another_instruction_table_are_found_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.campaign.cluster.table_fingerprint", lambda: "another")
    plan = Plan("isa", 4, (("slow", "wrong"),), 100)
    with (
        contextlib.closing(ClusterRunner(cluster.address)) as runner,
        pytest.raises(CannotRun, match="another version"),
    ):
        results(runner, plan, 100)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x"])
def test_no_cluster_is_told_in_one_line(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("conformance.campaign.cluster._CONNECT", 0.5)
    assert fuzz.main(["isa", "--oracles", "steady,wrong", "--cluster", address, "--count", "10"]) == 125
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"vx32py: fuzz: no Dask scheduler at {address}")


def test_a_scheduler_without_workers_or_lost_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(Cluster(tmp_path)) as short_lived:
        with monkeypatch.context() as patch:
            patch.setattr("conformance.campaign.cluster._WORKERS", 0.2)
            with pytest.raises(CannotRun, match="has no workers"):
                ClusterRunner(short_lived.address)
        short_lived.add_worker()
        with contextlib.closing(ClusterRunner(short_lived.address)) as runner:
            events = runner.run(Plan("isa", 4, (("slow", "wrong"),), 100).shards(None))
            next(event for event in events if isinstance(event, Done))
            runner._client._timeout = 1  # for as long it tries to come back
            short_lived.scheduler.kill()
            with pytest.raises(CannotRun, match=r"gave up|lost"):
                list(events)
