"""Calls do in the jail what they do natively: each case of calls/*.c runs both ways, and says the same.

The host's kernel is the oracle. A case says on stdout what its calls returned and what came of them; see
calls/harness.h. What is known to differ is listed in calls/expected_failures.txt, and fails if it no longer does.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import vx32py
from reference.dispatch import TranslatingEngine

HERE = Path(__file__).resolve().parent / "calls"
#: Natively, a case is a user without privileges, as it is in the jail.
NOBODY = 65534
ENVIRONMENT = {"PATH": "/bin:/usr/bin"}
#: Where the guest finds its directory.
WORK = "/work"
#: Seconds; for what hangs.
PATIENCE = 10
#: The same for what is known to differ, and may hang each time.
LITTLE_PATIENCE = 1
#: Cases that are run on the engines that are there to be read, too: short ones, that take seconds there.
ELSEWHERE = (
    ("descriptors:dup_takes_the_lowest", "translated"),
    ("descriptors:dup_takes_the_lowest", "reference"),
    ("links:symbolic_links_are_followed", "reference"),
    ("memory:fixed_mappings_replace", "reference"),
    ("processes:exit_codes_reach_the_parent", "reference"),
    ("pipes:a_pipe_carries_bytes", "reference"),
    ("signals:a_handler_is_called", "reference"),
)


def cases() -> list[str]:
    """The names of all cases, from the sources: nothing need be compiled to collect the tests."""
    return [
        f"{source.stem}:{name}"
        for source in sorted(HERE.glob("*.c"))
        for name in re.findall(r"^CASE\((\w+)\)", source.read_text(), re.MULTILINE)
    ]


#: The first case of each file.
FIRST_CASES = {case.partition(":")[0]: case for case in reversed(cases())}.values()


@functools.cache
def expected_failures() -> dict[str, str]:
    """Case → how it differs."""
    lines = (HERE / "expected_failures.txt").read_text().splitlines()
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return {case: why for case, _, why in pairs}


#: A case that is not compared: the jail's answers are its own.
JAIL_ONLY = "attributes:extended_attributes_are_refused"


class Outcome(NamedTuple):
    """What a case said, and its exit code; 128 + n if signal n ended it."""

    said: list[str]
    exit_code: int | str


def compile_cases(folder: Path) -> Path:
    """All cases as one static program of 32 bits. Raises CalledProcessError."""
    options = ["-m32", "-O1", "-Wall", "-Wno-stringop-overflow", "-Wno-stringop-overread", "-Werror"]
    sources = sorted(HERE.glob("*.c"))
    objects = [folder / f"{source.stem}.o" for source in sources]

    def compile_one(source: Path, made: Path) -> None:
        subprocess.run(["gcc", *options, "-c", str(source), "-o", str(made)], check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources, objects))
    program = folder / "prog"
    subprocess.run(["gcc", "-m32", "-static", "-pthread", *map(str, objects), "-o", str(program)], check=True)
    return program


@contextmanager
def directory(program: Path) -> Iterator[Path]:
    """A new directory where anybody may go, with a link to the program."""
    folder = Path(tempfile.mkdtemp(prefix="vx32py-calls-"))
    try:
        os.link(program, folder / "prog")
        (folder / "private").mkdir()
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.chown(folder / "private", NOBODY, NOBODY)
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def natively(program: Path, case: str) -> Outcome:
    """Run a case as a process of the host's."""
    somebody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with directory(program) as folder:
        done = subprocess.run(
            ["./prog", str(folder), case],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            timeout=PATIENCE,
            check=False,
            **somebody,  # type: ignore[call-overload]
        )
    code = done.returncode
    return Outcome(done.stdout.decode(errors="replace").splitlines(), code if code >= 0 else 128 - code)


def in_the_jail(program: Path, case: str, engine: str) -> Outcome:
    """Run a case as a guest."""
    with directory(program) as folder:
        jail = vx32py.Jail(
            tmpfs={f"{WORK}/private": None}, dirs={WORK: vx32py.Grant(folder, writable=True)}, cwd=WORK, allow_exec=True, net="host", engine=engine,
            timeout=LITTLE_PATIENCE if case in expected_failures() else PATIENCE, env=ENVIRONMENT,
        )  # fmt: skip
        result = jail.run(["./prog", WORK, case])
    said = result.stdout.decode(errors="replace").splitlines()
    return Outcome(said, result.exit_code if result.exit_code is not None else str(result.trap))


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The compiled cases; the tests are skipped where there is no compiler for them."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    probe = tmp_path_factory.mktemp("probe") / "probe"
    source = "int main(void) { return 0; }"
    if subprocess.run(
        ["gcc", "-m32", "-static", "-xc", "-", "-o", str(probe)], input=source, text=True, check=False
    ).returncode:
        pytest.skip("gcc -m32 -static does not work: gcc-multilib is missing")
    folder = Path(tempfile.mkdtemp(prefix="vx32py-calls-"))
    try:
        folder.chmod(0o755)
        made = compile_cases(folder)
        if os.geteuid() == 0:
            os.chown(made, NOBODY, NOBODY)
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(native: Outcome, jail: Outcome) -> None:
    """Fail with the lines that differ."""
    if native != jail:
        one, other = ([*outcome.said, f"ends with {outcome.exit_code}"] for outcome in (native, jail))
        lines = difflib.unified_diff(one, other, "natively", "in the jail", n=1, lineterm="")
        pytest.fail("\n".join(lines), pytrace=False)


def known_to_differ(case: str) -> list[pytest.MarkDecorator]:
    """The mark of a case that is known to differ."""
    why = expected_failures().get(case)
    return [] if why is None else [pytest.mark.xfail(reason=why, strict=True)]


@pytest.fixture
def verified_in_part(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is the same each time: the verifier sees what the first case of each file runs, and no more of it."""
    if case not in FIRST_CASES:
        monkeypatch.setattr(TranslatingEngine, "verifier", None)


@pytest.mark.usefixtures("verified_in_part")
@pytest.mark.parametrize("case", [pytest.param(case, marks=known_to_differ(case)) for case in cases()])
def test_a_case_is_the_same_natively_and_in_the_jail(program: Path, case: str) -> None:
    compare(natively(program, case), in_the_jail(program, case, "jit"))


@pytest.mark.parametrize(
    ("case", "engine"),
    [pytest.param(*pair, marks=known_to_differ(pair[0]), id="-".join(pair)) for pair in ELSEWHERE],
)
def test_a_case_is_the_same_on_every_engine(program: Path, case: str, engine: str) -> None:
    compare(natively(program, case), in_the_jail(program, case, engine))


@pytest.mark.parametrize("case", [pytest.param(JAIL_ONLY, marks=known_to_differ(JAIL_ONLY))])
def test_the_jail_has_no_extended_attributes(program: Path, case: str) -> None:
    said, exit_code = in_the_jail(program, case, "jit")
    assert exit_code == 0
    assert [line.rpartition(" = ")[2] for line in said] == ["3", *["-1 EOPNOTSUPP"] * 7]


def test_the_program_has_the_cases_that_are_collected(program: Path) -> None:
    listed = subprocess.run([str(program), "--list"], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(listed) == sorted([*cases(), JAIL_ONLY])
    assert set(listed) >= {case for case, _ in ELSEWHERE} | set(expected_failures())
