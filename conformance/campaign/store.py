"""The file of a campaign: what it is, which shards are done, and what they found.

It is an SQLite database. A shard goes in with one transaction, or not at all, so the file is consistent whenever the
campaign ends, and a shard that is delivered twice counts once. The instruction table as it was is in the file too: a report
can be made from a store long after the table has changed.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from conformance.campaign.finding import Cause, Finding, ShardReport
from conformance.campaign.plan import Plan, Shard, table_fingerprint
from reference.isa.instruction import Kind
from reference.isa.opcodes import ROWS
from vx32py._doctor import processor_name

SCHEMA_VERSION: Final = 1
#: Marks a file as one of these (``PRAGMA application_id``): "vx32" in ASCII.
APPLICATION_ID: Final = 0x76783332

_SCHEMA: Final = """
CREATE TABLE campaign (
    plan TEXT NOT NULL, cases INTEGER, fingerprint TEXT NOT NULL, host TEXT NOT NULL, started TEXT NOT NULL
);
CREATE TABLE instruction (
    number INTEGER PRIMARY KEY, opcode TEXT NOT NULL, mnemonic TEXT NOT NULL, operands TEXT NOT NULL,
    grouping TEXT NOT NULL, kind TEXT NOT NULL
);
CREATE TABLE shard (
    grouping INTEGER NOT NULL, number INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    cases INTEGER NOT NULL, elapsed REAL NOT NULL, generating REAL NOT NULL, killed INTEGER NOT NULL,
    lost INTEGER NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (grouping, number, first)
);
CREATE TABLE judged (
    grouping INTEGER NOT NULL, oracle TEXT NOT NULL, instruction INTEGER NOT NULL, cases INTEGER NOT NULL,
    PRIMARY KEY (grouping, oracle, instruction)
) WITHOUT ROWID;
CREATE TABLE unjudged (
    grouping INTEGER NOT NULL, oracle TEXT NOT NULL, reason TEXT NOT NULL, cases INTEGER NOT NULL,
    PRIMARY KEY (grouping, oracle, reason)
) WITHOUT ROWID;
CREATE TABLE reason (
    grouping INTEGER NOT NULL, oracle TEXT NOT NULL, instruction INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (grouping, oracle, instruction)
) WITHOUT ROWID;
CREATE TABLE seconds (
    grouping INTEGER NOT NULL, oracle TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (grouping, oracle)
) WITHOUT ROWID;
CREATE TABLE finding (
    instruction INTEGER NOT NULL, subject TEXT NOT NULL, oracles TEXT NOT NULL, kinds TEXT NOT NULL,
    shard INTEGER NOT NULL, number INTEGER NOT NULL, label TEXT NOT NULL, found TEXT NOT NULL, text TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (instruction, subject, oracles, kinds)
) WITHOUT ROWID;
"""

_CAUSE: Final = "instruction = ? AND subject = ? AND oracles = ? AND kinds = ?"


class StoreError(Exception):
    """A file that cannot be a store, or not for this campaign. The message is one line and names the file."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the instruction table as it was when the campaign began."""

    number: int
    opcode: str
    mnemonic: str
    operands: str
    group: str
    kind: str

    @property
    def refused(self) -> bool:
        """Whether no engine executes it."""
        return self.kind == Kind.REFUSE.value


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the shards of a group of oracles. ``seconds`` is the time of the processes that ran them,
    ``generating`` the part of it in which cases were made, ``killed`` the number of cases that ended their process,
    ``lost`` that of processes lost without a case to blame."""

    shards: int = 0
    cases: int = 0
    seconds: float = 0.0
    generating: float = 0.0
    killed: int = 0
    lost: int = 0


class Store:
    """An open store. :meth:`create` and :meth:`open` make one; ``:memory:`` is a store without a file."""

    def __init__(self, connection: sqlite3.Connection, path: str, plan: Plan) -> None:
        self._db = connection
        self.path = path
        self.plan = plan

    # -- opening -----------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str, plan: Plan) -> Self:
        """A new store. Raises StoreError where the file exists or cannot be made."""
        if path != ":memory:":
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                raise StoreError(f"{path} exists: --resume goes on with it") from None
            except OSError as error:
                raise StoreError(f"{path}: {error.strerror or error}") from error
        with _errors(path):
            db = sqlite3.connect(path, isolation_level=None)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(
                "INSERT INTO campaign VALUES (?, NULL, ?, ?, strftime('%Y-%m-%d %H:%M:%S UTC', 'now'))",
                (plan.to_json(), table_fingerprint(), host()),
            )
            db.executemany(
                "INSERT INTO instruction VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (row.index, row.opcode, row.mnemonic, ",".join(row.operands), row.group.value, row.kind.value)
                    for row in ROWS
                ),
            )
            db.execute("COMMIT")
        return cls(db, path, plan)

    @classmethod
    def open(cls, path: str) -> Self:
        """An existing store. Raises StoreError."""
        if not Path(path).is_file():
            raise StoreError(f"{path}: {'not a file' if Path(path).exists() else 'no such file'}")
        with _errors(path):
            # Not read-only where it can be helped: SQLite may have to undo what a killed campaign left half written.
            mode = "rw" if os.access(path, os.W_OK) else "ro"
            db = sqlite3.connect(f"file:{quote(os.path.abspath(path))}?mode={mode}", uri=True, isolation_level=None)
            try:
                return cls(db, path, _plan(db, path))
            except BaseException:
                db.close()
                raise

    def check_table(self) -> None:
        """Raise StoreError unless the instruction table is what it was: otherwise shards would not be comparable."""
        (fingerprint,) = self._db.execute("SELECT fingerprint FROM campaign").fetchone()
        if fingerprint != table_fingerprint():
            raise StoreError(f"{self.path} was made with another instruction table: begin a new store")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing -----------------------------------------------------------------------------------------------------

    def add(self, shard: Shard, report: ShardReport) -> bool:
        """Take in a shard, whole; False where it is there already. Raises StoreError where the file cannot be written."""
        with _errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                new = self._insert(shard, report)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        return new

    def _insert(self, shard: Shard, report: ShardReport) -> bool:
        db, group = self._db, shard.group
        done = db.execute(
            "INSERT OR IGNORE INTO shard VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, strftime('%Y-%m-%d %H:%M:%S UTC', 'now'))",
            (
                group,
                shard.number,
                shard.first,
                shard.end,
                report.cases,
                report.elapsed,
                report.generating,
                report.killed,
                report.lost,
            ),
        )
        if not done.rowcount:
            return False
        db.executemany(
            "INSERT INTO judged VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET cases = cases + excluded.cases",
            [(group, oracle, row, n) for oracle, rows in report.judged.items() for row, n in rows.items()],
        )
        db.executemany(
            "INSERT INTO unjudged VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET cases = cases + excluded.cases",
            [(group, oracle, why, n) for oracle, reasons in report.unjudged.items() for why, n in reasons.items()],
        )
        db.executemany(
            "INSERT INTO reason VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET reason = min(reason, excluded.reason)",
            [(group, oracle, row, why) for oracle, rows in report.reasons.items() for row, why in rows.items()],
        )
        db.executemany(
            "INSERT INTO seconds VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds",
            [(group, oracle, seconds) for oracle, seconds in report.seconds.items()],
        )
        for finding in report.findings:
            self._insert_finding(finding)
        return True

    def _insert_finding(self, finding: Finding) -> None:
        """Count it, and keep the case that comes first in the order of shards, whichever came back first."""
        db, cause = self._db, finding.cause
        key = (cause.row, cause.subject, cause.oracles, cause.kinds)
        old = db.execute(f"SELECT shard, number, count FROM finding WHERE {_CAUSE}", key).fetchone()  # noqa: S608
        if old is not None and old[:2] < (finding.shard, finding.number):
            db.execute(f"UPDATE finding SET count = count + ? WHERE {_CAUSE}", (finding.count, *key))  # noqa: S608
            return
        count = finding.count + (old[2] if old is not None else 0)
        found = json.dumps(finding.found)
        db.execute(
            "INSERT OR REPLACE INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, finding.shard, finding.number, finding.label, found, finding.text, count),
        )

    def set_goal(self, cases: int | None) -> None:
        """Note how many cases the campaign is to have; None if it ends with the time that it is given."""
        with _errors(self.path):
            self._db.execute("UPDATE campaign SET cases = ?", (cases,))

    # -- reading -----------------------------------------------------------------------------------------------------

    def goal(self) -> int | None:
        """How many cases the campaign is to have."""
        with _errors(self.path):
            (cases,) = self._db.execute("SELECT cases FROM campaign").fetchone()
            return None if cases is None else int(cases)

    def done(self) -> dict[tuple[int, int], int]:
        """Up to which case each (group, number) has been done."""
        with _errors(self.path):
            rows = self._db.execute("SELECT grouping, number, max(last) FROM shard GROUP BY grouping, number")
            return {(group, number): last for group, number, last in rows}

    def totals(self) -> list[Totals]:
        """One for each group of oracles."""
        query = "SELECT grouping, count(*), sum(cases), sum(elapsed), sum(generating), sum(killed), sum(lost) FROM shard GROUP BY grouping"
        with _errors(self.path):
            found = {group: Totals(*sums) for group, *sums in self._db.execute(query)}
        return [found.get(group, Totals()) for group in range(len(self.plan.oracles))]

    def table(self) -> list[TableRow]:
        """The instruction table."""
        with _errors(self.path):
            return [TableRow(*row) for row in self._db.execute("SELECT * FROM instruction ORDER BY number")]

    def judged(self) -> dict[tuple[int, str], dict[int, int]]:
        """Cases by (group, oracle) and row of the instruction table."""
        return self._nested("SELECT grouping, oracle, instruction, cases FROM judged")

    def unjudged(self) -> dict[tuple[int, str], dict[str, int]]:
        """Cases that an oracle could not judge, by (group, oracle) and reason."""
        return self._nested("SELECT grouping, oracle, reason, cases FROM unjudged ORDER BY cases DESC, reason")

    def reasons(self) -> dict[tuple[int, str], dict[int, str]]:
        """Why an oracle could not judge cases of a row, by (group, oracle) and row."""
        return self._nested("SELECT grouping, oracle, instruction, reason FROM reason")

    def seconds(self) -> dict[tuple[int, str], float]:
        """Time spent in an oracle, by (group, oracle)."""
        with _errors(self.path):
            rows = self._db.execute("SELECT grouping, oracle, seconds FROM seconds")
            return {(group, oracle): seconds for group, oracle, seconds in rows}

    def findings(self) -> list[Finding]:
        """The divergences, one for each cause, in the order of the instruction table."""
        query = "SELECT * FROM finding ORDER BY instruction, subject, oracles, kinds"
        with _errors(self.path):
            return [
                Finding(
                    Cause(row, subject, oracles, kinds), shard, number, label, tuple(json.loads(found)), text, count
                )
                for row, subject, oracles, kinds, shard, number, label, found, text, count in self._db.execute(query)
            ]

    def made(self) -> tuple[str, str]:
        """On which host the campaign began, and when."""
        with _errors(self.path):
            on, at = self._db.execute("SELECT host, started FROM campaign").fetchone()
            return on, at

    def _nested(self, query: str) -> dict[tuple[int, str], dict[Any, Any]]:
        found: dict[tuple[int, str], dict[Any, Any]] = defaultdict(dict)
        with _errors(self.path):
            for group, oracle, key, value in self._db.execute(query):
                found[group, oracle][key] = value
        return dict(found)


def _plan(db: sqlite3.Connection, path: str) -> Plan:
    """The plan in a file, if it is a store of this version."""
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    if mark != APPLICATION_ID:
        raise StoreError(f"{path} is not the store of a campaign")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path} has schema version {version}; this is version {SCHEMA_VERSION}")
    try:
        (text,) = db.execute("SELECT plan FROM campaign").fetchone()
        return Plan.from_json(text)
    except (TypeError, ValueError, KeyError) as error:
        raise StoreError(f"{path} is damaged: it does not say what campaign it is of") from error


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """SQLite's errors as ours: a file that is no database, a full disk, another process that has it locked."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def host() -> str:
    """The processor and the Python of this host, in words."""
    return f"{processor_name()}, {platform.system()}, Python {platform.python_version()}"
