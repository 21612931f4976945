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
from collections.abc import Callable
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from reference.contents import Contents
from reference.cpuid import cpuid
from reference.errors import OutOfMemory
from reference.memory import MAX_LIMIT, PAGE, AddressSpace, page_floor, permissions_of
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
#: Where address spaces end that need not be larger: every engine has room for these.
HIGHEST: Final = 0xD000_0000
#: What a VX module must leave below itself to have its stack there.
VX_ROOM: Final = MIB
#: The most bytes of arguments and environment (Linux: a quarter of the stack).
ARGUMENTS_SHARE: Final = 4

#: At the most, what is on a stack besides them: "i686", padding, 16 random bytes, the final words; argc, two zeros, and the
#: auxiliary vector.
_STRINGS_BESIDES: Final = 5 + 15 + 16 + 16
_WORDS_BESIDES: Final = 3 + 2 * 20

#: A module keeps so many layouts, and contents of memory.
_MOST_KEPT: Final = 16

#: The auxiliary vector (System V ABI i386, figure 3-32; Linux uapi/linux/auxvec.h).
AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY = 3, 4, 5, 6, 7, 8, 9
AT_UID, AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK = 11, 12, 13, 14, 15, 16, 17
AT_SECURE, AT_RANDOM, AT_EXECFN = 23, 25, 31

Kept = TypeVar("Kept")


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
    return _kept(module, (budget, limit), lambda: _plan(module, budget, limit))


def _plan(module: Module, budget: int, limit: int | None) -> Layout:
    if not module.is_complete:
        raise BadImage(
            f"dynamically linked, and its interpreter {module.image.interpreter} is not among the guest's files;"
            " grant them, or link it statically: -static or -static-pie"
        )
    image = sum(end - start for start, end, _ in module.pages())
    stack = max(STACK_LEAST, min(STACK_MOST, page_floor(budget // 4)))
    if image + stack > budget:
        raise LimitExceeded(
            "memory",
            f"the image needs {image:#x} bytes and its stack {stack:#x}, but memory is limited to {budget:#x}",
        )
    if module.abi == "vx" and module.start - LOWEST >= VX_ROOM:
        stack = min(stack, module.start - LOWEST)
        size = limit or _size(module.end, module.end + budget)
        if module.end <= size:
            return Layout(size, module.start - stack, module.start, module.end, size, size, "vx")
    size = limit or _size(module.end + stack + 2 * PAGE, module.end + budget + stack)
    stack_end = size - PAGE
    stack_start = stack_end - stack
    if stack_start - PAGE < module.end:
        raise BadImage(
            f"the image ends at {module.end:#x}, which leaves no room for a stack below the limit of {size:#x}"
        )
    return Layout(size, stack_start, stack_end, module.end, stack_start - PAGE, stack_start - PAGE, "linux")


def _size(least: int, wanted: int) -> int:
    """The size of an address space for ``wanted`` addresses, or fewer, but no fewer than ``least``."""
    return min(MAX_LIMIT, max(_ceil_mib(least), min(HIGHEST, _ceil_mib(wanted))))


def load(module: Module, space: AddressSpace, layout: Layout) -> None:
    """Map and fill image and stack; whatever else is mapped goes. Raises LimitExceeded."""
    contents = _kept(module, layout, lambda: _contents(module, layout))
    try:
        space.restore(contents)
    except OutOfMemory as error:
        raise LimitExceeded("memory", str(error)) from error


def _contents(module: Module, layout: Layout) -> Contents:
    """What memory holds when a module has been loaded, its stack still empty."""
    regions = [*module.pages(), (layout.stack_start, layout.stack_end, Access.RW)]
    mapped = sum(end - start for start, end, _ in regions)
    pieces = ((segment.start, segment.data) for segment in module.segments)
    return Contents(permissions_of(layout.limit, regions), mapped, pieces)


def _kept(module: Module, key: object, make: Callable[[], Kept]) -> Kept:
    """What was made before for a module and a key, or else what is made now."""
    kept: Kept | None = module.loaded.get(key)
    if kept is None:
        if len(module.loaded) >= _MOST_KEPT:
            module.loaded.clear()
        kept = module.loaded[key] = make()
    return kept


def check_arguments(layout: Layout, arguments: list[bytes], environment: list[bytes]) -> None:
    """Raise LimitExceeded where arguments and environment are more than a stack of this layout can hold."""
    size = sum(len(text) + 1 for text in (*arguments, *environment)) + _STRINGS_BESIDES
    words = _WORDS_BESIDES + len(arguments) + len(environment)
    if size + 4 * words > (layout.stack_end - layout.stack_start) // ARGUMENTS_SHARE:
        raise LimitExceeded("arguments", f"{size} bytes of arguments and environment do not fit the guest's stack")


def build_stack(
    module: Module,
    space: AddressSpace,
    layout: Layout,
    arguments: list[bytes],
    environment: list[bytes],
    policy: Policy,
    random: bytes,
) -> int:
    """Write arguments, environment and auxiliary vector; the initial ESP, a multiple of 16. Raises LimitExceeded as
    :func:`check_arguments` does.

    ``random`` are the sixteen bytes behind AT_RANDOM. At the top: a zero word, argv[0] again as AT_EXECFN, the strings.
    """
    check_arguments(layout, arguments, environment)
    texts = (*arguments, *environment, b"i686")
    strings = b"\0".join(texts) + b"\0"
    strings += bytes(-len(strings) % 16)
    size = len(strings) + len(random) + 16
    top = layout.stack_end - size
    addresses = list(accumulate((len(text) + 1 for text in texts), initial=top))
    count = len(arguments)
    image = module.image
    table = [
        count, *addresses[:count], 0, *addresses[count : len(texts) - 1], 0,
        AT_HWCAP, _hwcap(policy),
        AT_PAGESZ, PAGE,
        AT_CLKTCK, 100,
        *((AT_PHDR, image.program_headers) if image.program_headers else ()),
        AT_PHENT, 32,
        AT_PHNUM, image.program_header_count,
        *((AT_BASE, image.interpreter_base) if image.interpreter_base else ()),
        AT_FLAGS, 0,
        AT_ENTRY, module.entry,
        AT_UID, GUEST_ID,
        AT_EUID, GUEST_ID,
        AT_GID, GUEST_ID,
        AT_EGID, GUEST_ID,
        AT_SECURE, 0,
        AT_RANDOM, top + len(strings),
        AT_PLATFORM, addresses[len(texts) - 1],
        *((AT_EXECFN, addresses[0]) if arguments else ()),
        0, 0,
    ]  # fmt: skip
    esp = (top - 4 * len(table)) & -16
    gap = top - esp - 4 * len(table)
    space.store(esp, struct.pack(f"<{len(table)}I{gap}x", *table) + strings + random + bytes(16))
    return esp


@cache
def _hwcap(policy: Policy) -> int:
    return cpuid(policy, 1, 0)[3]  # CPUID.1:EDX


def _ceil_mib(size: int) -> int:
    return (size + MIB - 1) & -MIB
