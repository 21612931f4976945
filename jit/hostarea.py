"""The host's part of the control block: what the gateway, the signal handler and Python tell each other.

Offsets from the start of the control block, within [layout.HOST_AREA, layout.FP_IMAGE). The assembly text gets them
as constants of the same names, so that each is written down once.
"""

from __future__ import annotations

from typing import Final

from reference import layout

#: 64-bit: the linear address of the control block itself; the host's stack pointer and GS base while a guest runs.
SELF: Final = 0x80
HOST_RSP: Final = 0x88
HOST_GS_BASE: Final = 0x90
#: How the guest stopped, one of the KIND values below, and the EIP in the code segment where it did.
KIND: Final = 0x98
RAW_EIP: Final = 0x9C
#: Of a fault: the processor's vector and error code, and (64-bit) the linear address CR2.
VECTOR: Final = 0xA0
ERROR_CODE: Final = 0xA4
FAULT_ADDRESS: Final = 0xA8
#: Not 0: somebody has asked the guest to stop. The gateway looks before it enters.
PENDING: Final = 0xB0
#: The thread that is in the guest, or 0; the thread that will enter; all ones if that is the process's main thread.
INSIDE: Final = 0xB4
THREAD: Final = 0xB8
MAIN_MASK: Final = 0xBC
#: Not 0: execute a single instruction.
SINGLE: Final = 0xC0
#: State components for XSAVE (0: use FXSAVE) and XRSTOR.
XSAVE_MASK: Final = 0xC4
XRSTOR_MASK: Final = 0xC8
#: Not 0: RDGSBASE and WRGSBASE may be used.
FSGSBASE: Final = 0xCC
#: The guest's selectors.
DATA_SELECTOR: Final = 0xD0
CONTROL_SELECTOR: Final = 0xD4
CODE_SELECTOR: Final = 0xD8
#: The host's selectors and FP control while a guest runs.
HOST_DS: Final = 0xDC
HOST_ES: Final = 0xE0
HOST_SS: Final = 0xE4
HOST_GS: Final = 0xE8
HOST_MXCSR: Final = 0xEC
HOST_X87: Final = 0xF0
#: Tells a control block from anything else that GS may point to.
MAGIC: Final = 0xF4
MAGIC_VALUE: Final = 0x3233_7876  # "vx32"
#: 64-bit: the record of the thread that will enter, see below.
THREAD_RECORD: Final = 0xF8
#: What FNSTENV has stored, 28 bytes, and the guest's own pointer to its last x87 instruction meanwhile.
X87_ENVIRONMENT: Final = 0x100
X87_GUEST_EIP: Final = 0x11C
#: For entries with a thunk's ``call``: the time-stamp counter at the last one (64 bits), and how many short stays must
#: follow before a guest is entered with the interpreter lock held: QUICK_STAYS to begin with, and after a long one.
ENTERED_AT: Final = 0x140
STAYS_UNTIL_QUICK: Final = 0x148
QUICK_STAYS: Final = 64

#: 64-bit: the page of answers (:mod:`jit.answers`) while calls are answered natively, else 0. And whether the guest was
#: entered with the interpreter lock held.
ANSWERS: Final = 0x150
LOCK_HELD: Final = 0x158
#: Not 0: the processor has been closed.
CLOSED: Final = 0x15C
#: What a thunk's ``resume`` has done, one of the values below; the time-stamp counter's cycles in all of them together and
#: the calls that they returned (64 bits each).
RESUMED: Final = 0x160
RESUMED_TICKS: Final = 0x168
RESUMED_CALLS: Final = 0x170

#: Not entered; entered, and nobody has made sense yet of how the guest left; the number of a call was returned.
RESUMED_NOT: Final = 0
RESUMED_UNSORTED: Final = 1
RESUMED_CALL: Final = 2

KIND_LEFT: Final = 0
KIND_FAULT: Final = 1
KIND_INTERRUPTED: Final = 2
KIND_STEPPED: Final = 3

#: A thread's record, outside the control area: its alternate stack (64 bits), the time-stamp counter when all signals
#: were looked at (64 bits), its number, all ones if it is the main thread, the number of its timer or -1, whether that
#: has expired, and the counter when the handlers of processor exceptions were looked at (64 bits).
THREAD_STACK: Final = 0
THREAD_CHECKED: Final = 8
THREAD_ID: Final = 16
THREAD_MAIN_MASK: Final = 20
THREAD_TIMER: Final = 24
THREAD_EXPIRED: Final = 28
THREAD_GLANCED: Final = 32
THREAD_RECORD_BYTES: Final = 40

assert RESUMED_CALLS + 8 <= layout.FP_IMAGE
assert HOST_RSP % 8 == FAULT_ADDRESS % 8 == ANSWERS % 8 == RESUMED_TICKS % 8 == RESUMED_CALLS % 8 == 0, (
    "the gateway runs with the guest's AC flag: keep words aligned"
)


def constants() -> dict[str, int]:
    """Every offset here and in :mod:`reference.layout`, by name, for the assembler."""
    names = {name: value for module in (vars(layout), globals()) for name, value in module.items()}
    return {name: value for name, value in names.items() if name.isupper() and type(value) is int}
