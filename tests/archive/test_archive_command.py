"""``vx32py archive`` as a user sees it, and its page."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from images import image

from vx32py import archive

pytestmark = pytest.mark.usefixtures("built_decoders")

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(400))


def vx32py(*arguments: str | Path, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vx32py", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, cwd=cwd, env=environment)


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """A folder with the directory ``letters`` in it."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_bytes(TEXT)
    (tmp_path / "letters" / "two.tgz").write_bytes(gzip.compress(TEXT))
    return tmp_path


def test_the_walk_through_on_the_page(letters: Path) -> None:
    page = (ROOT / "docs" / "archive.md").read_text()
    (block,) = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    outputs = []
    for line in block.splitlines():
        done = vx32py(*line.removeprefix("$ vx32py ").split(), cwd=letters)
        assert (done.returncode, done.stderr) == (0, b""), line
        outputs.append(done.stdout.decode())
    assert outputs[0].startswith("2 files, 1 folders, 0 links: ")
    assert re.search(r"^-rw-.* stored +\(gzip\) .* letters/two.tgz$", outputs[1], re.MULTILINE)
    assert re.search(r"^decoder +gzip: 1 members, .* SHA-256 [0-9a-f]{64}$", outputs[2], re.MULTILINE)
    assert outputs[3] == "3 members are good, 2 of them by archived decoders; 0 are not\n"
    assert (letters / "there" / "letters" / "two.tgz").read_bytes() == (letters / "letters" / "two.tgz").read_bytes()
    assert (letters / "decoded" / "letters" / "two.tar").read_bytes() == TEXT


def test_the_python_on_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "archive.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 files, ")


def test_the_example(letters: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "archive.py"), "letters", "it.zip", "letters/two.tar"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, cwd=letters, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, TEXT), done.stderr


def test_the_records_on_the_page_are_those_in_an_archive(letters: Path) -> None:
    """Read as the page says, with nothing of this package's: the directory by zipfile, the rest by hand."""
    import hashlib
    import zlib

    archive.create(letters / "it.zip", [letters / "letters" / "two.tgz"])
    data = (letters / "it.zip").read_bytes()
    with zipfile.ZipFile(letters / "it.zip") as opened:
        (info,) = opened.infolist()
    fields = {}
    extra = info.extra
    while extra:
        length = int.from_bytes(extra[2:4], "little")
        fields[int.from_bytes(extra[:2], "little")] = extra[4 : 4 + length]
        extra = extra[4 + length :]
    record = fields[0x7856]
    assert record[:2] == b"\1\1"
    offset = int.from_bytes(record[2:10], "little")
    assert int.from_bytes(record[42:50], "little") == len(TEXT)
    assert record[50:82] == hashlib.sha256(TEXT).digest()
    assert record[82:] == bytes([4, 4]) + b"gzip" + bytes([4]) + b".tar"
    header = data[offset : offset + 30]
    assert header[:4] == b"PK\3\4"
    assert header[26:28] == bytes(2)
    own_length = int.from_bytes(header[28:30], "little")
    start = offset + 30 + own_length
    elf = zlib.decompress(data[start : start + int.from_bytes(header[18:22], "little")], -15)
    assert hashlib.sha256(elf).digest() == record[10:42]
    assert data[offset + 34 : start] == b"\1\x80" + record[10:42] + b"\4gzip"


def test_pipes_on_both_sides(tmp_path: Path) -> None:
    made = vx32py("archive", "create", "--stdin-name", "in.txt", "-", "-", cwd=tmp_path, stdin=TEXT)
    assert (made.returncode, made.stderr) == (0, b"")
    assert [member.name for member in archive.list(io.BytesIO(made.stdout))] == ["in.txt"]
    done = vx32py("archive", "extract", "-", "--to", "there", cwd=tmp_path, stdin=made.stdout)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there" / "in.txt").read_bytes() == TEXT


def test_a_damaged_member_is_a_line_and_exit_code_1(letters: Path) -> None:
    archive.create(letters / "it.zip", [letters / "letters"], codecs=["deflate"])
    data = bytearray((letters / "it.zip").read_bytes())
    with archive.Archive(letters / "it.zip") as opened:
        (member,) = [member for member in opened.members() if member.name.endswith("one.txt")]
        data[opened.data_offset(member) + 100] ^= 0xFF
    (letters / "it.zip").write_bytes(data)
    for command in (["test"], ["extract", "--to", "there"]):
        done = vx32py("archive", *command, "it.zip", cwd=letters)
        assert done.returncode == 1
        (line,) = done.stderr.decode().splitlines()
        assert re.match(r"vx32py: it.zip: \S*letters/one.txt: ", line)
    assert [path.name for path in (letters / "there").rglob("*.tgz")] == ["two.tgz"]


