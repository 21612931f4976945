"""A process under ptrace, which executes one instruction after the other, and gets signals where a test wants them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable

_TRACEME, _PEEK, _POKE, _POKEUSER, _CONT, _STEP, _GETREGS = 0, 1, 4, 6, 7, 9, 12
_REGISTERS = 27
#: Where user_regs_struct has what.
RAX, RIP, CS, FLAGS, RSP = 10, 16, 17, 18, 19
TF = 0x100
_INT3 = 0xCC

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.restype = ctypes.c_long
_ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


def _call(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    ctypes.set_errno(0)
    found: int = _ptrace(request, pid, address, data)
    if found == -1 and (error := ctypes.get_errno()):
        raise OSError(error, os.strerror(error))
    return found


class Ended(Exception):
    """The process is no more; the argument is its wait status."""


class Tracee:
    """A fork of this process that runs ``body`` under ptrace. It begins stopped."""

    def __init__(self, body: Callable[[], None]) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                _call(_TRACEME, 0)
                os.kill(os.getpid(), signal.SIGSTOP)
                body()
                status = 0
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        self._registers = (ctypes.c_uint64 * _REGISTERS)()
        self._stepped = False
        assert self._wait() == signal.SIGSTOP

    def _wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            raise Ended(status)
        return os.WSTOPSIG(status)

    def registers(self) -> ctypes.Array[ctypes.c_uint64]:
        """The general registers, in the order of user_regs_struct."""
        _call(_GETREGS, self.pid, 0, ctypes.addressof(self._registers))
        return self._registers

    def set_register(self, number: int, value: int) -> None:
        """Change one."""
        _call(_POKEUSER, self.pid, 8 * number, value)

    def peek(self, address: int) -> int:
        """Eight bytes of its memory."""
        return _call(_PEEK, self.pid, address) & 0xFFFF_FFFF_FFFF_FFFF

    def poke(self, address: int, value: int) -> None:
        """Change them."""
        _call(_POKE, self.pid, address, value)

    def go(self, number: int = 0) -> int:
        """Go on, with a signal or without, until it stops because of one; which."""
        if self._stepped and (flags := self.registers()[FLAGS]) & TF:  # behind a POPF the kernel forgets whose it is
            self.set_register(FLAGS, flags & ~TF)
        self._stepped = False
        _call(_CONT, self.pid, 0, number)
        return self._wait()

    def run_to(self, address: int, number: int = 0) -> None:
        """Go on, with a signal or without, and with all that arrive, to an address."""
        before = self.peek(address)
        self.poke(address, before & ~0xFF | _INT3)
        while True:
            number = self.go(number)
            if number == signal.SIGTRAP and self.registers()[RIP] == address + 1:
                break
        self.poke(address, before)
        self.set_register(RIP, address)

    def step(self) -> int:
        """Execute one instruction; the signal that it stops with, SIGTRAP if it is only the step."""
        rip = self.registers()[RIP]
        pushes_flags = self.registers()[CS] & 4 == 0 and self.peek(rip) & 0xFF == 0x9C
        self._stepped = True
        _call(_STEP, self.pid)
        number = self._wait()
        if pushes_flags:  # with TF, which is ours
            rsp = self.registers()[RSP]
            self.poke(rsp, self.peek(rsp) & ~TF)
        return number

    def kill(self) -> None:
        """End it, wherever it is."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
