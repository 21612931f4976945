"""Policy: which instructions a guest has, and what the machine looks like to it.

A :class:`Policy` is a value: equal policies translate equal code to equal fragments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final


class Group(Enum):
    """Instruction groups of the table (DESIGN: the instruction table). The value is the word used in it."""

    BASE = "base"
    CMOV = "cmov"
    X87 = "x87"
    MMX = "mmx"
    SSE = "sse"
    SSE2 = "sse2"
    SSE3 = "sse3"
    SSSE3 = "ssse3"
    SSE41 = "sse4.1"
    SSE42 = "sse4.2"
    POPCNT = "popcnt"
    LZCNT = "lzcnt"
    AES = "aes"
    PCLMUL = "pclmul"
    SHA = "sha"
    MOVBE = "movbe"
    BMI1 = "bmi1"
    BMI2 = "bmi2"
    ADX = "adx"
    F16C = "f16c"
    FMA = "fma"
    AVX = "avx"
    AVX2 = "avx2"
    FXSR = "fxsr"
    XSAVE = "xsave"
    CPUID = "cpuid"
    TIME = "time"
    RANDOM = "random"


_INTEGER: Final = frozenset({Group.BASE, Group.CMOV, Group.CPUID})
_PLAIN: Final = _INTEGER | {
    Group.X87, Group.MMX, Group.FXSR, Group.SSE, Group.SSE2, Group.SSE3, Group.SSSE3, Group.SSE41, Group.SSE42,
    Group.POPCNT,
}  # fmt: skip
#: What Linux calls the processor features of each group.
_LINUX_NAMES: Final = {
    Group.X87: "fpu", Group.MMX: "mmx", Group.FXSR: "fxsr", Group.SSE: "sse", Group.SSE2: "sse2", Group.SSE3: "pni",
    Group.SSSE3: "ssse3", Group.SSE41: "sse4_1", Group.SSE42: "sse4_2", Group.POPCNT: "popcnt", Group.LZCNT: "abm",
    Group.AES: "aes", Group.PCLMUL: "pclmulqdq", Group.SHA: "sha_ni", Group.MOVBE: "movbe", Group.BMI1: "bmi1",
    Group.BMI2: "bmi2", Group.ADX: "adx", Group.F16C: "f16c", Group.FMA: "fma", Group.AVX: "avx", Group.AVX2: "avx2",
    Group.XSAVE: "xsave", Group.RANDOM: "rdrand",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """``groups`` are admitted, everything else is an invalid opcode. ``thread_pointer`` admits GS as a thread pointer:
    GS-relative operands and moves to and from GS; a personality that hands out thread descriptors turns it on."""

    groups: frozenset[Group]
    thread_pointer: bool = False

    @classmethod
    def default(cls) -> Policy:
        """The baseline that every x86-64 host has: i686 with CMOV, x87, MMX, SSE to SSE4.2, POPCNT, CPUID, RDTSC."""
        return cls(_PLAIN | {Group.TIME})

    @classmethod
    def deterministic(cls) -> Policy:
        """The baseline without clocks and random numbers: equal input gives equal output on every host."""
        return cls(_PLAIN)

    @classmethod
    def integer_only(cls) -> Policy:
        """Integer instructions only: what a decoder needs that must not depend on floating point."""
        return cls(_INTEGER)

    @classmethod
    def host(cls) -> Policy:
        """Every group that this host's processor has, clocks and random numbers included; not the same on every host.

        Read from /proc/cpuinfo; where there is none, the same as :meth:`default`.
        """
        try:
            with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
                line = next(line for line in file if line.startswith("flags"))
        except (OSError, StopIteration):
            return cls.default()
        found = set(line.split(":", 1)[1].split())
        return cls(_INTEGER | {Group.TIME} | {group for group, name in _LINUX_NAMES.items() if name in found})

    @classmethod
    def everything(cls) -> Policy:
        """Every group of the table, whether or not this host's processor has it."""
        return cls(frozenset(Group))

    def with_groups(self, *groups: Group) -> Policy:
        """This policy with more groups."""
        return replace(self, groups=self.groups | frozenset(groups))

    def without_groups(self, *groups: Group) -> Policy:
        """This policy with fewer groups."""
        return replace(self, groups=self.groups - frozenset(groups))
