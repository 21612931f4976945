"""Decoders of the user's own, and decoders that come later than their members."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import pytest
from images import DATA, image

from vx32py import archive, decoders

pytestmark = pytest.mark.usefixtures("built_decoders")

TEXT = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(400))
#: Turns every byte round, after the first, which must be an exclamation mark: else exit code 1 and a line.
ROT = f"""
        mov eax, 3; mov edx, 0; mov ecx, {DATA + 64}; mov ebx, 1; syscall
        cmp byte ptr [{DATA + 64}], 0x21; jne wrong
again:  mov eax, 3; mov edx, 0; mov ecx, {DATA + 64}; mov ebx, 1024; syscall
        test eax, eax; jle done
        mov esi, eax; mov ebx, eax
next:   not byte ptr [{DATA + 63} + esi]; dec esi; jnz next
        mov eax, 4; mov edx, 1; mov ecx, {DATA + 64}; syscall
        jmp again
done:   mov eax, 1; xor edx, edx; syscall
wrong:  mov eax, 4; mov edx, 2; mov ecx, {DATA}; mov ebx, 7; syscall
        mov eax, 1; mov edx, 1; syscall
"""


def rot(data: bytes) -> bytes:
    """What the decoder reads."""
    return b"!" + bytes(byte ^ 0xFF for byte in data)


@pytest.fixture
def decoder() -> bytes:
    """A decoder that nobody has heard of."""
    return image(ROT, b"no rot\n")


def made(folder: Path, files: dict[str, bytes], **how: object) -> Path:
    """An archive of these files."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    path = folder / "it.zip"
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert archive.create(path, sorted(files), **how).ok  # type: ignore[arg-type]
    finally:
        os.chdir(here)
    return path


def test_a_codec_of_ones_own(tmp_path: Path, decoder: bytes) -> None:
    path = made(tmp_path, {"a.rot": rot(TEXT), "b.rot": rot(b"more"), "c": TEXT}, codecs=[])
    path.chmod(0o640)
    report = archive.add_decoder(path, "rot", decoder, members=["*.rot"], suffix=".txt")
    assert (report.members, report.failures) == (["a.rot", "b.rot"], [])
    assert path.stat().st_mode & 0o777 == 0o640
    assert archive.test(path).decoded == 2
    archive.extract(path, tmp_path / "there", decoded=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "there").iterdir()} == {
        "a.txt": TEXT,
        "b.txt": b"more",
        "c": TEXT,
    }
    archive.extract(path, tmp_path / "as-it-was")
    assert (tmp_path / "as-it-was" / "a.rot").read_bytes() == rot(TEXT)
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
    assert len(archive.info(path).decoders) == 1


def test_what_the_decoder_does_not_read_stays_as_it_is(tmp_path: Path, decoder: bytes) -> None:
    path = made(tmp_path, {"a.rot": rot(TEXT), "b.rot": TEXT}, codecs=[])
    report = archive.add_decoder(path, "rot", decoder, members=["*"])
    assert report.members == ["a.rot"]
    assert [str(failure) for failure in report.failures] == [
        "b.rot: the decoder does not read it: it refuses the data: no rot"
    ]
    found = {member.name: member.decoder is not None for member in archive.list(path)}
    assert found == {"a.rot": True, "b.rot": False}


def test_a_decoder_takes_the_place_of_another(tmp_path: Path) -> None:
    path = made(tmp_path, {"a.gz": gzip.compress(TEXT), "b": TEXT}, codecs=["deflate"])
    before = {decoder.codecs[0]: decoder.sha256 for decoder in archive.info(path).decoders}
    newer = decoders.load("gzip").data + b"another build"
    assert archive.add_decoder(path, "gzip", newer).members == ["a.gz"]
    after = {decoder.codecs[0]: decoder.sha256 for decoder in archive.info(path).decoders}
    assert after["gzip"] != before["gzip"]
    assert after["deflate"] == before["deflate"]
    assert archive.test(path).ok
    (member,) = [member for member in archive.list(path) if member.name == "a.gz"]
    assert member.decoded_name == "a"


def test_members_of_others_get_a_decoder(tmp_path: Path) -> None:
    path = tmp_path / "theirs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a", TEXT)
        opened.writestr("b", b"b" * 1000, zipfile.ZIP_BZIP2)
    assert archive.add_decoder(path, "deflate", decoders.load("deflate")).members == ["a"]
    assert archive.add_decoder(path, "bzip2", decoders.load("bzip2")).members == ["b"]
    assert archive.test(path).decoded == 2


def test_a_decoder_that_lies_is_not_taken(tmp_path: Path, decoder: bytes) -> None:
    path = made(tmp_path, {"a": TEXT}, codecs=["deflate"])
    before = path.read_bytes()
    (failure,) = archive.add_decoder(path, "deflate", decoder).failures
    assert "does not read it" in str(failure)
    echo = image(
        f"mov eax, 4; mov edx, 1; mov ecx, {DATA}; mov ebx, 4; syscall; mov eax, 1; xor edx, edx; syscall", b"lies"
    )
    (failure,) = archive.add_decoder(path, "deflate", echo).failures
    assert "something else" in str(failure)
    assert path.read_bytes() == before


def test_wrong_usage_is_refused(tmp_path: Path, decoder: bytes) -> None:
    path = made(tmp_path, {"a": TEXT}, codecs=["deflate"])
    with pytest.raises(ValueError, match="codec's name"):
        archive.add_decoder(path, "Not A Name", decoder)
    with pytest.raises(ValueError, match="a suffix"):
        archive.add_decoder(path, "rot", decoder, suffix="/../x")
    with pytest.raises(archive.ArchiveError, match="no member matches"):
        archive.add_decoder(path, "rot", decoder, members=["nothing"])
    with pytest.raises(ValueError, match="not an ELF"):
        archive.add_decoder(path, "rot", b"MZ", members=["a"])


def test_create_takes_decoders(tmp_path: Path) -> None:
    own = decoders.load("gzip").data + b"mine"
    path = made(tmp_path, {"a.gz": gzip.compress(TEXT)}, decoders={"gzip": own})
    with archive.Archive(path) as opened:
        (member,) = opened.members()
        assert member.decoder is not None
        assert opened.decoder(member.decoder) == own
    assert archive.test(path).ok
