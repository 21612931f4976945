"""Loading: where image, heap and stack of a guest go, and what a guest finds on its stack.

Two conventions, chosen by ``Module.abi``:

* **vx**: the stack lies right below the lowest segment and the heap right behind the image, as in the original. A module
  that leaves less than 1 MiB below itself gets the other one.
* **linux**: the stack lies at the top of the address space, mmap hands out addresses below it, top down, and the heap
  starts behind the image.

The initial stack is the same for both, since the VX ABI is a prefix of the System V ABI for i386 (figure 3-31): argc, the
argv pointers, 0, the envp pointers, 0, the auxiliary vector, which VX programs do not look at.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Literal

from reference.cpuid import cpuid
from reference.errors import OutOfMemory
from reference.memory import MAX_LIMIT, PAGE, AddressSpace, page_floor
from reference.policy import Policy
from reference.records import dataclass
from reference.traps import Access
from vx32py._descriptors import GUEST_ID
from vx32py._errors import BadImage, LimitExceeded

if TYPE_CHECKING:
    from vx32py._module import Module

MIB: Final = 1 << 20
#: Stacks are 8 MiB, as on Linux, or a quarter of the memory where that is less.
STACK_MOST: Final = 8 * MIB
STACK_LEAST: Final = 64 << 10
#: Nothing is mapped below: hosts reserve the lowest pages, and null pointers with an offset fault.
LOWEST: Final = 64 << 10
#: What a VX module must leave below itself to have its stack there.
VX_ROOM: Final = MIB
#: The most bytes of arguments and environment (Linux: a quarter of the stack).
ARGUMENTS_SHARE: Final = 4

#: The auxiliary vector (System V ABI i386, figure 3-32; Linux uapi/linux/auxvec.h).
AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_FLAGS, AT_ENTRY = 3, 4, 5, 6, 8, 9
AT_UID, AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK = 11, 12, 13, 14, 15, 16, 17
AT_SECURE, AT_RANDOM, AT_EXECFN = 23, 25, 31


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things go. The stack is [``stack_start``, ``stack_end``), the heap starts at ``heap`` and can grow to
    ``heap_limit``, mmap uses [``heap``, ``map_end``)."""

    limit: int
    stack_start: int
    stack_end: int
    heap: int
    heap_limit: int
    map_end: int
    style: Literal["vx", "linux"]


def plan(module: Module, budget: int, *, limit: int | None = None) -> Layout:
    """Choose the layout for a module that may map ``budget`` bytes. Raises LimitExceeded when it cannot fit.

    ``limit`` is a given size of the address space (a process that execs keeps its own); else it is as small as holds the
    image and the budget behind it, since a small space can be placed more freely on the host.
    """
    image = sum(end - start for start, end, _ in module.pages())
    stack = max(STACK_LEAST, min(STACK_MOST, page_floor(budget // 4)))
    if image + stack > budget:
        raise LimitExceeded(
            "memory",
            f"the image needs {image:#x} bytes and its stack {stack:#x}, but memory is limited to {budget:#x}",
        )
    if module.abi == "vx" and module.start - LOWEST >= VX_ROOM:
        stack = min(stack, module.start - LOWEST)
        size = limit or min(MAX_LIMIT, _ceil_mib(module.end + budget))
        if module.end <= size:
            return Layout(size, module.start - stack, module.start, module.end, size, size, "vx")
    size = limit or min(MAX_LIMIT, _ceil_mib(module.end + budget + stack))
    stack_end = size - PAGE
    stack_start = stack_end - stack
    if stack_start - PAGE < module.end:
        raise BadImage(
            f"the image ends at {module.end:#x}, which leaves no room for a stack below the limit of {size:#x}"
        )
    return Layout(size, stack_start, stack_end, module.end, stack_start - PAGE, stack_start - PAGE, "linux")


def load(module: Module, space: AddressSpace, layout: Layout) -> None:
    """Map and fill image and stack. Raises LimitExceeded."""
    try:
        for start, end, _ in module.pages():
            space.map(start, end - start, Access.RW)
        space.map(layout.stack_start, layout.stack_end - layout.stack_start, Access.RW)
    except OutOfMemory as error:
        raise LimitExceeded("memory", str(error)) from error
    for segment in module.segments:
        space.store(segment.start, segment.data)
    for start, end, access in module.pages():
        if access != Access.RW:
            space.protect(start, end - start, access)


def build_stack(
    module: Module,
    space: AddressSpace,
    layout: Layout,
    arguments: list[bytes],
    environment: list[bytes],
    policy: Policy,
    random: bytes,
) -> int:
    """Write arguments, environment and auxiliary vector; the initial ESP, a multiple of 16. Raises LimitExceeded.

    ``random`` are the sixteen bytes behind AT_RANDOM. At the top: a zero word, argv[0] again as AT_EXECFN, the strings.
    """
    blob = bytearray()
    offsets = []
    for text in (*arguments, *environment, b"i686"):
        offsets.append(len(blob))
        blob += text + b"\0"
    while len(blob) % 16:
        blob.append(0)
    random_offset = len(blob)
    blob += random + bytes(16)
    words = 1 + len(arguments) + 1 + len(environment) + 1 + 2 * 19
    if len(blob) + 4 * words > (layout.stack_end - layout.stack_start) // ARGUMENTS_SHARE:
        raise LimitExceeded("arguments", f"{len(blob)} bytes of arguments and environment do not fit the guest's stack")
    top = layout.stack_end - len(blob)
    argument_addresses = [top + o for o in offsets[: len(arguments)]]
    environment_addresses = [top + o for o in offsets[len(arguments) : -1]]
    auxiliary = [
        (AT_HWCAP, cpuid(policy, 1, 0)[3]),  # CPUID.1:EDX
        (AT_PAGESZ, PAGE),
        (AT_CLKTCK, 100),
        *([(AT_PHDR, module.image.program_headers)] if module.image.program_headers else []),
        (AT_PHENT, 32),
        (AT_PHNUM, module.image.program_header_count),
        (AT_FLAGS, 0),
        (AT_ENTRY, module.entry),
        (AT_UID, GUEST_ID),
        (AT_EUID, GUEST_ID),
        (AT_GID, GUEST_ID),
        (AT_EGID, GUEST_ID),
        (AT_SECURE, 0),
        (AT_RANDOM, top + random_offset),
        (AT_PLATFORM, top + offsets[-1]),
        *([(AT_EXECFN, argument_addresses[0])] if arguments else []),
        (0, 0),
    ]
    words_list = [len(arguments), *argument_addresses, 0, *environment_addresses, 0]
    for key, value in auxiliary:
        words_list += key, value
    esp = (top - 4 * len(words_list)) & -16
    space.store(esp, struct.pack(f"<{len(words_list)}I", *words_list))
    space.store(top, blob)
    return esp


def _ceil_mib(size: int) -> int:
    return (size + MIB - 1) & -MIB


def clear(space: AddressSpace) -> None:
    """Unmap everything, as exec does."""
    for start, end, _ in space.regions():
        space.unmap(start, end - start)
