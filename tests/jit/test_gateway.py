"""Entering and leaving: each side finds its own state, and nothing of the other's."""

from __future__ import annotations

import ctypes
import math
import struct

import pytest
from bare import CODE, DATA, STACK, Bare, Routine, entry_address
from child import in_child

from jit import gateway, hostarea
from reference import layout
from reference.stop import StopKind

#: What a well-mannered host may find changed after a call: nothing of this.
_CALLER = """
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        sub     rsp, 40
        mov     [rsp], rsi                      # result
        mov     [rsp + 8], rdi                  # what to call
        mov     r12d, [rsi + 128]               # MXCSR and x87 control word for the call
        mov     [rsp + 16], r12d
        ldmxcsr [rsp + 16]
        fldcw   [rsi + 132]
        pushfq
        pop     rax
        mov     [rsi + 64], rax
        mov     [rsi + 80], rsp
        mov     eax, ds
        mov     [rsi + 96], ax
        mov     eax, es
        mov     [rsi + 98], ax
        mov     eax, fs
        mov     [rsi + 100], ax
        mov     eax, gs
        mov     [rsi + 102], ax
        mov     eax, ss
        mov     [rsi + 104], ax
        mov     rax, 0x1111111111111111
        mov     rbx, 0x2222222222222222
        mov     rbp, 0x3333333333333333
        mov     r12, 0x4444444444444444
        mov     r13, 0x5555555555555555
        mov     r14, 0x6666666666666666
        mov     r15, 0x7777777777777777
        mov     rcx, [rsp + 8]
        mov     edi, ENTRY
        call    rcx
        mov     rsi, [rsp]
        mov     [rsi + 88], rsp
        pushfq
        pop     rcx
        mov     [rsi + 72], rcx
        mov     [rsi], rbx
        mov     [rsi + 8], rbp
        mov     [rsi + 16], r12
        mov     [rsi + 24], r13
        mov     [rsi + 32], r14
        mov     [rsi + 40], r15
        mov     ecx, ds
        mov     [rsi + 106], cx
        mov     ecx, es
        mov     [rsi + 108], cx
        mov     ecx, fs
        mov     [rsi + 110], cx
        mov     ecx, gs
        mov     [rsi + 112], cx
        mov     ecx, ss
        mov     [rsi + 114], cx
        stmxcsr [rsi + 136]
        fnstcw  [rsi + 140]
        fnstsw  [rsi + 142]
        mov     dword ptr [rsp + 16], 0x1F80
        ldmxcsr [rsp + 16]
        fninit
        add     rsp, 40
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret
"""
#: DF, NT and AC set, TF not: what a guest may leave behind. AC and an unaligned access would be a fault.
_MESSY = "pushfd; or dword ptr [esp], 0x44400; popfd"


def _call_with_known_state(bare: Bare, text: str, *, mxcsr: int, x87: int) -> bytes:
    bare.load(text)
    result = (ctypes.c_ubyte * 192)()
    struct.pack_into("<IH", result, 128, mxcsr, x87)
    caller = Routine(_CALLER, ENTRY=bare.processor.origin + CODE)
    caller(entry_address(bare), ctypes.addressof(result))
    return bytes(result)


@pytest.mark.parametrize("zero", [True, False])
@in_child
def test_host_finds_its_registers_modes_flags_and_selectors_as_they_were(zero: bool) -> None:
    bare = Bare(prefer_zero=zero)
    for text in (
        "nop",
        _MESSY,
        "push 0x9FC0; ldmxcsr [esp]; push 0x0C00; fldcw [esp]",
        "fldz; fldz; fldz; fldz; fldz; fldz; fldz; fldz",
        "push 0x0370; fldcw [esp]; fld1; fldz; fdivp",
        "push 0; ldmxcsr [esp]; pcmpeqd xmm0, xmm0; movq mm0, mm1",
        _MESSY + "; mov eax, [1]",
        _MESSY + "; ud2",
    ):
        bare.cpu.reset()
        bare.cpu.esp = STACK
        got = _call_with_known_state(bare, text, mxcsr=0x7FA0, x87=0x0B7F)
        assert struct.unpack_from("<6Q", got) == tuple(0x1111111111111111 * n for n in range(2, 8))
        flags_before, flags_after, stack_before, stack_after = struct.unpack_from("<4Q", got, 64)
        assert flags_after & 0x244700 == flags_before & 0x244700, "TF, IF, DF, NT, AC, ID"
        assert stack_before == stack_after
        assert struct.unpack_from("<5H", got, 96) == struct.unpack_from("<5H", got, 106)
        assert struct.unpack_from("<IH", got, 136) == (0x7FA0, 0x0B7F)
        assert struct.unpack_from("<H", got, 142)[0] == 0, "x87 status: empty stack, no exceptions"


