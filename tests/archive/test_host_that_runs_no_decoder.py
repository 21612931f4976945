"""A host that cannot run the engine that was asked for was a line for each member, and exit code 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hostile
import pytest
from click.testing import CliRunner

from conformance.archives import forge
from reference.errors import EngineUnavailable
from vx32py import UnsupportedHost, _engines
from vx32py import archive as archives
from vx32py.commands.archive import archive


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    decoder = hostile.good_decoder()
    path = tmp_path / "archive.zip"
    path.write_bytes(forge.archive(decoder, *(hostile.decoded_entry(f"m{i}", b"content", decoder) for i in range(9))))
    return path


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("command", ["extract", "test"])
def test_one_line_and_exit_code_125(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, jobs: str
) -> None:
    def unable(*_: Any, **__: Any) -> Any:
        raise EngineUnavailable("no LDT")

    monkeypatch.setattr(_engines, "_make", unable)
    monkeypatch.setattr(_engines, "unavailable", lambda name: "no LDT" if name == "jit" else None)
    target = tmp_path / "target"
    more = ["--to", str(target)] if command == "extract" else []
    done = CliRunner().invoke(archive, [command, "--engine", "jit", "--jobs", jobs, *more, str(packed)])
    assert done.exit_code == 125
    assert done.stderr == f"vx32py: {packed}: the jit engine cannot run here: no LDT\n"
    assert done.stdout == ""
    assert not target.exists() or not list(target.iterdir())
    with pytest.raises(UnsupportedHost):
        archives.extract(packed, target, engine="jit", workers=int(jobs))


@pytest.mark.parametrize("command", ["extract", "test"])
def test_a_decoder_for_which_there_is_no_room_is_its_members_affair(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """It may have been made so."""

    def full(*_: Any, **__: Any) -> Any:
        raise MemoryError("no room for a guest of 0xf0000000 bytes")

    monkeypatch.setattr(_engines, "_make", full)
    more = ["--to", str(tmp_path / "target")] if command == "extract" else []
    done = CliRunner().invoke(archive, [command, "--engine", "reference", *more, str(packed)])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 9
    assert "no room" in done.stderr
