"""exec (exec(2))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py.plan9 import execution
from vx32py.plan9.calls.table import call
from vx32py.plan9.errors import Enovmem, Error
from vx32py.plan9.loading import MOST_ARGUMENTS
from vx32py.plan9.waiting import waits

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc

#: More arguments than this do not fit on any stack.
_MOST_WORDS: Final = MOST_ARGUMENTS // 4


@call(7, "exec")
@waits
async def exec_(proc: Proc, name: int, argv: int) -> None:
    """Run another program."""
    path = proc.string(name)
    await execution.execute(proc, path, _strings(proc, argv))


def _strings(proc: Proc, address: int) -> list[bytes]:
    """The strings of a list of pointers that a zero ends. Raises Error, MemoryFault."""
    found: list[bytes] = []
    left = MOST_ARGUMENTS
    while pointer := proc.memory.read_u32(address):
        try:
            found.append(proc.memory.read_string(pointer, most=left))
        except ValueError:
            raise Error(Enovmem) from None
        left -= len(found[-1]) + 1
        address += 4
        if left <= 0 or len(found) > _MOST_WORDS:
            raise Error(Enovmem)
    return found
