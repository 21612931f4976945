"""Policy: which instructions a guest has, and what the machine looks like to it.

A :class:`Policy` is a value: equal policies translate equal code to equal fragments. What it admits comes in groups, by
and large one for each feature that CPUID reports; the virtual CPUID (:mod:`reference.cpuid`) reports exactly those.

Groups build on one another (:data:`NEEDS`): a guest that finds one takes for granted that the others are there. A policy
never has a group without those it needs. Whoever adds a group adds them, too; whoever takes one away also takes those
that need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Final

from reference.records import dataclass, replace


class Group(Enum):
    """Instruction groups of the instruction table. The value is the word used there, in messages, and on the command line.

    ``TIME`` is RDTSC and RDTSCP, ``RANDOM`` RDRAND and RDSEED, ``FXSR`` FXSAVE and FXRSTOR, ``XSAVE`` also XGETBV.
    """

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


#: What each group needs besides the base, and why:
NEEDS: Final[Mapping[Group, frozenset[Group]]] = {
    # Each generation of SSE is reported by processors with the earlier ones only, and compilers rely on that.
    Group.SSE2: frozenset({Group.SSE}),
    Group.SSE3: frozenset({Group.SSE2}),
    Group.SSSE3: frozenset({Group.SSE3}),
    Group.SSE41: frozenset({Group.SSSE3}),
    Group.SSE42: frozenset({Group.SSE41}),
    # They work on SSE2's registers of integers.
    Group.AES: frozenset({Group.SSE2}),
    Group.PCLMUL: frozenset({Group.SSE2}),
    Group.SHA: frozenset({Group.SSE2}),
    # AVX may be used where XGETBV says that the system keeps its registers (SDM volume 1, section 14.3).
    Group.AVX: frozenset({Group.SSE42, Group.XSAVE}),
    Group.AVX2: frozenset({Group.AVX}),
    Group.FMA: frozenset({Group.AVX}),
    Group.F16C: frozenset({Group.AVX}),
}

_DIRECT_NEEDS: Final = {
    group: NEEDS.get(group, frozenset()) | (frozenset() if group is Group.BASE else {Group.BASE}) for group in Group
}

_INTEGER: Final = frozenset({Group.BASE, Group.CMOV, Group.CPUID})
_PLAIN: Final = _INTEGER | {
    Group.X87, Group.MMX, Group.FXSR, Group.SSE, Group.SSE2, Group.SSE3, Group.SSSE3, Group.SSE41, Group.SSE42,
    Group.POPCNT,
}  # fmt: skip
#: What Linux calls the processor features of each group.
_LINUX_NAMES: Final = {
    Group.CMOV: "cmov", Group.X87: "fpu", Group.MMX: "mmx", Group.FXSR: "fxsr", Group.SSE: "sse", Group.SSE2: "sse2",
    Group.SSE3: "pni", Group.SSSE3: "ssse3", Group.SSE41: "sse4_1", Group.SSE42: "sse4_2", Group.POPCNT: "popcnt",
    Group.LZCNT: "abm", Group.AES: "aes", Group.PCLMUL: "pclmulqdq", Group.SHA: "sha_ni", Group.MOVBE: "movbe",
    Group.BMI1: "bmi1", Group.BMI2: "bmi2", Group.ADX: "adx", Group.F16C: "f16c", Group.FMA: "fma", Group.AVX: "avx",
    Group.AVX2: "avx2", Group.XSAVE: "xsave", Group.TIME: "tsc", Group.RANDOM: "rdrand",
}  # fmt: skip


def with_needs(groups: Iterable[Group]) -> frozenset[Group]:
    """The groups, and all that they need.

    >>> sorted(group.value for group in with_needs([Group.SSE2]))
    ['base', 'sse', 'sse2']
    """
    found: set[Group] = set()
    waiting = list(groups)
    while waiting:
        group = waiting.pop()
        if group not in found:
            found.add(group)
            waiting += _DIRECT_NEEDS[group]
    return frozenset(found)


def usable(groups: Iterable[Group]) -> frozenset[Group]:
    """Those of the groups for which all that they need is among them, too."""
    given = frozenset(groups)
    return frozenset(group for group in given if with_needs([group]) <= given)


@cache
def host_groups() -> frozenset[Group] | None:
    """The groups that this host's processor has and its system lets programs use; None where nobody says.

    Read from /proc/cpuinfo, where Linux leaves out what it does not support.
    """
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            line = next(line for line in file if line.startswith("flags"))
    except (OSError, StopIteration):
        return None
    found = set(line.split(":", 1)[1].split())
    return usable({Group.BASE, Group.CPUID} | {group for group, name in _LINUX_NAMES.items() if name in found})


def group_named(name: str) -> Group:
    """The group with that name. Raises ValueError, which lists the names there are."""
    try:
        return Group(name)
    except ValueError:
        names = ", ".join(group.value for group in Group)
        raise ValueError(f"no instruction group is called {name!r}; there are {names}") from None


@dataclass(frozen=True, slots=True)
class Policy:
    """``groups`` are admitted, everything else is an invalid opcode. ``thread_pointer`` admits GS as a thread pointer:
    GS-relative operands and moves to and from GS; a personality that hands out thread descriptors turns it on.
    ``reproducible`` has instructions with approximate results (:class:`~reference.isa.instruction.Kind`) computed by the
    specification, so that every host gives the same bits, at the price of leaving translated code.

    Raises ValueError for a group without those it needs; :meth:`of` adds them.

    >>> Policy.of("sse2", "cpuid") == Policy(frozenset({Group.BASE, Group.SSE, Group.SSE2, Group.CPUID}))
    True
    """

    groups: frozenset[Group]
    thread_pointer: bool = False
    reproducible: bool = False

    def __post_init__(self) -> None:
        for group in Group:
            if group in self.groups and not _DIRECT_NEEDS[group] <= self.groups:
                names = " and ".join(sorted(each.value for each in _DIRECT_NEEDS[group] - self.groups))
                raise ValueError(f"instruction group {group.value} needs {names}; Policy.of adds what groups need")

    @classmethod
    def of(cls, *groups: Group | str, thread_pointer: bool = False) -> Policy:
        """The base, these groups, and all that they need. Raises ValueError for a name that no group has.

        >>> sorted(group.value for group in Policy.of("cmov", "sse").groups)
        ['base', 'cmov', 'sse']
        """
        chosen = [group if isinstance(group, Group) else group_named(group) for group in groups]
        return cls(with_needs([Group.BASE, *chosen]), thread_pointer)

    @classmethod
    def parse(cls, text: str) -> Policy:
        """A policy as it is written on the command line: default, deterministic, integer, host or everything, and groups
        besides, separated by commas; or groups alone. Raises ValueError for a name that is neither.

        >>> Policy.parse("integer,popcnt") == Policy.integer_only().with_groups(Group.POPCNT)
        True
        """
        named = {
            "default": cls.default, "deterministic": cls.deterministic, "integer": cls.integer_only, "host": cls.host,
            "everything": cls.everything,
        }  # fmt: skip
        names = [name.strip() for name in text.split(",")]
        start = named[names.pop(0)]() if names[0] in named else cls.of()
        try:
            return start.with_groups(*map(group_named, names))
        except ValueError as error:
            raise ValueError(f"{error}; and the policies {', '.join(named)}") from None

    @classmethod
    def default(cls) -> Policy:
        """The baseline that every x86-64 host has: i686 with CMOV, x87, MMX, SSE to SSE4.2, POPCNT, CPUID, RDTSC."""
        return cls(_PLAIN | {Group.TIME})

    @classmethod
    def deterministic(cls) -> Policy:
        """The baseline without clocks and random numbers, and reproducible: equal input, equal output on every host.

        Only a program that looks at flags which the manual leaves undefined can still tell processors apart.
        """
        return cls(_PLAIN, reproducible=True)

    @classmethod
    def integer_only(cls) -> Policy:
        """Integer instructions only: what a decoder needs that must not depend on floating point."""
        return cls(_INTEGER)

    @classmethod
    def host(cls) -> Policy:
        """Every group that this host's processor has, clocks and random numbers included; not the same on every host.

        Where the processor cannot be asked (:func:`host_groups`), the same as :meth:`default`.
        """
        found = host_groups()
        return cls.default() if found is None else cls(found)

    @classmethod
    def everything(cls) -> Policy:
        """Every group of the table, whether or not this host's processor has it."""
        return cls(frozenset(Group))

    def with_groups(self, *groups: Group) -> Policy:
        """This policy with more groups, and what they need."""
        return replace(self, groups=with_needs(self.groups.union(groups)))

    def without_groups(self, *groups: Group) -> Policy:
        """This policy with fewer groups: without these and those that need them."""
        return replace(self, groups=usable(self.groups.difference(groups)))
