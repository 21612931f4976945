"""The virtual CPUID: what the machine looks like to a guest, a function of the policy and of nothing else.

It reports a feature exactly if the policy admits the instructions, so that a guest which looks before it leaps never
meets an invalid opcode, and it reports the same on every host. The vendor is nobody's, so that no library applies what
it knows of some vendor's models. Leaves and bits: SDM volume 2, CPUID; those of leaf 0x80000001 also AMD's manual,
volume 3, appendix E.

SYSENTER and SYSCALL are not reported, although they trap to the host instead of being invalid: what they do there is the
personality's business.
"""

from __future__ import annotations

import struct
from typing import Final

from reference.policy import Group, Policy

VENDOR: Final = b"Vx32 machine"
#: A name for leaf 0x80000002 and the two after it, 48 bytes.
BRAND: Final = b"vx32 virtual processor".ljust(48, b"\0")
#: Family 6, model 0, stepping 0: an i686.
SIGNATURE: Final = 0x600

_HIGHEST: Final = 0xD
_HIGHEST_EXTENDED: Final = 0x8000_0004

# Feature bits and the group that brings the instructions.
_LEAF1_ECX: Final = {
    0: Group.SSE3, 1: Group.PCLMUL, 9: Group.SSSE3, 12: Group.FMA, 19: Group.SSE41, 20: Group.SSE42, 22: Group.MOVBE,
    23: Group.POPCNT, 25: Group.AES, 26: Group.XSAVE, 28: Group.AVX, 29: Group.F16C, 30: Group.RANDOM,
    27: Group.XSAVE,  # OSXSAVE: the system has enabled it, so that XGETBV works
}  # fmt: skip
_LEAF1_EDX: Final = {
    0: Group.X87, 4: Group.TIME, 15: Group.CMOV, 23: Group.MMX, 24: Group.FXSR, 25: Group.SSE, 26: Group.SSE2,
    8: Group.BASE,  # CMPXCHG8B
    19: Group.SSE2,  # CLFLUSH
}  # fmt: skip
_LEAF7_EBX: Final = {
    3: Group.BMI1, 5: Group.AVX2, 8: Group.BMI2, 19: Group.ADX, 29: Group.SHA,
    18: Group.RANDOM,  # RDSEED
}  # fmt: skip
_LEAF7_ECX: Final = {0: Group.BASE}  # PREFETCHWT1
_EXTENDED_ECX: Final = {
    0: Group.BASE,  # LAHF and SAHF
    5: Group.LZCNT,
    8: Group.BASE,  # PREFETCHW
}
_EXTENDED_EDX: Final = {27: Group.TIME}  # RDTSCP
#: Leaf 0xD, subleaf 1: XSAVEOPT and XSAVEC.
_SAVE_EAX: Final = {0: Group.XSAVE, 1: Group.XSAVE}

#: Bytes in a line of the cache, as far as CLFLUSH goes.
_CACHE_LINE: Final = 64
#: Bytes of an XSAVE area, and where the upper halves of YMM registers stand in it.
_SAVE_BYTES: Final = 576
_AVX_BYTES: Final = 256

Leaf = tuple[int, int, int, int]


def _bits(policy: Policy, table: dict[int, Group]) -> int:
    """The bits of the admitted groups."""
    return sum(1 << bit for bit, group in table.items() if group in policy.groups)


def xcr0(policy: Policy) -> int:
    """What XGETBV reports for index 0: the state components in use (x87 1, SSE 2, AVX 4). x87 always is."""
    return 1 | 2 * (Group.SSE in policy.groups) | 4 * (Group.AVX in policy.groups)


def cpuid(policy: Policy, leaf: int, subleaf: int) -> Leaf:
    """EAX, EBX, ECX, EDX for the given EAX and ECX. Leaves that do not exist are zeros."""
    if leaf == 0:
        ebx, edx, ecx = struct.unpack("<III", VENDOR)
        return _HIGHEST, ebx, ecx, edx
    if leaf == 1:
        one_processor, line = 1 << 16, _CACHE_LINE // 8 << 8
        return SIGNATURE, one_processor | line, _bits(policy, _LEAF1_ECX), _bits(policy, _LEAF1_EDX)
    if leaf == 7 and subleaf == 0:
        return 0, _bits(policy, _LEAF7_EBX), _bits(policy, _LEAF7_ECX), 0
    if leaf == 0xD and Group.XSAVE in policy.groups:
        return _save_area(policy, subleaf)
    if leaf == 0x8000_0000:
        return _HIGHEST_EXTENDED, 0, 0, 0
    if leaf == 0x8000_0001:
        return 0, 0, _bits(policy, _EXTENDED_ECX), _bits(policy, _EXTENDED_EDX)
    if 0x8000_0002 <= leaf <= 0x8000_0004:
        start = 16 * (leaf - 0x8000_0002)
        eax, ebx, ecx, edx = struct.unpack("<IIII", BRAND[start : start + 16])
        return eax, ebx, ecx, edx
    return 0, 0, 0, 0


def _save_area(policy: Policy, subleaf: int) -> Leaf:
    """Leaf 0xD: the sizes of the XSAVE area and where its components stand, in the standard and compacted layout alike."""
    avx = Group.AVX in policy.groups
    size = _SAVE_BYTES + _AVX_BYTES * avx
    if subleaf == 0:
        return xcr0(policy), size, size, 0
    if subleaf == 1:
        return _bits(policy, _SAVE_EAX), size, 0, 0
    if subleaf == 2 and avx:
        return _AVX_BYTES, _SAVE_BYTES, 0, 0
    return 0, 0, 0, 0
