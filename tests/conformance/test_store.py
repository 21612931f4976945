"""The file of a campaign: whole shards or none, each of them once, and nothing else is taken for one."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.campaign.finding import Cause, Finding, ShardReport
from conformance.campaign.plan import Plan, Shard
from conformance.campaign.store import SCHEMA_VERSION, Store, StoreError, Totals
from reference.isa.opcodes import ROWS

PLAN = Plan("isa", 7, (("steady", "calm"), ("steady", "wrong")), 100)
ADD = Cause(3, "add", "steady/wrong", "register")
FILES = Path(__file__).resolve().parent.parent


def shards(cases: int) -> list[Shard]:
    return list(PLAN.shards(cases))


def report_of(shard: Shard) -> ShardReport:
    """Some numbers that are different for each shard."""
    number = 10 * shard.group + shard.number + 1
    return ShardReport(
        shard.end - shard.first,
        {"steady": {0: number, 5: 1}, shard.oracles[1]: {0: number}},
        {shard.oracles[1]: {"out of its depth": number}},
        {shard.oracles[1]: {5: "out of its depth"}},
        {"steady": 0.25, shard.oracles[1]: 0.5},
        [Finding(ADD, shard.number, number, f"case {number}", ("eax: 1 or 2",), f"text {number}", number)],
        generating=0.5,
        elapsed=1.5,
        killed=2,
        lost=1,
    )


def contents(store: Store) -> list[object]:
    """All that a report is made from."""
    return [
        store.done(), store.totals(), store.judged(), store.unjudged(), store.reasons(), store.seconds(), store.findings(),
    ]  # fmt: skip


def test_a_store_gives_back_what_it_was_given(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with Store.create(path, PLAN) as store:
        store.set_goal(250)
        for shard in shards(250):
            assert store.add(shard, report_of(shard))
        before = contents(store)
    with Store.open(path) as store:
        assert contents(store) == before
        assert store.plan == PLAN
        assert store.goal() == 250
        assert store.done() == {(0, 0): 100, (1, 0): 100, (0, 1): 100, (1, 1): 100, (0, 2): 50, (1, 2): 50}
        assert store.judged()[0, "steady"] == {0: 1 + 2 + 3, 5: 3}
        assert store.judged()[1, "wrong"] == {0: 11 + 12 + 13}
        assert store.unjudged()[0, "calm"] == {"out of its depth": 1 + 2 + 3}
        assert store.reasons()[0, "calm"] == {5: "out of its depth"}
        assert store.seconds()[1, "wrong"] == 1.5
        assert store.totals() == [Totals(3, 250, 4.5, generating=1.5, killed=6, lost=3)] * 2
        assert len(store.table()) == len(ROWS)
        assert store.table()[3].mnemonic == ROWS[3].mnemonic


def test_results_do_not_depend_on_the_order_of_shards() -> None:
    found = []
    for order in itertools.islice(itertools.permutations(shards(200)), 0, 24, 5):
        with Store.create(":memory:", PLAN) as store:
            for shard in order:
                store.add(shard, report_of(shard))
            found.append(contents(store))
            (finding,) = store.findings()
    assert all(each == found[0] for each in found)
    assert (finding.shard, finding.number, finding.text, finding.count) == (0, 1, "text 1", 1 + 2 + 11 + 12)


def test_a_shard_that_comes_twice_counts_once() -> None:
    with Store.create(":memory:", PLAN) as store:
        (shard, *_) = shards(100)
        assert store.add(shard, report_of(shard))
        before = contents(store)
        assert not store.add(shard, report_of(shard))
        assert contents(store) == before


def test_a_shard_that_cannot_be_written_whole_is_not_written_at_all() -> None:
    with Store.create(":memory:", PLAN) as store:
        one, other, *_ = shards(100)
        store.add(one, report_of(one))
        before = contents(store)
        broken = report_of(other)
        broken.seconds["steady"] = None  # type: ignore[assignment]
        with pytest.raises(StoreError):
            store.add(other, broken)
        assert contents(store) == before


def test_a_store_is_whole_after_its_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    script = (
        "import itertools, sys\n"
        "from test_store import *\n"
        "with Store.create(sys.argv[1], PLAN) as store:\n"
        "    for shard in PLAN.shards(None):\n"
        "        store.add(shard, report_of(shard))\n"
    )
    where = os.pathsep.join((str(FILES / "conformance"), str(FILES.parent)))
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], env={**os.environ, "PYTHONPATH": where}, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and (not path.exists() or path.stat().st_size == 0 or shards_in(path) < 5):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Store.open(str(path)) as store:
        done = store.done()
        assert len(done) >= 5
        with Store.create(":memory:", PLAN) as again:
            for shard in PLAN.shards(None):
                if (shard.group, shard.number) not in done:
                    break
                again.add(shard, report_of(shard))
            assert contents(store) == contents(again)


def shards_in(path: Path) -> int:
    try:
        with Store.open(str(path)) as store:
            return len(store.done())
    except StoreError:
        return 0  # locked, or not begun


def make_text(path: Path) -> None:
    path.write_text("dear diary")


def make_empty(path: Path) -> None:
    path.touch()


def make_foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text TEXT)")
    db.close()


def make_newer(path: Path) -> None:
    Store.create(str(path), PLAN).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()


def make_damaged(path: Path) -> None:
    Store.create(str(path), PLAN).close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def make_planless(path: Path) -> None:
    Store.create(str(path), PLAN).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE campaign SET plan = '{}'")
    db.close()


def make_folder(path: Path) -> None:
    path.mkdir()


def make_nothing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (make_text, "file is not a database"),
        (make_empty, "is not the store of a campaign"),
        (make_foreign, "is not the store of a campaign"),
        (make_newer, f"has schema version {SCHEMA_VERSION + 1}; this is version {SCHEMA_VERSION}"),
        (make_damaged, "malformed"),
        (make_planless, "is damaged"),
        (make_folder, "not a file"),
        (make_nothing, "no such file"),
    ],
)
def test_what_is_no_store_is_refused_in_one_line(make: object, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    make(path)  # type: ignore[operator]
    with pytest.raises(StoreError, match=complaint) as caught, Store.open(str(path)):
        pass
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    make_text(path)
    with pytest.raises(StoreError, match="exists: --resume goes on with it"):
        Store.create(str(path), PLAN)
    assert path.read_text() == "dear diary"
    with pytest.raises(StoreError, match="No such file or directory"):
        Store.create(str(tmp_path / "nowhere" / "s.db"), PLAN)


def test_shards_of_another_instruction_table_are_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.create(str(path), PLAN).close()
    with Store.open(str(path)) as store:
        store.check_table()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE campaign SET fingerprint = 'another'")
    db.close()
    with Store.open(str(path)) as store, pytest.raises(StoreError, match="another instruction table"):
        store.check_table()


def test_a_store_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.create(str(path), PLAN).close()
    path.chmod(0o444)
    with Store.open(str(path)) as store:
        assert store.plan == PLAN
