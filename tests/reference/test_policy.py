"""Policies are consistent, and what a policy admits is what its virtual CPUID reports: bit by bit, instruction by instruction.

The bits and what they mean are written down here once more, from the manuals: SDM volume 2, CPUID, and AMD's volume 3,
appendix E, for leaf 0x80000001. Which feature an instruction belongs to says capstone, and where capstone is silent, a list.
"""

from __future__ import annotations

import doctest
import functools
import io
import itertools
import re
from collections.abc import Iterator

import capstone
import pytest
from capstone import x86_const

from reference import policy as policy_module
from reference.cpuid import cpuid, xcr0
from reference.isa.decode import decode
from reference.isa.enumerate import examples
from reference.isa.instruction import InvalidOpcode, Kind, Row
from reference.isa.opcodes import ROWS
from reference.policy import Group, Policy, group_named, host_groups, usable, with_needs

EAX, EBX, ECX, EDX = range(4)

#: Where CPUID reports a feature: leaf, subleaf, register, bit. SDM volume 2, tables 3-8 to 3-11.
BITS = {
    "FPU": (1, 0, EDX, 0), "TSC": (1, 0, EDX, 4), "CX8": (1, 0, EDX, 8), "CMOV": (1, 0, EDX, 15),
    "CLFSH": (1, 0, EDX, 19), "MMX": (1, 0, EDX, 23), "FXSR": (1, 0, EDX, 24), "SSE": (1, 0, EDX, 25),
    "SSE2": (1, 0, EDX, 26),
    "SSE3": (1, 0, ECX, 0), "PCLMULQDQ": (1, 0, ECX, 1), "SSSE3": (1, 0, ECX, 9), "FMA": (1, 0, ECX, 12),
    "SSE4.1": (1, 0, ECX, 19), "SSE4.2": (1, 0, ECX, 20), "MOVBE": (1, 0, ECX, 22), "POPCNT": (1, 0, ECX, 23),
    "AESNI": (1, 0, ECX, 25), "XSAVE": (1, 0, ECX, 26), "OSXSAVE": (1, 0, ECX, 27), "AVX": (1, 0, ECX, 28),
    "F16C": (1, 0, ECX, 29), "RDRAND": (1, 0, ECX, 30),
    "BMI1": (7, 0, EBX, 3), "AVX2": (7, 0, EBX, 5), "BMI2": (7, 0, EBX, 8), "RDSEED": (7, 0, EBX, 18),
    "ADX": (7, 0, EBX, 19), "SHA": (7, 0, EBX, 29), "PREFETCHWT1": (7, 0, ECX, 0),
    "XSAVEOPT": (0xD, 1, EAX, 0), "XSAVEC": (0xD, 1, EAX, 1),
    "LAHF": (0x8000_0001, 0, ECX, 0), "LZCNT": (0x8000_0001, 0, ECX, 5), "PREFETCHW": (0x8000_0001, 0, ECX, 8),
    "RDTSCP": (0x8000_0001, 0, EDX, 27),
}  # fmt: skip
#: The registers of CPUID that consist of feature bits.
BIT_REGISTERS = {(1, 0, ECX), (1, 0, EDX), (7, 0, EBX), (7, 0, ECX), (7, 0, EDX), (0xD, 1, EAX), (0x8000_0001, 0, ECX),
                 (0x8000_0001, 0, EDX)}  # fmt: skip

#: The features whose instructions a group brings.
FEATURES = {
    Group.BASE: {"CX8", "LAHF", "PREFETCHW", "PREFETCHWT1"},
    Group.CMOV: {"CMOV"}, Group.X87: {"FPU"}, Group.MMX: {"MMX"}, Group.FXSR: {"FXSR"},
    Group.SSE: {"SSE"}, Group.SSE2: {"SSE2", "CLFSH"}, Group.SSE3: {"SSE3"}, Group.SSSE3: {"SSSE3"},
    Group.SSE41: {"SSE4.1"}, Group.SSE42: {"SSE4.2"},
    Group.POPCNT: {"POPCNT"}, Group.LZCNT: {"LZCNT"}, Group.MOVBE: {"MOVBE"},
    Group.BMI1: {"BMI1"}, Group.BMI2: {"BMI2"}, Group.ADX: {"ADX"},
    Group.AES: {"AESNI"}, Group.PCLMUL: {"PCLMULQDQ"}, Group.SHA: {"SHA"},
    Group.XSAVE: {"XSAVE", "OSXSAVE", "XSAVEOPT", "XSAVEC"},
    Group.AVX: {"AVX"}, Group.AVX2: {"AVX2"}, Group.FMA: {"FMA"}, Group.F16C: {"F16C"},
    Group.TIME: {"TSC", "RDTSCP"}, Group.RANDOM: {"RDRAND", "RDSEED"},
    Group.CPUID: set(),
}  # fmt: skip


