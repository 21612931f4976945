"""The compiled translator is built once, found again, never waited for, and never believed when it is damaged."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("numba")

from jit import compiled, diskcache, progress
from jit.link import Image, LinkError, link

ROOT = Path(__file__).resolve().parents[2]


def python(script: str, **environment: str) -> str:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own with the image in it, and the image's path."""
    name = compiled.key()
    assert name is not None
    try:
        compiled.build()
    except compiled.BuildError as error:
        pytest.skip(f"no compiled translator: {error}")
    payload = diskcache.load(name)
    assert payload is not None
    monkeypatch.setenv("VX32PY_CACHE", str(tmp_path / "cache"))
    assert diskcache.save(name, payload)
    return tmp_path / "cache" / name


def test_a_stored_image_is_loaded_without_numba_numpy_or_llvmlite(stored: Path) -> None:
    script = (
        "import sys; from jit import compiled; from jit.translate import NumbaTranslator\n"
        "NumbaTranslator(compiled.ready())\n"
        "print(sorted({'numba', 'numpy', 'llvmlite'} & set(sys.modules)), compiled.status())"
    )
    assert python(script, VX32PY_CACHE=str(stored.parent)).startswith("[] ready (loaded in ")


def test_a_damaged_image_is_not_loaded(stored: Path) -> None:
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    loader = compiled.Loader()
    assert loader.ready(start=False) is None
    assert loader.status() == "not built yet"


@pytest.mark.parametrize("payload", [b"", b"short", bytes(200), b"\xff" * 200])
def test_what_is_no_image_is_not_mapped(payload: bytes) -> None:
    assert compiled.unpack(payload) is None


def test_a_failed_build_is_remembered_and_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VX32PY_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "nice", lambda increment: 0)

    def fails() -> Image:
        raise LinkError("the object refers to printf")

    assert compiled.build_here(fails) == 1
    loader = compiled.Loader()
    assert loader.ready() is None
    assert loader.status() == "build failed: LinkError: the object refers to printf"


def test_only_one_process_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VX32PY_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "nice", lambda increment: 0)
    seen = []

    def build() -> Image:
        seen.append(compiled.Loader().status())
        assert compiled.build_here(build) == 0  # somebody is at it already
        return Image(b"\xc3", 0, dict.fromkeys(compiled.TABLES, 0))

    assert compiled.build_here(build) == 0
    assert seen == ["being built in the background"]
    assert compiled.Loader().ready(start=False) is not None


def test_a_build_that_is_waited_for_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []
    monkeypatch.setenv("VX32PY_CACHE", str(tmp_path))
    monkeypatch.setattr(progress, "listener", lambda what, seconds: heard.append((what, seconds)))
    monkeypatch.setattr(compiled, "_spawn", lambda: os.posix_spawn("/bin/sleep", ["sleep", "10"], os.environ))
    monkeypatch.setattr(compiled, "_POLL_SECONDS", 0.0)
    loader = compiled.Loader()
    assert loader.ready(start=False) is None
    assert not heard, "whoever only asks does not wait"
    assert loader.ready() is None
    assert loader.ready() is None
    assert ["in the background" in what for what, _ in heard] == [True, True]
    assert heard[0][1] < heard[1][1]
    os.kill(loader._child, 9)
    os.waitpid(loader._child, 0)


@pytest.mark.slow
def test_a_missing_image_is_built_in_the_background_by_a_process_that_survives(tmp_path: Path) -> None:
    script = (
        "import time; from jit import compiled\n"
        "started = time.perf_counter()\n"
        "assert compiled.ready() is None\n"
        "print(time.perf_counter() - started)"
    )
    assert float(python(script, VX32PY_CACHE=str(tmp_path))) < 20
    name = compiled.key()
    assert name is not None
    deadline = time.monotonic() + 300
    while not (tmp_path / name).exists():
        assert not list(tmp_path.glob("*.failed"))
        assert time.monotonic() < deadline, "the build in the background does not end"
        time.sleep(0.2)
    assert python("from jit import compiled; print(compiled.ready() is not None)", VX32PY_CACHE=str(tmp_path)) == "True"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("VX32PY_NO_NUMBA", "1", "turned off by VX32PY_NO_NUMBA"),
        ("VX32PY_CACHE", "", "the cache on disk is turned off"),
    ],
)
def test_it_says_why_there_is_none(name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    loader = compiled.Loader()
    assert loader.ready() is None
    assert loader.status() == reason
    with pytest.raises(compiled.BuildError, match=reason):
        loader.build()


def test_without_numba_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_version_file", lambda package: None)
    compiled.key.cache_clear()
    try:
        assert compiled.Loader().status() == "numba is not installed"
    finally:
        compiled.key.cache_clear()


def test_an_object_that_refers_to_something_else_is_not_linked() -> None:
    from jit.assemble import assemble_object

    with pytest.raises(LinkError, match="refers to strlen"):
        link(assemble_object(".globl entry\nentry: call strlen\nret", bits=64), "entry", {})
    with pytest.raises(LinkError, match="does not define entry"):
        link(assemble_object("ret", bits=64), "entry", {})
    with pytest.raises(LinkError, match="relocation of type"):
        link(assemble_object(".globl entry\nentry: movabs rax, offset entry", bits=64), "entry", {})


def test_links_lead_from_code_to_read_only_data() -> None:
    from jit.assemble import assemble_object

    text = '.globl entry\nentry: lea rax, [rip + there]\nret\n.section .rodata,"a"\n.quad 1\nthere: .quad 2\n'
    image = link(assemble_object(text, bits=64), "entry", {"table": b"abc"})
    displacement = int.from_bytes(image.data[image.entry + 3 : image.entry + 7], "little")
    where = image.entry + 7 + displacement
    assert image.data[where : where + 8] == (2).to_bytes(8, "little")
    assert image.data[image.tables["table"] :][:3] == b"abc"
