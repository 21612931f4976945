"""What vx32py raises, apart from ValueError and TypeError for arguments that make no sense.

Exception
  Vx32Error
    BadImage            (ValueError)    not an image that can run; says what is wrong and where
    UnsupportedHost                     this host cannot run the engine that was asked for; says why
    LimitExceeded                       the guest passed a limit of its sandbox; ``limit`` names it
      Timeout           (TimeoutError)  the wall-clock limit
    GuestFailed                         raised by ``Result.check()``: the guest ended with an exit code that is not 0
      GuestTrapped                      … or with a trap
  CallError                             raised *by* a system-call handler: the call's result is ``-errno``
  MemoryFault           (reference)     an access to guest memory that its permissions refuse
  NotModelled           (reference)     the chosen engine has no semantics for an instruction
  VerificationError     (reference)     the verifier refuses translated code: a defect of ours, not of the guest
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from reference.errors import MemoryFault, NotModelled

if TYPE_CHECKING:
    from vx32py._result import Result

__all__ = [
    "BadImage", "CallError", "GuestFailed", "GuestTrapped", "LimitExceeded", "MemoryFault", "NotModelled", "Timeout",
    "UnsupportedHost", "Vx32Error",
]  # fmt: skip


class Vx32Error(Exception):
    """Base of everything that goes wrong with a guest or with the host it should run on."""


class BadImage(Vx32Error, ValueError):
    """The bytes are not an image that can run here. One line: what is wrong, and where."""


class UnsupportedHost(Vx32Error):
    """This host cannot run the engine that was asked for. The message says why."""


class LimitExceeded(Vx32Error):
    """The guest passed a limit, or would. ``limit`` says which: "time", "cpu", "fuel", "memory", "arguments", "output",
    "write" or "guests"; the message gives the figure."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


class Timeout(LimitExceeded, TimeoutError):
    """The guest ran for longer than its sandbox allows."""

    def __init__(self, seconds: float) -> None:
        super().__init__("time", f"the guest ran for more than {seconds:g} s")
        self.seconds = seconds


class GuestFailed(Vx32Error):
    """The guest did not end with exit code 0. ``result`` is everything it left."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class GuestTrapped(GuestFailed):
    """The guest ended with a trap; ``result.trap`` is it."""


class CallError(Exception):
    """A system call fails: its handler raises this, and the guest sees ``-number``.

    >>> str(CallError(errno.ENOENT))
    'ENOENT'
    """

    # No constructor: failed calls are common, and one in Python would take longer than the rest of the exception.
    @property
    def errno(self) -> int:
        """The error number."""
        number: int = self.args[0]
        return number

    def __str__(self) -> str:
        return errno.errorcode.get(self.errno, str(self.errno))