def reported(policy: Policy) -> set[str]:
    """The features that CPUID reports."""
    return {
        name
        for name, (leaf, subleaf, register, bit) in BITS.items()
        if cpuid(policy, leaf, subleaf)[register] >> bit & 1
    }


def some_policies() -> Iterator[Policy]:
    """The named policies, and each group with as little and with as much as possible beside it."""
    yield from (Policy.default(), Policy.deterministic(), Policy.integer_only(), Policy.everything(), Policy.of())
    for group in Group:
        yield Policy.of(group)
        yield Policy.everything().without_groups(group)


# -- CPUID and groups ------------------------------------------------------------------------------------------------


def test_every_group_has_its_features() -> None:
    assert set(FEATURES) == set(Group)
    assert set().union(*FEATURES.values()) == set(BITS)


def test_cpuid_reports_exactly_the_features_of_the_admitted_groups() -> None:
    pairs = (Policy.of(*pair) for pair in itertools.combinations(Group, 2))
    for policy in (*some_policies(), *pairs):
        assert reported(policy) == set().union(*(FEATURES[group] for group in policy.groups))


def test_cpuid_reports_no_other_feature() -> None:
    for leaf, subleaf, register in BIT_REGISTERS:
        known = sum(1 << bit for *where, bit in BITS.values() if tuple(where) == (leaf, subleaf, register))
        assert cpuid(Policy.everything(), leaf, subleaf)[register] == known


def test_cpuid_says_the_same_wherever_it_is_asked() -> None:
    """A function of its arguments: written down in full, so that no host can sneak in."""
    everything, default = Policy.everything(), Policy.default()
    assert [cpuid(default, leaf, 0) for leaf in (0, 1, 7, 0xD, 0x8000_0000, 0x8000_0001)] == [
        (0xD, 0x3233_7856, 0x656E_6968, 0x63616D20),
        (0x600, 0x0001_0800, 0x0098_0201, 0x0788_8111),
        (0, 0, 1, 0),
        (0, 0, 0, 0),
        (0x8000_0004, 0, 0, 0),
        (0, 0, 0x101, 0x0800_0000),
    ]
    assert [cpuid(everything, 0xD, subleaf) for subleaf in range(4)] == [
        (7, 832, 832, 0), (3, 832, 0, 0), (256, 576, 0, 0), (0, 0, 0, 0),
    ]  # fmt: skip
    sse = Policy.of("xsave", "sse")
    assert [cpuid(sse, 0xD, subleaf) for subleaf in range(3)] == [(3, 576, 576, 0), (3, 576, 0, 0), (0, 0, 0, 0)]
    present = [
        leaf for start in (0, 0x8000_0000) for leaf in range(start, start + 64) if any(cpuid(everything, leaf, 0))
    ]
    assert present == [0, 1, 7, 0xD, *range(0x8000_0000, 0x8000_0004)]


def test_components_are_those_of_the_admitted_registers() -> None:
    assert xcr0(Policy.of("xsave")) == 1
    assert xcr0(Policy.of("xsave", "sse")) == 3
    assert xcr0(Policy.of("avx")) == 7


# -- CPUID and instructions ------------------------------------------------------------------------------------------

