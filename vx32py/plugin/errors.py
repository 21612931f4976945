"""What calls of a plug-in raise, apart from TypeError and ValueError for arguments that do not fit the signature.

Vx32Error
  PluginError                            ``function`` is the function that was called, where there is one
    NoSuchFunction        (LookupError)  the plug-in has no function of this name, or nobody has told its signature
    PluginTrapped                        the guest trapped; ``trap``, ``eip``, ``location``
    PluginExited                         the guest ended its process; ``exit_code``
    PluginInterrupted                    ``Plugin.interrupt`` has ended the call
    PluginReturnError                    the function came back with its stack in disorder; ``esp``, ``expected``
    PluginDataError                      it has handed out memory that is not there; ``address``, ``size``
    PluginClosed          (ValueError)   the plug-in is closed
    StalePointer          (ValueError)   a pointer from before the plug-in was reset
  LimitExceeded, Timeout                 (vx32py) a limit of the sandbox; a note names the function

After each of them but TypeError, ValueError, NoSuchFunction and StalePointer, and after an exception of a callback's, the
next call finds the plug-in as it was after its initialisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py._errors import Vx32Error
from vx32py._result import describe_trap

if TYPE_CHECKING:
    from reference.traps import Trap


class PluginError(Vx32Error):
    """Something is wrong with a plug-in, or with the way in which it is used."""

    def __init__(self, message: str, function: str | None = None) -> None:
        super().__init__(f"{function}: {message}" if function else message)
        self.function = function


class NoSuchFunction(PluginError, LookupError):
    """The plug-in has no such function, or its signature is not known."""


class PluginTrapped(PluginError):
    """A trap has ended the call. ``location`` is the symbol at ``eip``, if there is one; ``trap`` is all about it."""

    def __init__(self, function: str, trap: Trap, location: str | None, remark: str = "") -> None:
        super().__init__(describe_trap(trap, location) + remark, function)
        self.trap = trap
        self.eip = trap.eip
        self.location = location


class PluginExited(PluginError):
    """The plug-in has ended its process in the middle of a call."""

    def __init__(self, function: str, exit_code: int) -> None:
        super().__init__(f"the plug-in exited with code {exit_code}", function)
        self.exit_code = exit_code


class PluginInterrupted(PluginError):
    """Somebody has called ``Plugin.interrupt``."""

    def __init__(self, function: str) -> None:
        super().__init__("interrupted", function)


class PluginReturnError(PluginError):
    """The function has returned with another ESP than the calling convention says."""

    def __init__(self, function: str, esp: int, expected: int) -> None:
        super().__init__(f"returned with esp {esp:#010x}, not {expected:#010x}", function)
        self.esp = esp
        self.expected = expected


class PluginDataError(PluginError):
    """A byte string of the plug-in's, ``size`` bytes at ``address``, is not in its memory, or not all of it."""

    def __init__(self, function: str, what: str, address: int, size: int) -> None:
        super().__init__(f"{what}: {size:#x} bytes at {address:#010x} are not in the plug-in's memory", function)
        self.address = address
        self.size = size


class PluginClosed(PluginError, ValueError):
    """The plug-in is closed."""


class StalePointer(PluginError, ValueError):
    """The plug-in has been reset since it gave out this pointer: what was there is not there any more."""
