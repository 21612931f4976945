"""The dispatcher: runs translated code, and makes of its stops what a guest's host wants to see.

Common to every engine that translates. A subclass supplies the processor (:meth:`TranslatingEngine._enter`: modelled or
real) and may supply a faster translator; all decisions are here:

* which fragment comes next, and when one must be made;
* what a stop means: a fault becomes the precise trap of a guest instruction, an interruption is carried forward to an
  instruction boundary;
* stores into pages with translated code: their fragments are dropped, the store is executed alone, and the guest goes
  on in new fragments;
* where the guest's last x87 instruction was: the processor has a code address, the guest is to know its own;
* how much of its fuel the guest has used: what a stretch has paid and not executed is given back (translator/meter.py).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import ClassVar, Final

from reference import layout as at
from reference.assist import assist
from reference.cache import CacheFull, CodeCache, Translated, choose_window
from reference.encode import jmp_gs_indexed8
from reference.engine import Stats
from reference.errors import NotModelled, VerificationError
from reference.fuel import UNLIMITED, Tank
from reference.isa.instruction import Instruction, InvalidOpcode, Kind, TruncatedCode
from reference.layout import Reason
from reference.memory import PAGE_SHIFT, WATCHED, AddressSpace
from reference.policy import Policy
from reference.registers import CPU, ECX, EIP, REGISTER_WORDS, Segment
from reference.stop import Stop, StopKind
from reference.translator import FETCH_BYTES, Fragment, Span, translate
from reference.traps import Access, Trap, Vector, page_fault, processor_trap, protection_fault
from reference.verifier import Verifier
from reference.weak import weakly

_MEMORY_VECTORS: Final = frozenset({Vector.GENERAL_PROTECTION, Vector.STACK_FAULT})
_VECTORS: Final = frozenset(int(vector) for vector in Vector)
#: No template and no stub is longer than this many instructions.
_MOST_CARRIED: Final = 200
_X87_EIP: Final = at.X87_EIP >> 2
_FUEL: Final = at.control_word(at.FUEL)
_REASON: Final = at.control_word(at.REASON)
_SITE: Final = at.control_word(at.SITE)
_SPILL_ECX: Final = at.control_word(at.SPILL_ECX)
_SPILL_EDX: Final = at.control_word(at.SPILL_EDX)
#: How the jump through the direct table begins; guest code is never copied with these bytes.
_DISPATCH: Final = jmp_gs_indexed8(0, ECX)[:4]
#: Where the image has the opcode of the last x87 instruction, its EIP, and these with the operand's address.
_OPCODE: Final = slice(6, 8)
_LAST_EIP: Final = slice(8, 12)
_POINTERS: Final = slice(6, 24)
#: Room that a fragment may need in the code segment, whatever it contains.
_LARGEST_FRAGMENT: Final = 16 << 10


class TranslatingEngine:
    """An :class:`reference.engine.Engine` that runs fragments. ``code`` and ``control`` are the bytes of the two
    segments, ``cpu`` a view over the first words of the control block; ``cache``, if given, knows what they hold. With
    ``metered`` its fragments, those in ``cache`` too, count instructions; without, they do from the first :meth:`run_for` on."""

    name = "translating"
    #: The verifier of all engines that are made from now on, unless they get another: see :meth:`verify_with`.
    verifier: ClassVar[Verifier | None] = None

    def __init__(
        self,
        space: AddressSpace,
        policy: Policy,
        *,
        cpu: CPU,
        code: memoryview,
        control: memoryview,
        origin: int = 0,
        code_changed: Callable[[int, int], None] | None = None,
        cache: CodeCache | None = None,
        metered: bool = False,
    ) -> None:
        self.space = space
        self.policy = policy
        self.cpu = cpu
        self.stats = Stats()
        self._words = control.cast("I")
        self._words[_X87_EIP] = at.X87_NONE
        self._origin = origin
        if cache is not None:
            cache.attach(code, self._words)
        self._cache = cache or CodeCache(code, self._words, origin=origin, changed=code_changed)
        #: What the scratch area has, while it is executed there.
        self._scratch: Instruction | None = None
        self._interrupted = False
        self._metered = metered
        self._fuel = Tank(self._words)
        #: How often watched pages have changed.
        self._changes = 0
        self._held: Trap | None = None
        #: A stop of which sense is being made, and the registers and the fuel with which that began.
        self._unfinished: tuple[Stop, memoryview, tuple[int, int]] | None = None
        #: Whether that must be begun again if it was not ended: not once the registers are those of the next instruction.
        self._open = False
        #: Whether code has changed while the cache did, too.
        self._torn = False
        self._closed = False
        self._owns_space = True
        self._verifier: Verifier | None = None
        #: The guest's code that the next fragment is made from, as far as it is known.
        self._source: bytes | None = None
        self.verify_with(self.verifier)
        self._watcher = weakly(self._code_changes)
        space.add_watcher(self._watcher)

    # -- the Engine protocol -------------------------------------------------------------------------------------

    def run(self) -> Trap:
        """Run from ``cpu.eip`` until a trap."""
        trap = self._go_on(UNLIMITED if self._metered else None)
        assert trap is not None
        return trap

    def run_for(self, instructions: int) -> Trap | None:
        """See :meth:`reference.engine.Engine.run_for`."""
        return self._go_on(instructions)

    def _go_on(self, fuel: int | None) -> Trap | None:
        """Run until a trap, or until the fuel is used up, and count; without ``fuel`` there is neither limit nor count."""
        return self._counted(self._run, fuel)

    def _counted(self, execute: Callable[[], Trap | None], fuel: int | None) -> Trap | None:
        """Execute with that fuel, and count what is used of it."""
        if fuel is not None:
            self._grant(fuel)
        tank, words, stats = self._fuel, self._words, self.stats
        started = time.perf_counter()
        translating = stats.seconds_translating
        try:
            # Held, too: an exception of a signal handler's may come before it is returned.
            trap = self._held = execute()
        finally:
            # At first, and without a call, of which a property is one: there Python runs signal handlers, which may raise.
            if fuel is not None:
                lent = words[_FUEL]  # below zero where a meter found too little, and nobody has put that right
                stats.instructions += fuel - (tank.reserve + lent - (lent >> 31 << 32))
            elapsed = time.perf_counter() - started
            stats.seconds_running += elapsed - (stats.seconds_translating - translating)
        stats.traps += trap is not None
        self._held = None
        return trap

    def expect_calls(self, trap: int, arguments: tuple[int, ...]) -> None:
        """Of no importance here."""

    def resume(self, foreign: bool) -> int:
        """There is nothing to spare: :meth:`run` does it."""
        return -1

    def can_resume(self) -> bool:
        """See :meth:`reference.engine.Engine.can_resume`."""
        return False

    def recover(self) -> None:
        """Nothing is ever lost."""

    def settle(self) -> None:
        """They always are."""

    def step(self) -> Trap:
        """Run exactly one instruction."""
        trap, self._held = self._held, None
        if trap is None:
            trap = self._counted(self._single, 1 if self._metered else None)
            if trap is not None:
                return trap
            trap = Trap(Vector.SINGLE_STEP, self.cpu.eip)
        self.stats.traps += 1
        return trap

    @property
    def held(self) -> Trap | None:
        """See :class:`reference.engine.Engine`."""
        return self._held

    @held.setter
    def held(self, trap: Trap | None) -> None:
        self._held = trap

    def interrupt(self) -> None:
        """Make a running or the next :meth:`run` return an IRQ trap. From any thread or signal handler."""
        self._interrupted = True
        self._kick()

    def set_thread_pointer(self, selector: int | None, base: int | None) -> None:
        """What GS means from now on. The old base is folded into the fragments, so a new one needs new fragments."""
        if base != self.cpu.gs_base:
            self._cache.flush()
        self.cpu.gs_selector, self.cpu.gs_base = selector, base

    def verify_with(self, verifier: Verifier | None) -> None:
        """Let a verifier judge all code before it can be reached; None for nobody. Then :meth:`run` and :meth:`step` raise
        VerificationError for code that is refused, of which nothing has run."""
        self._verifier = verifier
        self._cache.check = None if verifier is None else weakly(self._check)
        if verifier is not None and (found := verifier.stub_problems(bytes(self._cache.code[: at.SCRATCH_CODE]))):
            raise VerificationError(found)

    def audit(self) -> None:
        """Let the verifier look at all that is reachable now; raises VerificationError."""
        if self._verifier is not None and (found := self._verifier.audit(self.translated())):
            raise VerificationError(found)

    def translated(self) -> Translated:
        """All translated code, as it stands."""
        cache = self._cache
        return Translated(
            cache.code,
            self._words,
            self._origin,
            cache.window,
            self.cpu.gs_base,
            self._metered,
            cache.bodies,
            cache.fragments(),
        )

    def _check(self, fragment: Fragment) -> None:
        assert self._verifier is not None
        source, self._source = self._source, None
        if source is None:  # borrowed: its pages are watched already
            source = self.space.fetch(fragment.eip, fragment.length)
        found = self._verifier.problems(
            fragment,
            origin=self._origin,
            gs_base=self.cpu.gs_base,
            window=self._cache.window,
            metered=self._metered,
            guest=source,
        )
        if not self._cache.is_free(fragment):
            found.append(f"fragment of {fragment.eip:#010x}: code offset {fragment.offset:#x} is not free")
        if found:
            raise VerificationError(found)

    def leave_space(self) -> None:
        """See :meth:`reference.engine.Engine.leave_space`."""
        self._owns_space = False

    def leave_code(self) -> object:
        """None: this engine keeps nothing."""
        return None

    def take_code(self, left: object) -> None:
        """Nothing is taken."""

    def close(self) -> None:
        """Give everything back."""
        if not self._closed:
            self._closed = True
            self.space.remove_watcher(self._watcher)
            self._cache.check = None  # no cycle of references, which would hold the host's descriptors

    # -- what a subclass supplies --------------------------------------------------------------------------------

    def _enter(self, offset: int, single: bool) -> Stop:
        """Run translated code from a code offset until it stops. ``single``: execute exactly one instruction."""
        raise NotImplementedError

    def _last_stop(self) -> Stop:
        """How translated code stopped when :meth:`_enter` did not return because the host's signal handler raised."""
        raise NotImplementedError

    def _kick(self) -> None:
        """Make a running :meth:`_enter` return soon with INTERRUPTED."""
        raise NotImplementedError

    def _translate(self, code: bytes, eip: int, offset: int) -> Fragment:
        return translate(
            code,
            eip,
            self.policy,
            offset=offset,
            gs_base=self.cpu.gs_base,
            origin=self._origin,
            window=self._cache.window,
            metered=self._metered,
        )

    def _bound_control(self, size: int) -> None:
        """Give the control segment this size."""
        raise NotImplementedError

    # -- running -------------------------------------------------------------------------------------------------

    def _run(self) -> Trap | None:
        cpu, words = self.cpu, self._words
        if self._held is not None:
            held, self._held = self._held, None
            return held
        while True:
            if self._torn or not self._cache.sound:
                self._cache.flush()
                self._torn = False
            if self._is_out_of_fuel():
                return None
            if self._interrupted:
                self._interrupted = False
                return Trap(Vector.IRQ, cpu.eip)
            body = self._cache.bodies.get(words[EIP])
            if body is None:
                found = self._make_fragment(words[EIP])
                if isinstance(found, Trap):
                    return found
                body = found
            trap = self._sort(body)
            if trap is not None:
                return trap

    def _sort(self, body: int | None) -> Trap | None:
        """Run translated code from a code offset, and make sense of how it stops (:meth:`_make_sense`); without an offset, of
        how it has stopped.

        If a signal handler of the host raises meanwhile, nothing is lost: what the guest did is sorted, and kept for the next
        run, before the exception goes on.
        """
        stop: Stop | None = None
        self._unfinished, self._open = None, True
        try:
            stop = self._last_stop() if body is None else self._enter(body, False)
            self._note_x87_pointer()
            self._begin(stop)
            trap = self._make_sense(stop)
        except BaseException:
            if self._open:
                self._note_x87_pointer()
                if self._unfinished is None:
                    self._begin(stop or self._last_stop())
                self._held = self._make_sense(self._begin_again())
            raise
        self._unfinished = None
        return trap

    def _begin(self, stop: Stop) -> None:
        """From here on sense can be made of the stop any number of times, as long as it is open."""
        registers = memoryview(bytes(self._words[:REGISTER_WORDS])).cast("I")
        self._unfinished = stop, registers, self._fuel.state

    def _begin_again(self) -> Stop:
        assert self._unfinished is not None
        stop, self._words[:REGISTER_WORDS], self._fuel.state = self._unfinished
        return stop

    def _go_one(self, offset: int) -> Stop:
        """Execute one instruction of translated code at a code offset. If a signal handler of the host raises, the stop is the
        one that is unfinished."""
        stop: Stop | None = None
        try:
            stop = self._enter(offset, True)
            self._note_x87_pointer()
        except BaseException:
            self._note_x87_pointer()
            self._begin(stop or self._last_stop())
            raise
        return stop

    def _note_x87_pointer(self) -> None:
        """If translated code has executed x87 instructions: let the image say where the guest has the last one."""
        if self._words[_X87_EIP] != at.X87_NONE:
            self._place_x87_pointer()

    def _place_x87_pointer(self) -> None:
        """The image's pointers, from the address of translated code that the processor has.

        Where that is not known, because the processor has lost it or the fragment is gone, all pointers become zero.
        """
        offset, fp = self._words[_X87_EIP] - self._origin, self.cpu.fp
        self._words[_X87_EIP] = at.X87_NONE
        alone = self._scratch if at.SCRATCH_CODE <= offset < at.FIRST_FRAGMENT else None
        found = alone or self._cache.span_at(offset)
        if found is None:
            fp[_POINTERS] = bytes(18)
            return
        fp[_LAST_EIP] = found.eip.to_bytes(4, "little")
        if self.cpu.gs_base is not None and fp[_OPCODE.start] & 0xC0 == 0x80:
            # Perhaps the thread pointer was folded into a displacement, for which the translator made room: then the
            # opcode is another. (Another thread may just have changed the code: never mind.)
            from reference.isa.decode import decode
            from reference.isa.semantics.x87 import state as x87_state

            with contextlib.suppress(InvalidOpcode, TruncatedCode):
                instruction = alone or decode(self.space.fetch(found.eip, 15), found.eip, self.policy)
                fp[_OPCODE] = x87_state.opcode(instruction).to_bytes(2, "little")

    def _make_sense(self, stop: Stop) -> Trap | None:
        """What a stop means: a trap for the guest's host, or None where the guest can go on at ``cpu.eip``."""
        if stop.kind == StopKind.INTERRUPTED:
            stop = self._carry_forward(stop)
        if stop.kind == StopKind.LEFT:
            return self._left()
        if stop.kind == StopKind.FAULT:
            return self._fault(stop)
        return None  # interrupted, and at an instruction boundary by now

    def _left(self) -> Trap | None:
        """Translated code came through the exit stub: a trap for the guest's host, or None after some work here."""
        reason = self._words[_REASON]
        if reason == Reason.CHAIN:
            self.cpu.eip = self._cache.branch_target(self._words[_SITE])
            return None
        if reason == Reason.LOOKUP:
            return self._look_up()
        if reason == Reason.ASSIST:
            return self._assist()
        if reason == Vector.INVALID_OPCODE:
            return processor_trap(Vector.INVALID_OPCODE, self.cpu.eip, self._describe(self.cpu.eip))
        if reason < Vector.IRQ:
            return processor_trap(Vector(reason), self.cpu.eip)
        return Trap(reason, self.cpu.eip)

    def _look_up(self) -> Trap | None:
        """An indirect branch went to ``cpu.eip``, which the tables do not know."""
        self._open = False
        eip = self.cpu.eip
        if eip not in self._cache.bodies:
            if self._is_out_of_fuel():
                return None
            found = self._make_fragment(eip, indirect=True)
            if isinstance(found, Trap):
                return found
        self._cache.learn(eip)
        return None

    def _went_astray(self, stop: Stop) -> bool:
        """Whether a fault is that of an indirect branch to a target, in ECX, that the entry table does not have: the
        entry is outside the table, or not set, or that of another target, as the landing has found out."""
        if not at.NO_CODE <= stop.offset < len(self._cache.code):
            return True
        if stop.vector != Vector.GENERAL_PROTECTION:
            return False
        return (
            self._cache.landing_at(stop.offset) is not None
            or self._cache.code[stop.offset : stop.offset + len(_DISPATCH)] == _DISPATCH
        )

    def _send_on(self) -> Trap | None:
        """Finish the indirect branch."""
        cpu, words = self.cpu, self._words
        cpu.eip, cpu.ecx = cpu.ecx, words[_SPILL_ECX]
        if self._cache.window is None:
            cpu.edx = words[_SPILL_EDX]
        self._cache.contend(cpu.eip)
        return self._look_up()

    def _fault(self, stop: Stop) -> Trap | None:
        if self._went_astray(stop):
            return self._send_on()
        eip = self._precise(stop.offset)
        self.cpu.eip = eip
        if self._metered:
            is_meter, needed = self._stretch_at(stop.offset)
            if is_meter:
                return self._run_dry(needed)
        if stop.vector == Vector.PAGE_FAULT:
            if self._is_code_store(stop):
                self._fuel.charge(-1)  # it is to be executed, and paid for, now
                self._open = False
                self._release(stop.address)
                return self._single()
            return page_fault(eip, stop.address, stop.access)
        if stop.vector == Vector.INVALID_OPCODE and self._is_lacking(eip):
            return self._assist()
        if stop.vector in _MEMORY_VECTORS:
            return protection_fault(eip, vector=Vector(stop.vector))
        if stop.vector not in _VECTORS:
            return Trap(stop.vector, eip, detail="an exception that guests do not have")
        return processor_trap(Vector(stop.vector), eip, self._describe(eip))

    def _is_lacking(self, eip: int) -> bool:
        """Whether the policy admits the instruction at ``eip``, and this engine's processor does not have it."""
        return False

    def _is_code_store(self, stop: Stop) -> bool:
        """Whether a fault is only the protection of a page with translated code, which the guest may write."""
        if stop.access != Access.WRITE or stop.address >= self.space.limit:
            return False
        state = self.space.permissions[stop.address >> PAGE_SHIFT]
        return bool(state & WATCHED and state & Access.WRITE)

    def _release(self, address: int) -> None:
        """Let a page of code be written to: its fragments go."""
        page = address >> PAGE_SHIFT
        self.space.touch(page, page + 1)

    def _precise(self, offset: int) -> int:
        """The guest EIP for a fault at a code offset; gives back the register that a template had borrowed, and the fuel of
        what would have come behind."""
        if self._scratch is not None:
            return self._scratch.eip
        span = self._span_at(offset)
        if span.borrowed and offset >= span.borrowed:
            self.cpu.ecx = self._words[_SPILL_ECX]
        if self._metered:
            is_meter, paid = self._stretch_at(offset)
            self._fuel.charge(0 if paid == 0 else -paid if is_meter else 1 - paid)
        return span.eip

    def _span_at(self, offset: int) -> Span:
        span = self._cache.span_at(offset)
        assert span is not None, f"fault outside any template, at code offset {offset:#x}"
        return span

    def _carry_forward(self, stop: Stop) -> Stop:
        """After an interruption inside a template or stub: go on to the next boundary between guest instructions.

        There the registers are the guest's own. What follows may as well fault, or leave: then that is the stop. Directly
        behind a meter it goes on by one instruction: a guest that is interrupted in every meter gets somewhere, too.
        """
        moved = False
        for _ in range(_MOST_CARRIED):
            if stop.kind in (StopKind.LEFT, StopKind.FAULT):
                return stop
            span = self._cache.span_at(stop.offset)
            if span is not None and span.offset == stop.offset:
                behind_meter = self._metered and self._stretch_at(stop.offset - 1)[0]
                if moved or not behind_meter:
                    self.cpu.eip = span.eip
                    if self._metered:
                        is_meter, paid = self._stretch_at(stop.offset)
                        self._fuel.charge(0 if is_meter else -paid)
                    return Stop(StopKind.INTERRUPTED, stop.offset)
                moved = True
            stop = self._go_one(stop.offset)
            self._begin(stop)
        raise AssertionError(f"no instruction boundary near code offset {stop.offset:#x}")

    # -- fuel ----------------------------------------------------------------------------------------------------

    def _grant(self, instructions: int) -> None:
        """Give the guest fuel. From the first time on, all its fragments have meters."""
        if not self._metered:
            self._begin_metering()
        self._fuel.fill(instructions)

    def _begin_metering(self) -> None:
        self._cache.flush()
        self._metered = True

    def _is_out_of_fuel(self) -> bool:
        return self._metered and self._fuel.is_empty

    def _stretch_at(self, offset: int) -> tuple[bool, int]:
        fragment = self._cache.fragment_at(offset)
        return fragment.stretch_at(offset) if fragment is not None else (False, 0)

    def _run_dry(self, needed: int) -> Trap | None:
        """A meter has found less fuel than its stretch needs; ``cpu`` is as before the stretch, and nothing is paid. If there
        really is no more, execute what there is fuel for; the trap, or None."""
        if self._fuel.lend() >= needed:
            return None
        while not self._fuel.is_empty:
            trap = self._single()
            if trap is not None:
                return trap
        return None

    # -- one instruction -----------------------------------------------------------------------------------------

    def _single(self) -> Trap | None:
        """Execute exactly the instruction at ``cpu.eip``, and pay for it; its trap, or None."""
        from reference.isa.decode import decode  # not before it is needed: it reads the whole instruction table
        from reference.translator.scan import kind_under

        self._open = False
        eip = self.cpu.eip
        self._fuel.charge(1)
        try:
            instruction = decode(self.space.fetch(eip, 15), eip, self.policy)
        except TruncatedCode as error:
            return page_fault(eip, error.missing, Access.EXECUTE)
        except InvalidOpcode as error:
            return processor_trap(Vector.INVALID_OPCODE, eip, error.reason)
        unusable = instruction.segment == Segment.GS and self.cpu.gs_base is None
        if kind_under(self.policy, instruction) != Kind.COPY or unusable:
            return self._assist()
        return self._alone(instruction)

    def _alone(self, instruction: Instruction) -> Trap | None:
        """Execute one instruction, which is paid for, as it stands on this engine's processor, in the scratch area; its
        trap, or None."""
        from reference.translator.emit import emit_single

        eip = instruction.eip
        code = emit_single(instruction, at.SCRATCH_CODE, self.cpu.gs_base)
        if self._verifier is not None and (found := self._verifier.single_problems(code, at.SCRATCH_CODE)):
            raise VerificationError(found)
        self._cache.write(at.SCRATCH_CODE, code)
        try:
            self._scratch = instruction
            while True:
                self._words[_REASON] = Reason.LOOKUP
                entered: Stop | None = None
                try:
                    entered = stop = self._enter(at.SCRATCH_CODE, False)
                    self._note_x87_pointer()
                except BaseException:
                    # A signal handler of the host raised. If the guest has left, EIP is what some earlier trap reported.
                    self._note_x87_pointer()
                    done = self._words[_REASON] == Reason.STEPPED
                    stop = entered or self._last_stop()
                    done = done or (stop.kind == StopKind.INTERRUPTED and stop.offset != at.SCRATCH_CODE)
                    self.cpu.eip = instruction.next_eip if done else eip
                    self._fuel.charge(0 if done else -1)
                    raise
                if stop.kind == StopKind.FAULT:
                    if stop.vector != Vector.PAGE_FAULT or not self._is_code_store(stop):
                        return self._fault(stop)
                    self._release(stop.address)
                elif stop.kind == StopKind.INTERRUPTED and stop.offset == at.SCRATCH_CODE:
                    # Not executed, or a REP with iterations to go.
                    if self._interrupted:
                        self._interrupted = False
                        self.cpu.eip = eip
                        self._fuel.charge(-1)
                        return Trap(Vector.IRQ, eip)
                else:
                    self.cpu.eip = instruction.next_eip
                    return None
        finally:
            self._scratch = None

    def _assist(self) -> Trap | None:
        """Execute the instruction at ``cpu.eip`` on the guest's behalf; its trap, or None."""
        self._open = False
        if assist(self.cpu, self.space, self.policy):
            return None
        from reference.engines import execute_one

        try:
            return execute_one(self.cpu, self.space, self.policy)
        except NotModelled:
            self._fuel.charge(-1)
            raise

    # -- fragments -----------------------------------------------------------------------------------------------

    def _make_fragment(self, eip: int, *, indirect: bool = False) -> int | Trap:
        """Translate the guest code at ``eip``: the code offset of its body, or the trap of fetching or decoding it."""
        started = time.perf_counter()
        if not self._cache.covers(eip):
            self._arrange_entries(eip)
        if self._borrow(eip):
            return self._cache.bodies[eip]
        try:
            while True:
                first, changes = eip >> PAGE_SHIFT, self._changes
                watched = self.space.is_watched(first)
                code = self.space.fetch(eip, FETCH_BYTES)
                fragment = self._translate(code, eip, self._room(eip, indirect))
                last = (eip + fragment.length - 1) >> PAGE_SHIFT
                if watched and first == last and changes == self._changes:
                    break
                self.space.watch(first, last + 1)
                # Another thread of the guest may have written between the copy and the watch.
                if self.space.fetch(eip, fragment.length) == code[: fragment.length]:
                    break
        except TruncatedCode as error:
            self._fuel.charge(1)
            return page_fault(eip, error.missing, Access.EXECUTE)
        except InvalidOpcode as error:
            self._fuel.charge(1)
            return processor_trap(Vector.INVALID_OPCODE, eip, error.reason)
        self._source = code
        self._cache.install(fragment)
        self.stats.fragments += 1
        self.stats.guest_bytes_translated += fragment.length
        self.stats.cache_bytes = self._cache.next
        self.stats.seconds_translating += time.perf_counter() - started
        return self._cache.bodies[eip]

    def _borrow(self, eip: int) -> bool:
        """Install a fragment for ``eip`` that was made before, if there is one; for engines that keep them."""
        return False

    def _arrange_entries(self, eip: int) -> None:
        """See to it that the entry table has room for ``eip``, which may be the guest's first code, or lie outside the
        window of what it had until now."""
        if eip >= self.space.limit or not self.space.permissions[eip >> PAGE_SHIFT] & Access.EXECUTE:
            return
        segment = 4 * len(self._words) - at.CONTROL_BLOCK
        window = choose_window(self.space, segment)
        # Bounded first: landings of the hashed table rely on it.
        self._bound_control(segment if window is not None else at.HASHED_SIZE)
        self._begin_anew(window)

    def _begin_anew(self, window: int | None) -> None:
        """Drop all fragments, because those to come depend on another window."""
        self._cache.arrange(window)

    def _room(self, eip: int, indirect: bool) -> int:
        try:
            return self._cache.reserve(eip, _LARGEST_FRAGMENT, indirect=indirect)
        except CacheFull:
            self._cache.flush()
            return self._cache.reserve(eip, _LARGEST_FRAGMENT, indirect=indirect)

    def _code_changes(self, first: int, last: int) -> None:
        """The address space is about to change pages that fragments were made from."""
        self._changes += 1
        if not self._cache.sound:  # a signal handler has come in between, and raised, or changes memory
            self._torn = True
        elif self._cache.drop_pages(first, last):
            self.stats.invalidations += 1

    def _describe(self, eip: int) -> str:
        """The instruction at ``eip`` in words, for messages."""
        from reference.isa.decode import decode

        try:
            return decode(self.space.fetch(eip, 15), eip, self.policy).mnemonic
        except InvalidOpcode as error:
            return error.reason
        except TruncatedCode as error:
            return str(error)
