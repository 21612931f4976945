"""Code that changes, through every path there is: what runs next is what stands there, on every engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from asm import assemble
from images import BASE, ENTRY, image
from images import DATA as IMAGE_DATA
from machine import CODE, DATA, STACK_TOP, end_of, guest

from reference.memory import PAGE
from reference.policy import Policy
from reference.traps import Access, Vector
from vx32py import Sandbox

#: Where the code stands that changes: INC EBX four times, which becomes DEC EBX, or HLT.
PATCH = CODE + 0x1000 - 2
INC, DEC, HLT = b"\x43" * 4, b"\x4b" * 4, b"\xf4" * 4
DEC_WORD = 0x4B4B_4B4B

#: Ways to store DEC EBX four times at PATCH, from there itself or from 16 bytes of it at DATA. EAX, ECX, EDX, ESI, EDI are
#: theirs.
STORES = {
    "mov": f"mov dword ptr [{PATCH}], {DEC_WORD}",
    "mov of bytes": "; ".join(f"mov byte ptr [{PATCH + i}], 0x4b" for i in range(4)),
    "mov of words": f"mov ecx, 0x4b4b; mov word ptr [{PATCH}], cx; mov word ptr [{PATCH + 2}], cx",
    "mov backwards": "; ".join(f"mov byte ptr [{PATCH + 3 - i}], 0x4b" for i in range(4)),
    "moffs": f"mov eax, {DEC_WORD}; mov [{PATCH}], eax",
    "push": f"mov eax, esp; mov esp, {PATCH + 4}; push {DEC_WORD}; mov esp, eax",
    "push of memory": f"mov eax, esp; mov esp, {PATCH + 4}; push dword ptr [{DATA}]; mov esp, eax",
    "pop to memory": f"push {DEC_WORD}; pop dword ptr [{PATCH}]",
    "pusha": f"push {DEC_WORD}; pop edi; mov esi, 0xc3c3c3c3; mov ecx, esp; mov [{DATA + 64}], ecx; mov esp, {PATCH + 32}; pushad; mov esp, [{DATA + 64}]",
    "call": f"mov ecx, esp; mov esp, {PATCH + 4}; call 3f; 3: mov esp, ecx; mov dword ptr [{PATCH}], {DEC_WORD}",
    "enter": f"mov ecx, esp; mov edx, ebp; mov ebp, {DEC_WORD}; mov esp, {PATCH + 4}; enter 0, 0; mov esp, ecx; mov ebp, edx",
    "stosb": f"mov edi, {PATCH}; mov al, 0x4b; stosb; stosb; stosb; stosb",
    "stosd": f"mov edi, {PATCH}; mov eax, {DEC_WORD}; stosd",
    "rep stosb across the page": f"mov edi, {PATCH}; mov al, 0x4b; mov ecx, 4; rep stosb",
    "rep movsb across the page": f"mov edi, {PATCH}; mov esi, {DATA}; mov ecx, 4; rep movsb",
    "rep movsd": f"mov edi, {PATCH}; mov esi, {DATA}; mov ecx, 1; rep movsd",
    "rep movsb backwards": f"std; mov edi, {PATCH + 3}; mov esi, {DATA + 3}; mov ecx, 4; rep movsb; cld",
    "rep movsb over both pages": f"mov edi, {PATCH - 8}; mov esi, {DATA + 32}; mov ecx, 24; rep movsb",
    "xchg": f"mov eax, {DEC_WORD}; xchg [{PATCH}], eax",
    "lock xadd": f"mov eax, {DEC_WORD - 0x43434343}; lock xadd [{PATCH}], eax",
    "lock cmpxchg": f"mov eax, 0x43434343; mov ecx, {DEC_WORD}; lock cmpxchg [{PATCH}], ecx",
    "add": f"add dword ptr [{PATCH}], {DEC_WORD - 0x43434343}",
    "xor": f"xor dword ptr [{PATCH}], {DEC_WORD ^ 0x43434343}",
    "bts": "; ".join(f"bts dword ptr [{PATCH}], {8 * i + 3}" for i in range(4)),
    "setcc": f"add byte ptr [{PATCH}], 0x4a - 0x42; " + "; ".join(f"or byte ptr [{PATCH + i}], 8" for i in range(1, 4)),
    "movnti": f"mov eax, {DEC_WORD}; movnti [{PATCH}], eax",
    "movd": f"movd xmm0, [{DATA}]; movd [{PATCH}], xmm0",
    "movss": f"movss xmm0, [{DATA}]; movss [{PATCH}], xmm0",
    "movups": f"movups xmm0, [{DATA + 32}]; movups [{PATCH - 8}], xmm0",
    "maskmovdqu": f"movups xmm0, [{DATA}]; movups xmm1, [{DATA + 16}]; mov edi, {PATCH}; maskmovdqu xmm0, xmm1",
    "maskmovq": f"movq mm0, [{DATA}]; movq mm1, [{DATA + 16}]; mov edi, {PATCH}; maskmovq mm0, mm1; emms",
    "pextrd": f"movups xmm0, [{DATA}]; pextrd [{PATCH}], xmm0, 0",
    "fstp": f"fld dword ptr [{DATA}]; fstp dword ptr [{PATCH}]",
    "fistp": f"fild dword ptr [{DATA}]; fistp dword ptr [{PATCH}]",
    "cmpxchg8b": f"mov eax, [{PATCH}]; mov edx, [{PATCH + 4}]; push ebx; push ecx; mov ebx, {DEC_WORD}; mov ecx, edx; lock cmpxchg8b [{PATCH}]; pop ecx; pop ebx",
    "two stores, the first undone": f"mov dword ptr [{PATCH}], 0xf4f4f4f4; mov dword ptr [{PATCH}], {DEC_WORD}",
    "frstor and fnsave": f"fnsave [{PATCH - 8}]; mov dword ptr [{PATCH}], {DEC_WORD}; mov dword ptr [{PATCH + 4}], 0xc3c3c3c3",
    "fnstenv": f"fnstenv [{PATCH - 8}]; mov dword ptr [{PATCH}], {DEC_WORD}; mov dword ptr [{PATCH + 4}], 0xc3c3c3c3",
    "fxsave": f"fxsave [{PATCH - 14}]; mov dword ptr [{PATCH}], {DEC_WORD}; mov dword ptr [{PATCH + 4}], 0xc3c3c3c3",
    "stmxcsr": f"stmxcsr [{PATCH}]; mov dword ptr [{PATCH}], {DEC_WORD}",
    "fnstcw": f"fnstcw [{PATCH}]; mov dword ptr [{PATCH}], {DEC_WORD}",
}
PROGRAM = f"""
        mov     ebx, 100
        call    {PATCH - CODE} + start
        {{store}}
        call    {PATCH - CODE} + start
        int3
