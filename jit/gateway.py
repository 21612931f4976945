"""The gateway: the native code that enters and leaves guests, loaded once a process, and its entry points.

The code is assembled from ``gateway.s``, ``answers.s`` and ``handler.s`` and mapped below 4 GiB, where 32-bit code can
reach it; its data follows on pages of their own. The code pages are not writable, the data pages not executable.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Final

from jit import answers, hostarea, lowmem, system
from jit.assemble import Blob, assemble
from reference.errors import EngineUnavailable

#: State components of XSAVE (SDM volume 1, section 13.1): x87, SSE and AVX are the guest's; the AVX-512 ones no guest
#: can have, and they are put into their initial state so that it finds nothing of the host's in them.
_GUEST_COMPONENTS: Final = 0b0000_0111
_CLEARED_COMPONENTS: Final = 0b1110_0000
_AVX: Final = 0b100
_HWCAP2_FSGSBASE: Final = 2
_AT_HWCAP2: Final = 26
_AT_MINSIGSTKSZ: Final = 51

#: The handler has so many entries, at distances of this power of two.
ENTRIES: Final = 16
ENTRY_SHIFT: Final = 4
#: Its records, one a signal: the address of the entry that is in force, and for each entry the handler that it has
#: displaced and that handler's flags.
RECORD_SHIFT: Final = 9
RECORD_EXPECTED: Final = 0
RECORD_HANDLERS: Final = 8

#: An entry point of a control block. ctypes takes plain integers of 32 bits without looking at declared types, which would
#: take longer than the call; and what is called with the interpreter lock held cannot be overtaken by another thread.
NativeCall = Callable[..., int]
_WITHOUT_LOCK: Final = ctypes.CFUNCTYPE(ctypes.c_int)
_WITH_LOCK: Final = ctypes.PYFUNCTYPE(ctypes.c_int)


def assemble_gateway() -> Blob:
    """The machine code of all assembly files; ``data`` is where the writable part begins."""
    text = ""
    for name in ("gateway.s", "answers.s", "handler.s"):
        with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
            text += file.read()
    constants = hostarea.constants() | answers.constants() | system.CALLS
    constants |= {name: value for name, value in globals().items() if name.startswith(("RECORD_", "ENTR"))}
    constants |= {name: int(getattr(signal, name)) for name in ("SIGILL", "SIGTRAP", "SIGBUS", "SIGFPE", "SIGSEGV")}
    return assemble(text, bits=64, constants=constants)


class Gateway:
    """The loaded code."""

    def __init__(self) -> None:
        blob = assemble_gateway()
        self.symbols = blob.symbols
        self._data = blob.symbols["data"]
        size = -(-len(blob.code) // system.PAGE) * system.PAGE
        self.address = lowmem.reserve(size)
        system.mprotect(self.address, size, system.READ | system.WRITE)
        ctypes.memmove(self.address, blob.code, len(blob.code))
        system.mprotect(self.address, self._data, system.READ | system.EXECUTE)
        #: What :class:`Thunks` makes its pages from.
        self.thunks = blob.code[blob.symbols["thunks"] : blob.symbols["thunks_end"]]

        found = (ctypes.c_uint32 * 4)()
        ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self.address_of("facts"))(ctypes.addressof(found))
        self.xcr0 = found[1]
        self.host_code_selector = found[2]
        self._user_data_selector = found[3]
        self._adopt: NativeCall = _WITH_LOCK(self.address_of("adopt"))
        self.fsgsbase = bool(system.auxiliary_value(_AT_HWCAP2) & _HWCAP2_FSGSBASE)
        #: For XSAVE and XRSTOR; 0 means FXSAVE and FXRSTOR, on processors or systems without AVX.
        self.xsave_mask = self.xcr0 & _GUEST_COMPONENTS if self.xcr0 & _AVX else 0
        self.xrstor_mask = self.xcr0 & (_GUEST_COMPONENTS | _CLEARED_COMPONENTS) if self.xcr0 & _AVX else 0

    def address_of(self, symbol: str) -> int:
        """The address of a label."""
        return self.address + self.symbols[symbol]

    def store(self, symbol: str, data: bytes, offset: int = 0) -> None:
        """Write to the data pages."""
        at = self.symbols[symbol] + offset
        assert self._data <= at <= self.symbols["data_end"] - len(data)
        ctypes.memmove(self.address + at, data, len(data))

    def load(self, symbol: str, length: int, offset: int = 0) -> bytes:
        """Read from the data pages."""
        return ctypes.string_at(self.address_of(symbol) + offset, length)

    def adopt_thread(self) -> None:
        """Prepare the segment registers of the calling thread."""
        self._adopt(self._user_data_selector)


#: PyMethodDef (Python's C interface, Common Object Structures): name, function, flags, documentation.
_METHOD_DEF: Final = struct.Struct("@PPiP")
_ONE_ARGUMENT: Final = 8  # METH_O


def _python_functions() -> tuple[int, int, int, int]:
    """The addresses of what the thunk ``call`` uses: of the limited C interface, whose meaning is fixed."""
    api = ctypes.pythonapi
    functions = (api.PyLong_AsUnsignedLongMask, api.PyLong_FromLong, api.PyEval_SaveThread, api.PyEval_RestoreThread)
    first, second, third, fourth = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions)
    return first, second, third, fourth


class Thunks:
    """The entry points of one control block, on a page of their own outside the reach of 32-bit code, and the page of
    answers (:mod:`jit.answers`) behind it, at ``answers``.

    ``enter(offset)`` and ``step(offset)`` take an EIP and return a KIND, without the interpreter lock; ``interrupt()`` and
    ``verify()`` are short and keep it. ``call(offset)`` is the same as ``enter``, but quicker; ``resume(foreign)`` is
    explained in ``gateway.s``.
    """

    def __init__(self, gate: Gateway, control: int, kept: list[int]) -> None:
        """``kept`` has the address of the two pages as soon as there are any: see :meth:`release`."""
        address = lowmem.anywhere(2 * system.PAGE, kept)
        self.answers = address + system.PAGE
        start = gate.symbols["thunks"]
        code = bytearray(gate.thunks)
        for name, value in (
            ("thunk_control", control),
            ("thunk_to_enter", gate.address_of("enter")),
            ("thunk_to_interrupt", gate.address_of("interrupt")),
            ("thunk_to_verify", gate.address_of("verify")),
            ("thunk_to_glance", gate.address_of("glance")),
            ("thunk_answers", self.answers),
            ("thunk_true", id(True)),
            *zip(
                ("thunk_from_python", "thunk_to_python", "thunk_give_up_lock", "thunk_take_lock"),
                _python_functions(),
                strict=True,
            ),
        ):
            struct.pack_into("<Q", code, gate.symbols[name] - start, value)
        ctypes.memmove(address, bytes(code), len(code))
        system.mprotect(address, system.PAGE, system.READ | system.EXECUTE)
        self.call = _function("call", address + gate.symbols["thunk_call"] - start, None)
        self._resume = address + gate.symbols["thunk_resume"] - start
        self.enter: NativeCall = _WITHOUT_LOCK(address + gate.symbols["thunk_enter"] - start)
        self.step: NativeCall = _WITHOUT_LOCK(address + gate.symbols["thunk_step"] - start)
        self.interrupt: NativeCall = _WITH_LOCK(address + gate.symbols["thunk_interrupt"] - start)
        self.verify: NativeCall = _WITH_LOCK(address + gate.symbols["thunk_verify"] - start)

    @staticmethod
    def release(kept: list[int]) -> None:
        """Give the pages back, if there are any."""
        system.munmap_from(kept, 2 * system.PAGE)

    def resume(self, held: object) -> NativeCall:
        """A function ``resume(foreign)``. Whoever has it has ``held``, too: what must stay while it is being called."""
        return _function("resume", self._resume, held)


def _function(name: str, address: int, held: object) -> NativeCall:
    """A built-in function of one argument, which has ``held``.

    Python reads its definition until the function has gone, and has what is passed as ``self`` until then. So the definition
    is there: in a bytearray, which the garbage collector never empties, as it does ctypes' structures.
    """
    text = name.encode() + b"\0"
    definition = bytearray(_METHOD_DEF.size + len(text))
    start = ctypes.addressof(ctypes.c_char.from_buffer(definition))
    _METHOD_DEF.pack_into(definition, 0, start + _METHOD_DEF.size, address, _ONE_ARGUMENT, 0)
    definition[_METHOD_DEF.size :] = text
    function: NativeCall = _make_function()(start, (definition, held), None)
    return function


@cache
def _make_function() -> Callable[..., NativeCall]:
    """PyCFunction_NewEx (Python's C interface): definition, what is passed as ``self``, module."""
    kind = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return kind(("PyCFunction_NewEx", ctypes.pythonapi))


def signal_frame_bytes() -> int:
    """What the kernel needs on an alternate stack for one signal (AT_MINSIGSTKSZ; it depends on the processor)."""
    return system.auxiliary_value(_AT_MINSIGSTKSZ) or 2048


def supported() -> str | None:
    """None where the gateway's code can run at all, else the reason why not."""
    if sys.platform != "linux":
        return f"the jit engine needs x86-64 Linux, this is {sys.platform}"
    if os.uname().machine != "x86_64":
        return f"the jit engine needs an x86-64 processor, this is {os.uname().machine}"
    if struct.calcsize("P") != 8 or sys.implementation.name != "cpython":
        return "the jit engine needs a 64-bit CPython"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "the jit engine needs the interpreter lock, which this Python runs without"
    return None


class _Process:
    def __init__(self) -> None:
        # Reentrant: a signal handler may run guests, wherever it comes.
        self.lock = threading.RLock()
        self.gateway: Gateway | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.lock = threading.RLock()  # another thread of the parent may have held it


_process: Final = _Process()


def load() -> Gateway:
    """The process's gateway. Raises EngineUnavailable where it cannot be had."""
    if _process.gateway is None:
        with _process.lock:
            if _process.gateway is None:
                reason = supported()
                if reason is not None:
                    raise EngineUnavailable(reason)
                try:
                    made = Gateway()
                    if _process.gateway is None:  # or a signal handler has been quicker
                        _process.gateway = made
                except ImportError as error:
                    raise EngineUnavailable(f"the jit engine needs llvmlite: {error}") from error
                except OSError as error:
                    raise EngineUnavailable(f"the system refuses the memory for native code: {error}") from error
    return _process.gateway
