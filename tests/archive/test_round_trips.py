"""What goes into an archive comes out again: by our own reader on every engine, and with no codec on the host."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import needs
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vx32py import archive
from vx32py.archive.codecs import CODECS, WHOLE
from vx32py.archive.extracting import extract as extract_members

pytestmark = pytest.mark.usefixtures("built_decoders")

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(400))
SMALL = TEXT[:600]

#: A file as the native library compresses it, and what its decoded form is called.
COMPRESSED: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "gzip": (lambda data: gzip.compress(data, mtime=0), "a.gz", "a"),
    "bzip2": (bz2.compress, "a.tbz2", "a.tar"),
    "xz": (lambda data: lzma.compress(data, check=lzma.CHECK_CRC64), "a.xz", "a"),
    "zstd": (lambda data: zstandard.ZstdCompressor(5, write_checksum=True).compress(data), "a.zst", "a"),
    "brotli": (brotli.compress, "a.br", "a"),
}


def tree(root: Path) -> dict[str, object]:
    """Everything below a directory: content, target or None, mode and time by name."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        what: object = None
        if path.is_symlink():
            what = os.readlink(path)
        elif path.is_file():
            what = path.read_bytes(), stat.S_IMODE(status.st_mode), int(status.st_mtime)
        else:
            what = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        found[path.relative_to(root).as_posix()] = what
    return found


