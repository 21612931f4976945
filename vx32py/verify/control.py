"""What a verifier knows of the control segment and of the stubs: numbers and code of its own, to compare with.

Nothing is taken from the translators or from what they share (reference/layout.py, reference/runtime.py), so that a mistake
there is not one here. tests/verify/test_control.py compares the two.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from capstone import CS_ARCH_X86, CS_MODE_32, Cs

#: Offsets in the control segment. All that a guest can influence is at an odd multiple of four, where no entry is.
SPILL_ECX: Final = 0x04
TRAP_EIP: Final = 0x0C
REASON: Final = 0x14
SITE: Final = 0x1C
SPILL_EDX: Final = 0x34
FUEL: Final = 0x4C
DIRECT_TABLE: Final = 0x1000
HASHED_TABLE: Final = 0x1_0000

#: Values of REASON that templates may store: what each says about the EIP beside it, that of the instruction or the next.
OF_THE_INSTRUCTION: Final = frozenset({0x006, 0x1002})  # invalid opcode; executed by the host
OF_THE_NEXT: Final = frozenset({0x003, 0x004, 0x300, *range(0x200, 0x300)})  # INT3, INTO, SYSCALL, INT n

#: Fragments are not below this code offset.
FIRST_FRAGMENT: Final = 0x200
NO_CODE: Final = 0x40
SCRATCH: Final = 0x180

#: The stubs, as capstone lists them. Up to NO_CODE nothing but HLT stands, to which an entry that is not set leads.
_STUBS: Final = """
lookup:  mov dword ptr gs:[0x3c], eax
         lahf
         seto al
         imul edx, ecx, 0x9e3779b1
         shr edx, 0x14
         cmp dword ptr gs:[edx*8 + 0x1000], ecx
         je hit
         inc edx
         cmp dword ptr gs:[edx*8 + 0x1000], ecx
         je hit
         inc edx
         cmp dword ptr gs:[edx*8 + 0x1000], ecx
         je hit
         inc edx
         cmp dword ptr gs:[edx*8 + 0x1000], ecx
         je hit
         jmp miss
hit:     mov edx, dword ptr gs:[edx*8 + 0x1004]
         test edx, edx
         je miss
         mov dword ptr gs:[0x44], edx
         add al, 0x7f
         sahf
         mov eax, dword ptr gs:[0x3c]
         jmp dword ptr gs:[0x44]
miss:    add al, 0x7f
         sahf
         mov eax, dword ptr gs:[0x3c]
         mov dword ptr gs:[0xc], ecx
         mov edx, dword ptr gs:[0x34]
         mov ecx, dword ptr gs:[4]
         mov dword ptr gs:[0x14], 0x1001
         jmp exit
stepped: mov dword ptr gs:[0x14], 0x1003
         jmp exit
chain:   mov dword ptr gs:[0x14], 0x1000
exit:    jmp ptr gs:[0x24]
"""
#: Sizes of the stubs' instructions, which fix their places.
_SIZES: Final = bytes.fromhex("06010306030802010802010802010802020802020702010607020106070707 0b02 0b02 0b07")
_LINES: Final = _STUBS.strip().splitlines()


@cache
def stubs() -> dict[str, int]:
    """The code offset of each stub."""
    offset, found = NO_CODE, {}
    for line, size in zip(_LINES, _SIZES, strict=True):
        if line[0] != " ":
            found[line.split(":")[0]] = offset
        offset += size
    return found


def stub_problems(code: bytes) -> list[str]:
    """What is wrong with the beginning of a code segment, up to the scratch area: not the stubs as they are written here."""
    if code[:NO_CODE] != b"\xf4" * NO_CODE:
        return [f"code offsets 0 to {NO_CODE:#x}: not HLT, one after the other"]
    labels = {f"{offset:#x}": label for label, offset in stubs().items()}
    position = NO_CODE
    listing = Cs(CS_ARCH_X86, CS_MODE_32).disasm_lite(code[NO_CODE:SCRATCH], NO_CODE)
    for line, size in zip(_LINES, _SIZES, strict=True):
        expected = line[9:]
        address, found_size, mnemonic, operands = next(listing, (position, 0, "nothing", ""))
        text = f"{mnemonic} {labels.get(operands, operands)}".rstrip()
        if (text, found_size) != (expected, size):
            return [f"code offset {address:#x}: {text}, where a stub has {expected}"]
        position += size
    return []