#: Capstone's groups that are features.
CAPSTONE = {
    "FPU": "FPU", "CMOV": "CMOV", "MMX": "MMX", "SSE1": "SSE", "SSE2": "SSE2", "SSE3": "SSE3", "SSSE3": "SSSE3",
    "SSE41": "SSE4.1", "SSE42": "SSE4.2", "AES": "AESNI", "PCLMUL": "PCLMULQDQ", "SHA": "SHA", "BMI": "BMI1",
    "BMI2": "BMI2", "ADX": "ADX", "AVX": "AVX", "AVX2": "AVX2", "F16C": "F16C", "FMA": "FMA",
}  # fmt: skip
CAPSTONE_GROUPS = {
    value: CAPSTONE[name[8:]]
    for name, value in vars(x86_const).items()
    if name.startswith("X86_GRP_") and name[8:] in CAPSTONE
}
#: Hints: no-operations on every processor from the i686 on that does not know them.
HINTS = "nop|pause|endbr32|endbr64|prefetch(nta|t0|t1|t2)?"
#: Mnemonics and the features they need, from the manual's CPUID column, where capstone says nothing or too little.
BY_HAND = [
    (HINTS, set()),
    ("prefetchw", {"PREFETCHW"}), ("prefetchwt1", {"PREFETCHWT1"}),
    ("lahf|sahf", {"LAHF"}), ("cmpxchg8b", {"CX8"}),
    ("lzcnt", {"LZCNT"}), ("popcnt", {"POPCNT"}), ("movbe", {"MOVBE"}),
    ("rdtsc", {"TSC"}), ("rdtscp", {"RDTSCP"}), ("rdrand", {"RDRAND"}), ("rdseed", {"RDSEED"}),
    ("fxsave|fxrstor", {"FXSR"}),
    ("xgetbv", {"XSAVE", "OSXSAVE"}), ("xsave|xrstor", {"XSAVE"}), ("xsaveopt", {"XSAVEOPT"}), ("xsavec", {"XSAVEC"}),
    ("fu?comip?", {"FPU", "CMOV"}), ("fcmovn?(b|e|be|u)", {"FPU", "CMOV"}), ("fisttp", {"FPU", "SSE3"}),
    ("fwait|f[a-z0-9]+", {"FPU"}),
    ("clflush", {"CLFSH"}), ("lfence|mfence|movnti", {"SSE2"}), ("sfence", {"SSE"}),
    ("cvtss2si", {"SSE"}), ("cvtsd2si", {"SSE2"}),
    ("paddq|psubq|pmuludq", {"SSE2"}),  # with MMX registers, too
    ("pabs[bwd]|palignr|phadd(w|d|sw)|phsub(w|d|sw)|pmaddubsw|pmulhrsw|pshufb|psign[bwd]", {"SSSE3"}),
    ("phminposuw", {"SSE4.1"}), ("pcmp[ei]str[im]", {"SSE4.2"}),
    ("vbroadcasti128", {"AVX2"}),
    ("vfn?m(add|sub|addsub|subadd)[0-9]{3}[ps][sd]", {"FMA"}),
]  # fmt: skip


#: Instructions of MMX that came with SSE, and whose forms with XMM registers came with SSE2.
LATE_MMX = "maskmovq|movntq|pavg[bw]|pmaxsw|pmaxub|pminsw|pminub|pmovmskb|pmulhuw|psadbw|pshufw|pinsrw|pextrw"


@functools.cache
def disassembler() -> capstone.Cs:
    made = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    made.detail = True
    return made


def features_of(row: Row, code: bytes) -> set[str]:
    """What CPUID must report for an instruction to be usable."""
    found = next(disassembler().disasm(code, 0, 1), None)
    text = found.op_str if found else ""
    if re.fullmatch(LATE_MMX, row.mnemonic):
        if row.mnemonic == "pextrw" and row.opcode.startswith("66 0F 3A"):
            return {"SSE4.1"}  # the form that can store to memory
        return {"SSE2"} if "xmm" in text else {"SSE"}
    for pattern, features in BY_HAND:
        if re.fullmatch(pattern, row.mnemonic):
            return features
    named = {CAPSTONE_GROUPS[group] for group in found.groups if group in CAPSTONE_GROUPS} if found else set()
    if row.mnemonic[0] == "v" and not named:
        vex = code.lstrip(b"\x67\x3e")
        long = (vex[1] if vex[0] == 0xC5 else vex[2]) & 4
        return {"AVX2"} if long and row.mnemonic[1] == "p" else {"AVX"}  # packed integers of 256 bits
    return named


def admitted(code: bytes, policy: Policy, row: Row) -> bool:
    """Whether the decoder accepts an instruction as what it is."""
    try:
        return decode(code, 0, policy).row is row
    except InvalidOpcode:
        return False


def test_an_instruction_is_admitted_exactly_if_cpuid_reports_all_of_its_features() -> None:
    policies = {policy: reported(policy) for policy in some_policies() if Group.BASE in policy.groups}
    for row in ROWS:
        if row.kind is Kind.REFUSE or "GS" in row.operands or row.mnemonic == "cpuid":
            continue
        seen = set()
        for code in examples(row):
            features = frozenset(features_of(row, code))
            if features in seen:
                continue
            seen.add(features)
            for policy, bits in policies.items():
                assert admitted(code, policy, row) == (features <= bits), (row.opcode, row.mnemonic, features, policy)


def test_what_cpuid_reports_of_tzcnt_and_lzcnt_is_what_they_are() -> None:
    """Without their groups these encodings are BSF and BSR, as on a processor without them."""
    for code, group, name, other in (
        ("f30fbcc1", Group.BMI1, "tzcnt", "bsf"),
        ("f30fbdc1", Group.LZCNT, "lzcnt", "bsr"),
    ):
        raw = bytes.fromhex(code)
        assert decode(raw, 0, Policy.of(group)).mnemonic == name
        assert decode(raw, 0, Policy.everything().without_groups(group)).mnemonic == other


