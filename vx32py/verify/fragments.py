"""The verifier: whether a finished fragment can do anything but what fragments may.

A fragment is accepted only if every byte of it is accounted for: it is the landing of its first EIP, then for each guest
instruction one template, then trampolines. A template is one of the patterns of :mod:`vx32py.verify.templates`, or *one*
instruction of the list of :mod:`vx32py.verify.instructions` that names no segment but the guest's. Every transfer of
control leads to a stub, to a trampoline of the fragment, or to where one of its templates begins.

So nothing that is executed was not read, no segment register is touched, the control segment only by templates, and the
fragment is left only through the stubs, the entry table, or to fragments of which the same is true. If the guest's code
is at hand, the templates are compared with it, too. It shares no code with either translator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from re import Match
from typing import TYPE_CHECKING, Final

from vx32py.verify import control as at
from vx32py.verify.decoding import Bytes, copy_problem, is_copy, load_of, split
from vx32py.verify.templates import FIRST_BYTES, TRAMPOLINE_SIZE, Patterns, landing, patterns, trampoline

if TYPE_CHECKING:
    from reference.translator import Fragment, Span

_MASK: Final = 0xFFFF_FFFF
#: After these, control does not go on behind the template.
_ENDS: Final = frozenset({"jump", "jump indirect", "return", "trap"})
#: After these, it goes on there or elsewhere: what follows is not paid for before.
_MAY_LEAVE: Final = frozenset({"branch", "loop", "call", "call indirect", "overflow"})
#: What guest instructions become a trap with this opcode, and what it tells the host.
_TRAPS: Final = {b"\xcc": 0x003, b"\x0f\x05": 0x300}
_FAULTS: Final = (b"\x0f\x0b", b"\x0f\xb9", b"\x0f\xff", b"\xf4", b"\x0f\x34")


def problems(
    fragment: Fragment,
    *,
    origin: int = 0,
    gs_base: int | None = None,
    window: int | None = None,
    guest: bytes | None = None,
    bodies: Mapping[int, int] | None = None,
    metered: bool = False,
) -> list[str]:
    """What is wrong with a fragment, one line each; nothing if it is accepted.

    ``origin``, ``gs_base``, ``window`` and ``metered`` are what it was translated for. With the ``guest``'s code, from its
    EIP on, it must be a translation of that code; without, it must be safe. ``bodies`` has the code offset of each EIP that
    other fragments have code for: then direct branches may have been linked to them already.
    """
    reader = _Reader(fragment, origin, gs_base, window, guest, bodies, metered=metered)
    try:
        reader.read()
    except (IndexError, ValueError, OverflowError) as error:  # tables that contradict each other
        reader.complain(fragment.offset, f"cannot be read: {error!r}")
    return reader.found


class _Reader:
    def __init__(
        self, fragment: Fragment, origin: int, gs_base: int | None, window: int | None, guest: bytes | None,
        bodies: Mapping[int, int] | None, *, metered: bool,
    ) -> None:  # fmt: skip
        self.fragment = fragment
        self.origin = origin
        self.gs_base = gs_base
        self.window = window
        self.guest = None if guest is None else guest[: fragment.length]
        self.bodies = bodies
        self.patterns = patterns(window)
        self.found: list[str] = []
        self.spans = fragment.spans
        #: Where templates begin, by code offset: what branches may lead to.
        self.starts = {span.offset: span for span in self.spans}
        #: The EIP behind the instruction of each span.
        self.behind = [*(span.eip for span in self.spans[1:]), fragment.next_eip]
        self.exits = {leaving.field: leaving for leaving in fragment.exits}
        self.remaining = dict(self.exits)
        self.landings = list(fragment.landings)
        #: How many instructions are still paid for, in a fragment with meters.
        self.paid: int | None = 0 if metered else None

    def complain(self, offset: int, what: str) -> None:
        self.found.append(f"fragment of {self.fragment.eip:#010x}, code offset {offset:#x}: {what}")

    def piece(self, start: int, end: int) -> bytes:
        return self.fragment.code[start - self.fragment.offset : end - self.fragment.offset]

    def read(self) -> None:
        fragment, spans, first = self.fragment, self.spans, self.landings.pop(0)
        entry = landing(fragment.eip, self.window)
        body = fragment.offset + len(entry)
        if fragment.offset < at.FIRST_FRAGMENT:
            self.complain(fragment.offset, "not where fragments are")
        if not fragment.code.startswith(entry):
            self.complain(fragment.offset, "not the landing of its EIP")
        if not spans or spans[0].offset != body or first != (fragment.eip, fragment.offset, body):
            self.complain(fragment.offset, "the templates do not begin behind the landing")
            return
        ends = [span.offset for span in spans[1:]] + [fragment.tail]
        if any(start.offset >= end for start, end in zip(spans, ends, strict=True)) or fragment.tail > fragment.end:
            self.complain(fragment.offset, "the templates are not one behind the other")
            return
        kind = ""
        for index, (span, end) in enumerate(zip(spans, ends, strict=True)):
            kind = self.read_template(index, span, end)
        if kind not in _ENDS:
            self.complain(fragment.tail, f"control goes on behind the last template, {kind or 'a copied instruction'}")
        if self.paid:
            self.complain(fragment.tail, f"{self.paid} instructions are paid for that there are not")
        if self.remaining:
            self.complain(min(self.remaining), "an exit, but no branch that leaves")
        if self.landings:
            self.complain(self.landings[0].offset, "a landing, but no call in front of it")
        self.read_trampolines()

    def read_trampolines(self) -> None:
        fragment = self.fragment
        expected = range(fragment.tail, fragment.end, TRAMPOLINE_SIZE)
        if {leaving.trampoline for leaving in self.exits.values()} != set(expected):
            self.complain(fragment.tail, "not the trampolines of its exits")
        for offset in expected:
            if self.piece(offset, offset + TRAMPOLINE_SIZE) != trampoline(offset):
                self.complain(offset, "not a trampoline")

    # -- one template --------------------------------------------------------------------------------------------

    def read_template(self, index: int, span: Span, end: int) -> str:
        """Judge the template of a span; its kind, empty for a copied instruction."""
        code, start = self.piece(span.offset, end), span.offset
        meter = self.patterns.meter.fullmatch(code)
        if meter is not None:
            self.read_charge(index, meter)
            return "meter"
        if self.paid is not None and span.eip != self.fragment.next_eip:
            self.paid -= 1
            if self.paid < 0:
                self.complain(start, "an instruction that no meter has counted")
                self.paid = 0
        kind, match = _recognise(self.patterns, code)
        own = self.guest_instruction(index)
        if match is None:
            problem = copy_problem(code)
            if problem is not None:
                self.complain(start, f"{problem}: {code[:24].hex(' ')}")
            elif own is not None and not is_copy(code, own.whole, self.gs_base):
                self.complain(start, f"{code.hex(' ')} for the guest's {own.whole.hex(' ')}")
            return ""
        self.read_parts(kind, match, index, start, end)
        if own is not None and not self.translates(kind, match, own, index, end):
            self.complain(start, f"{kind} {code.hex(' ')} for the guest's {own.whole.hex(' ')}")
        return kind

    def read_charge(self, index: int, meter: Match[bytes]) -> None:
        """A meter must count exactly the instructions up to the next one."""
        charged = -_signed(meter["charge"])
        start = self.spans[index].offset
        if self.paid is None:
            self.complain(start, "a meter in a fragment that is to have none")
        if self.paid:
            self.complain(start, f"a meter where {self.paid} instructions are paid for already")
        if not 0 < charged <= len(self.spans) or self.behind[index] != self.spans[index].eip:
            self.complain(start, f"a meter that counts {charged} instructions")
        self.paid = charged

    def read_parts(self, kind: str, match: Match[bytes], index: int, start: int, end: int) -> None:
        """The parts of a template that differ from one to the other."""
        groups = match.groupdict()
        if groups.get("load") is not None:
            self.read_load(match["load"], start)
        if groups.get("give_ecx") is not None:
            self.read_return(match, index, end)
        if kind in ("trap", "overflow"):
            self.read_trap(kind, match, index, start, end)
        elif kind in ("jump", "branch", "loop", "call"):
            self.read_branch(match, start)
        if self.paid and kind in _MAY_LEAVE:
            self.complain(start, f"{self.paid} instructions behind a {kind} are paid for before it")

    def read_load(self, load: bytes, start: int) -> None:
        own = split(load)
        problem = copy_problem(load)
        is_load = (
            own.rest[:1] == b"\x8b" and own.rest[1] & 0x38 == 8 and {0x3E, 0x36, 0x26, 0x67}.issuperset(own.prefixes)
        )
        if problem is not None or not is_load:
            self.complain(start, f"not a load of a target into ECX: {load.hex(' ')}")

    def read_return(self, match: Match[bytes], index: int, end: int) -> None:
        """The landing with which a call ends, and the EIP that it has pushed."""
        back = _value(match["back"])
        size = len(landing(back, self.window))
        known = self.landings.pop(0) if self.landings else None
        if known != (back, end - size, end) or self.piece(end - size, end) != landing(back, self.window):
            self.complain(end - size, f"not the landing of a return to {back:#010x}")
        if back != self.behind[index]:
            self.complain(end - size, f"a call that returns to {back:#010x}")
        if self.window is None:
            slot, stored = _value(match["slot"]), _value(match["stored"])
            allowed = {self.origin + end - size & _MASK}
            if self.bodies is not None:
                allowed.add(self.origin + at.stubs()["lookup"] & _MASK)
            if slot != at.HASHED_TABLE + 4 * (back & 0xFFFF) or stored not in allowed:
                self.complain(end - size, f"a store of {stored:#x} into the control segment at {slot:#x}")

    def is_meter(self, offset: int) -> bool:
        return self.patterns.meter.match(self.piece(offset, self.fragment.tail)) is not None

    def read_trap(self, kind: str, match: Match[bytes], index: int, start: int, end: int) -> None:
        reason, reported = _value(match["reason"]), _value(match["reported"])
        expected = self.spans[index].eip if reason in at.OF_THE_INSTRUCTION else self.behind[index]
        known = at.OF_THE_INSTRUCTION | at.OF_THE_NEXT
        if reason not in known or reported != expected or (kind == "overflow" and reason != 0x004):
            self.complain(start, f"a trap {reason:#x} that reports {reported:#010x}")
        if end + _signed(match["wide"]) != at.stubs()["exit"]:
            self.complain(start, "a trap that does not lead to the exit stub")

    def read_branch(self, match: Match[bytes], start: int) -> None:
        """A direct branch must lead to a template, or out of the fragment by an exit that is in its table."""
        field, destination = _branch(match, start)
        leaving = self.remaining.pop(field, None)
        if leaving is None:
            if destination not in self.starts:
                self.complain(start, f"a branch to code offset {destination:#x}, where no template begins")
            elif self.paid is not None and not self.is_meter(destination):
                self.complain(start, f"a branch to code offset {destination:#x}, past the meter")
            return
        linked = None if self.bodies is None else self.bodies.get(leaving.target)
        if destination not in (leaving.trampoline, linked):
            self.complain(start, f"an exit to code offset {destination:#x}, which is not its trampoline")

    # -- the guest's code ----------------------------------------------------------------------------------------

    def guest_instruction(self, index: int) -> Bytes | None:
        """The guest's instruction of a span; None if the code is not known, or for the jump with which a fragment ends."""
        span = self.spans[index]
        if self.guest is None or span.eip == self.fragment.next_eip:
            return None
        start = span.eip - self.fragment.eip & _MASK
        length = self.behind[index] - span.eip & _MASK
        if not 0 < length <= 15 or start + length > len(self.guest):
            raise ValueError(f"the instruction at {span.eip:#010x} has {length} bytes")
        return split(self.guest[start : start + length])

    def translates(self, kind: str, match: Match[bytes], own: Bytes, index: int, end: int) -> bool:
        """Whether a template does what the guest's instruction does."""
        judge: dict[str, Callable[[], bool]] = {
            "jump": lambda: own.rest[:1] in (b"\xeb", b"\xe9") and self.leads_to(match, own, index, end),
            "branch": lambda: _condition(own.rest) == _condition_of(match) and self.leads_to(match, own, index, end),
            "loop": lambda: (
                own.rest[:1] == match["loop"]
                and (0x67 in own.prefixes) == (match[0][0] == 0x67)
                and self.leads_to(match, own, index, end)
            ),
            "call": lambda: own.rest[:1] == b"\xe8" and self.leads_to(match, own, index, end),
            "call indirect": lambda: own.rest[1] & 0x38 == 0x10 and self.loads(match, own),
            "jump indirect": lambda: own.rest[1] & 0x38 == 0x20 and self.loads(match, own),
            "return": lambda: _released(own.rest) == (_value(match["release"]) if match["release"] else 0),
            "trap": lambda: _value(match["reason"]) == 0x1002 or _value(match["reason"]) == _trap(own.rest),
            "overflow": lambda: own.rest == b"\xce",
        }
        return judge[kind]()

    def leads_to(self, match: Match[bytes], own: Bytes, index: int, end: int) -> bool:
        """Whether a direct branch leads to the EIP that the guest's leads to."""
        size = 1 if own.rest[0] not in (0xE8, 0xE9, 0x0F) else 4
        target = self.behind[index] + _signed(own.rest[-size:]) & _MASK
        field, destination = _branch(match, end - len(match[0]))
        leaving = self.exits.get(field)
        if leaving is not None:
            return leaving.target == target
        inside = self.starts.get(destination)
        return inside is not None and inside.eip == target

    def loads(self, match: Match[bytes], own: Bytes) -> bool:
        """Whether an indirect branch has the guest's operand."""
        expected = load_of(own, self.gs_base)
        return expected is not None and is_copy(match["load"], expected.whole, None)