@in_child
def test_host_arithmetic_works_after_a_guest_that_left_everything_changed() -> None:
    bare = Bare()
    for _ in range(3):
        bare.run(_MESSY + "; push 0x7F80; ldmxcsr [esp]; push 0x0F7F; fldcw [esp]; movq mm0, mm1; fldpi")
        assert math.fsum([0.1] * 10) == 1.0
        assert (1 / 3).hex() == "0x1.5555555555555p-2"
        assert (ctypes.c_longdouble(0.5).value, math.exp(1)) == (0.5, 2.718281828459045)
        bytes(bytearray(1001))[1:].replace(b"\0", b"x")  # memory moves with DF or AC set would be fatal


@in_child
def test_gs_base_of_the_host_survives() -> None:
    if not gateway.load().fsgsbase:
        return
    bare = Bare()
    bare.load("nop")
    routine = Routine(
        """
        push    rbx
        rdgsbase rbx
        mov     rax, 0x123456789000
        wrgsbase rax
        mov     rax, rdi
        mov     edi, ENTRY
        call    rax
        rdgsbase rax
        wrgsbase rbx
        pop     rbx
        ret
        """,
        ENTRY=bare.processor.origin + CODE,
    )
    assert routine(entry_address(bare)) == 0x123456789000


@pytest.mark.parametrize("zero", [True, False])
@in_child
def test_general_registers_go_in_and_come_out(zero: bool) -> None:
    bare = Bare(prefer_zero=zero)
    names = ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")
    for i, name in enumerate(names):
        setattr(bare.cpu, name, 0xF1F2_F300 + i)
    stop = bare.run("; ".join(f"add {name}, 0x10" for name in names) + "; sub esp, 8")
    assert stop.kind == StopKind.LEFT
    assert [getattr(bare.cpu, name) for name in names] == [0xF1F2_F310 + i for i in range(7)]
    assert bare.cpu.esp == 0x0030_0000 - 8


@in_child
def test_each_flag_goes_in_and_comes_out() -> None:
    bare = Bare()
    for flag in (0x1, 0x4, 0x10, 0x40, 0x80, 0x400, 0x800, 0x4000, 0x40000, 0x200000):
        for text, single in (("nop", False), ("ud2", False), ("nop", True)):
            bare.cpu.eflags = 0x202 | flag
            bare.run(text, single=single)
            assert bare.cpu.eflags == 0x202 | flag
        bare.cpu.eflags = 0xFFFF_FFFF & ~flag
        bare.run("pushfd; pop eax")
        assert bare.cpu.eax & 0x244CD5 == 0x244CD5 & ~flag
        assert bare.cpu.eax & 0x3B300 == 0x200, "IF, and no TF, IOPL, RF, VM"


