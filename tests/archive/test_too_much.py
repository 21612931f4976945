"""There was no limit of how many folders an archive makes, nor of what all members together decode to; and what ``extract``
refuses, ``create`` had packed without a word."""

from __future__ import annotations

import os
from pathlib import Path

import hostile
import pytest
from click.testing import CliRunner, Result

from conformance.archives import forge
from vx32py import archive as archives
from vx32py.archive import ArchiveError, Limits
from vx32py.commands.archive import archive


def run(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(archive, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def folder(name: str) -> forge.Entry:
    """A folder, or a file if its name does not end as a folder's does."""
    return forge.Entry(name, external=0o40755 << 16 if name.endswith("/") else forge.FILE)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_a_few_bytes_of_names_do_not_become_a_million_folders(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "folders.zip"
    path.write_bytes(forge.archive(*(folder(f"{number}/" + "a/" * 255) for number in range(3_920))))
    assert path.stat().st_size < 5 << 20
    done = run("extract", "--to", target, path)
    assert done.exit_code == 125
    assert (
        done.stderr == f"vx32py: {path}: more than 1,000,000 files, folders and links would come of it (--max-files)\n"
    )
    assert not target.exists()


@pytest.mark.parametrize(("most", "works"), [(6, False), (7, True), (0, True)])
def test_folders_that_no_member_stands_for_count(tmp_path: Path, target: Path, most: int, works: bool) -> None:
    path = tmp_path / "it.zip"
    path.write_bytes(forge.archive(*map(folder, ("a/b/c/", "a/b/d", "a/e/f", "a/b/", "./g"))))
    done = run("extract", "-q", "--max-files", str(most), "--to", target, path)
    assert done.exit_code == (0 if works else 125)
    if works:
        assert sum(len(folders) + len(files) for _, folders, files in os.walk(target)) == 7


def test_many_small_bombs_are_a_large_one(tmp_path: Path, target: Path) -> None:
    """Each of them may decode to a gigabyte, as a file of zeros does."""
    decoder = hostile.good_decoder()
    entries = []
    for number in range(20):
        entry = hostile.decoded_entry(f"m{number}", b"x" * 50, decoder)
        entry.reference = {"size": 1 << 30}
        entry.central = entry.local = {"size": 1 << 30}
        entries.append(entry)
    path = tmp_path / "bombs.zip"
    path.write_bytes(forge.archive(decoder, *entries))
    for command in (["extract", "--to", str(target)], ["test"]):
        done = run(*command, path)
        assert done.exit_code == 125
        (line,) = done.stderr.splitlines()
        assert "1,000 bytes that decode to 21,474,836,480: more than 1100 times as many" in line
    assert not target.exists()


def test_the_sum_of_sizes_has_a_limit_if_one_is_wanted(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "it.zip"
    path.write_bytes(forge.archive(*(forge.Entry(f"m{number}", b"x" * 1000) for number in range(5))))
    for command in (["extract", "--to", str(target)], ["test"]):
        done = run(*command, "--max-total", "4999", path)
        assert (done.exit_code, done.stderr) == (
            125,
            f"vx32py: {path}: its members decode to 5,000 bytes, and 4,999 are allowed (--max-total)\n",
        )
        assert run(*command, "--max-total", "5000", path).exit_code == 0
    with pytest.raises(ArchiveError, match="4,999 are allowed"):
        archives.extract(path, target, limits=Limits(total=4999))
    assert run("extract", "--max-total", "1000", "--overwrite", "--to", target, path, "m3").exit_code == 0


def test_a_member_that_is_refused_by_itself_takes_the_others_nothing(tmp_path: Path, target: Path) -> None:
    decoder = hostile.good_decoder()
    entry = hostile.decoded_entry("m", b"x", decoder)
    entry.reference = {"size": (1 << 32) - 2}
    entry.central = entry.local = {"size": (1 << 32) - 2}
    path = tmp_path / "it.zip"
    path.write_bytes(forge.archive(hostile.good(), decoder, entry))
    assert run("extract", "--to", target, path).exit_code == 1
    assert hostile.contents(target) == hostile.GOOD


def test_create_says_what_extract_will_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "plain").write_bytes(b"x")
    (source / "fine").symlink_to("plain")
    (source / "line\nbreak").write_bytes(b"x")
    for name in ("passwd", "group", "hosts"):
        (source / name).symlink_to(f"/etc/{name}")
    (source / "out").symlink_to("../../x")
    with open(os.fsencode(source) + b"/\xff", "wb"):
        pass
    monkeypatch.chdir(tmp_path)
    done = run("create", "--codec", "none", "it.zip", "source")
    assert done.exit_code == 0  # all is in it
    assert done.stderr.splitlines() == [
        "vx32py: it.zip: extract will refuse 'source/group' and 2 more: a link to an absolute path",
        "vx32py: it.zip: extract will refuse 'source/line\\\\nbreak': its name contains control characters",
        "vx32py: it.zip: extract will refuse 'source/out': a link that leads out of the target directory",
        "vx32py: it.zip: extract will refuse 'source/\\\\udcff': its name is not UTF-8",
    ]
    refused = archives.extract("it.zip", "target").failures
    assert len(refused) == 6


def test_create_says_that_all_together_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vx32py.archive import limits

    (tmp_path / "zeros").write_bytes(bytes(10_000))
    (tmp_path / "more").write_bytes(bytes(10_000))
    monkeypatch.setattr(limits.Limits.__init__, "__defaults__", _with(limits.Limits, free_total=15_000, ratio=2.0))
    monkeypatch.chdir(tmp_path)
    report = archives.create("it.zip", ["zeros", "more"], limits=Limits(ratio=None))
    (warning,) = report.warnings
    assert warning.startswith("extract will refuse the archive: ")
    assert warning.endswith("(--max-ratio)")


def _with(kind: type, **values: object) -> tuple[object, ...]:
    """The defaults of a record's constructor, some of them others."""
    import inspect

    parameters = list(inspect.signature(kind).parameters.values())
    return tuple(values.get(each.name, each.default) for each in parameters)
