"""The campaign of damaged archives: it finds nothing in what is there, and finds what is planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hostile
import pytest
from asm import assemble
from click.testing import CliRunner

from conformance.archives import forge, judge
from conformance.archives.__main__ import main
from conformance.archives.mutate import Mutant, mutant
from conformance.archives.sources import XOR, all_sources
from vx32py.archive import targets
from vx32py.archive.decoding import Decoders
from vx32py.archive.errors import MemberError

SOURCES = all_sources()


def test_the_embedded_decoder_is_the_one_with_a_source() -> None:
    assert assemble(hostile.XOR) == XOR


def test_sources_are_whole() -> None:
    for source in SOURCES:
        verdict = judge.judge(Mutant(source.name, source.data, frozenset(source.contents)), SOURCES)
        assert (verdict.outcomes, verdict.findings) == (["all extracted"], []), source.name


def test_cases_are_functions_of_seed_and_number() -> None:
    assert mutant(1, 2, SOURCES) == mutant(1, 2, SOURCES)
    assert len({mutant(1, number, SOURCES).data for number in range(100)}) > 90


@pytest.mark.parametrize("hundred", range(4))
def test_damaged_archives_are_extracted_or_refused_and_nothing_else(hundred: int) -> None:
    for number in range(hundred * 100, hundred * 100 + 100):
        label, verdict = judge.judge_numbered(20, number)
        assert not verdict.findings, (number, label)


def test_a_wrong_content_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Decoders.decode

    def careless(self: Decoders, *args: Any, **options: Any) -> int:
        try:
            return honest(self, *args, **options)
        except MemberError:
            return 0

    monkeypatch.setattr(Decoders, "decode", careless)
    data = forge.archive(forge.Entry("a", b"content", payload=b"CONTENT"))
    verdict = judge.judge(Mutant("planted", data, frozenset()), SOURCES)
    assert [kind for kind, _ in verdict.findings] == ["a content that no archive has"]


def test_something_outside_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = targets.Target.link

    def careless(self: targets.Target, parts: Any, text: bytes) -> None:
        Path(self.path, "..", "evil").write_text("")
        honest(self, parts, text)

    monkeypatch.setattr(targets.Target, "link", careless)
    data = forge.archive(forge.Entry("l", b"x", external=0o120777 << 16))
    verdict = judge.judge(Mutant("planted", data, frozenset()), SOURCES)
    assert [kind for kind, _ in verdict.findings] == ["something was written outside"]


def test_a_link_and_a_mode_that_are_not_to_be_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "check_link", lambda text, depth: None)
    data = forge.archive(forge.Entry("l", b"../..", external=0o120777 << 16))
    verdict = judge.judge(Mutant("planted", data, frozenset()), SOURCES)
    assert [kind for kind, _ in verdict.findings] == ["a link that leads out"]


def test_a_good_member_that_is_missing_and_an_exception_are_found() -> None:
    data = forge.archive(forge.Entry("a", b"content", payload=b"CONTENT"))
    verdict = judge.judge(Mutant("planted", data, frozenset({"a"})), SOURCES)
    assert [kind for kind, _ in verdict.findings] == ["good members were not extracted"]
    verdict = judge.judge(Mutant("planted", data, frozenset()), SOURCES, workers=0)
    assert [kind for kind, _ in verdict.findings] == ["ValueError in extracting.py, extract"]


def test_the_command_goes_on_where_it_ended(tmp_path: Path) -> None:
    save = tmp_path / "damaged.zip"
    done = CliRunner().invoke(main, ["--seed", "20", "--only", "7", "--save", str(save)])
    assert done.exit_code == 0, done.output
    assert "1 cases" in done.output
    assert save.read_bytes() == mutant(20, 7, SOURCES).data
