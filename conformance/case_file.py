"""Cases as text: what regressions and reports are kept in.

    # vx32py case
    label     01 /r add Ev,Gv 32 memory
    origin    isa seed 1 shard 7 number 93
    rows      1
    code      01 18
    #         00100800  add dword ptr [eax], ebx
    before
      eax     00200000
      xmm1    00000000000000000000000000000001
      memory  00200000: 61 62 63
    undefined
      flags   A
    expected
      eip     00100802
      memory  00200000: 68
      trap    14 at 00100800, write of 00202000, vector 14

A file says what differs from a state that all cases begin with: registers zero, EIP at the entry, flags 202, memory its
background. Registers are hexadecimal numbers, highest digit first; memory and code are bytes in the order of addresses,
continued on the next line after ``+`` and an offset. The expected outcome says what differs from before. Lines that begin
with ``#`` are for people. Nothing is lost: what :func:`loads` gives is what :func:`dumps` was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from conformance.case import ENTRY, Case
from conformance.listing import listing
from conformance.outcome import FP_FIELDS, Outcome
from reference import flags as eflags
from reference.policy import Group, Policy, group_named
from reference.registers import CPU, EFLAGS, EIP, FP_IMAGE_BYTES, GENERAL_NAMES, REGISTER_WORDS
from reference.traps import Access, Trap

TITLE: Final = "# vx32py case"
_WORD_NAMES: Final = (*GENERAL_NAMES, "eip", "eflags")
_INITIAL_WORDS: Final = tuple({EIP: ENTRY, EFLAGS: 0x202}.get(i, 0) for i in range(REGISTER_WORDS))
_INITIAL_FP: Final = bytes(CPU().fp)
_FIELDS: Final = {name.replace(" ", "-"): (start, length) for name, start, length in FP_FIELDS}
_BYTES_A_LINE: Final = 32
_COLUMN: Final = 10
_TRAP: Final = re.compile(
    r"(?P<number>\d+) at (?P<eip>[0-9a-f]{8})(, (?P<access>[a-z|]+) of (?P<address>[0-9a-f]{8}))?"
    r"(, vector (?P<vector>\d+))?(: (?P<detail>.*))?"
)


class CaseFileError(ValueError):
    """A text that is not a case file. The message names file, line and what is wrong there."""


# -- writing ---------------------------------------------------------------------------------------------------------


def dumps(case: Case, expected: Outcome | None = None) -> str:
    """The text of a case, with what it should lead to if that is known. Raises ValueError for a label of many lines."""
    return "\n".join([TITLE, *_case_lines(case), *([] if expected is None else _outcome_lines(case, expected))]) + "\n"


def _line(key: str, value: str, *, indent: bool = False) -> str:
    return (f"  {key:<{_COLUMN - 2}}" if indent else f"{key:<{_COLUMN}}") + value


def _case_lines(case: Case) -> Iterator[str]:
    for key, text in (("label", case.label), ("origin", case.origin)):
        if text != text.strip() or len(text.splitlines()) > 1:
            raise ValueError(f"the {key} of a case is one line without blanks around it, not {text!r}")
        if text:
            yield _line(key, text)
    if case.rows:
        yield _line("rows", " ".join(map(str, case.rows)))
    if case.groups != frozenset(Group):
        yield _line("groups", " ".join(sorted(group.value for group in case.groups)) or "none")
    if case.gs_base is not None:
        yield _line("gs", f"{case.gs_base:08x}")
    yield from _byte_lines(_line("code", ""), case.code)
    for address, _, text in listing(case):
        yield _line("#", f"{address:08x}  {text}")
    yield "before"
    yield from _register_lines(_INITIAL_WORDS, case.words)
    if case.fp is not None:
        yield from _fp_lines(_INITIAL_FP, case.fp, always=True)
    for address, content in case.memory:
        yield from _byte_lines(_line("memory", f"{address:08x}: ", indent=True), content)
    yield from _undefined_lines(case)


def _undefined_lines(case: Case) -> Iterator[str]:
    lines = []
    for key, mask in (("flags", case.undefined), ("trapped", case.undefined_if_trapped), ("fsw", case.undefined_fsw)):
        if mask:
            lines.append(_line(key, _flag_names(mask) if key != "fsw" else f"{mask:04x}", indent=True))
    if case.undefined_registers:
        names = [name for i, name in enumerate(GENERAL_NAMES) if case.undefined_registers >> i & 1]
        lines.append(_line("registers", " " + " ".join(names), indent=True))
    if case.partial_if_trapped:
        lines.append(_line("partial", "yes", indent=True))
    if lines:
        yield "undefined"
        yield from lines
    if case.repeats:
        yield _line("repeats", "yes")


def _outcome_lines(case: Case, outcome: Outcome) -> Iterator[str]:
    yield "expected"
    yield from _register_lines(case.words, outcome.words)
    if outcome.fp is not None:
        yield from _fp_lines(case.fp if case.fp is not None else _INITIAL_FP, outcome.fp, always=case.fp is None)
    elif case.fp is not None:
        yield _line("fp", "unknown", indent=True)
    for address, content in outcome.memory:
        yield from _byte_lines(_line("memory", f"{address:08x}: ", indent=True), content)
    if outcome.trap is not None:
        yield _line("trap", _trap_text(outcome.trap), indent=True)
    if outcome.failure:
        yield _line("failure", " ".join(outcome.failure.split()), indent=True)


def _register_lines(before: tuple[int, ...], words: tuple[int, ...]) -> Iterator[str]:
    for name, old, new in zip(_WORD_NAMES, before, words, strict=True):
        if old != new:
            yield _line(name, f"{new:08x}", indent=True)


def _fp_lines(before: bytes, after: bytes, *, always: bool) -> Iterator[str]:
    """The fields that differ, and whatever else of the image does, by its offset."""
    known = bytearray(before)
    if always:
        yield _line("fp", "given", indent=True)
    for name, (start, length) in _FIELDS.items():
        value = after[start : start + length]
        if known[start : start + length] != value:
            known[start : start + length] = value
            yield _line(name, ("" if len(name) < _COLUMN - 2 else " ") + value[::-1].hex(), indent=True)
    for offset in range(0, FP_IMAGE_BYTES, _BYTES_A_LINE):
        value = after[offset : offset + _BYTES_A_LINE]
        if known[offset : offset + _BYTES_A_LINE] != value:
            yield _line("image", f"{offset:04x}: {value.hex(' ')}", indent=True)


def _byte_lines(head: str, content: bytes) -> Iterator[str]:
    for offset in range(0, max(len(content), 1), _BYTES_A_LINE):
        text = content[offset : offset + _BYTES_A_LINE].hex(" ")
        yield (head if not offset else " " * _COLUMN + f"+{offset:04x}: ") + text


def _flag_names(mask: int) -> str:
    """Letters, or a number where there are bits that have no letter; its 0x tells A, C and D from flags."""
    name = eflags.name(mask)
    return name if eflags.parse(name.lower()) == mask else f"{mask:#010x}"


def _trap_text(trap: Trap) -> str:
    text = f"{trap.number} at {trap.eip:08x}"
    if trap.address or trap.access:
        text += f", {_access_name(trap.access)} of {trap.address:08x}"
    if trap.vector is not None:
        text += f", vector {int(trap.vector)}"
    detail = " ".join(trap.detail.split())
    return f"{text}: {detail}" if detail else text


def _access_name(access: Access) -> str:
    return "|".join(bit.name.lower() for bit in Access if bit & access and bit.name) or "none"


# -- reading ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Draft:
    """What has been read so far. ``bytes_`` is what a continuation line continues."""

    texts: dict[str, str] = field(default_factory=dict)
    rows: tuple[int, ...] = ()
    groups: frozenset[Group] = frozenset(Group)
    gs_base: int | None = None
    code: bytearray | None = None
    words: list[int] = field(default_factory=lambda: list(_INITIAL_WORDS))
    fp: bytearray | None = None
    memory: list[tuple[int, bytearray]] = field(default_factory=list)
    undefined: dict[str, int] = field(default_factory=dict)
    switches: set[str] = field(default_factory=set)
    expected: _Expected | None = None
    bytes_: bytearray | None = None


@dataclass(slots=True)
class _Expected:
    words: list[int]
    fp: bytearray | None
    memory: list[tuple[int, bytearray]] = field(default_factory=list)
    trap: Trap | None = None
    failure: str = ""


def loads(text: str, name: str = "case") -> tuple[Case, Outcome | None]:
    """The case and the expected outcome, if there is one. ``name`` is for messages. Raises CaseFileError."""
    draft = _Draft()
    section = ""
    number = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            section = _read_line(draft, section, line)
        except ValueError as error:
            raise CaseFileError(f"{name}, line {number}: {error}") from None
    if draft.code is None:
        raise CaseFileError(f"{name}, line {number}: the file ends, and there was no code")
    return _finish(draft)


def _read_line(draft: _Draft, section: str, line: str) -> str:
    """Take in one line; the section that the next one is in."""
    key, _, value = line.strip().partition(" ")
    value = value.strip()
    if key.startswith("+"):
        _continue(draft, key, value)
        return section
    if not line[0].isspace():
        if key in ("before", "undefined", "expected"):
            if value:
                raise ValueError(f"{key} is a line of its own")
            if key == "expected":
                draft.expected = _Expected(list(draft.words), None if draft.fp is None else bytearray(draft.fp))
            return key
        _read_header(draft, key, value)
        return ""
    if section == "before":
        _read_state(draft, draft, key, value)
    elif section == "undefined":
        _read_undefined(draft, key, value)
    elif section == "expected":
        assert draft.expected is not None
        if key == "trap":
            draft.expected.trap = _read_trap(value)
        elif key == "failure":
            draft.expected.failure = value
        else:
            _read_state(draft, draft.expected, key, value)
    else:
        raise ValueError("an indented line belongs under before, undefined or expected")
    return section


def _read_header(draft: _Draft, key: str, value: str) -> None:
    if key in ("label", "origin"):
        draft.texts[key] = value
    elif key == "rows":
        draft.rows = tuple(_number(word, 10) for word in value.split())
    elif key == "groups":
        draft.groups = Policy(frozenset(group_named(word) for word in value.split() if word != "none")).groups
    elif key == "gs":
        draft.gs_base = _number(value)
    elif key == "code":
        draft.code = draft.bytes_ = _bytes(value)
    elif key == "repeats":
        draft.switches.add(key)
    else:
        raise ValueError(f"{key!r} is not a key of a case file")


def _read_state(draft: _Draft, state: _Draft | _Expected, key: str, value: str) -> None:
    if key in _WORD_NAMES:
        state.words[_WORD_NAMES.index(key)] = _number(value)
    elif key == "memory":
        address, content = _addressed(value)
        state.memory.append((address, content))
        draft.bytes_ = content
    elif key == "fp":
        state.fp = None if value == "unknown" else bytearray(_INITIAL_FP)
    elif key in _FIELDS or key == "image":
        if state.fp is None:
            state.fp = bytearray(_INITIAL_FP)
        start, length = _FIELDS.get(key, (0, 0))
        if key == "image":
            start, content = _addressed(value)
            length = len(content)
        else:
            content = bytearray(_number(value, bits=8 * length).to_bytes(length, "little"))
        if start + length > FP_IMAGE_BYTES:
            raise ValueError(f"the floating-point image has {FP_IMAGE_BYTES} bytes")
        state.fp[start : start + length] = content
    else:
        raise ValueError(f"{key!r} is not a register, nor memory")


def _read_undefined(draft: _Draft, key: str, value: str) -> None:
    readers: dict[str, Callable[[str], int]] = {
        "flags": _flags,
        "trapped": _flags,
        "fsw": lambda text: _number(text, bits=16),
        "registers": _registers,
        "partial": lambda text: 1,
    }
    if key not in readers:
        raise ValueError(f"{key!r} is not one of {', '.join(readers)}")
    draft.undefined[key] = readers[key](value)


def _continue(draft: _Draft, key: str, value: str) -> None:
    offset = _number(key[1:].rstrip(":"))
    if draft.bytes_ is None or offset != len(draft.bytes_):
        raise ValueError(f"{key} continues nothing that ends there")
    draft.bytes_ += _bytes(value)


def _number(text: str, base: int = 16, *, bits: int = 32) -> int:
    try:
        value = int(text, base)
    except ValueError:
        raise ValueError(f"{text!r} is not a {'hexadecimal' if base == 16 else 'decimal'} number") from None
    if value < 0 or value >> bits:
        raise ValueError(f"{text} is not a number of {bits} bits")
    return value


def _bytes(text: str) -> bytearray:
    try:
        return bytearray.fromhex(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a row of bytes in hexadecimal") from None


def _addressed(text: str) -> tuple[int, bytearray]:
    address, colon, content = text.partition(":")
    if not colon:
        raise ValueError(f"{text[:40]!r} is not an address, a colon and bytes")
    return _number(address), _bytes(content)


def _flags(text: str) -> int:
    try:
        return eflags.parse(text.lower()) if not text[:1].isdigit() else _number(text)
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is not a flag") from None


def _registers(text: str) -> int:
    mask = 0
    for name in text.split():
        if name not in GENERAL_NAMES:
            raise ValueError(f"{name!r} is not a general register")
        mask |= 1 << GENERAL_NAMES.index(name)
    return mask


def _read_trap(text: str) -> Trap:
    found = _TRAP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a trap: number at eip, access of address, vector")
    access = Access.NONE
    for word in (found["access"] or "none").split("|"):
        if word.upper() not in Access.__members__:
            raise ValueError(f"{word!r} is not an access")
        access |= Access[word.upper()]
    vector = None if found["vector"] is None else int(found["vector"])
    address = int(found["address"] or "0", 16)
    return Trap(int(found["number"]), int(found["eip"], 16), address, access, vector, found["detail"] or "")


def _finish(draft: _Draft) -> tuple[Case, Outcome | None]:
    assert draft.code is not None
    undefined = draft.undefined
    case = Case(
        label=draft.texts.get("label", ""),
        code=bytes(draft.code),
        words=tuple(draft.words),
        memory=_frozen(draft.memory),
        undefined=undefined.get("flags", 0),
        undefined_if_trapped=undefined.get("trapped", 0),
        partial_if_trapped="partial" in undefined,
        repeats="repeats" in draft.switches,
        fp=None if draft.fp is None else bytes(draft.fp),
        undefined_registers=undefined.get("registers", 0),
        undefined_fsw=undefined.get("fsw", 0),
        groups=draft.groups,
        gs_base=draft.gs_base,
        rows=draft.rows,
        origin=draft.texts.get("origin", ""),
    )
    found = draft.expected
    if found is None:
        return case, None
    fp = None if found.fp is None else bytes(found.fp)
    return case, Outcome(tuple(found.words), _frozen(found.memory), found.trap, fp, found.failure)


def _frozen(memory: list[tuple[int, bytearray]]) -> tuple[tuple[int, bytes], ...]:
    return tuple((address, bytes(content)) for address, content in memory)
