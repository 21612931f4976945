"""Other ZIP tools and our archives: what they read of ours, which docs/archive.md has in a table, and we of theirs."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vx32py import archive
from vx32py.archive import records
from vx32py.archive.writer import Packed, Writer, headers

pytestmark = pytest.mark.usefixtures("built_decoders")

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(400))


def require(*tools: str) -> None:
    """Skip a test whose tools are missing; not where CI sees to it that they are there."""
    for tool in tools:
        if shutil.which(tool) is None:
            assert not os.environ.get("CI"), f"{tool} is missing"
            pytest.skip(f"{tool} is not installed")


def by_unzip(path: Path, name: str) -> bytes | None:
    require("unzip")
    done = subprocess.run(["unzip", "-p", str(path), name], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def by_7z(path: Path, name: str) -> bytes | None:
    require("7z")
    done = subprocess.run(
        ["7z", "e", "-so", str(path), name], capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout if done.returncode == 0 else None


def by_zipfile(path: Path, name: str) -> bytes | None:
    with zipfile.ZipFile(path) as opened:
        try:
            return opened.read(name)
        except NotImplementedError:
            return None


TOOLS: dict[str, Callable[[Path, str], bytes | None]] = {"unzip": by_unzip, "7z": by_7z, "zipfile": by_zipfile}
#: Method → who reads it. Python's zipfile reads zstd as well, from 3.14 on.
READS = {
    "stored": {"unzip", "7z", "zipfile"},
    "deflate": {"unzip", "7z", "zipfile"},
    "bzip2": {"unzip", "7z", "zipfile"},
    "xz": {"7z"},
    "zstd": {"7z", "zipfile"} if sys.version_info >= (3, 14) else {"7z"},
    "brotli": set(),
}


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize("tool", TOOLS)
def test_who_reads_which_method(tool: str, method: str, tmp_path: Path) -> None:
    (tmp_path / "é.txt").write_bytes(TEXT)
    path = tmp_path / "it.zip"
    archive.create(path, [tmp_path / "é.txt"], codecs=[] if method == "stored" else [method])
    name = archive.list(path)[0].name
    assert TOOLS[tool](path, name) == (TEXT if tool in READS[method] else None)


def test_the_page_says_who_reads_which_method() -> None:
    page = (ROOT / "docs" / "archive.md").read_text()
    for method, tools in READS.items():
        (row,) = re.findall(rf"^\| {method} \|.*\|$", page, re.MULTILINE)
        said = {
            tool for tool, cell in zip(("unzip", "7z", "zipfile"), row.split("|")[4:7], strict=True) if "yes" in cell
        }
        assert said == tools - ({"zipfile"} if method == "zstd" else set())


def test_all_tools_list_all_members_and_no_decoder(tmp_path: Path) -> None:
    require("unzip", "7z")
    for name in ("a", "b", "ü"):
        (tmp_path / name).write_bytes(TEXT)
    path = tmp_path / "it.zip"
    archive.create(path, [tmp_path], codecs=["brotli", "deflate"])
    names = [member.name for member in archive.list(path)]
    unzip = subprocess.run(
        ["unzip", "-Z1", str(path)], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert sorted(unzip.stdout.decode().splitlines()) == sorted(names)
    with zipfile.ZipFile(path) as opened:
        assert opened.namelist() == names
    seven = subprocess.run(["7z", "l", "-slt", "-ba", str(path)], capture_output=True, check=True).stdout.decode()
    assert sorted(re.findall(r"^Path = (.*)$", seven, re.MULTILINE)) == sorted(name.rstrip("/") for name in names)


def test_unzip_gives_modes_times_and_links_back(tmp_path: Path) -> None:
    require("unzip")
    source = tmp_path / "source"
    source.mkdir()
    (source / "run").write_bytes(b"#!/bin/sh\n")
    (source / "run").chmod(0o751)
    os.utime(source / "run", (1e9, 1e9))
    (source / "link").symlink_to("run")
    path = tmp_path / "it.zip"
    archive.create(path, [source], codecs=["deflate"])
    subprocess.run(["unzip", "-q", str(path)], cwd=tmp_path, check=True)
    found = tmp_path / str(source).lstrip("/")
    status = (found / "run").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o751, 1e9)
    assert (found / "link").readlink() == Path("run")


def theirs(maker: str, source: Path, path: Path) -> None:
    """An archive of the directory ``source``, by somebody else."""
    everything = sorted(p.name for p in source.iterdir())
    if maker == "zipfile":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as made:
            for file in sorted(source.rglob("*")):
                if not file.is_symlink():
                    made.write(file, file.relative_to(source))
    elif maker == "zip to a pipe":
        require("zip")
        with open(path, "wb") as output:
            subprocess.run(["zip", "-q", "-r", "-y", "-", *everything], cwd=source, stdout=output, check=True)
    elif maker.startswith("zip"):
        require("zip")
        subprocess.run(
            ["zip", "-q", "-r", "-y", "-Z", maker.split()[1], str(path), *everything], cwd=source, check=True
        )
    else:
        require("7z")
        method = maker.split()[1]
        subprocess.run(
            ["7z", "a", "-tzip", f"-mm={method}", "-snl", "-bso0", str(path), *everything], cwd=source, check=True
        )


@pytest.mark.parametrize(
    "maker", ["zipfile", "zip deflate", "zip bzip2", "zip to a pipe", "7z Deflate", "7z BZip2", "7z Copy", "7z xz"]
)
def test_archives_of_other_tools_are_read(maker: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub" / "ünder").mkdir(parents=True)
    (source / "sub" / "ünder" / "text").write_bytes(TEXT)
    (source / "empty").write_bytes(b"")
    (source / "noise").write_bytes(os.urandom(1000))
    (source / "link").symlink_to("noise")
    path = tmp_path / "theirs.zip"
    theirs(maker, source, path)
    report = archive.extract(path, tmp_path / "there")
    assert report.failures == []
    for name in ("sub/ünder/text", "empty", "noise"):
        assert (tmp_path / "there" / name).read_bytes() == (source / name).read_bytes()
    if maker.startswith("zip "):
        assert (tmp_path / "there" / "link").readlink() == Path("noise")
    assert archive.test(path).ok
    # And without the directory, by local headers alone.
    data = path.read_bytes()
    cut = data[: data.rindex(b"PK\5\6")]
    cut = cut[: cut.index(b"PK\1\2")]
    found = {member.name: member for member in archive.list(io.BytesIO(cut))}
    if maker != "zip to a pipe":
        assert not [member.problems for member in found.values() if member.problems]
    assert found["sub/ünder/text"].size == len(TEXT)


def test_methods_that_nobody_here_reads_are_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "it.zip", "w", zipfile.ZIP_LZMA) as made:
        made.writestr("a", TEXT)
    (failure,) = archive.test(tmp_path / "it.zip").failures
    assert "lzma" in str(failure)


def test_encrypted_members_are_said(tmp_path: Path) -> None:
    require("zip")
    (tmp_path / "a").write_bytes(TEXT)
    subprocess.run(["zip", "-q", "-P", "secret", "it.zip", "a"], cwd=tmp_path, check=True)
    (failure,) = archive.test(tmp_path / "it.zip").failures
    assert failure.reason == "it is encrypted"


# ZIP64. Files with holes have any size at no cost.

FAR = 5 << 30


def member(name: bytes, content: bytes) -> Packed:
    import zlib

    return Packed(name, 0o100644, 1e9, 0, 0, records.STORED, len(content), len(content), zlib.crc32(content))


def test_members_beyond_four_gigabytes(tmp_path: Path) -> None:
    require("unzip", "7z")
    path = tmp_path / "far.zip"
    with open(path, "wb") as output:
        writer = Writer(output)
        writer.add(member(b"near", TEXT), [TEXT])
        output.seek(FAR)
        writer.offset = FAR
        writer.add(member(b"far", TEXT), [TEXT])
        writer.finish(b"a comment")
    for read in TOOLS.values():
        assert read(path, "far") == TEXT
    assert archive.test(path).good == 2
    assert archive.info(path).comment == b"a comment"
    archive.extract(path, tmp_path / "there")
    assert (tmp_path / "there" / "far").read_bytes() == TEXT


@pytest.mark.parametrize("size", [(1 << 32) - 2, (1 << 32) - 1, 1 << 32, FAR])
def test_members_of_more_than_four_gigabytes(size: int, tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    large = Packed(b"large", 0o100644, 1e9, 0, 0, records.STORED, size, size, 0x1234)
    with open(path, "wb") as output:
        local, central = headers(large, 0)
        output.write(local)
        output.seek(len(local) + size)
        writer = Writer(output, len(local) + size)
        writer.keep(central)
        writer.add(member(b"small", TEXT), [TEXT])
        writer.finish()
    with zipfile.ZipFile(path) as opened:
        assert [info.file_size for info in opened.infolist()] == [size, len(TEXT)]
        assert opened.read("small") == TEXT
    with archive.Archive(path) as mine, archive.Decoders(mine) as decoders:
        first, second = mine.members()
        assert (first.size, first.compressed_size, first.problems) == (size, size, [])
        assert mine.data_offset(first) == len(local)
        assert decoders.decode(second) == len(TEXT)
    # The same by local headers alone.
    with open(path, "r+b") as output:
        output.truncate(writer.offset - 22)
    assert [(found.name, found.size) for found in archive.list(path)][:2] == [("large", size), ("small", len(TEXT))]


def test_more_members_than_sixteen_bits_count(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    number = 66_000
    with open(path, "wb") as output:
        writer = Writer(output)
        for i in range(number):
            writer.add(member(b"%d" % i, b""), [])
        writer.finish()
    assert len(archive.list(path)) == number
    with zipfile.ZipFile(path) as opened:
        assert len(opened.infolist()) == number
