"""Plugin: a guest as a library, whose functions the host calls.

    plugin = box.instantiate(module, callbacks={"progress": print})
    plugin.call("digest", b"data")

A plug-in is a process of the VX ABI that is never left to run by itself. To begin with, and then for every call, the host
puts a return address and the arguments onto its stack, lets it run from the function's address, and gets it back when it
returns: to a page that the host has mapped below the image, where a software interrupt stands. Another one is how it calls
functions of the host's. docs/plugins.md has the interface as plug-ins see it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from reference.errors import MemoryFault, OutOfMemory
from reference.memory import PAGE
from reference.registers import ECX, EDX, EIP, ESP
from reference.traps import SOFTWARE_INTERRUPT, Access, Trap, Vector
from vx32py._descriptors import OwnMeter
from vx32py._errors import LimitExceeded
from vx32py._streams import Capture
from vx32py.plugin import declarations
from vx32py.plugin.arena import ALIGNMENT, Arena
from vx32py.plugin.errors import (
    NoSuchFunction,
    PluginClosed,
    PluginError,
    PluginExited,
    PluginInterrupted,
    PluginReturnError,
    PluginTrapped,
    StalePointer,
)  # fmt: skip
from vx32py.plugin.frames import MOST_ON_STACK, Callback, Export
from vx32py.plugin.pointer import GuestPointer
from vx32py.plugin.signatures import Signature, Type

if TYPE_CHECKING:
    from reference.memory import AddressSpace
    from vx32py._module import Module
    from vx32py._process import Process
    from vx32py._snapshot import Snapshot

#: The software interrupts by which a plug-in comes back, and calls its host.
RETURN_INTERRUPT: Final = 0x70
IMPORT_INTERRUPT: Final = 0x71
_RETURN: Final = SOFTWARE_INTERRUPT + RETURN_INTERRUPT
_IMPORT: Final = SOFTWARE_INTERRUPT + IMPORT_INTERRUPT
#: What is on the page where functions return to: INT 0x70; and, for a result in ST(0), FSTP QWORD PTR [ESP-8] before it.
_PLAIN: Final = bytes((0xCD, RETURN_INTERRUPT))
_F64: Final = bytes((0xDD, 0x5C, 0x24, 0xF8, 0xCD, RETURN_INTERRUPT))
_F64_OFFSET: Final = 16
_RETURN_PAGE: Final = _PLAIN.ljust(_F64_OFFSET, b"\xcc") + _F64

_IRQ: Final = int(Vector.IRQ)
_START: Final = Signature((), Type.NONE)
_INITIALISATION: Final = "initialisation"


class Plugin:
    """A plug-in at work. Made by ``Sandbox.instantiate``; a context manager.

    ``functions`` are the exports with their signatures, ``imports`` what it imports of the host, ``module`` its image.

    Calls from several threads take turns; a callback may call the plug-in again. Each outermost call has the sandbox's
    limits of time, fuel and output to itself. A call that does not come back leaves nothing behind: the next one finds the
    plug-in as it was after its initialisation.
    """

    def __init__(
        self,
        process: Process,
        exports: Mapping[str, Export],
        callbacks: Mapping[int, Callback],
        back: int,
        *,
        reset: bool,
    ) -> None:
        """Run its initialisation. ``process`` is loaded and has not run yet; ``callbacks`` by the address that names each;
        ``back`` is where the page goes to which functions return. Raises what :meth:`call` raises."""
        self.module: Module = process.module
        self.functions: Mapping[str, Signature] = MappingProxyType({e.name: e.signature for e in exports.values()})
        self.imports: Mapping[str, Signature] = MappingProxyType({c.name: c.signature for c in callbacks.values()})
        #: How often it was reset: pointers are good for one generation.
        self.generation = 0
        self._process = process
        self._callbacks = callbacks
        #: Not yet: there is nothing to come back to.
        self._reset_always = False
        self._lock = threading.RLock()
        self._exports = exports
        layout = process.layout
        self._arena = Arena(layout, process.sandbox.memory)
        #: What each call may write to standard streams.
        self._meters = [(file.meter, file.meter.left) for file in process.streams if isinstance(file.meter, OwnMeter)]
        #: So many bytes of arguments go onto the stack; more go into the arena.
        self.stack_share = min(MOST_ON_STACK, (layout.stack_end - layout.stack_start) // 16)
        self._back = back
        self._closed = False
        #: Whether a call has not come back since the last reset.
        self._broken = False
        #: How many calls are under way; and whether the innermost of them is in the guest, not in a callback.
        self._depth = 0
        self._inside = False
        #: The registers, and checked access to memory; for the other modules of this package.
        self.words = process.registers.words
        self.space: AddressSpace = process.engine.space
        self._fp = process.registers.fp
        self._clean_words = memoryview(bytes(self.words)).cast("I")
        self._clean_fp = bytes(self._fp)
        self._top = self.words[ESP] & -ALIGNMENT
        try:
            self.space.map(self._back, PAGE, Access.RX)
        except OutOfMemory as error:
            raise LimitExceeded("memory", str(error)) from error
        self.space.store(self._back, _RETURN_PAGE)
        self._invoke(Export(_INITIALISATION, self.module.entry, _START), ())
        self._snapshot: Snapshot = process.snapshot()
        self._reset_always = reset

    # -- calling -------------------------------------------------------------------------------------------------

    def call(self, name: str, *arguments: Any) -> Any:
        """Call an export; its result.

        Raises NoSuchFunction; TypeError and ValueError for arguments that do not fit, before anything runs; PluginTrapped
        and the other errors of :mod:`vx32py.plugin.errors`; LimitExceeded and Timeout; and whatever a callback raises, or a
        handler of a system call.
        """
        return self._invoke(self._exports.get(name) or self._no_export(name), arguments)

    def function(self, name: str, signature: str | Signature | None = None) -> Callable[..., Any]:
        """A function of the plug-in as one of Python. With a ``signature``, such as "u32, bytes -> bytes", that may be any
        function that has a symbol; what it is called with is then the caller's responsibility.

        Raises NoSuchFunction, and ValueError for a signature that is none.
        """
        if signature is None:
            export = self._exports.get(name) or self._no_export(name)
        else:
            parsed = Signature.parse(signature) if isinstance(signature, str) else signature
            try:
                export = Export(name, declarations.address_of(self.module, name), parsed)
            except LookupError as error:
                raise NoSuchFunction(str(error)) from None

        def call(*arguments: Any) -> Any:
            return self._invoke(export, arguments)

        call.__name__ = call.__qualname__ = name
        call.__doc__ = str(export.signature)
        return call

    def _no_export(self, name: str) -> NoReturn:
        known = ", ".join(self._exports) or "none"
        raise NoSuchFunction(f"the plug-in exports no function {name!a}; it exports {known}")

    def _invoke(self, export: Export, arguments: tuple[Any, ...]) -> Any:
        try:
            with self._lock:
                return self._carry_out(export, arguments)
        except LimitExceeded as error:
            error.add_note(f"in {export.name}, a function of the plug-in {self.module.name}")
            raise
        finally:
            if self._closed:
                self._give_back()

    def _carry_out(self, export: Export, arguments: tuple[Any, ...]) -> Any:
        self._require_open()
        if self._inside:
            raise PluginError("it is called while it runs, by a signal handler perhaps", export.name)
        words, fp, nested = self.words, self._fp, self._depth > 0
        if nested:
            if self._broken:
                raise PluginError("a call within this one has not come back; it has to end, too", export.name)
            top, saved = words[ESP] & -ALIGNMENT, (bytes(words), bytes(fp))
        else:
            self._begin()
            top = self._top
        mark = self._arena.mark()
        back = self._back + _F64_OFFSET if export.result is Type.F64 else self._back
        try:
            esp, block = export.lay_out(self, arguments, top, back)
        except BaseException:
            self._arena.release(self.space, mark)
            raise
        self._depth += 1
        broken, self._broken = self._broken, True
        try:
            try:
                self.space.write(esp, block)
            except MemoryFault as error:
                raise PluginError(f"no room on its stack: {error}", export.name) from None
            words[:] = self._clean_words
            fp[:] = self._clean_fp
            words[ESP], words[EIP] = esp, export.address
            self._run(export, esp, back)
            result = export.read_result(self, esp)
            self._arena.release(self.space, mark)
            if nested:
                words[:] = memoryview(saved[0]).cast("I")
                fp[:] = saved[1]
            self._broken = broken
            return result
        finally:
            self._depth -= 1

    def _begin(self) -> None:
        """See to it that an outermost call finds what it should."""
        if self._broken or self._reset_always:
            self._restore()
        process = self._process
        family, sandbox = process.family, process.sandbox
        family.seconds = family.cpu_seconds = 0.0
        family.fuel = sandbox.fuel
        for file in process.streams:
            if isinstance(file, Capture) and file.data:
                file.data.clear()
        for meter, most in self._meters:
            meter.left = most

    def _run(self, export: Export, esp: int, back: int) -> None:
        """Let the guest run until the function returns."""
        words, run = self.words, self._process.run
        end = back + (len(_F64) if back != self._back else len(_PLAIN))
        while True:
            self._inside = True
            try:
                trap = run()
            except ValueError:
                self._require_open()  # it was closed meanwhile
                raise
            finally:
                self._inside = False
            if trap.number == _RETURN and trap.eip == end:
                if words[ESP] != esp + export.popped:
                    raise PluginReturnError(export.name, words[ESP], esp + export.popped)
                return
            callback = self._callbacks.get(words[EDX]) if trap.number == _IMPORT else None
            if callback is None:
                self._fail(export, trap)
            self._serve(callback)

    def _serve(self, callback: Callback) -> None:
        """Call a function of the host's for the plug-in."""
        place, arguments = callback.read_arguments(self, self.words[ECX])
        self._broken = False
        try:
            result = callback.function(*arguments)
            self._require_open()
            if self._broken:
                raise PluginError("the plug-in was called in there, and that call has not come back", callback.name)
            callback.write_result(self, place, result)
        finally:
            self._broken = True

    def _fail(self, export: Export, trap: Trap) -> NoReturn:
        """The guest has stopped where a function does not."""
        process = self._process
        if process.exit_code is not None:
            raise PluginExited(export.name, process.exit_code)
        if trap.number == _IRQ:
            raise PluginInterrupted(export.name)
        layout = process.layout
        overflow = trap.number == Vector.PAGE_FAULT and (
            layout.stack_start - PAGE <= trap.address < layout.stack_start or self.words[ESP] < layout.stack_start
        )
        remark = ": its stack has overflowed" if overflow else ""
        raise PluginTrapped(export.name, trap, self.module.symbol_at(trap.eip), remark)

    def put(self, data: bytes | bytearray | memoryview) -> int:
        """Copy a byte string into the arena; its address. For the other modules of this package."""
        try:
            return self._arena.put(self.space, data)
        except MemoryFault as error:
            raise PluginError(f"the plug-in has taken away memory of the host's: {error}") from None

    # -- memory --------------------------------------------------------------------------------------------------

    def pointer(self, address: int) -> GuestPointer:
        """A pointer to any address, which is checked when it is used."""
        self._require_open()
        return GuestPointer(self, address)

    def symbol(self, name: str) -> GuestPointer:
        """A pointer to a function or an object by its symbol. Raises LookupError."""
        self._require_open()
        symbol = self.module.symbols.get(name)
        if symbol is None:
            raise LookupError(f"the image has no symbol {name!a}")
        return GuestPointer(self, symbol.address)

    def refuse_stale(self, address: int) -> NoReturn:
        """For pointers of an earlier generation."""
        self._require_open()
        raise StalePointer(f"the pointer {address:#010x} is from before the plug-in was reset")

    @property
    def stdout(self) -> bytes:
        """What was captured of the last call's standard output."""
        self._require_open()
        return self._process.stdout

    @property
    def stderr(self) -> bytes:
        """What was captured of the last call's standard error."""
        self._require_open()
        return self._process.stderr

    # -- its life ------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Make it again what it was after its initialisation. Pointers from before are not good any more. Raises
        PluginError in a callback."""
        with self._lock:
            self._require_open()
            if self._depth:
                raise PluginError("a plug-in cannot be reset in the middle of a call")
            self._restore()

    def _restore(self) -> None:
        self._process.restore(self._snapshot)
        self._arena.forget()
        self.generation += 1
        self._broken = False

    def interrupt(self) -> None:
        """End the call that is under way with PluginInterrupted; where none is, perhaps the next one. From any thread or signal
        handler."""
        self._require_open()
        self._process.interrupt()

    def close(self) -> None:
        """Give everything back. A call that is under way, in another thread perhaps, ends with PluginClosed soon, and then its
        memory is given back. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self.generation += 1
        self._give_back()

    def _give_back(self) -> None:
        """End the process, or tell whoever is in a call to do so: nobody else knows when registers and memory are not
        needed any more."""
        process = vars(self).get("_process")
        if process is None:
            return
        if self._lock.acquire(blocking=False):
            try:
                if not self._depth:
                    process.close()
                    # Whoever keeps a closed plug-in keeps neither its memory nor descriptors.
                    for name in ("_process", "_snapshot", "_fp", "space", "words"):
                        vars(self).pop(name, None)
                    return
            finally:
                self._lock.release()
        process.family.close()

    def _require_open(self) -> None:
        if self._closed:
            raise PluginClosed("the plug-in is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else ", ".join(self.functions) or "no exports"
        return f"<Plugin {self.module.name}: {state}>"
