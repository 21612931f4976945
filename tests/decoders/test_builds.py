"""How decoders are built: from pinned sources, the same bytes every time, again only if something has changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import capstone
import pytest
from decoder_guests import module

from vx32py import Access, decoders
from vx32py.decoders.recipes import RECIPES
from vx32py.upstream import building, recipes, sources


def test_every_decoder_has_a_recipe_a_driver_and_a_need_for_memory() -> None:
    assert set(RECIPES) == set(decoders.NAMES) == set(decoders.MEMORY)
    for recipe in RECIPES.values():
        assert recipe.driver.is_file()
        for package in recipe.packages:
            assert len(bytes.fromhex(sources.ARCHIVES[package].sha256)) == 32
            assert sources.ARCHIVES[package].licences


def test_a_decoder_that_is_not_there_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(decoders, "BUILT", tmp_path)
    with pytest.raises(decoders.DecoderMissing, match="make decoders"):
        decoders.load("gzip")
    with pytest.raises(ValueError, match="no decoder is called 'arc'"):
        decoders.load("arc")


@pytest.mark.compiler
def test_two_builds_give_the_same_bytes_and_the_third_has_nothing_to_do(tmp_path: Path) -> None:
    module("jp2")  # where decoders cannot be built, this cannot be tested
    recipe = RECIPES["deflate"]
    targets = [building.Target(recipe, tmp_path / place / "deflate.elf") for place in ("one", "other")]
    assert building.build(targets, force=True) == [target.output for target in targets]
    first, second = (target.output.read_bytes() for target in targets)
    assert first == second
    assert str(Path.cwd()).encode() not in first
    assert building.build(targets) == []
    targets[0].output.unlink()
    assert building.build(targets) == [targets[0].output]


@pytest.mark.compiler
def test_another_option_makes_another_key(tmp_path: Path) -> None:
    one = RECIPES["deflate"]
    other = recipes.Recipe(one.name, one.driver, one.libraries, flags=("-DOTHER",))
    assert building.key(building.Target(one, tmp_path)) != building.key(building.Target(other, tmp_path))


@pytest.mark.compiler
def test_a_source_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(package: str) -> Path:
        raise sources.SourceUnavailable(f"{package}: no network")

    monkeypatch.setattr(sources, "fetch", refuse)
    with pytest.raises(building.NotBuilt, match="deflate: zlib: no network"):
        building.build([building.Target(RECIPES["deflate"], tmp_path / "deflate.elf")])
    assert not list(tmp_path.iterdir())


def test_the_licences_of_all_sources_are_beside_the_decoders() -> None:
    module("jp2")
    text = (decoders.BUILT / "NOTICE").read_text(encoding="utf-8")
    for package in {package for recipe in RECIPES.values() for package in recipe.packages}:
        assert f"\n{package} {sources.ARCHIVES[package].version} (in " in text
    for owner in ("Mark Adler", "Julian", "liblzma is in the public domain", "Facebook", "Brotli Authors", "Independent JPEG Group", "Xiph",
                  "Josh Coalson", "PNG Reference Library", "UCL", "Rich Felker"):  # fmt: skip
        assert owner in text, owner


#: What capstone calls the groups of instructions that a decoder may have, and those that mean nothing here.
_PLAIN_GROUPS = {"sse1", "sse2", "cmov", "not64bitmode", "mode32", "jump", "call", "ret", "int", "branch_relative"}


@pytest.mark.parametrize("name", decoders.NAMES)
def test_no_decoder_has_an_instruction_beyond_sse2(name: str) -> None:
    """Not even where no test ever comes: no x87, nothing that tells hosts apart. As an outsider reads the code."""
    (code,) = (segment for segment in module(name).segments if segment.access & Access.EXECUTE)
    reader = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    reader.detail = True
    names = {group: reader.group_name(group) for group in range(1, 200)}
    others: Counter[str] = Counter()
    size = 0
    for instruction in reader.disasm(bytes(code.data), code.start):
        size += instruction.size
        if instruction.mnemonic == "hlt":  # behind the last call that a program makes, which never returns: a trap
            continue
        if (
            instruction.mnemonic == "tzcnt"
        ):  # REP BSF to older processors: the same for all but 0, where C leaves it open
            continue
        others.update(f"{instruction.mnemonic} {names[g]}" for g in instruction.groups if names[g] not in _PLAIN_GROUPS)
        if instruction.mnemonic in {"cpuid", "rdtsc", "rdrand", "rdseed", "xgetbv"}:
            others[instruction.mnemonic] += 1
    assert size == len(code.data)
    assert not others


def test_the_table_in_the_manual_is_the_one_in_the_code() -> None:
    page = Path(decoders.__file__).parents[2] / "docs" / "decoders.md"
    rows = {
        line.split("|")[1].strip(): line for line in page.read_text(encoding="utf-8").splitlines() if line[:2] == "| "
    }
    for name, need in decoders.MEMORY.items():
        assert rows[name].endswith(f"| {need >> 20} MiB |")
        for package in set(RECIPES[name].packages) - {"musl"}:
            assert f" {sources.ARCHIVES[package].version}" in rows[name]