.org {PATCH - CODE}
        .byte   0x43, 0x43, 0x43, 0x43
        ret
.org 0x1ffc
"""


def program(store: str) -> bytes:
    """Calls the patch, stores, calls it again."""
    return assemble("start:" + PROGRAM.format(store=store))


@pytest.mark.parametrize("store", STORES)
def test_a_store_into_code_is_followed(engine_name: str, store: str) -> None:
    """Twice: the second time its own code has been dropped and made again, and the first two stores have done nothing."""
    with guest(engine_name, program(STORES[store]), code_access=Access.RWX, policy=Policy.everything()) as engine:
        engine.space.write(DATA, b"\x4b" * 16 + b"\xff" * 4 + bytes(12))
        engine.space.write(DATA + 32, engine.space.load(PATCH - 8, 8) + DEC + engine.space.load(PATCH + 4, 12))
        for _ in range(2):
            engine.space.store(PATCH, INC + b"\xc3")
            engine.cpu.eip, engine.cpu.esp = CODE, STACK_TOP - 64
            end = end_of(engine)
            assert (end.number, engine.space.load(PATCH, 5)) == (Vector.BREAKPOINT, DEC + b"\xc3")
            assert engine.cpu.ebx == 100 + 4 - 4


@pytest.mark.parametrize("distance", [0, 1, 7, 20, 60])
@pytest.mark.parametrize("start", [CODE, CODE + 0xFE0, CODE + 0xFF8, CODE + 0xFFE])
def test_a_store_into_what_comes_next_is_followed(engine_name: str, start: int, distance: int) -> None:
    """So many bytes behind the store, in the same fragment or another, on the same page or the next."""
    target = start + 7 + distance
    code = assemble(f"mov byte ptr [{target}], 0xf4") + b"\x90" * distance + b"\x43\xcc"
    with guest(engine_name, b"", code_access=Access.RWX, eip=start) as engine:
        engine.space.store(start, code)
        end = end_of(engine)
        assert (end.number, end.eip) == (Vector.INVALID_OPCODE, target)


def test_a_host_that_writes_through_a_view_or_the_memory_of_a_process_is_followed(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(b"\x43" * 4 + b"\xcc" + b"\xeb\xf9")) as process:
        process.engine.space.protect(ENTRY, PAGE, Access.RWX)
        cpu = process.registers
        cpu.ebx = 0
        assert process.run().number == Vector.BREAKPOINT
        assert cpu.ebx == 4
        process.memory[ENTRY : ENTRY + 4] = DEC
        process.run()
        assert cpu.ebx == 0
        process.memory.view(ENTRY, 4, writable=True)[:] = INC
        process.run()
        assert cpu.ebx == 4
        process.memory.write_u8(ENTRY + 3, 0x90)
        process.run()
        assert cpu.ebx == 7
        snapshot = process.snapshot()
        process.memory.write(ENTRY, DEC)
        process.run()
        assert cpu.ebx == 3
        process.restore(snapshot)
        process.run()
        assert process.registers.ebx == 10


@pytest.mark.parametrize("native", [True, False], ids=["native answers", "without"])
@pytest.mark.parametrize("linux", [False, True], ids=["vx", "linux"])
def test_a_read_into_code_is_followed(engine_name: str, linux: bool, native: bool, tmp_path: Path) -> None:
    """A call whose handler, or whose native answer, writes over code: three times, of which the last are native."""
    (tmp_path / "code").write_bytes((DEC + INC) * 3)
    trap = "int 0x80" if linux else "syscall"
    arguments = "mov ebx, 0; mov ecx, {0}; mov edx, 4" if linux else "mov edx, 0; mov ecx, {0}; mov ebx, 4"
    patch = ENTRY + 0x80
    code = f"""
        xor     ebp, ebp
        mov     esi, 6
