"""The reader, over archives that Python's zipfile makes, whole and damaged."""

from __future__ import annotations

import io
import zipfile

import pytest

from conformance.archives import forge
from vx32py.archive import Archive, ArchiveError, Decoders, Member, MemberError

CONTENT = {"a.txt": b"hello " * 1000, "d/": b"", "d/b": b"x", "é/ü": bytes(range(256)) * 40, "empty": b""}


def foreign(method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in CONTENT.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def contents(data: bytes) -> dict[str, bytes | str]:
    """Of every member, what it decodes to, or what is wrong with it."""
    found: dict[str, bytes | str] = {}
    with Archive(io.BytesIO(data)) as archive, Decoders(archive) as decoders:
        for member in archive.members():
            output = io.BytesIO()
            try:
                decoders.decode(member, output)
                found[member.name] = output.getvalue()
            except MemberError as error:
                found[member.name] = error.reason
    return found


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_zipfile_writes_is_read(method: int) -> None:
    assert contents(foreign(method)) == CONTENT


def test_bytes_before_an_archive_do_not_matter() -> None:
    assert contents(b"#!/bin/sh\nexec unpack\n" + foreign()) == CONTENT


def test_what_is_left_of_a_truncated_archive_is_read() -> None:
    data = foreign()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        starts = {info.filename: info.header_offset for info in archive.infolist()}
        directory = archive.start_dir
    for length in range(30 + len("a.txt"), len(data), 7):
        found = {name: content for name, content in contents(data[:length]).items() if isinstance(content, bytes)}
        whole = {
            name
            for name, start in starts.items()
            if min([s for s in starts.values() if s > start] or [directory]) <= length
        }
        assert found == {name: CONTENT[name] for name in whole}


def test_no_archive_at_all_is_refused() -> None:
    for data in (b"", b"PK", b"\x1f\x8b" * 100, b"PK\5\6"):
        with pytest.raises(ArchiveError, match="not a ZIP archive"):
            Archive(io.BytesIO(data))
    with Archive(io.BytesIO(b"PK\5\6" + bytes(18))) as archive:
        assert archive.members() == []
        assert archive.problems == []


def test_each_byte_may_be_another_one() -> None:
    """Whatever single byte is changed, the reader ends with contents or one line, and no member has a wrong content."""
    data = bytearray(foreign())
    for at in range(len(data)):
        kept = data[at]
        for value in (0, 0xFF, kept ^ 1):
            data[at] = value
            try:
                found = contents(bytes(data))
            except ArchiveError:
                continue
            for name, content in found.items():
                if isinstance(content, bytes) and name in CONTENT:
                    assert content == CONTENT[name]
        data[at] = kept


def test_members_know_what_they_are() -> None:
    with Archive(io.BytesIO(foreign())) as archive:
        kinds = {member.name: (member.is_file, member.is_directory, member.is_link) for member in archive.members()}
        members: list[Member] = archive.members()
    assert kinds["d/"] == (False, True, False)
    assert kinds["a.txt"] == (True, False, False)
    assert [member.size for member in members] == [len(content) for content in CONTENT.values()]


def test_an_entry_of_the_directory_without_a_local_header_takes_nothing_from_others() -> None:
    """Members whose claims overlapped were refused both, though one had nothing in its place."""
    lost = forge.Entry("lost", b"x" * 40, in_data=False, central={"offset": 40})
    data = forge.archive(forge.Entry("kept", b"content" * 20), lost)
    assert contents(data) == {"kept": b"content" * 20, "lost": "no local header at 0x28"}


def test_of_two_members_that_overlap_the_one_that_reaches_into_the_other_is_refused() -> None:
    hidden = forge.archive(forge.Entry("z", b"hidden"))[:37]
    listed = forge.Entry("z", b"hidden", in_data=False, central={"offset": 31})
    found = contents(forge.archive(forge.Entry("m", hidden), listed))
    assert found == {"m": "it overlaps: its data reaches into that of 'z'", "z": b"hidden"}


def test_a_local_header_that_is_cut_off_is_no_member() -> None:
    """It was taken for one without a name, or with a part of its name."""
    data = forge.archive(forge.Entry("first", b"1"), forge.Entry("second", b"2"))
    for length in range(36, 36 + 30 + len("second")):
        with Archive(io.BytesIO(data[:length])) as archive:
            assert [member.name for member in archive.members()] == ["first"]
            assert archive.problems
