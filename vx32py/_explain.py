"""Guest code and the fragments it is translated to, side by side, as text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from reference.isa.instruction import DecodeError
from reference.records import dataclass
from reference.translator import Fragment
from reference.translator.scan import scan
from vx32py._disassembly import Disassembler
from vx32py._reachable import reachable

if TYPE_CHECKING:
    from reference.memory import AddressSpace
    from reference.policy import Policy
    from vx32py._module import Module


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a guest instruction (or nothing) and one host instruction (or nothing) of its translation, and why."""

    guest_eip: int | None
    guest_bytes: bytes
    guest_text: str
    offset: int | None
    code: bytes
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One fragment, line by line. ``problem`` says why there is none, where the guest's code cannot be translated."""

    eip: int
    symbol: str | None
    fragment: Fragment | None
    rows: list[Row]
    problem: str = ""


def explain(module: Module, space: AddressSpace, policy: Policy, eip: int, *, most: int) -> Iterator[Explanation]:
    """The fragment at ``eip``, then those that it leads to directly, breadth first; at most ``most`` (0: all)."""
    disassembler = Disassembler()
    for reached in islice(reachable(space, policy, [eip]), most or None):
        symbol = module.symbol_at(reached.eip)
        if isinstance(reached.made, DecodeError):
            yield Explanation(reached.eip, symbol, None, [], str(reached.made))
        else:
            rows = list(_rows(reached.made, reached.code, policy, disassembler))
            yield Explanation(reached.eip, symbol, reached.made, rows)


def _rows(fragment: Fragment, code: bytes, policy: Policy, disassembler: Disassembler) -> Iterator[Row]:
    items = {item.eip: item for item in scan(code, fragment.eip, policy, None)}
    landings = {landing.offset: landing.eip for landing in fragment.landings}
    spans = fragment.spans
    first = spans[0].offset if spans else fragment.tail
    yield from _code_only(fragment, fragment.offset, first, "landing: indirect branches arrive here", disassembler)
    for index, span in enumerate(spans):
        end = spans[index + 1].offset if index + 1 < len(spans) else fragment.tail
        item = items.get(span.eip)
        instruction = item.instruction if item is not None else None
        raw = instruction.raw if instruction is not None else b""
        text = disassembler.one(raw, span.eip)[2] if raw else "(the fragment ends)"
        why = item.shape.value if item is not None else ""
        for number, (offset, piece, line) in enumerate(_lines(fragment, span.offset, end, disassembler)):
            note = f"landing of the return to {landings[offset]:08x}" if offset in landings else ""
            if number == 0:
                yield Row(span.eip, raw, text, offset, piece, line, why)
            else:
                yield Row(None, b"", "", offset, piece, line, note)
    trampolines = {e.trampoline: f"trampoline to {e.target:08x}" for e in fragment.exits}
    for offset, piece, line in _lines(fragment, fragment.tail, fragment.end, disassembler):
        yield Row(None, b"", "", offset, piece, line, trampolines.get(offset, ""))


def _code_only(
    fragment: Fragment, start: int, end: int, why: str, disassembler: Disassembler
) -> Iterator[Row]:  # fmt: skip
    for offset, piece, line in _lines(fragment, start, end, disassembler):
        yield Row(None, b"", "", offset, piece, line, why)
        why = ""


def _lines(fragment: Fragment, start: int, end: int, disassembler: Disassembler) -> list[tuple[int, bytes, str]]:
    return disassembler.lines(fragment.code[start - fragment.offset : end - fragment.offset], start)


def as_text(explanation: Explanation) -> Iterator[str]:
    """The lines of one fragment."""
    name = f" ({explanation.symbol})" if explanation.symbol else ""
    if explanation.fragment is None:
        yield f"no fragment at {explanation.eip:#010x}{name}: {explanation.problem}"
        return
    fragment = explanation.fragment
    yield (
        f"fragment at {fragment.eip:#010x}{name}: {fragment.length} guest bytes become {len(fragment.code)} "
        f"at code offset {fragment.offset:#x}"
    )
    for row in explanation.rows:
        left = f"{row.guest_eip:08x}  {row.guest_bytes.hex():<16} {row.guest_text}" if row.guest_eip is not None else ""
        offset = f"{row.offset:05x}" if row.offset is not None else ""
        yield f"  {left:<60} | {offset}  {row.code.hex():<22} {row.text:<44} {row.why}".rstrip()
