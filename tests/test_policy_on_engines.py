"""Policies at work: on every engine the same instructions are refused, in the same words, and CPUID says the same."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from pathlib import Path

import needs
import pytest
from asm import assemble
from images import image
from machine import CODE, DATA, SENTINELS, guest
from one_instruction import all_groups

from reference import policy as policy_module
from reference.cpuid import cpuid, xcr0
from reference.engine import Engine
from reference.policy import Group, Policy
from reference.stop import Stop, StopKind
from reference.traps import Vector
from vx32py import Sandbox, UnsupportedHost, _engines

#: An instruction of each group, by mnemonic, that does no harm to the registers of a test.
ONE_OF = {
    Group.BASE: "nop", Group.CMOV: "cmove eax, ecx", Group.X87: "fnop", Group.MMX: "pxor mm0, mm0",
    Group.SSE: "xorps xmm0, xmm0", Group.SSE2: "pxor xmm0, xmm0", Group.SSE3: "movddup xmm0, xmm1",
    Group.SSSE3: "pabsb xmm0, xmm1", Group.SSE41: "pminsb xmm0, xmm1", Group.SSE42: "pcmpgtq xmm0, xmm1",
    Group.POPCNT: "popcnt eax, ecx", Group.AES: "aesenc xmm0, xmm1", Group.PCLMUL: "pclmulqdq xmm0, xmm1, 0",
    Group.SHA: "sha1nexte xmm0, xmm1", Group.MOVBE: f"movbe eax, [{DATA}]", Group.BMI1: "andn eax, ecx, edx",
    Group.BMI2: "rorx eax, ecx, 5", Group.ADX: "adcx eax, ecx", Group.F16C: "vcvtph2ps xmm0, xmm1",
    Group.FMA: "vfmadd132ps xmm0, xmm1, xmm2", Group.AVX: "vxorps ymm0, ymm1, ymm2",
    Group.AVX2: "vpxor ymm0, ymm1, ymm2", Group.FXSR: f"fxsave [{DATA}]", Group.XSAVE: f"xsave [{DATA}]",
    Group.CPUID: "cpuid", Group.TIME: "rdtsc", Group.RANDOM: "rdrand eax",
}  # fmt: skip
#: These are other instructions where their group is missing, as on a processor without it.
FALLS_BACK = (Group.BMI1, Group.LZCNT)
CLOCKS_AND_CHANCE = ["rdtsc", "rdtscp", "rdrand eax", "rdseed eax", "rdrand ax"]


def test_there_is_an_instruction_of_each_group() -> None:
    assert set(ONE_OF) | {Group.LZCNT} == set(Group)


# -- admitted or not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [group for group in ONE_OF if group is not Group.BASE], ids=lambda group: group.value)
@pytest.mark.parametrize("way", ["run", "step"])
def test_an_instruction_of_a_group_that_is_not_admitted_traps_where_it_stands(
    engine_name: str, way: str, group: Group
) -> None:
    policy = all_groups(engine_name).without_groups(group)
    mnemonic = ONE_OF[group].partition(" ")[0]
    expected = f"{mnemonic} needs group {group.value}, which the policy does not admit"
    for before in ("", "inc edi; "):
        with guest(engine_name, before + ONE_OF[group] + "; int3", policy=policy) as engine:
            at = CODE + len(assemble(before)) if before else CODE
            if before and way == "step":
                engine.step()
            trap = getattr(engine, way)()
            assert (trap.number, trap.eip, trap.vector) == (Vector.INVALID_OPCODE, at, Vector.INVALID_OPCODE)
            assert trap.detail == expected
            assert str(trap) == f"invalid opcode at eip {at:#010x}: {expected}"
            assert engine.cpu.eip == at
            assert engine.cpu.edi == SENTINELS["edi"] + bool(before)
            assert all(getattr(engine.cpu, name) == value for name, value in SENTINELS.items() if name != "edi")


@pytest.mark.parametrize("group", ONE_OF, ids=lambda group: group.value)
def test_a_group_with_what_it_needs_is_enough(engine_name: str, group: Group) -> None:
    if engine_name == "jit" and group not in all_groups(engine_name).groups:
        pytest.skip("the processor does not have it")
    with guest(engine_name, ONE_OF[group] + "; int3", policy=Policy.of(group)) as engine:
        trap = engine.run()
        assert trap.number == Vector.BREAKPOINT, str(trap)


def test_two_missing_groups_are_both_named(engine_name: str) -> None:
    for code, names in (
        ("vaesenc xmm0, xmm1, xmm2", "aes and avx"),
        ("vpxor ymm0, ymm1, ymm2", "avx and avx2"),
        ("fisttp dword ptr [eax]", "sse3 and x87"),
        ("fcomi st, st(1)", "cmov and x87"),
    ):
        with guest(engine_name, code, policy=Policy.of()) as engine:
            mnemonic = code.partition(" ")[0]
            assert engine.run().detail == f"{mnemonic} needs group {names}, which the policy does not admit"


def test_instructions_on_which_cpuid_has_two_bits_need_both_groups(engine_name: str) -> None:
    with guest(engine_name, "fcomi st, st(1)", policy=Policy.of("x87")) as engine:
        assert engine.run().detail == "fcomi needs group cmov, which the policy does not admit"
    with guest(engine_name, "fcomi st, st(1); int3", policy=Policy.of("x87", "cmov")) as engine:
        assert engine.run().number == Vector.BREAKPOINT


@pytest.mark.parametrize("group", FALLS_BACK, ids=lambda group: group.value)
def test_without_their_groups_tzcnt_is_bsf_and_lzcnt_is_bsr(engine_name: str, group: Group) -> None:
    code, with_group, without = {
        Group.BMI1: ("tzcnt eax, ecx; tzcnt edx, ebx; int3", (4, 32), (4, SENTINELS["edx"])),
        Group.LZCNT: ("lzcnt eax, ecx; lzcnt edx, ebx; int3", (19, 32), (12, SENTINELS["edx"])),
    }[group]
    for policy, expected in ((Policy.of(group), with_group), (Policy.of(), without)):
        if engine_name == "jit" and not policy.groups <= all_groups(engine_name).groups:
            continue
        with guest(engine_name, code, policy=policy, ecx=0x1230, ebx=0) as engine:
            assert engine.run().number == Vector.BREAKPOINT
            assert (engine.cpu.eax, engine.cpu.edx) == expected


# -- CPUID -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["default", "deterministic", "integer", "everything", "cpuid,sse2", "cpuid,avx2,sha"])
def test_cpuid_is_that_of_the_policy(engine_name: str, text: str) -> None:
    policy = Policy.parse(text)
    policy = policy.without_groups(*(policy.groups - all_groups(engine_name).groups))
    leaves = [*range(0x12), 0x4000_0000, *range(0x8000_0000, 0x8000_000A), 0xFFFF_FFFF]
    with guest(engine_name, "cpuid; int3", policy=policy) as engine:
        for leaf in leaves:
            for subleaf in range(3):
                engine.cpu.eip, engine.cpu.eax, engine.cpu.ecx = CODE, leaf, subleaf
                assert engine.run().number == Vector.BREAKPOINT
                cpu = engine.cpu
                assert (cpu.eax, cpu.ebx, cpu.ecx, cpu.edx) == cpuid(policy, leaf, subleaf)


#: What C libraries do before they use AVX: CPUID says OSXSAVE and AVX, XGETBV says that the system keeps the registers.
LOOK = """
    mov eax, 1; cpuid; and ecx, 0x18000000; cmp ecx, 0x18000000; jne no
    xor ecx, ecx; xgetbv; and eax, 6; cmp eax, 6; jne no
    vxorps ymm0, ymm1, ymm2; mov edi, 1; int3