def _recognise(patterns: Patterns, code: bytes) -> tuple[str, Match[bytes] | None]:
    """The kind of a template, and the match with its pattern; nothing for what must be a copied instruction."""
    if code[:1] in FIRST_BYTES:
        for kind, pattern in patterns.kinds:
            match = pattern.fullmatch(code)
            if match is not None:
                return kind, match
    return "", None


def _branch(match: Match[bytes], start: int) -> tuple[int, int]:
    """Of a direct branch in a template at ``start``: the code offset of its 32-bit displacement, -1 if it has 8 bits, and the
    one that it leads to."""
    name = "short" if match["short"] is not None else "wide"
    destination = start + match.end(name) + _signed(match[name])
    return (start + match.start(name) if name == "wide" else -1), destination


def _value(field: bytes) -> int:
    return int.from_bytes(field, "little")


def _signed(field: bytes) -> int:
    return int.from_bytes(field, "little", signed=True)


def _condition(rest: bytes) -> int:
    opcode = rest[1] if rest[0] == 0x0F else rest[0]
    return opcode & 0xF if opcode & 0xF0 == (0x80 if rest[0] == 0x0F else 0x70) else -1


def _condition_of(match: Match[bytes]) -> int:
    return (match["condition"] or match["condition32"])[0] & 0xF


def _released(rest: bytes) -> int:
    return {0xC3: 0, 0xC2: _value(rest[1:3])}.get(rest[0], -1)


def _trap(rest: bytes) -> int:
    """The number with which the host is told of the guest's instruction; -1 if it is not told."""
    if rest[0] == 0xCD:
        return 0x200 + rest[1]
    return _TRAPS.get(rest, 0x006 if rest.startswith(_FAULTS) else -1)