def test_what_is_left_of_a_truncated_archive_is_extracted(letters: Path) -> None:
    archive.create(letters / "it.zip", [letters / "letters"])
    data = (letters / "it.zip").read_bytes()
    (letters / "it.zip").write_bytes(data[:-40])
    done = vx32py("archive", "extract", "it.zip", "--to", "there", cwd=letters)
    assert done.returncode == 1
    assert b"no central directory" in done.stderr
    assert {path.name: path.read_bytes() for path in (letters / "there").rglob("*.t*")} == {
        path.name: path.read_bytes() for path in (letters / "letters").iterdir()
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["list", "nothing.zip"], 125, "No such file"), (["test", "letters/one.txt"], 125, "not a ZIP archive"),
        (["create", "x.zip"], 2, "Usage"), (["create", "--codec", "rar", "x.zip", "letters"], 2, "a codec is one of"),
        (["create", "--effort", "much", "x.zip", "letters"], 2, "Usage"),
        (["create", "no/where.zip", "letters"], 125, "No such file"), (["create", "x.zip", "missing"], 1, "missing: No such"),
        (["create", "--decoder", "gzip", "x.zip", "letters"], 2, "CODEC=FILE"), (["test", "--max-size", "much", "x"], 2, "Usage"),
        (["extract", "--jobs", "0", "x.zip"], 2, "Usage"), (["add-decoder", "x.zip", "a b", "letters/one.txt"], 2, "codec"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_in_one_line(arguments: list[str], code: int, message: str, letters: Path) -> None:
    done = vx32py("archive", *arguments, cwd=letters)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
    assert message in done.stderr.decode()
    if code != 2:
        assert done.stderr.count(b"\n") == 1


def test_limits_of_the_command_line(letters: Path) -> None:
    archive.create(letters / "it.zip", [letters / "letters" / "one.txt"])
    done = vx32py("archive", "test", "--max-size", "100", "it.zip", cwd=letters)
    assert done.returncode == 1
    assert b"100 are allowed" in done.stderr
    looping = image("1: jmp 1b")
    (letters / "loop.elf").write_bytes(looping)
    assert (
        vx32py(
            "archive",
            "create",
            "--decoder",
            "deflate=loop.elf",
            "--codec",
            "deflate",
            "bad.zip",
            "letters/one.txt",
            cwd=letters,
        ).returncode
        == 0
    )
    done = vx32py("archive", "test", "--max-time", "0.1", "bad.zip", cwd=letters)
    assert done.returncode == 1
    assert re.fullmatch(
        rb"vx32py: bad.zip: \S*letters/one.txt: its decoder 'deflate': .* more than .* s.*\n", done.stderr
    )


def test_add_decoder_list_names_and_patterns(letters: Path) -> None:
    from vx32py import decoders

    vx32py("archive", "create", "--no-recognise", "--codec", "none", "it.zip", "letters", cwd=letters)
    done = vx32py("archive", "add-decoder", "it.zip", "gzip", decoders.path("gzip"), "*.tgz", cwd=letters)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"1 members are read by ")
    done = vx32py("archive", "list", "--names", "it.zip", "letters/t*", cwd=letters)
    assert done.stdout == b"letters/two.tgz\n"
    assert vx32py("archive", "list", "it.zip", "nothing*", cwd=letters).returncode == 125
    done = vx32py("archive", "extract", "--decoded", "--to", "there", "it.zip", "letters/*.tgz", cwd=letters)
    assert {path.name: path.read_bytes() for path in (letters / "there" / "letters").iterdir()} == {"two.tar": TEXT}


def test_help_teaches(tmp_path: Path) -> None:
    text = vx32py("archive", "--help", cwd=tmp_path).stdout
    for command in ("create", "extract", "list", "test", "info", "add-decoder"):
        assert command.encode() in text
        own = vx32py("archive", command, "--help", cwd=tmp_path).stdout
        assert b"Examples:" in own
        assert b"Exit codes:" in own