1:      mov     eax, 3
        {arguments.format(patch)}
        {trap}
        xor     ebx, ebx
        call    2f
        lea     ebp, [ebp * 2 + ebp]
        add     ebp, ebx
        dec     esi
        jnz     1b
        int3
.org 0x80
2:      .byte   0x90, 0x90, 0x90, 0x90
        ret
    """
    with (tmp_path / "code").open("rb") as source:
        box = Sandbox(engine=engine_name, native_answers=native)
        with box.spawn(image(code, linux=linux), stdin=source.fileno()) as process:
            process.engine.space.protect(ENTRY, PAGE, Access.RWX)
            assert process.run().number == Vector.BREAKPOINT
            expected = 0
            for step in (-4, 4) * 3:
                expected = 3 * expected + step
            assert process.registers.ebp == expected & 0xFFFF_FFFF
            assert os.lseek(source.fileno(), 0, os.SEEK_CUR) == 24


#: Linux i386 numbers.
MUNMAP, MPROTECT, MMAP2, MREMAP, MADVISE = 91, 125, 192, 163, 219
PLACE = BASE + 0x8000
MAP_AGAIN = f"mov eax, {MMAP2}; mov ebx, {PLACE}; mov ecx, 4096; mov edx, 7; mov esi, 0x32; int 0x80"


@pytest.mark.parametrize(
    ("change", "trap"),
    [
        ("", Vector.BREAKPOINT),
        (f"mov eax, {MPROTECT}; mov ebx, {PLACE}; mov ecx, 4096; mov edx, 1; int 0x80", Vector.PAGE_FAULT),
        (f"mov eax, {MPROTECT}; mov ebx, {PLACE}; mov ecx, 4096; mov edx, 0; int 0x80", Vector.PAGE_FAULT),
        (f"mov eax, {MPROTECT}; mov ebx, {PLACE}; mov ecx, 4096; mov edx, 5; int 0x80", Vector.BREAKPOINT),
        (f"mov eax, {MUNMAP}; mov ebx, {PLACE}; mov ecx, 4096; int 0x80", Vector.PAGE_FAULT),
        (f"{MAP_AGAIN}; mov dword ptr [{PLACE}], 0xc34b", Vector.BREAKPOINT),
        (f"mov eax, {MADVISE}; mov ebx, {PLACE}; mov ecx, 4096; mov edx, 4; int 0x80; mov byte ptr [{PLACE}], 0xf4", Vector.INVALID_OPCODE),
        (
            f"mov eax, {MREMAP}; mov ebx, {PLACE}; mov ecx, 4096; mov edx, 4096; mov esi, 3; mov edi, {PLACE + 0x2000}; int 0x80",
            Vector.PAGE_FAULT,
        ),
        (f"mov eax, {MUNMAP}; mov ebx, {PLACE}; mov ecx, 4096; int 0x80; {MAP_AGAIN}; mov dword ptr [{PLACE}], 0xc34b", Vector.BREAKPOINT),
    ],
    ids=["nothing", "read only", "nothing allowed", "not writable", "unmapped", "mapped anew", "forgotten", "moved", "unmapped and mapped"],
)  # fmt: skip
def test_pages_of_code_that_the_personality_changes(engine_name: str, change: str, trap: Vector) -> None:
    """The guest maps a page, calls code there that is known by then, changes the page, and calls it again."""
    code = f"""
        mov     eax, {MMAP2}
        mov     ebx, {PLACE}
        mov     ecx, 4096
        mov     edx, 7
        mov     esi, 0x32
        mov     edi, -1
        xor     ebp, ebp
        int     0x80
        mov     dword ptr [{PLACE}], 0xc343
        mov     edi, 0
        mov     eax, {PLACE}
        xor     ebx, ebx
        call    eax
        call    eax
        mov     [{IMAGE_DATA}], ebx
        {change}
        xor     ebx, ebx
        mov     eax, {PLACE}
        call    eax
        int3
    """
    with Sandbox(engine=engine_name).spawn(image(code, linux=True)) as process:
        found = process.run()
        assert found.number == trap
        assert process.memory.read_u32(IMAGE_DATA) == 2
        if trap == Vector.BREAKPOINT:
            assert process.registers.ebx == (0xFFFF_FFFF if "0xc34b" in change else 1)
        else:
            assert found.eip == PLACE
