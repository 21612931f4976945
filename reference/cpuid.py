"""The virtual CPUID: what the machine looks like to a guest, a function of the policy and of nothing else.

It reports a feature exactly if the policy admits the instructions, so that a guest which looks before it leaps never
meets an invalid opcode, and it reports the same on every host. The vendor is nobody's, so that no library applies what
it knows of some vendor's models. Leaves and bits: SDM volume 2, CPUID.
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

# Feature bits: (register, bit) of the group that brings the instructions.
_LEAF1_ECX: Final = {
    Group.SSE3: 0, Group.PCLMUL: 1, Group.SSSE3: 9, Group.FMA: 12, Group.SSE41: 19, Group.SSE42: 20,
    Group.MOVBE: 22, Group.POPCNT: 23, Group.AES: 25, Group.AVX: 28, Group.F16C: 29, Group.RANDOM: 30,
}  # fmt: skip
_LEAF1_EDX: Final = {
    Group.X87: 0, Group.TIME: 4, Group.CMOV: 15, Group.MMX: 23, Group.FXSR: 24, Group.SSE: 25, Group.SSE2: 26,
}  # fmt: skip
_LEAF7_EBX: Final = {Group.BMI1: 3, Group.AVX2: 5, Group.BMI2: 8, Group.RANDOM: 18, Group.ADX: 19, Group.SHA: 29}
_EXTENDED_ECX: Final = {Group.BASE: 0, Group.LZCNT: 5}  # bit 0: LAHF and SAHF

_CX8: Final = 1 << 8  # CMPXCHG8B belongs to the base
_XSAVE_BIT: Final = 1 << 26
_OSXSAVE_BIT: Final = 1 << 27
_AVX_GROUPS: Final = frozenset({Group.AVX, Group.AVX2, Group.FMA, Group.F16C})

Leaf = tuple[int, int, int, int]


def _bits(policy: Policy, table: dict[Group, int]) -> int:
    """The bits of the admitted groups. What needs YMM state is usable, and reported, only together with XGETBV."""
    groups = policy.groups if Group.XSAVE in policy.groups else policy.groups - _AVX_GROUPS
    return sum(1 << bit for group, bit in table.items() if group in groups)


def xcr0(policy: Policy) -> int:
    """What XGETBV reports for index 0: the state components in use (x87 1, SSE 2, AVX 4)."""
    return 1 | 2 * (Group.SSE in policy.groups) | 4 * (Group.AVX in policy.groups)


def cpuid(policy: Policy, leaf: int, subleaf: int) -> Leaf:
    """EAX, EBX, ECX, EDX for the given EAX and ECX. Leaves that do not exist are zeros."""
    groups = policy.groups
    if leaf == 0:
        ebx, edx, ecx = struct.unpack("<III", VENDOR)
        return _HIGHEST, ebx, ecx, edx
    if leaf == 1:
        ecx = _bits(policy, _LEAF1_ECX)
        if Group.XSAVE in groups:
            ecx |= _XSAVE_BIT | _OSXSAVE_BIT
        clflush_line = 8 << 8  # in units of 8 bytes
        return SIGNATURE, clflush_line | 1 << 16, ecx, _bits(policy, _LEAF1_EDX) | _CX8
    if leaf == 7 and subleaf == 0:
        return 0, _bits(policy, _LEAF7_EBX), 0, 0
    if leaf == 0xD and Group.XSAVE in groups:
        return _save_area(policy, subleaf)
    if leaf == 0x8000_0000:
        return _HIGHEST_EXTENDED, 0, 0, 0
    if leaf == 0x8000_0001:
        return 0, 0, _bits(policy, _EXTENDED_ECX), 0
    if 0x8000_0002 <= leaf <= 0x8000_0004:
        start = 16 * (leaf - 0x8000_0002)
        eax, ebx, ecx, edx = struct.unpack("<IIII", BRAND[start : start + 16])
        return eax, ebx, ecx, edx
    return 0, 0, 0, 0


def _save_area(policy: Policy, subleaf: int) -> Leaf:
    """Leaf 0xD: the sizes of the XSAVE area and where its components stand."""
    avx = xcr0(policy) & 4
    size = 832 if avx else 576
    if subleaf == 0:
        return xcr0(policy), size, size, 0
    if subleaf == 2 and avx:
        return 256, 576, 0, 0
    return 0, 0, 0, 0