# -- policies --------------------------------------------------------------------------------------------------------


def test_examples_in_documentation_hold() -> None:
    assert doctest.testmod(policy_module).failed == 0


def test_a_policy_never_has_a_group_without_those_it_needs() -> None:
    for policy in some_policies():
        assert with_needs(policy.groups) == policy.groups == usable(policy.groups)
    with pytest.raises(ValueError, match=r"f16c needs avx; Policy\.of adds"):
        Policy(frozenset(Group) - {Group.AVX})
    with pytest.raises(ValueError, match="sse2 needs base and sse;"):
        Policy(frozenset({Group.SSE2}))


def test_groups_bring_what_they_need_and_take_along_what_needs_them() -> None:
    avx2 = Policy.of("avx2").groups
    assert {group.value for group in avx2} == {
        "base", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "xsave", "avx", "avx2",
    }  # fmt: skip
    assert Policy.of().with_groups(Group.AVX2).groups == avx2
    everything = Policy.everything()
    assert everything.groups - everything.without_groups(Group.XSAVE).groups == {
        Group.XSAVE, Group.AVX, Group.AVX2, Group.FMA, Group.F16C,
    }  # fmt: skip
    assert everything.without_groups(Group.BASE).groups == frozenset()
    assert everything.without_groups(Group.SHA).groups == everything.groups - {Group.SHA}


def test_the_named_policies() -> None:
    default, deterministic = Policy.default().groups, Policy.deterministic().groups
    assert default - deterministic == {Group.TIME}
    assert deterministic <= default
    assert not {Group.TIME, Group.RANDOM} & deterministic
    assert Policy.integer_only().groups == {Group.BASE, Group.CMOV, Group.CPUID}
    assert Policy.everything().groups == frozenset(Group)
    assert Policy.of("cmov", Group.CPUID) == Policy.integer_only()
    assert Policy.of("sse", thread_pointer=True).thread_pointer
    assert Policy.of("sse", thread_pointer=True).with_groups(Group.AES).without_groups(Group.SSE).thread_pointer


def test_a_name_that_no_group_has_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(ValueError, match=r"no instruction group is called 'sse5'; there are base, cmov, .*, random"):
        Policy.of("sse", "sse5")
    with pytest.raises(ValueError, match="'AVX'"):
        group_named("AVX")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default", Policy.default()),
        ("deterministic", Policy.deterministic()),
        ("integer", Policy.integer_only()),
        ("everything", Policy.everything()),
        ("host", Policy.host()),
        ("sse2", Policy.of("sse2")),
        ("cmov, sse2", Policy.of("cmov", "sse2")),
        ("deterministic,avx2,bmi1", Policy.deterministic().with_groups(Group.AVX2, Group.BMI1)),
    ],
)
def test_policies_by_name(text: str, expected: Policy) -> None:
    assert Policy.parse(text) == expected


@pytest.mark.parametrize("text", ["", "nonsense", "sse2,default", "default,", "default sse"])
def test_a_name_that_is_no_policy_is_an_error_that_lists_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"there are base, .* and the policies default, deterministic, integer"):
        Policy.parse(text)


# -- the host --------------------------------------------------------------------------------------------------------


def _with_flags(monkeypatch: pytest.MonkeyPatch, flags: str | None) -> frozenset[Group] | None:
    """The groups of a host whose /proc/cpuinfo has these flags, or which has none."""

    def fake(path: str, **_: object) -> io.StringIO:
        assert path == "/proc/cpuinfo"
        if flags is None:
            raise FileNotFoundError(path)
        return io.StringIO(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t: none\n\nflags\t: fpu\n")

    monkeypatch.setattr(policy_module, "open", fake, raising=False)
    host_groups.cache_clear()
    try:
        return host_groups()
    finally:
        host_groups.cache_clear()


def test_groups_of_the_host_are_those_that_linux_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = "fpu tsc cx8 cmov mmx fxsr sse sse2 pni ssse3 sse4_1 sse4_2 popcnt"
    assert _with_flags(monkeypatch, plain) == Policy.default().groups
    assert _with_flags(monkeypatch, f"{plain} xsave avx abm") == Policy.default().groups | {
        Group.XSAVE, Group.AVX, Group.LZCNT,
    }  # fmt: skip
    assert _with_flags(monkeypatch, f"{plain} avx avx2 fma") == Policy.default().groups, (
        "AVX is of no use without XSAVE"
    )
    assert _with_flags(monkeypatch, None) is None


def test_where_the_host_cannot_be_asked_its_policy_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_module, "host_groups", lambda: None)
    assert Policy.host() == Policy.default()