no: mov edi, 0; int3
"""


@pytest.mark.parametrize(("text", "found"), [("cpuid,avx", 1), ("default", 0), ("cpuid,xsave", 0), ("integer", 0)])
def test_a_guest_that_looks_before_it_leaps_never_meets_an_invalid_opcode(
    engine_name: str, text: str, found: int
) -> None:
    with guest(engine_name, LOOK, policy=Policy.parse(text)) as engine:
        assert engine.run().number == Vector.BREAKPOINT
        assert engine.cpu.edi == found


@pytest.mark.parametrize("text", ["xsave", "xsave,sse2", "avx2"])
def test_xgetbv_is_that_of_the_policy(engine_name: str, text: str) -> None:
    policy = Policy.parse(text)
    with guest(engine_name, "xgetbv; int3", policy=policy, ecx=0) as engine:
        assert engine.run().number == Vector.BREAKPOINT
        assert (engine.cpu.eax, engine.cpu.edx) == (xcr0(policy), 0)


# -- determinism -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["deterministic", "integer"])
@pytest.mark.parametrize("code", CLOCKS_AND_CHANCE)
def test_deterministic_policies_have_neither_clocks_nor_chance(engine_name: str, code: str, text: str) -> None:
    group = "time" if code.startswith("rdt") else "random"
    with guest(engine_name, code, policy=Policy.parse(text)) as engine:
        trap = engine.run()
        assert trap.number == Vector.INVALID_OPCODE
        assert trap.detail == f"{code.partition(' ')[0]} needs group {group}, which the policy does not admit"


def test_with_their_groups_clocks_advance_and_numbers_differ(engine_name: str) -> None:
    code = "rdtsc; mov esi, eax; mov edi, edx; rdtscp; mov ebp, ecx; sub eax, esi; sbb edx, edi; rdrand ebx; rdseed ecx; int3"
    with guest(engine_name, code, policy=Policy.of("time", "random")) as engine:
        assert engine.run().number == Vector.BREAKPOINT
        cpu = engine.cpu
        assert (cpu.edx << 32 | cpu.eax) > 0
        assert cpu.ebp == 0
        assert cpu.ebx != cpu.ecx
        assert cpu.eflags & 1


# -- a host that lacks something -------------------------------------------------------------------------------------


def _host_without(monkeypatch: pytest.MonkeyPatch, *groups: Group) -> None:
    needs.engine("jit")
    found = Policy.everything().without_groups(*groups).groups
    for module in (policy_module, pytest.importorskip("jit.engine")):
        monkeypatch.setattr(module, "host_groups", lambda: found)


@pytest.mark.ldt
@pytest.mark.parametrize("group", FALLS_BACK, ids=lambda group: group.value)
def test_what_the_processor_would_take_for_another_instruction_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, group: Group
) -> None:
    _host_without(monkeypatch, group)
    with pytest.raises(UnsupportedHost, match=f"this host's processor has no {group.value}, which the policy admits"):
        _engines.create("jit", limit=1 << 20, budget=1 << 20, policy=Policy.everything())
    _engines.create("jit", limit=1 << 20, budget=1 << 20, policy=Policy.host()).close()
    _engines.create("jit", limit=1 << 20, budget=1 << 20, policy=Policy.default()).close()
    engine = _engines.create("auto", limit=1 << 20, budget=1 << 20, policy=Policy.everything())
    assert engine.name == "reference"
    engine.close()


@pytest.mark.ldt
@pytest.mark.parametrize("way", ["run", "step"])
def test_what_the_processor_does_not_have_is_executed_for_it(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """SHA1NEXTE raises an invalid opcode, as on a processor without it, and the guest does not notice."""
    _host_without(monkeypatch, Group.SHA, Group.RANDOM)
    code = "inc edi; sha1nexte xmm0, xmm1; inc esi; int3"
    registers = {}
    for name in ("reference", "jit"):
        with guest(name, code, policy=Policy.everything()) as engine:
            engine.cpu.fp[160:192] = bytes(range(32))
            if name == "jit":
                _without_sha(monkeypatch, engine)
            if way == "step":
                for _ in range(3):
                    assert engine.step().number == Vector.SINGLE_STEP
            assert engine.run().number == Vector.BREAKPOINT
            registers[name] = (tuple(engine.cpu.words), engine.cpu.xmm(0), engine.cpu.xmm(1))
    assert registers["jit"] == registers["reference"]
    assert registers["jit"][1] != bytes(range(16))


def _without_sha(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    """Make SHA1NEXTE fault where translated code would have executed it: the fragment is run up to there."""
    enter, cache = engine._enter, engine._cache  # type: ignore[attr-defined]
    sha = assemble("sha1nexte xmm0, xmm1")

    def enter_without_sha(offset: int, single: bool) -> Stop:
        at = bytes(cache.code).find(sha, offset, offset + 64)
        if at < 0 or single:
            stop: Stop = enter(offset, single)
            return stop
        while offset < at:
            stop = enter(offset, True)
            assert stop.kind == StopKind.STEPPED
            offset = stop.offset
        return Stop(StopKind.FAULT, offset, Vector.INVALID_OPCODE)

    monkeypatch.setattr(engine, "_enter", enter_without_sha)


def test_a_policy_of_what_this_host_has_runs_on_every_engine(engine_name: str) -> None:
    with guest(engine_name, "inc eax; int3", policy=Policy.host()) as engine:
        assert engine.run().number == Vector.BREAKPOINT


# -- the command line ------------------------------------------------------------------------------------------------

EXIT = "mov eax, 1; mov edx, 7; syscall"


def _run(program: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vx32py", "run", *options, str(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_refused_instruction_and_its_group_are_in_the_one_line(engine_name: str, tmp_path: Path) -> None:
    program = tmp_path / "guest.elf"
    program.write_bytes(image("nop; vxorps ymm0, ymm1, ymm2; " + EXIT))
    done = _run(program, "--engine", engine_name)
    assert done.returncode == 132
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"vx32py: {program}: invalid opcode at eip 0x0804900")
    assert done.stderr.endswith(": vxorps needs group avx, which the policy does not admit\n")
    done = _run(program, "--engine", engine_name, "--policy", "cmov,avx")
    assert (done.returncode, done.stderr) == (7, "")
    result = Sandbox(engine=engine_name).run(image("rdrand eax"))
    assert result.trap is not None
    assert result.trap.detail == "rdrand needs group random, which the policy does not admit"


@pytest.mark.parametrize(
    "text", ["default", "deterministic", "integer", "host", "everything", "base", "deterministic,avx2"]
)
def test_policies_can_be_chosen_by_name(tmp_path: Path, text: str) -> None:
    program = tmp_path / "guest.elf"
    program.write_bytes(image(EXIT))
    assert _run(program, "--engine=reference", "--policy", text).returncode == 7
    assert _run(program, "--engine=reference", f"--policy={text},sse5").returncode == 2


def test_an_unknown_group_is_a_usage_error_that_lists_them(tmp_path: Path) -> None:
    program = tmp_path / "guest.elf"
    program.write_bytes(image(EXIT))
    done = _run(program, "--policy", "sse2,warp")
    assert done.returncode == 2
    assert "Invalid value for --policy: no instruction group is called 'warp'; there are base, cmov," in done.stderr
    assert "and the policies default, deterministic, integer, host, everything" in done.stderr


#: What the manual leaves to processors, on an operand for which they are known to differ, or may.
APPROXIMATE = (
    "rcpps xmm0, xmm1", "rcpss xmm0, xmm1", "rsqrtps xmm0, xmm1", "rsqrtss xmm0, [esp]", "f2xm1", "fyl2x", "fyl2xp1",
    "fptan", "fpatan", "fsin", "fcos", "fsincos",
)  # fmt: skip


@pytest.mark.parametrize("code", APPROXIMATE)
def test_a_reproducible_policy_gives_the_bits_of_the_specification(engine_name: str, code: str) -> None:
    rng = random.Random(code)
    images = []
    for name in ("reference", engine_name):
        with guest(name, f"{code}; int3", policy=Policy.deterministic()) as engine:
            rng.seed(code)
            found = []
            for _ in range(8):
                engine.cpu.eip = CODE
                engine.space.write_u32(engine.cpu.esp, 0x3F80_0000 + rng.getrandbits(23))
                engine.cpu.fp[176:192] = b"".join(struct.pack("<f", rng.uniform(0.5, 2)) for _ in range(4))
                for register in range(2):
                    significand = 1 << 63 | rng.getrandbits(63)
                    engine.cpu.fp[32 + 16 * register : 42 + 16 * register] = (
                        significand.to_bytes(8, "little") + b"\xfd\x3f"
                    )
                engine.cpu.fp[4], engine.cpu.fp[2:4] = 3, b"\0\0"
                assert engine.run().number == Vector.BREAKPOINT
                found.append(bytes(engine.cpu.fp[32:42]) + bytes(engine.cpu.fp[160:176]))
            images.append(found)
    assert images[0] == images[1]