def packed(folder: Path, files: dict[str, bytes], **how: object) -> bytes:
    """An archive of files, made in ``folder``."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    output = io.BytesIO()
    here = Path.cwd()
    os.chdir(folder)
    try:
        report = archive.create(output, sorted(files), **how)  # type: ignore[arg-type]
    finally:
        os.chdir(here)
    assert report.ok
    return output.getvalue()


#: Codecs and engines; one codec is enough where the verifier judges every fragment of the decoder.
ENGINES = [("deflate", "translated")] + [(codec, engine) for codec in CODECS for engine in ("jit", "reference")]


@pytest.mark.parametrize(("codec", "engine_name"), ENGINES)
def test_every_codec_decodes_small_files(codec: str, engine_name: str, tmp_path: Path) -> None:
    needs.engine(engine_name)
    data = packed(tmp_path, {"a": SMALL}, codecs=[codec], engine="auto")
    with archive.Archive(io.BytesIO(data)) as opened:
        (member,) = opened.members()
        assert member.decoder is not None
        assert member.decoder.codec == codec
        assert member.decoder.content == hashlib.sha256(SMALL).digest()
        assert member.crc == zlib.crc32(SMALL)
        output = io.BytesIO()
        with archive.Decoders(opened, engine=engine_name) as decoders:
            decoders.decode(member, output)
    assert output.getvalue() == SMALL


@pytest.mark.parametrize("codec", COMPRESSED)
def test_compressed_files_stay_as_they_are_and_decode(codec: str, tmp_path: Path) -> None:
    compress, name, decoded_name = COMPRESSED[codec]
    stored = compress(TEXT)
    data = packed(tmp_path, {name: stored})
    (member,) = archive.list(io.BytesIO(data))
    assert member.is_precompressed
    assert (member.method_name, member.size, member.decoded_size) == ("stored", len(stored), len(TEXT))
    archive.extract(io.BytesIO(data), tmp_path / "as-it-was")
    archive.extract(io.BytesIO(data), tmp_path / "decoded", decoded=True)
    assert (tmp_path / "as-it-was" / name).read_bytes() == stored
    assert (tmp_path / "decoded" / decoded_name).read_bytes() == TEXT
    assert archive.test(io.BytesIO(data)).ok


def test_what_only_looks_compressed_is_a_file_like_any_other(tmp_path: Path) -> None:
    files = {
        "a.gz": gzip.compress(TEXT)[:-9],
        "b.br": TEXT,
        "c.png": b"\x89PNG\r\n\x1a\n" + TEXT,
        "d.xz": b"\xfd7zXZ\0",
    }
    data = packed(tmp_path, files)
    members = {member.name: member for member in archive.list(io.BytesIO(data))}
    assert not [member for member in members.values() if member.is_precompressed]
    archive.extract(io.BytesIO(data), tmp_path / "there")
    assert {name: (tmp_path / "there" / name).read_bytes() for name in files} == files


def test_large_files_go_through_in_pieces_whatever_their_codec(tmp_path: Path) -> None:
    content = b"".join(b"%08d %s\n" % (i, hashlib.md5(b"%d" % i).hexdigest().encode()) for i in range(26_000))  # noqa: S324
    assert len(content) > WHOLE
    for codec in ("deflate", "zstd", "brotli"):
        data = packed(tmp_path, {"large": content}, codecs=[codec], effort="fast")
        (member,) = archive.list(io.BytesIO(data))
        assert member.decoder is not None
        assert member.decoder.codec == codec
        report = archive.test(io.BytesIO(data))
        assert (report.ok, report.bytes) == (True, len(content))


def test_random_bytes_are_stored_and_zeros_are_no_bomb(tmp_path: Path) -> None:
    noise = os.urandom(WHOLE + 1000)
    limits = archive.Limits(free=1 << 20)  # as if two megabytes of zeros were two gigabytes
    data = packed(tmp_path, {"noise": noise, "zeros": bytes(2 << 20)}, limits=limits)
    members = {member.name: member for member in archive.list(io.BytesIO(data))}
    assert (members["noise"].method_name, members["noise"].decoder) == ("stored", None)
    assert members["zeros"].method_name == "deflate"
    assert archive.test(io.BytesIO(data), limits=limits).ok


def test_a_bomb_is_refused_by_its_figures(tmp_path: Path) -> None:
    data = packed(tmp_path, {"zeros": bytes(2 << 20)}, codecs=["bzip2"])
    assert archive.test(io.BytesIO(data)).ok
    for limits in (archive.Limits(free=1 << 20), archive.Limits(most=1 << 20)):
        (failure,) = archive.test(io.BytesIO(data), limits=limits).failures
        assert "2097152" in str(failure)


def test_modes_times_links_and_names_come_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "déjà" / "empty").mkdir(parents=True)
    (source / "déjà" / "vu.txt").write_bytes(TEXT)
    (source / "déjà" / "vu.txt").chmod(0o640)
    os.utime(source / "déjà" / "vu.txt", (1e9, 1e9))
    (source / "run").write_bytes(b"#!/bin/sh\n")
    (source / "run").chmod(0o755)
    (source / "link").symlink_to("déjà/vu.txt")
    (source / "dangling").symlink_to("nowhere")
    (source / "old").write_bytes(b"old")
    (source / "future").write_bytes(b"future")
    os.utime(source / "old", (-5e9, -5e9))
    os.utime(source / "future", (5e9, 5e9))
    os.utime(source / "déjà" / "empty", (1.2e9, 1.2e9))
    path = tmp_path / "it.zip"
    here = Path.cwd()
    os.chdir(source)
    try:
        report = archive.create(path, ["."])
    finally:
        os.chdir(here)
    assert (report.files, report.folders, report.links, report.failures) == (4, 2, 2, [])
    assert archive.extract(path, tmp_path / "target").ok
    assert tree(tmp_path / "target") == tree(source)
    owners = {(member.uid, member.gid) for member in archive.list(path)}
    assert owners == {(os.getuid(), os.getgid())}


def test_an_archive_is_the_same_however_many_work_on_it(tmp_path: Path) -> None:
    packed(tmp_path, {f"{number}": TEXT[number * 700 :] for number in range(12)})
    one, four = io.BytesIO(), io.BytesIO()
    archive.create(one, [tmp_path], workers=1)
    archive.create(four, [tmp_path], workers=4)
    assert one.getvalue() == four.getvalue()


def test_a_decoder_is_in_the_archive_once(tmp_path: Path) -> None:
    files = {"a": TEXT, "b": TEXT[::-1], "c.gz": gzip.compress(TEXT), "d.gz": gzip.compress(TEXT[::-1])}
    data = packed(tmp_path, files, codecs=["deflate"])
    found = archive.info(io.BytesIO(data))
    assert [(decoder.codecs, decoder.members, decoder.problem) for decoder in found.decoders] == [
        (["deflate"], 2, None),
        (["gzip"], 2, None),
    ]
    # ELF files, deflated: their bytes are in the archive nowhere else.
    assert data.count(b"PK\3\4") == len(files) + 2


def test_what_cannot_be_read_is_told_and_the_rest_goes_in(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(TEXT)
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "it.zip"
    report = archive.create(path, [tmp_path / "good", tmp_path / "missing", tmp_path / "pipe", path])
    assert (report.files, len(report.failures)) == (1, 3)
    assert archive.test(path).ok
    assert not list(tmp_path.glob(".it.zip*"))


def test_a_failed_creation_leaves_the_old_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "it.zip"
    path.write_bytes(b"old")
    (tmp_path / "a").write_bytes(TEXT)
    with pytest.raises(ValueError, match="a codec is one of"):
        archive.create(path, [tmp_path / "a"], codecs=["rar"])
    monkeypatch.setattr("vx32py.archive.writer.Writer.finish", _fail)
    with pytest.raises(archive.ArchiveError):
        archive.create(path, [tmp_path / "a"])
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "it.zip"]


def _fail(*_: object) -> None:
    raise archive.ArchiveError("no")


NAMES = st.lists(
    st.text(st.sampled_from("abcXYZ019 ._-~é漢😀\u0301"), min_size=1, max_size=8).filter(
        lambda part: part.strip(". ") == part and part
    ),
    min_size=1, max_size=3,
)  # fmt: skip
CONTENTS = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda data, times: data * times, st.binary(max_size=20), st.integers(0, 300)),
    st.builds(
        lambda data, codec: COMPRESSED[codec][0](data), st.binary(max_size=200), st.sampled_from(list(COMPRESSED))
    ),
)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    files=st.lists(st.tuples(NAMES, CONTENTS, st.integers(0o400, 0o777)), max_size=6),
    codecs=st.sets(st.sampled_from(CODECS)),
)
def test_any_tree_comes_back(files: list[tuple[list[str], bytes, int]], codecs: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        for parts, content, mode in files:
            path = source.joinpath(*parts)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                path.chmod(mode)
            except OSError:
                continue  # a name is a directory's already
        made = Path(folder, "it.zip")
        here = Path.cwd()
        os.chdir(source)
        try:
            assert archive.create(made, ["."], codecs=sorted(codecs)).ok
        finally:
            os.chdir(here)
        umask = os.umask(0)
        try:
            assert archive.extract(made, Path(folder, "target")).ok
        finally:
            os.umask(umask)
        assert tree(Path(folder, "target")) == tree(source)


@pytest.mark.parametrize("engine_name", ["jit", "reference"])
def test_no_codec_is_needed_on_the_host(tmp_path: Path, engine_name: str) -> None:
    """But zlib, which inflates the decoders themselves: here whatever else decompresses cannot even be imported."""
    needs.engine(engine_name)
    files = {codec: SMALL + codec.encode() for codec in CODECS}
    data = {codec: packed(tmp_path, {codec: content}, codecs=[codec]) for codec, content in files.items()}
    for codec, content in data.items():
        (tmp_path / f"{codec}.zip").write_bytes(content)
    (tmp_path / "gz.zip").write_bytes(packed(tmp_path, {"b.gz": gzip.compress(SMALL)}))
    script = textwrap.dedent(f"""
        import sys
        for name in ("zstandard", "brotli", "_brotli", "bz2", "_bz2", "lzma", "_lzma", "gzip", "compression"):
            sys.modules[name] = None
        sys.path.insert(0, {str(ROOT)!r})
        from vx32py import _engines, archive
        for name in sys.argv[1:]:
            print(archive.extract(name, "there", decoded=True, engine={engine_name!r}).failures)
    """)
    names = [f"{codec}.zip" for codec in data] + ["gz.zip"]
    done = subprocess.run(
        [sys.executable, "-c", script, *names], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout.splitlines() == ["[]"] * len(names), done.stderr
    found = {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()}
    assert found == files | {"b": SMALL}


def test_owner_and_mode_are_what_a_decoder_is_reset_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[object] = []
    from vx32py.plugin.stream import Stream

    run = Stream.run

    def noted(self: Stream, *streams: object, **how: object) -> object:
        owners.append(how["owner"])
        return run(self, *streams, **how)  # type: ignore[arg-type]

    data = packed(tmp_path, {"a": TEXT, "b": TEXT}, codecs=["deflate"])
    monkeypatch.setattr(Stream, "run", noted)
    with archive.Archive(io.BytesIO(data)) as opened:
        members = opened.members()
        extract_members(opened, tmp_path / "one", workers=1)
        extract_members(opened, tmp_path / "two", workers=1, fresh=True)
    assert owners == [member.owner for member in members] + [None, None]
    assert {member.owner for member in members} == {(os.getuid(), os.getgid(), members[0].mode)}


def test_names_that_are_no_text_are_kept_as_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"not-utf8-\xff")
    (member,) = archive.list(io.BytesIO(packed(tmp_path, {name: b"x"})))
    assert (member.raw_name, member.name, member.problems) == (b"not-utf8-\xff", name, [])
