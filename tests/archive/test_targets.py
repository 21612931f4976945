"""Where members are written: below the target directory, whatever lies in it, and nowhere else."""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vx32py.archive import names
from vx32py.archive.errors import printable
from vx32py.archive.names import Refused
from vx32py.archive.targets import Target
from vx32py.vfs import host
from vx32py.vfs.nodes import RENAME_EXCHANGE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["openat2", "walk"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A target beside a canary, on hosts with openat2 and without."""
    monkeypatch.setattr(host.KERNEL, "has_openat2", request.param == "openat2")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "canary").write_text("alive")
    with Target(tmp_path / "target") as made:
        yield made


def put(target: Target, path: str, content: bytes = b"content", mode: int | None = None) -> None:
    with target.file(names.parts_of(path)) as new:
        new.write(content)
        new.keep(mode)


def tree(path: Path) -> dict[str, object]:
    """Everything there is below a path, without following anything."""
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            entry = Path(folder, name)
            kind = stat.S_IFMT(entry.lstat().st_mode)
            key = str(entry.relative_to(path))
            found[key] = (
                entry.read_bytes() if kind == stat.S_IFREG else os.readlink(entry) if kind == stat.S_IFLNK else kind
            )
    return found


BAD_NAMES = {
    "": "no name", "/etc/passwd": "absolute", "//x": "absolute", "../x": "'..'", "a/../../x": "'..'", "a/..": "'..'",
    "..": "'..'", "..\\x": "'..'", "a\\..\\..\\x": "'..'", "\\x": "absolute", "C:\\x": "drive", "c:x": "drive", "C:": "drive",
    "a\0b": "NUL", "a\nb": "control", "a\x1b[2Jb": "control", "a\x7f": "control", "a\x9b": "control", "a\udcff": "UTF-8",
    "x" * 256: "component", "é" * 128: "component", "a/" * 257 + "b": "deep", ("y" * 250 + "/") * 17: "bytes",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name[:20]))
def test_a_name_that_is_no_path_below_the_target_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=BAD_NAMES[name]):
        names.parts_of(name)


def test_names_that_only_look_odd_are_taken_as_they_are() -> None:
    for name in ("x" * 255, "a\\x2db", "...", "..x", "B::Deparse.3pm", "a b", "日本", "-rf", "~", "con"):
        assert names.parts_of(name) == (name,)
    assert names.parts_of("./a//b/.") == ("a", "b")
    assert names.parts_of("./") == ()
    assert len(names.parts_of("a/" * 255 + "b")) == 256


@pytest.mark.parametrize("part", ["..", ".", "", "a/b", "../x", "a\0b"])
def test_a_component_that_is_no_name_is_a_mistake_of_the_caller(target: Target, tmp_path: Path, part: str) -> None:
    for make in (target.folder, target.file):
        for parts in ((part,), (part, "x"), ("x", part)):
            with pytest.raises(ValueError, match="not the name"), make(parts):
                pass
    with pytest.raises(ValueError, match="not the name"):
        target.link((part,), b"x")
    with pytest.raises(ValueError, match="not the name"):
        target.finish_folder((part,), 0, 0)
    assert tree(tmp_path) == {"outside": stat.S_IFDIR, "outside/canary": b"alive", "target": stat.S_IFDIR}


def test_no_name_can_command_a_terminal() -> None:
    assert printable("a\x1b[31m\r\n\u202egpj.exe\u2028\x85") == "a\\x1b[31m\\r\\n\\u202egpj.exe\\u2028\\x85"
    assert printable(os.fsdecode(b"\xff\xfe")).isascii()
    assert printable("日本 é") == "日本 é"
    assert len(printable("x" * 70000)) <= 200


def test_a_file_appears_when_it_is_whole_and_not_before(target: Target) -> None:
    place = Path(target.path, "a/b/file")
    with target.file(("a", "b", "file")) as new:
        new.write(b"half")
        assert not place.exists()
        new.keep()
    assert place.read_bytes() == b"half"
    with target.file(("a", "b", "other")) as new:
        new.write(b"half")
    assert [p.name for p in place.parent.iterdir()] == ["file"]


def test_a_part_is_kept_when_asked_under_a_name_that_says_so(target: Target) -> None:
    with target.file(("file",)) as new:
        new.write(b"half")
        assert new.keep_broken() == "file.broken"
    assert tree(Path(target.path)) == {"file.broken": b"half"}
    with target.file(("x" * 250,)) as new:
        assert new.keep_broken() is None  # too long; then there is nothing
    assert tree(Path(target.path)) == {"file.broken": b"half"}


def test_set_user_id_and_the_like_are_dropped_and_the_umask_applies(target: Target) -> None:
    before = os.umask(0o027)
    try:
        with Target(target.path) as strict:
            put(strict, "set", mode=0o7777)
            put(strict, "secret", mode=0o100600)
            put(strict, "huge", mode=0xFFFF_FFFF_FFFF)
            put(strict, "unsaid")
            with strict.folder(("d",)):
                pass
            strict.finish_folder(("d",), 0o7777, None)
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in Path(target.path).iterdir()}
    assert modes == {"set": 0o750, "secret": 0o600, "huge": 0o750, "unsaid": 0o640, "d": 0o750}


@pytest.mark.parametrize("seconds", [-(1 << 70), -(1 << 31), -1, 0, 1 << 32, 1 << 62, 1 << 90])
def test_any_time_is_written_as_far_as_file_systems_reach(target: Target, seconds: int) -> None:
    with target.file(("file",)) as new:
        new.keep(None, seconds * 10**9)
    low, high = -(1 << 31), (1 << 34) - (1 << 31) - 1
    assert Path(target.path, "file").stat().st_mtime == min(max(seconds, low), high)


def test_what_is_there_is_not_overwritten(target: Target) -> None:
    base = Path(target.path)
    (base / "file").write_text("old")
    os.mkfifo(base / "fifo")
    os.symlink("../outside/canary", base / "link")
    os.symlink("nowhere", base / "dangling")
    (base / "folder").mkdir()
    before = tree(base)
    for name in ("file", "fifo", "link", "dangling", "folder"):
        with pytest.raises(Refused, match="there is a"):
            put(target, name)
        with pytest.raises(Refused, match="there is a"):
            target.link((name,), b"text")
    assert tree(base) == before


def test_overwriting_replaces_names_and_never_what_they_lead_to(target: Target, tmp_path: Path) -> None:
    base = Path(target.path)
    canary = tmp_path / "outside" / "canary"
    os.link(canary, base / "hard")
    os.symlink("../outside/canary", base / "link")
    os.mkfifo(base / "fifo")
    (base / "folder").mkdir()
    (base / "read-only").write_text("old")
    (base / "read-only").chmod(0)
    with Target(base, overwrite=True) as over:
        for name in ("hard", "link", "fifo", "read-only"):
            put(over, name, b"new")
            assert (base / name).read_bytes() == b"new"
            assert not (base / name).is_symlink()
        with pytest.raises(Refused, match="folder"):
            put(over, "folder")
    assert canary.read_text() == "alive"


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_that_this_extraction_made_is_replaced(target: Target, overwrite: bool) -> None:
    with Target(target.path, overwrite=overwrite) as again:
        put(again, "a", b"first")
        with pytest.raises(Refused, match="another member"):
            put(again, "a", b"second")
        with pytest.raises(Refused, match="another member"):
            again.link(("a",), b"b")
        again.link(("l",), b"a")
        with pytest.raises(Refused, match="another member"):
            put(again, "l", b"through")
    assert tree(Path(target.path)) == {"a": b"first", "l": "a"}


def test_no_member_is_written_through_a_link_or_anything_else_that_is_no_folder(target: Target, tmp_path: Path) -> None:
    base = Path(target.path)
    os.symlink("../outside", base / "link")
    os.symlink(tmp_path / "outside", base / "absolute")
    os.symlink(".", base / "self")
    os.mkfifo(base / "fifo")
    (base / "file").write_text("")
    before = tree(tmp_path)
    for name, what in {"link": "link", "absolute": "link", "self": "link", "fifo": "FIFO", "file": "file"}.items():
        for path in (f"{name}/x", f"{name}/deeper/x"):
            with pytest.raises(Refused, match=f"{what} is in the way at '{name}'"):
                put(target, path)
        with pytest.raises(Refused), target.folder((name,)):
            pass
    assert tree(tmp_path) == before


BAD_LINKS = {
    b"": "nothing", b"/etc": "absolute", b"a\0b": "NUL", b"x" * 5000: "bytes", b"..": "out", b"../..": "out", b"../x": "out",
    b"./../x": "out", b"a/..": "after a name", b"a/../../x": "after a name", b"./a/./../x": "after a name",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_LINKS, ids=lambda text: repr(text[:20]))
def test_a_link_that_might_lead_out_of_the_target_is_refused(target: Target, text: bytes) -> None:
    with pytest.raises(Refused, match=BAD_LINKS[text]):
        target.link(("link",), text)
    assert tree(Path(target.path)) == {}


def test_links_that_stay_inside_are_made(target: Target) -> None:
    target.link(("a", "b", "up"), b"../../file")
    target.link(("a", "here"), b"./b//up")
    target.link(("bytes",), b"\xff")
    put(target, "file", b"found")
    assert Path(target.path, "a/here").read_bytes() == b"found"
    with pytest.raises(Refused, match="out"):
        target.link(("a", "b", "over"), b"../../../file")


def test_folders_get_their_modes_only_if_they_were_made_here(target: Target) -> None:
    base = Path(target.path)
    (base / "old").mkdir(mode=0o711)
    put(target, "old/x")
    put(target, "new/x")
    for name in ("old", "new"):
        target.finish_folder((name,), 0o500, 10**9)
    target.finish_folder((), 0o000, 10**9)
    assert stat.S_IMODE((base / "old").stat().st_mode) == 0o711
    assert stat.S_IMODE((base / "new").stat().st_mode) == 0o500
    assert (base / "new").stat().st_mtime == 1
    assert stat.S_IMODE(base.stat().st_mode) & 0o700 == 0o700


def test_a_folder_that_was_exchanged_for_another_keeps_its_mode(target: Target, tmp_path: Path) -> None:
    base = Path(target.path)
    put(target, "new/x")
    (base / "new").rename(base / "aside")
    (tmp_path / "outside").rename(base / "new")
    mode = (base / "new").stat().st_mode
    target.finish_folder(("new",), 0o500, 0)
    assert (base / "new").stat().st_mode == mode
    (base / "new").rename(tmp_path / "outside")
    os.symlink("../outside", base / "new")
    with pytest.raises(Refused):
        target.finish_folder(("new",), 0o500, 0)
    assert (tmp_path / "outside").stat().st_mode == mode


def test_nothing_gets_out_while_another_process_exchanges_folders_for_links(target: Target, tmp_path: Path) -> None:
    """One thread writes below ``d``, the other one swaps ``d`` for a link to the outside as fast as it can."""
    base = Path(target.path)
    (base / "d").mkdir()
    os.symlink("../outside", base / "link")
    stop = threading.Event()

    def swap() -> None:
        folder, link = os.fsencode(base / "d"), os.fsencode(base / "link")
        while not stop.is_set():
            ctypes.CDLL(None).renameat2(-100, folder, -100, link, RENAME_EXCHANGE)

    swapper = threading.Thread(target=swap)
    swapper.start()
    written = refused = 0
    try:
        for i in range(2000):
            try:
                put(target, f"d/{i}")
                written += 1
            except Refused:
                refused += 1
    finally:
        stop.set()
        swapper.join()
    assert tree(tmp_path / "outside") == {"canary": b"alive"}
    assert written
    assert refused


def in_a_child(code: str, *arguments: str, before: Callable[[], None] | None = None) -> str:
    """What Python code prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, preexec_fn=before, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


WRITE = """
import ctypes, os, sys
from vx32py.archive.names import Refused
from vx32py.archive.targets import Target
with Target(sys.argv[1]) as target:
    for name, size in (("large", 1 << 20), ("small", 100)):
        try:
            with target.file((*sys.argv[2:], name)) as new:
                for i in range(0, size, 100):
                    new.write(bytes(100))
                new.keep()
        except Refused as error:
            print(name, error)
"""


def test_a_full_disk_costs_only_the_member_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    script = f'mount -t tmpfs -o size=64k none {tmp_path}/disk && {sys.executable} -c "$1" {tmp_path}/disk && ls -A {tmp_path}/disk'
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
    done = subprocess.run(
        [*namespace, "sh", "-c", script, "sh", WRITE],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.stdout.split("\n")[:-1] == ["large cannot be written: No space left on device", "small"], done.stderr


def test_a_limit_of_file_sizes_costs_only_the_member_that_passes_it(tmp_path: Path) -> None:
    said = in_a_child(WRITE, str(tmp_path), before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))
    assert said == "large cannot be written: File too large"
    assert tree(tmp_path) == {"small": bytes(100)}


def test_a_folder_that_may_not_be_written_to_is_said() -> None:
    # Where a user that is nobody may come in: pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "closed").mkdir()
        (place / "closed").chmod(0o555)
        nobody = "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        first, then = WRITE.split("with Target")
        said = in_a_child(f"{first}{nobody}with Target{then}", name, "closed")
        assert said == "large cannot be written: Permission denied\nsmall cannot be written: Permission denied"
        assert tree(place) == {"closed": stat.S_IFDIR}


def test_descriptors_are_given_back(target: Target) -> None:
    count = len(os.listdir("/proc/self/fd"))
    for i in range(50):
        put(target, f"a/b/{i}")
        with pytest.raises(Refused):
            put(target, f"a/b/{i}/c")
        with pytest.raises(Refused):
            put(target, f"a/b/{i}")
        with pytest.raises(Refused):
            target.link((f"{i}",), b"/")
    assert len(os.listdir("/proc/self/fd")) == count
