"""Every hostile archive ends in a clear refusal: nothing is written outside of the target, the good members are extracted."""

from __future__ import annotations

import os
import resource
import stat
import threading
from pathlib import Path

import hostile
import hostile_decoders
import hostile_members
import hostile_structure
import pytest

from conformance.archives import forge
from vx32py.archive import Archive
from vx32py.archive.extracting import extract

CASES = hostile.cases(hostile_members.all_cases(), hostile_structure.all_cases(), hostile_decoders.all_cases())
#: What shows, on every engine, that a decoder is confined and its limits hold.
ON_ALL_ENGINES = [
    case
    for case in CASES
    if case.name.removeprefix("decoder that ")
    in {
        "loops", "exits with 1", "ud2", "int 0x80", "writes into its code", "jumps to nowhere", "runs its data", "writes something else",
        "writes without end", "stderr without end", "wants all memory", "forks", "opens /etc/passwd", "closes its output",
        "reads beyond its segment", "remembers what it saw", "remembers files of another mode", "writes its own code", "divides by zero",
    }
]  # fmt: skip
#: What all cases together may add to the memory that this process had at its fullest before, in KiB.
MOST_MEMORY = 400 << 10


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_hostile_archive_harms_nobody(case: hostile.Case, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    hostile.judge(case, tmp_path, "auto")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
    assert threading.active_count() < 10  # one of them watches the clock
    assert len(os.listdir("/proc/self/fd")) < 100  # engines keep the memory of some guests for the next ones


@pytest.mark.parametrize("case", ON_ALL_ENGINES, ids=str)
def test_a_hostile_decoder_harms_nobody_on_any_engine(case: hostile.Case, tmp_path: Path, engine_name: str) -> None:
    hostile.judge(case, tmp_path, engine_name)


def test_there_are_at_least_three_hundred_of_them() -> None:
    assert len({case.data() for case in CASES}) >= 300
    assert len(ON_ALL_ENGINES) == 19


def test_set_user_id_and_the_like_are_not_given(tmp_path: Path) -> None:
    entries = [
        forge.Entry(f"{mode:o}", b"#!", external=(0o100000 | mode) << 16) for mode in (0o4755, 0o2755, 0o1777, 0o7777)
    ]
    folder = forge.Entry("folder/", external=0o47777 << 16)
    (tmp_path / "archive").write_bytes(forge.archive(*entries, folder, forge.Entry("folder/x", b"")))
    with Archive(tmp_path / "archive") as archive:
        assert extract(archive, tmp_path / "target").ok
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "target").rglob("*")}
    mask = os.umask(0o077)
    os.umask(mask)
    kept = 0o777 & ~mask
    assert modes == {
        "4755": 0o755 & kept,
        "2755": 0o755 & kept,
        "1777": kept,
        "7777": kept,
        "folder": kept,
        "x": 0o644 & kept,
    }


def test_overwriting_replaces_what_is_in_the_way_and_nothing_behind_it(tmp_path: Path) -> None:
    target = hostile.make_world(tmp_path)
    os.symlink("../../outside/canary", target / "link")
    os.link(tmp_path / "canary", target / "hard")
    os.mkfifo(target / "fifo")
    (target / "folder").mkdir()
    before = {name: content[0] for name, content in hostile.around(tmp_path).items()}
    names = ("link", "hard", "fifo", "folder")
    data = forge.archive(*[forge.Entry(name, b"new") for name in names])
    (tmp_path / "outside" / "archive").write_bytes(data)
    with Archive(tmp_path / "outside" / "archive") as archive:
        done = extract(archive, target, overwrite=True)
    assert [(failure.name, failure.reason) for failure in done.failures] == [
        ("folder", "there is a folder of its name")
    ]
    assert hostile.contents(target) == {"link": b"new", "hard": b"new", "fifo": b"new", "folder/": None}
    after = {name: content[0] for name, content in hostile.around(tmp_path).items()}
    after.pop("outside/archive")
    assert after == before


@pytest.mark.parametrize("keep", [False, True])
def test_what_there_is_of_a_broken_file_is_kept_only_when_asked(tmp_path: Path, keep: bool) -> None:
    entry = forge.Entry("m", b"content", local={"crc": 1}, central={"crc": 1})
    (tmp_path / "archive").write_bytes(forge.archive(entry, hostile.good()))
    with Archive(tmp_path / "archive") as archive:
        done = extract(archive, tmp_path / "target", keep_broken=keep)
    assert [failure.name for failure in done.failures] == ["m"]
    assert done.failures[0].reason.endswith("; what there is of it is in 'm.broken'") == keep
    assert hostile.contents(tmp_path / "target") == {**hostile.GOOD, **({"m.broken": b"content"} if keep else {})}


def test_progress_adds_up_whatever_fails(tmp_path: Path) -> None:
    sizes: list[int] = []
    whole = forge.Entry("whole", b"x" * 1000, forge.DEFLATED)
    broken = forge.Entry("broken", b"x" * 500, forge.DEFLATED, payload=b"?")
    refused = forge.Entry("../refused", b"x" * 300)
    (tmp_path / "archive").write_bytes(forge.archive(whole, broken, refused))
    with Archive(tmp_path / "archive") as archive:
        done = extract(archive, tmp_path / "target", progress=sizes.append)
    assert done.bytes == 1000
    assert done.files == 1
    assert sum(sizes) == 1800
