"""Pictures and sounds of Debian's tools in an archive: as they are, and as their own tools decode them."""

from __future__ import annotations

from pathlib import Path

import decoder_guests
import pytest

from conformance.decoders import cases
from vx32py import archive

#: Format → what files are called, and their decoded forms.
NAMES = {
    "jpeg": ("a.JPG", "a.bmp"), "jp2": ("a.jp2", "a.bmp"), "png": ("a", "a.bmp"), "vorbis": ("a.b.ogg", "a.b.wav"),
    "flac": ("a.flac", "a.wav"),
}  # fmt: skip


@pytest.mark.parametrize("codec", NAMES)
def test_media_are_recognised_and_decode_as_their_own_tools_do(codec: str, tmp_path: Path) -> None:
    decoder_guests.module(codec)
    case = next(case for case in cases.CASES if case.decoder == codec)
    data, check = decoder_guests.made(case, cases.SMALL)
    name, decoded_name = NAMES[codec]
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / name).write_bytes(data)
    path = tmp_path / "it.zip"
    assert archive.create(path, [tmp_path / "media" / name]).codecs == {codec: 1}
    archive.extract(path, tmp_path / "as-it-was")
    archive.extract(path, tmp_path / "decoded", decoded=True)
    (kept,) = (file for file in (tmp_path / "as-it-was").rglob("*") if file.is_file())
    (decoded,) = (file for file in (tmp_path / "decoded").rglob("*") if file.is_file())
    assert (kept.name, kept.read_bytes()) == (name, data)
    assert decoded.name == decoded_name
    assert check(decoded.read_bytes()) is None
    assert archive.test(path).decoded == 1
