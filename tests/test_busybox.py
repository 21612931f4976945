"""Busybox, a program of other people's making, prints in the jail what it prints natively: on every engine.

The engines that are there to be read get an integer-only machine. The C library in busybox asks CPUID which of its
string functions it may use, and on such a machine takes those that need no SSE, which these engines do not model.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import hashlib
from pathlib import Path

import pytest

import vx32py
from conformance import busybox
from vx32py import _engines

SMALL = 2000
#: Run on every engine; the others only where that is fast.
EVERYWHERE = (
    "sha256sum", "md5sum", "zcat", "bunzip2", "sort", "awk", "sed", "wc", "tr", "grep", "cut", "uniq", "base64", "od",
)  # fmt: skip
#: Of those, what the slowest engine does not run here; of some of them tests/test_fragments_of_programs.py has it run a smaller job.
NOT_MODELLED = ("zcat", "awk", "sed", "cut", "od")
FAST = "jit"
#: Run on megabytes; ``python -m conformance.busybox`` runs all of them on fifty.
LARGE = ("sha256sum", "gzip -d", "sort", "sed")
MEGABYTES = 10
#: sendfile64: a program that is told that there is none reads and writes.
REFUSED = {("linux", 239)}
#: Of the first MiB of text.
TEXT_DIGEST = "a08c3b8bf45c4128"
PIPELINE = "sort | uniq -c -w 3 | sort -rn | sed -n 1,5p | tr a-z A-Z"


@functools.cache
def program() -> Path:
    """Busybox; the test is skipped where it cannot be had or run."""
    try:
        found = busybox.fetch()
        busybox.native(found, ("true",), b"")
    except busybox.Unavailable as error:
        pytest.skip(str(error))
    return found


@functools.cache
def module() -> vx32py.Module:
    """Busybox as a guest."""
    return vx32py.Module.from_file(program())


@pytest.fixture
def fast_engine() -> str:
    """The jit engine; skipped where the host cannot run it."""
    if FAST not in vx32py.engines():
        pytest.skip(f"the {FAST} engine cannot run here: {_engines.unavailable(FAST)}")
    return FAST


def check(job: busybox.Job, size: int, engine: str, policy: vx32py.Policy | None) -> None:
    """Run a job both ways."""
    stdin = busybox.packed(job.input, size)
    expected = busybox.native(program(), job.args, stdin)
    # As little as it needs: two guests of 1 GiB, and those of other tests, need not find room below 4 GiB.
    memory = "64M" if size == SMALL else busybox.MEMORY
    result = busybox.guest(module(), job.args, stdin, engine=engine, policy=policy, memory=memory)
    assert result.describe() == "exit code 0", result.stderr
    assert set(result.stats.unknown_calls) <= REFUSED
    assert result.stderr == b""
    # Not compared as one expression: a difference of megabytes is no use in a report.
    agrees = result.stdout == expected
    assert agrees, f"{len(result.stdout)} bytes, {len(expected)} natively"


@pytest.mark.parametrize("job", [job for job in busybox.JOBS if job.name in EVERYWHERE], ids=lambda job: job.name)
@pytest.mark.parametrize("engine", [FAST, "reference"])
def test_applets_agree_with_the_native_program(engine: str, job: busybox.Job) -> None:
    check_on(engine, job)


@pytest.mark.parametrize(
    "job",
    [job for job in busybox.JOBS if job.name in EVERYWHERE and job.name not in NOT_MODELLED],
    ids=lambda job: job.name,
)
def test_applets_agree_with_the_native_program_where_translated_code_is_modelled(job: busybox.Job) -> None:
    check_on("translated", job)


def check_on(engine: str, job: busybox.Job) -> None:
    """Run a small job both ways; skipped where the engine cannot run."""
    reason = _engines.unavailable(engine)
    if reason is not None:
        pytest.skip(f"the {engine} engine cannot run here: {reason}")
    check(job, SMALL, engine, None)


@pytest.mark.ldt
@pytest.mark.parametrize("job", [job for job in busybox.JOBS if job.name not in EVERYWHERE], ids=lambda job: job.name)
def test_more_applets_agree_on_the_fast_engine(job: busybox.Job, fast_engine: str) -> None:
    check(job, SMALL, fast_engine, None)


@pytest.mark.slow
@pytest.mark.ldt
@pytest.mark.parametrize("name", LARGE)
def test_applets_agree_on_megabytes(name: str, fast_engine: str) -> None:
    check(busybox.job(name), MEGABYTES << 20, fast_engine, None)


@pytest.mark.ldt
@pytest.mark.parametrize("name", ["sha256sum", "sort", "bzip2"])
def test_an_integer_only_machine_makes_no_difference_to_integer_programs(name: str, fast_engine: str) -> None:
    check(busybox.job(name), 100 * SMALL, fast_engine, vx32py.Policy.integer_only())


@pytest.mark.ldt
def test_a_shell_runs_a_pipeline_of_applets(fast_engine: str) -> None:
    stdin = busybox.text(10 * SMALL)
    box = vx32py.Sandbox(engine=fast_engine, files={"/proc/self/exe": str(program())}, timeout=busybox.TIMEOUT)
    result = box.run(module(), ["sh", "-c", PIPELINE], stdin=stdin, name="busybox")
    assert (result.exit_code, result.stderr) == (0, b"")
    assert result.stdout == busybox.native(program(), ("sh", "-c", PIPELINE), stdin)


def test_what_the_jobs_run_on_is_the_same_every_time() -> None:
    assert hashlib.sha256(busybox.text(1 << 20)).hexdigest()[:16] == TEXT_DIGEST
    size = 5 << 20
    assert len(gzip.decompress(busybox.packed("gzip", size))) == size
    assert len(bz2.decompress(busybox.packed("bzip2", size))) == size