@pytest.mark.parametrize("legacy", [False, True])
@in_child
def test_floating_point_state_goes_in_and_comes_out(legacy: bool) -> None:
    bare = Bare()
    gate = gateway.load()
    if legacy:
        struct.pack_into("<II", bare.processor.control, hostarea.XSAVE_MASK, 0, 0)
    for i in range(8):
        bare.cpu.fp[160 + 16 * i : 176 + 16 * i] = bytes([i + 1] * 16)
        bare.cpu.fp[576 + 16 * i : 592 + 16 * i] = bytes([0x80 + i] * 16)
    bare.cpu.fp[24:28] = (0x1FA0).to_bytes(4, "little")
    bare.cpu.fp[0:2] = (0x027F).to_bytes(2, "little")
    bare.run(f"paddb xmm3, xmm0; fldpi; fld1; stmxcsr [{DATA}]; fnstcw [{DATA + 4}]; movdqa [{DATA + 16}], xmm7")
    assert bare.cpu.xmm(3) == bytes([5] * 16)
    assert bare.cpu.xmm(6) == bytes([7] * 16)
    assert bare.space.read_u32(DATA) == 0x1FA0
    assert bare.space.read_u16(DATA + 4) == 0x027F
    assert bare.space.read(DATA + 16, 16) == bytes([8] * 16)
    assert bare.cpu.fp[32:42].hex() == "0000000000000080ff3f", "ST0 is 1.0"
    bare.run("faddp")
    if gate.xsave_mask & 4 and not legacy:
        bare.run(f"vmovdqu [{DATA + 32}], ymm5; vpaddb ymm2, ymm1, ymm1")
        assert bare.space.read(DATA + 32, 32) == bytes([6] * 16 + [0x85] * 16)
        assert bare.cpu.fp[576 + 32 : 592 + 32] == bytes([2] * 16), "the upper half of YMM2"
        assert bare.cpu.xmm(2) == bytes([4] * 16)


@pytest.mark.parametrize("legacy", [False, True])
@in_child
def test_guest_finds_none_of_the_host_s_register_content(legacy: bool) -> None:
    bare = Bare()
    gate = gateway.load()
    if legacy:
        struct.pack_into("<II", bare.processor.control, hostarea.XSAVE_MASK, 0, 0)
    wide = bool(gate.xsave_mask & 4) and not legacy
    register = "ymm" if wide else "xmm"
    move = "vmovdqu" if wide else "movdqu"
    bare.load("; ".join(f"{move} [{DATA + 32 * i}], {register}{i}" for i in range(8)) + f"; fnsave [{DATA + 256}]")
    secret = (ctypes.c_ubyte * 64)(*b"secret!!" * 8)
    fill = "".join(f"{move} {register}{i}, [rsi]\n" for i in range(16))
    routine = Routine(
        f"{fill} fld qword ptr [rsi]\n fld qword ptr [rsi]\n mov rax, rdi\n mov edi, ENTRY\n mov rcx, [rsi]\n"
        "mov rdx, rcx\n mov r8, rcx\n sub rsp, 8\n call rax\n add rsp, 8\n ret",
        ENTRY=bare.processor.origin + CODE,
    )
    bare.cpu.eflags = 0x202
    assert routine(entry_address(bare), ctypes.addressof(secret)) == hostarea.KIND_LEFT
    memory = bare.space.read(DATA, 4096)
    assert b"secr" not in memory
    assert memory[:256] == bytes(256)
    assert memory[256 + 8 : 256 + 10] == b"\xff\xff", "x87 tag word: all empty"
    assert [bare.cpu.general()[name] for name in ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")] == [0] * 7


@in_child
def test_rubbish_in_the_floating_point_image_is_not_fatal() -> None:
    bare = Bare()
    bare.cpu.fp[:] = b"\xff" * len(bare.cpu.fp)
    assert bare.run("nop").kind == StopKind.LEFT
    bare.cpu.reset()
    bare.cpu.fp[512:576] = b"\xff" * 64
    assert bare.run("nop").kind == StopKind.LEFT


@in_child
def test_pending_x87_exception_stays_the_guest_s() -> None:
    bare = Bare()
    assert bare.run("push 0x0370; fldcw [esp]; fld1; fldz; fdivp").kind == StopKind.LEFT
    assert ctypes.c_longdouble(2.0).value == 2.0
    stop = bare.run("fwait")
    assert (stop.kind, stop.vector, stop.offset) == (StopKind.FAULT, 16, CODE)


@in_child
def test_far_pointers_of_the_control_block_are_where_the_layout_says() -> None:
    bare = Bare()
    offset, selector = struct.unpack_from("<IH", bare.processor.control, layout.CONTROL_BLOCK + layout.LEAVE_POINTER)
    assert (offset, selector & 7) == (gateway.load().address_of("leave"), 3)
