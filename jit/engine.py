"""The native engine: fragments on the real processor, under LDT segments.

The dispatcher and all that it decides are the specification's (:mod:`reference.dispatch`); here are only its two native
parts, the processor (:mod:`jit.native`) and the translator (:mod:`jit.translate`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from jit import gateway, held, hostarea, library, native
from jit.answers import TickRate
from jit.kept import KeptCode, adopt, keep
from reference import layout as at
from reference.dispatch import TranslatingEngine
from reference.errors import EngineUnavailable
from reference.isa.instruction import DecodeError
from reference.policy import Group, Policy, host_groups
from reference.registers import CPU, EIP, FP_IMAGE_BYTES, REGISTER_WORDS
from reference.stop import Stop
from reference.translator import Fragment
from reference.traps import Trap

if TYPE_CHECKING:
    from jit.space import HostSpace
    from jit.translate import NumbaTranslator

#: Who translates: the compiled translator as soon as there is one ("auto"), it alone, or the specification's.
Translator: TypeAlias = Literal["auto", "numba", "reference"]
#: A processor without these takes LZCNT for BSR and TZCNT for BSF. All else that a processor lacks is an invalid opcode.
_MISTAKEN: Final = frozenset({Group.LZCNT, Group.BMI1})


_INSIDE: Final = hostarea.INSIDE >> 2
_RESUMED: Final = hostarea.RESUMED >> 2
_RESUMED_TICKS: Final = hostarea.RESUMED_TICKS >> 3
_RESUMED_CALLS: Final = hostarea.RESUMED_CALLS >> 3


@functools.cache
def _rate() -> TickRate:
    return TickRate(gateway.load())


class LeftCode(NamedTuple):
    """Where the code is that an engine has left: held for ``program``, with a table of so many ``words`` from ``window`` on."""

    program: object
    window: int
    words: int


def available() -> str | None:
    """None where this host can run the engine, else the reason why not."""
    return native.available()


@functools.cache
def _lacking(groups: frozenset[Group], present: frozenset[Group] | None) -> frozenset[Group]:
    """Those of the groups that a processor does not have, as far as anybody knows."""
    return groups - (present or groups)


def facts() -> dict[str, Any]:
    """What this host offers to the engine, for ``vx32py doctor``."""
    from jit import compiled

    return native.facts() | {"compiled translator": compiled.status()}


class JitEngine(TranslatingEngine):
    """One guest on the real processor. It makes its own address space, :attr:`space`, of ``limit`` addresses, of which
    ``budget`` bytes may be mapped; or it shares another engine's, which keeps it (a thread).

    ``small``: with little room for code and no direct entry table, which is slower, and takes a twentieth of the addresses.

    ``prefer_zero`` and ``based_code`` overrule where the data and the code segment are put (see NativeProcessor): what is
    chosen otherwise is the fastest that this process and this processor offer.

    A policy may admit instructions that this host's processor does not have. The reference semantics execute them, which is
    slow, and the guest sees no difference. Code that was translated for an engine of the same ``program`` (the same
    object) is used again if it can be. ``metered``: see :class:`reference.dispatch.TranslatingEngine`.

    Raises EngineUnavailable where the host has no LDT, or no room below 4 GiB, or not the ``translator`` that is asked for,
    or a processor that takes an instruction of the policy for another one.
    """

    name = "jit"

    def __init__(
        self,
        *,
        limit: int,
        budget: int | None = None,
        policy: Policy | None = None,
        translator: Translator = "auto",
        prefer_zero: bool = True,
        based_code: bool | None = None,
        program: object = None,
        metered: bool = False,
        space: HostSpace | None = None,
        small: bool = False,
    ) -> None:
        policy = policy or Policy.default()
        self._lacking = _lacking(policy.groups, host_groups())
        if self._lacking and (mistaken := sorted(group.value for group in self._lacking & _MISTAKEN)):
            raise EngineUnavailable(
                f"this host's processor has no {' and no '.join(mistaken)}, which the policy admits, and takes the"
                " instructions for others; leave them out, or choose another engine"
            )
        self._wait_for_translator = translator == "auto"
        self._translator: NumbaTranslator | None = None
        if translator == "numba":
            from jit import compiled
            from jit.translate import NumbaTranslator

            try:
                self._translator = NumbaTranslator(compiled.build())
            except compiled.BuildError as error:
                raise EngineUnavailable(f"no compiled translator: {error}") from error
        try:
            self.processor = native.NativeProcessor(
                limit=limit,
                budget=budget,
                prefer_zero=prefer_zero,
                based_code=based_code,
                program=program,
                policy=policy,
                metered=metered,
                space=space,
                small=small,
            )
        except (OSError, MemoryError) as error:
            reason = available()
            if reason is None:
                raise
            raise EngineUnavailable(reason) from error
        self._program = program
        #: Whose code it has: that of the program that its guest was forked from, too.
        self._code_program = program
        self._to_adopt = self.processor.kept
        self._busy = False
        self._answered = 0  # how many native answers the statistics know of
        #: The calls that the gateway may answer by itself.
        self.answers = self.processor.answers
        control = self.processor.control
        words = control[: 4 * REGISTER_WORDS].cast("I")
        cpu = CPU(words, control[at.FP_IMAGE : at.FP_IMAGE + FP_IMAGE_BYTES])
        super().__init__(
            self.processor.space,
            policy,
            cpu=cpu,
            code=self.processor.code,
            control=control,
            origin=self.processor.origin,
            cache=self._to_adopt.cache if self._to_adopt is not None else None,
            metered=metered,
        )
        if self._cache.window is None:
            self._bound_control(at.HASHED_SIZE)
        #: What was translated for the same program in other processes; looked for when the first fragment is needed.
        self._loans: library.Loans | None = None
        self._may_borrow = self._to_adopt is None and translator == "auto" and program is not None
        self._may_resume = self._may_borrow
        self._cache.dropped = self.answers.forget
        self._wide = control[: at.FP_IMAGE].cast("Q")
        #: See :meth:`reference.engine.Engine.resume`: a built-in function, since guests make many calls.
        self.resume = self.processor.resume  # type: ignore[method-assign]
        _rate()

    def expect_calls(self, trap: int, arguments: tuple[int, ...]) -> None:
        """See :meth:`reference.engine.Engine.expect_calls`."""
        self.answers.expect(trap, arguments)

    def _go_on(self, fuel: int | None) -> Trap | None:
        words = self._words
        self.processor.prepare()
        if words[_RESUMED] == hostarea.RESUMED_UNSORTED:
            self._sort_out()
        self._busy = True
        if self._to_adopt is not None:
            adopt(self._to_adopt, self.processor.space)
            self._to_adopt = None
            self.stats.cache_bytes = self._cache.next
            self.audit()
        eip = words[EIP]
        trap = self._held = super()._go_on(fuel)
        self._busy = False
        body = self._cache.bodies.get(eip)
        if body is not None and fuel is None:  # nobody gives those fuel who go on without us
            self.answers.learn(eip, self._origin + body)
        self._held = None
        return trap

    def can_resume(self) -> bool:
        """See :meth:`reference.engine.Engine.can_resume`."""
        return self._held is None and not self._torn and self.processor.knows_thread()

    def recover(self) -> None:
        """See :meth:`reference.engine.Engine.recover`."""
        if self._closed:
            return
        if self._words[_RESUMED] == hostarea.RESUMED_CALL:
            self._wide[_RESUMED_CALLS] -= 1
            self._words[_RESUMED] = hostarea.RESUMED_UNSORTED
        # At once: until then registers and memory are not those of any moment between two instructions.
        if self._words[_RESUMED] == hostarea.RESUMED_UNSORTED:
            self._sort_out()

    def settle(self) -> None:
        """Bring :attr:`stats` up to date."""
        if self._closed:
            return
        wide, answered = self._wide, self.answers.total()
        self.stats.traps += wide[_RESUMED_CALLS] + answered - self._answered
        self._answered = answered
        if ticks := wide[_RESUMED_TICKS]:
            self.stats.seconds_running += _rate().seconds(ticks)
        wide[_RESUMED_CALLS] = wide[_RESUMED_TICKS] = 0

    def _sort_out(self) -> None:
        """Make sense of how the guest has left, and keep it for :meth:`run`."""
        self._busy = True
        self._words[_RESUMED] = hostarea.RESUMED_NOT
        self.processor.called()
        self._note_x87_pointer()
        self._held = self._sort(None)
        if self._interrupted and self._held is not None:  # the call comes first, and no note is left of the interrupt
            self._kick()
        self._busy = False

    def step(self) -> Trap:
        """Run exactly one instruction."""
        self.processor.prepare()
        if self._words[_RESUMED] == hostarea.RESUMED_UNSORTED:
            self._sort_out()
        return super().step()

    def set_thread_pointer(self, selector: int | None, base: int | None) -> None:
        """See :meth:`reference.engine.Engine.set_thread_pointer`."""
        with self._new_circumstances(base != self.cpu.gs_base):
            super().set_thread_pointer(selector, base)

    def _begin_metering(self) -> None:
        with self._new_circumstances(True):
            super()._begin_metering()

    @contextlib.contextmanager
    def _new_circumstances(self, are_new: bool) -> Iterator[None]:
        """Note down what the guest has before all of it is dropped, and let it borrow what there is for it afterwards."""
        loans = self._loans if are_new else None
        if loans is not None:
            loans.end(self._cache)
        if are_new:
            self._hold_code()
            self._may_resume = True
        yield
        if loans is not None:
            loans.begin(self._cache, self._circumstances())

    def _circumstances(self) -> library.Circumstances:
        """What fragments depend on beside the program's code and the policy."""
        return self.cpu.gs_base, self._cache.window, self._metered

    def _begin_anew(self, window: int | None) -> None:
        with self._new_circumstances(True):
            super()._begin_anew(window)

    def _held_under(self) -> held.Circumstances:
        return self.policy, self.cpu.gs_base, self._cache.window, self._metered

    def _hold_code(self) -> None:
        """Hold what was translated, for other guests of this program in this process."""
        program = self._code_program
        if program is not None and self._cache.sound and self._cache.window is not None and library.in_use():
            held.hold(program, self._held_under(), self._cache, self.processor.space)

    def leave_code(self) -> LeftCode | None:
        """See :meth:`reference.engine.Engine.leave_code`."""
        window = self._cache.window
        if self._code_program is None or window is None:
            return None
        self._hold_code()
        return LeftCode(self._code_program, window, len(self._cache.control))

    def take_code(self, left: object) -> None:
        """See :meth:`reference.engine.Engine.take_code`."""
        mine = self._cache
        if not isinstance(left, LeftCode) or mine.bodies or len(mine.control) != left.words:
            return
        self._code_program, self._to_adopt = left.program, None
        self._bound_control(4 * len(self._words) - at.CONTROL_BLOCK)
        mine.arrange(left.window)
        self._resume_code()

    def _resume_code(self) -> bool:
        """Have what guests of this program have had under the same circumstances; whether there is something."""
        self._may_resume = False
        program = self._code_program
        if program is None or self._cache.window is None or self._cache.bodies or not library.in_use():
            return False
        if not held.resume(program, self._held_under(), self._cache, self.processor.space):
            return False
        self.stats.cache_bytes = self._cache.next
        self._loans, self._may_borrow = None, False
        return True

    def _borrow(self, eip: int) -> bool:
        if self._may_resume and self._cache.covers(eip) and self._resume_code() and eip in self._cache.bodies:
            return True
        if self._may_borrow and self._cache.covers(eip):
            self._may_borrow = False
            found = library.of(self._program, self.policy)
            if found is not None:
                self._loans = library.Loans(found, self.space, self._origin)
                self._loans.begin(self._cache, self._circumstances())
        if self._loans is None or not self._loans.borrow(self._cache, eip):
            return False
        self.stats.cache_bytes = self._cache.next
        return True

    def _code_changes(self, first: int, last: int) -> None:
        super()._code_changes(first, last)
        if self._loans is not None:
            self._loans.changed(first, last)

    def _translate(self, code: bytes, eip: int, offset: int) -> Fragment:
        if self._translator is None and self._wait_for_translator:
            # Here, because a guest whose fragments are all known needs neither.
            from jit import compiled
            from jit.translate import NumbaTranslator

            ready = compiled.ready()
            self._translator = None if ready is None else NumbaTranslator(ready)
        if self._translator is None:
            return super()._translate(code, eip, offset)
        return self._translator.translate(
            code,
            eip,
            self.policy,
            offset=offset,
            gs_base=self.cpu.gs_base,
            origin=self._origin,
            window=self._cache.window,
            metered=self._metered,
        )

    def _enter(self, offset: int, single: bool) -> Stop:
        return self.processor.enter(offset, single)

    def leave_space(self) -> None:
        """See :meth:`reference.engine.Engine.leave_space`."""
        super().leave_space()
        self.processor.owns_space = False

    def _bound_control(self, size: int) -> None:
        self.processor.bound_control(size)

    def _last_stop(self) -> Stop:
        return self.processor.last_stop()

    def _is_lacking(self, eip: int) -> bool:
        if not self._lacking:
            return False
        from reference.isa.decode import MAX_LENGTH, decode
        from reference.isa.lookup import FORMS

        try:
            instruction = decode(self.space.fetch(eip, MAX_LENGTH), eip, self.policy)
        except DecodeError:  # changed meanwhile by another thread
            return False
        return not FORMS[instruction.row.index].groups.isdisjoint(self._lacking)

    def _kick(self) -> None:
        self.processor.interrupt()

    def close(self) -> None:
        """Give memory and descriptors back."""
        kept: KeptCode | None = None
        # Not where another thread may be at work, or an exception has come out of the middle of something.
        at_rest = not (self._closed or self._busy or self._words[_INSIDE])
        was_forked = self._program is not self._code_program  # what it has translated is for the next one
        if at_rest and self._to_adopt is None and (self.cpu.gs_base is not None or was_forked):
            self._hold_code()
        if self._loans is not None and at_rest:
            self._loans.end(self._cache)
            self._loans.save()
        if at_rest and self._program is not None and self.cpu.gs_base is None:
            if self._to_adopt is None:
                kept = keep(self._program, self.policy, self._cache, self.processor.space, self._metered)
            elif self._cache.sound:
                kept = self._to_adopt
                kept.cache.detach()
        self.settle()
        super().close()
        self.resume = native.closed  # type: ignore[method-assign, assignment]  # the other holds the memory, which could not rest
        self.processor.close(kept)
