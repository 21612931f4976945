"""Every fragment that real programs need: the two translators make the same one, and the engines need the same ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import capstone
import needs
import pytest

import vx32py
from conformance import busybox, guests
from jit import compiled
from jit.translate import NumbaTranslator
from reference.dispatch import TranslatingEngine
from reference.translator import Fragment, translate
from vx32py import _engines

SIZE = 3000
#: Example, arguments. Those that read get some text.
EXAMPLES = (
    ("hello", ()),
    ("echo", ("one", "two")),
    ("cat", ()),
    ("sha256", ()),
    ("fib", ("12",)),
    ("primes", ("2000",)),
    ("qsort", ("300",)),
    ("lz", ("-c",)),
    ("lisp", ("-d", "fib", "5")),
    ("lisp", ("-d", "sort", "20")),
    ("lisp", ("-e", "(oops")),
    ("fault", ("null",)),
)
POLICIES = {"baseline": vx32py.Policy.deterministic(), "integer": vx32py.Policy.integer_only()}
APPLETS = ("zcat", "sort", "awk", "od")


@dataclass(frozen=True)
class Translation:
    """What a translator was asked, and its answer."""

    code: bytes = field(repr=False)
    eip: int
    offset: int
    gs_base: int | None
    origin: int
    window: int | None
    policy: vx32py.Policy = field(repr=False)
    fragment: Fragment = field(repr=False)


@pytest.fixture
def translations(monkeypatch: pytest.MonkeyPatch) -> list[Translation]:
    """Everything that any engine translates during the test."""
    made: list[Translation] = []

    def recording(cls: type[TranslatingEngine]) -> Any:
        original: Any = cls._translate

        def record(engine: TranslatingEngine, code: bytes, eip: int, offset: int) -> Fragment:
            fragment: Fragment = original(engine, code, eip, offset)
            if type(engine) is cls:
                where = (engine.cpu.gs_base, engine._origin, engine._cache.window)
                made.append(Translation(code, eip, offset, *where, engine.policy, fragment))
            return fragment

        return record

    for cls in engine_classes():
        monkeypatch.setattr(cls, "_translate", recording(cls))
    return made


def engine_classes() -> Iterable[type[TranslatingEngine]]:
    """The engines that translate, of those that this host has."""
    if _engines.unavailable("jit") is None:
        from jit.engine import JitEngine

        yield JitEngine
    from reference.model import TranslatedEngine

    yield TranslatedEngine


@cache
def native_translator() -> NumbaTranslator:
    """The compiled translator; the test is skipped where there is none."""
    try:
        return NumbaTranslator(compiled.build())
    except compiled.BuildError as error:
        pytest.skip(f"no compiled translator: {error}")


def example(name: str) -> vx32py.Module:
    """An example as a guest; the test is skipped without a compiler."""
    from vx32py import _compile

    if not _compile.compilers():
        pytest.skip("no compiler for guests (pip install 'vx32py[guest]')")
    return vx32py.Module.from_file(guests.example(name))


def busybox_module() -> vx32py.Module:
    """Busybox; the test is skipped where it cannot be had."""
    try:
        return vx32py.Module.from_file(busybox.fetch())
    except busybox.Unavailable as error:
        pytest.skip(str(error))


def run(
    module: vx32py.Module,
    args: Iterable[str],
    stdin: bytes,
    engine: str,
    policy: vx32py.Policy,
    name: str | None = None,
) -> None:
    """Run a program to its end, whichever that is."""
    vx32py.Sandbox(engine=engine, policy=policy, memory="256M", timeout=300).run(module, args, stdin=stdin, name=name)


def listing(code: bytes, address: int) -> list[str]:
    """The instructions of a stretch of code, with what cannot be decoded as bytes."""
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    disassembler.skipdata = True
    return [f"{i.address:06x}  {i.bytes.hex():20} {i.mnemonic} {i.op_str}" for i in disassembler.disasm(code, address)]


def side_by_side(left: Fragment, right: Fragment) -> str:
    """Two fragments, each line of their listings and tables next to the other; what differs is marked."""
    lines = []
    columns = [listing(f.code, f.offset) for f in (left, right)]
    for name in ("eip", "length", "offset", "tail", "landings", "exits", "spans"):
        values = [getattr(f, name) for f in (left, right)]
        if values[0] != values[1]:
            lines.append(f"! {name}: {values[0]}\n! {name}: {values[1]}")
    for a, b in itertools.zip_longest(*columns, fillvalue=""):
        lines.append(f"{' ' if a == b else '!'} {a:60} {b}")
    return "\n".join(lines)


def check(made: list[Translation]) -> None:
    """Both translators answer as the engine's did."""
    native = native_translator()
    for each in made:
        where = {"offset": each.offset, "gs_base": each.gs_base, "origin": each.origin, "window": each.window}
        expected = translate(each.code, each.eip, each.policy, **where)  # type: ignore[arg-type]
        found = native.translate(each.code, each.eip, each.policy, **where)  # type: ignore[arg-type]
        for other, whose in ((found, "the compiled translator"), (each.fragment, "the engine")):
            assert expected == other, (
                f"{whose} differs at {each.eip:#x} ({each.code[:16].hex(' ')}...); the reference is on the left\n"
                + side_by_side(expected, other)
            )


@pytest.mark.compiler
@pytest.mark.ldt
@pytest.mark.parametrize(("name", "args"), EXAMPLES, ids=lambda part: part if isinstance(part, str) else " ".join(part))
def test_both_translators_make_the_same_fragments_of_the_examples(
    name: str, args: tuple[str, ...], translations: list[Translation]
) -> None:
    needs.engine("jit")
    run(example(name), args, busybox.text(SIZE), "jit", vx32py.Policy.default())
    assert len(translations) > 5
    check(translations)


@pytest.mark.ldt
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", [job.name for job in busybox.JOBS])
def test_both_translators_make_the_same_fragments_of_busybox(
    name: str, policy: str, translations: list[Translation]
) -> None:
    needs.engine("jit")
    job = busybox.job(name)
    run(busybox_module(), job.args, busybox.packed(job.input, SIZE), "jit", POLICIES[policy], "busybox")
    assert len(translations) > 100
    check(translations)


@pytest.mark.ldt
@pytest.mark.parametrize("name", APPLETS)
def test_both_engines_need_the_same_fragments_in_the_same_order(name: str, translations: list[Translation]) -> None:
    needs.engine("jit")
    job = busybox.job(name)
    module = busybox_module()
    asked = []
    for engine in ("translated", "jit"):
        translations.clear()
        run(module, job.args, busybox.packed(job.input, SIZE // 3), engine, POLICIES["integer"], "busybox")
        asked.append([(t.eip, t.fragment.length, t.offset, t.gs_base, t.code) for t in translations])
    assert len(asked[0]) > 100
    assert asked[0] == asked[1]


def test_a_difference_is_reported_with_both_listings() -> None:
    policy = vx32py.Policy.default()
    one, other = (translate(bytes.fromhex(code), 0x1000, policy, offset=0x800) for code in ("40c3", "41c3"))
    report = side_by_side(one, other)
    assert "inc eax" in report
    assert "inc ecx" in report
    assert report.count("!") == 1
