"""The assembler and the cache on disk that spares calling it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jit import assemble, diskcache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VX32PY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_bytes_and_labels_in_both_modes() -> None:
    blob = assemble.assemble("one: mov eax, VALUE\n two: jmp one\n.Lhidden: nop", bits=32, constants={"VALUE": 5})
    assert (blob.code.hex(), dict(blob.symbols)) == ("b805000000ebf990", {"one": 0, "two": 5})
    blob = assemble.assemble("mov rax, rdi\nend: lea rcx, [rip + end]\nlast: .long last - end", bits=64)
    assert blob.code[:3] == b"\x48\x89\xf8"
    assert (blob.symbols["end"], blob.code[-4:]) == (3, b"\x07\0\0\0")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("call nowhere", "nowhere"), ("here: mov eax, [here]", "unresolved"), ("mov eax, offset other", "other")],
)
def test_what_would_need_a_linker_is_refused(text: str, problem: str) -> None:
    with pytest.raises(assemble.AssemblyError, match=problem):
        assemble.assemble(text, bits=32)


def test_second_time_comes_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    first = assemble.assemble("nop\nlabel: ret", bits=64)
    monkeypatch.setattr(assemble, "_emit_object", lambda *_: pytest.fail("assembled again"))
    assert assemble.assemble("nop\nlabel: ret", bits=64) == first
    with pytest.raises(pytest.fail.Exception):
        assemble.assemble("nop\nlabel: ret", bits=32)


def test_cache_round_trip_and_keys() -> None:
    key = diskcache.key_of("kind", b"content")
    assert diskcache.load(key) is None
    assert diskcache.save(key, b"payload")
    assert diskcache.load(key) == b"payload"
    assert diskcache.save(key, b"newer")
    assert diskcache.load(key) == b"newer"
    assert diskcache.key_of("ab", "c") != diskcache.key_of("a", "bc")


def test_damaged_foreign_and_writable_entries_are_ignored(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    key = diskcache.key_of("x")
    diskcache.save(key, b"payload" * 10)
    file = place / key
    good = file.read_bytes()
    for bad in (b"", good[:-1], good[:30], good + b"!", good[:50] + b"?" + good[51:], b"\0" + good[1:]):
        file.write_bytes(bad)
        assert diskcache.load(key) is None
    file.write_bytes(good)
    assert diskcache.load(key) == b"payload" * 10
    other = diskcache.key_of("y")
    (place / other).write_bytes(good)
    assert diskcache.load(other) is None, "an entry under another name"
    file.chmod(0o666)
    assert diskcache.load(key) is None
    file.chmod(0o600)
    link = diskcache.key_of("z")
    (place / link).symlink_to(file)
    assert diskcache.load(link) is None
    place.chmod(0o777)
    assert diskcache.load(key) is None
    assert not diskcache.save(other, b"")
    place.chmod(0o700)
    assert diskcache.load(key) is not None
    assert not [name for name in os.listdir(place) if name.startswith(".")], "no temporary files"


def test_cache_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(diskcache, "_MOST_ENTRIES", 20)
    keys = [diskcache.key_of(str(i)) for i in range(30)]
    for age, key in enumerate(keys):
        diskcache.save(key, b"x")
        os.utime(tmp_path / "cache" / key, (age, age))
        assert diskcache.load(keys[0]) == b"x", "used, and so the youngest"
    assert 10 <= len(os.listdir(tmp_path / "cache")) <= 20
    assert diskcache.load(keys[-1]) == b"x"
    assert diskcache.load(keys[1]) is None


def test_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VX32PY_CACHE", "")
    assert diskcache.directory() is None
    assert not diskcache.save("key", b"")
    monkeypatch.delenv("VX32PY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert diskcache.directory() == str(tmp_path / "vx32py")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/somewhere")
    assert diskcache.directory() == "/somewhere/.cache/vx32py"


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("VX32PY_CACHE", str(tmp_path / "file" / "below"))
    assert not diskcache.save("key", b"")
    assert diskcache.load("key") is None
    assert assemble.assemble("ret", bits=64).code == b"\xc3"
