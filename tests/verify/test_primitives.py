"""Every way that 32-bit x86 has to touch a segment register, to leave a code segment, to reach another segment, the kernel
or the processor's modes, one by one (SDM volume 2; AMD's volume 3 for its own): the verifier refuses each in the place of a
copied instruction, and the translator never copies one."""

from __future__ import annotations

import pytest

from reference.isa.instruction import DecodeError
from reference.policy import Policy
from reference.translator import translate
from reference.translator.scan import Shape, scan
from vx32py.verify import problems

POLICY = Policy(Policy.everything().groups, thread_pointer=True)
WINDOW = 0

#: Kind, then an encoding a line. What stands after the bytes is what it does.
PRIMITIVES = """
loads of a segment register
  8e c0 mov es, eax | 8e c8 mov cs, eax | 8e d0 mov ss, eax | 8e d8 mov ds, eax | 8e e0 mov fs, eax
  8e e8 mov gs, eax | 8e 00 mov es, [eax] | 8e 10 mov ss, [eax] | 8e 18 mov ds, [eax] | 8e 20 mov fs, [eax]
  8e 28 mov gs, [eax] | 66 8e d8 mov ds, ax | 67 8e 28 mov gs, [bx+si] | 07 pop es | 17 pop ss | 1f pop ds
  0f a1 pop fs | 0f a9 pop gs | 66 07 pop es | 66 17 pop ss | 66 1f pop ds | 66 0f a1 pop fs | 66 0f a9 pop gs
  c4 00 les | c5 00 lds | 0f b2 00 lss | 0f b4 00 lfs | 0f b5 00 lgs | 66 c4 00 les | 66 c5 00 lds
  66 0f b2 00 lss | 66 0f b4 00 lfs | 66 0f b5 00 lgs | 67 c5 00 lds
stores of a segment register
  8c c0 mov eax, es | 8c c8 mov eax, cs | 8c d0 mov eax, ss | 8c d8 mov eax, ds | 8c e0 mov eax, fs
  8c e8 mov eax, gs | 8c 00 mov [eax], es | 8c 08 mov [eax], cs | 8c 28 mov [eax], gs | 06 push es | 0e push cs
  16 push ss | 1e push ds | 0f a0 push fs | 0f a8 push gs | 66 0e push cs | 66 0f a8 push gs
operands in a segment that is not the guest's
  64 8b 00 mov eax, fs:[eax] | 65 8b 00 mov eax, gs:[eax] | 2e 8b 00 mov eax, cs:[eax] | 64 89 00 mov fs:[eax], eax
  65 89 00 mov gs:[eax], eax | 65 a1 00 00 00 00 mov eax, gs:[0] | 65 a3 00 00 00 00 mov gs:[0], eax
  65 c6 00 00 mov byte gs:[eax], 0 | 65 ff 30 push gs:[eax] | 65 8f 00 pop gs:[eax] | 65 0f b0 00 cmpxchg gs:[eax]
  65 a4 movs es:[edi], gs:[esi] | 64 ac lods fs:[esi] | 65 6e outs gs:[esi] | 65 d7 xlat gs:[ebx]
  65 0f f7 c1 maskmovq gs:[edi] | 65 66 0f f7 c1 maskmovdqu gs:[edi] | 66 65 0f 6f 00 movdqa gs:[eax]
  65 c5 f9 6f 00 vmovdqa gs:[eax] | 65 dd 00 fld gs:[eax] | 64 65 8b 00 mov fs gs | 65 64 8b 00 mov gs fs
  3e 65 8b 00 mov ds gs | 65 3e 8b 00 mov gs ds | 67 65 8b 00 mov gs:[bx+si] | 65 62 00 bound | 65 0f ae 00 fxsave gs:[eax]
  65 f0 01 00 lock add gs:[eax] | f0 65 01 00 lock add gs:[eax] | 65 0f c7 08 cmpxchg8b gs:[eax]
far transfers
  9a 00 00 00 00 33 00 call 33:0 | ea 00 00 00 00 33 00 jmp 33:0 | ff 18 call far [eax] | ff 28 jmp far [eax]
  ff 1d 00 00 00 00 call far [0] | ff 2d 00 00 00 00 jmp far [0] | 65 ff 2d 24 00 00 00 jmp far gs:[24]
  cb retf | ca 04 00 retf 4 | 66 cb retf | cf iret | 66 cf iret | 66 ff 28 jmp far [eax] | 66 ff 18 call far [eax]
near transfers that templates make
  c3 ret | c2 04 00 ret 4 | f3 c3 rep ret | f2 c3 bnd ret | ff e0 jmp eax | ff d0 call eax | ff 20 jmp [eax]
  ff 10 call [eax] | 3e ff e0 notrack jmp eax | e8 00 00 00 00 call | 66 c3 ret | 66 e9 00 00 jmp | 66 e8 00 00 call
  66 eb 00 jmp | 66 ff e0 jmp ax | 66 74 00 je | 66 0f 84 00 00 je | 66 e3 00 jecxz | 66 e2 00 loop
  65 ff 20 jmp gs:[eax] | 65 ff 60 44 jmp gs:[eax+44] | 65 ff 25 04 00 00 00 jmp gs:[spilled ecx]
  c7 f8 00 00 00 00 xbegin | 66 c7 f8 00 00 xbegin | c6 f8 00 xabort | 0f 01 d5 xend | 0f 01 d6 xtest
the kernel
  cd 80 int 80h | cd 03 int 3 | cd 2e int 2eh | cc int3 | f1 int1 | ce into | 0f 05 syscall | 0f 34 sysenter
  0f 35 sysexit | 0f 07 sysret | f4 hlt | 0f 0b ud2 | 0f b9 00 ud1 | 0f ff 00 ud0 | 0f aa rsm | 0f 01 c1 vmcall
  0f 01 d4 vmfunc | 0f 01 d9 vmmcall | 0f 37 getsec | 0f 01 d7 enclu | 0f 01 cf encls | 0f 01 c0 enclv
flags and modes
  9d popf | 66 9d popf | fa cli | fb sti | 0f 01 ca clac | 0f 01 cb stac | 0f 06 clts | 0f 01 f0 lmsw | 0f 01 30 lmsw
  0f 20 c0 mov eax, cr0 | 0f 22 c0 mov cr0, eax | 0f 21 c0 mov eax, dr0 | 0f 23 f8 mov dr7, eax
  0f 24 c0 mov eax, tr0 | 0f 26 c0 mov tr0, eax | 0f 01 d1 xsetbv | 0f 30 wrmsr | 0f 32 rdmsr | 0f 33 rdpmc
  0f 01 ef wrpkru | 0f 01 ee rdpkru | f3 0f ae f0 umonitor | f3 0f ae d0 wrfsbase | f3 0f ae d8 wrgsbase
  f3 0f ae c0 rdfsbase | f3 0f ae c8 rdgsbase | 0f 01 f8 swapgs
descriptors
  0f 01 00 sgdt | 0f 01 08 sidt | 0f 01 10 lgdt | 0f 01 18 lidt | 0f 00 00 sldt | 0f 00 08 str | 0f 00 10 lldt
  0f 00 18 ltr | 0f 00 20 verr | 0f 00 28 verw | 0f 01 e0 smsw | 0f 02 c0 lar | 0f 03 c0 lsl | 63 c0 arpl
ports, caches, waiting
  e4 00 in | ec in | e6 00 out | ee out | 6c ins | 6e outs | f3 6c rep ins | 0f 08 invd | 0f 09 wbinvd
  0f 01 38 invlpg | 0f 01 c8 monitor | 0f 01 c9 mwait | 0f 01 fa monitorx | 0f 01 fb mwaitx | 0f 01 fc clzero
  66 0f ae f0 tpause | f2 0f ae f0 umwait | f3 0f 01 e8 setssbsy | f3 0f 01 ea saveprevssp | 66 0f 38 f8 00 movdir64b
  f2 0f 38 f8 00 enqcmd | 0f 38 f9 00 movdiri | 0f 01 e8 serialize | f3 0f ae e0 ptwrite
shadow stacks
  f3 0f ae e8 incsspd | f3 0f 01 28 rstorssp | 0f 38 f6 00 wrssd | 66 0f 38 f5 00 wrussd | f3 0f ae 30 clrssbsy
what shows code addresses, or loads state that the host keeps
  d9 30 fnstenv | dd 30 fnsave | d9 20 fldenv | dd 20 frstor | 66 d9 30 fnstenv | 0f ae 00 fxsave | 0f ae 08 fxrstor
  0f ae 20 xsave | 0f ae 28 xrstor | 0f ae 30 xsaveopt | 0f c7 20 xsavec | 0f c7 28 xsaves | 0f c7 18 xrstors
what the policy decides
  0f a2 cpuid | 0f 31 rdtsc | 0f 01 f9 rdtscp | 0f c7 f0 rdrand | 0f c7 f8 rdseed | f3 0f c7 f8 rdpid | 0f 01 d0 xgetbv
wider registers, and encodings that hide them
  62 f1 7c 48 58 c1 vaddps zmm | 62 f1 7c 08 58 c1 vaddps xmm, evex | 62 f1 fe 48 6f 00 vmovdqu64 zmm
  c5 f8 44 c0 knotw | 8f e9 78 12 c0 llwpcb | 8f e9 f8 9b 00 xop | c4 e2 78 49 00 ldtilecfg
  c4 e3 79 69 00 10 fma4 | 0f 0f c1 9e pfadd | f2 0f 79 c1 insertq | 0f a7 c0 xstore | 0f a6 c8 xsha1
"""


def primitives() -> list[tuple[str, bytes]]:
    found = []
    kind = ""
    for line in PRIMITIVES.strip().splitlines():
        if not line.startswith(" "):
            kind = line
            continue
        for text in line.split("|"):
            digits = []
            for word in text.split():
                if len(word) != 2 or not all(digit in "0123456789abcdef" for digit in word):
                    break
                digits.append(word)
            found.append((f"{kind}: {text.strip()}", bytes.fromhex("".join(digits))))
    return found


#: These are instructions that may be copied: here, to see that the test can tell.
HARMLESS = [
    ("mov eax, [eax]", "8b 00"), ("mov es:[edi]", "26 89 07"), ("pushf", "9c"), ("movs", "f3 a4"), ("push ecx", "51"),
    ("pop [eax]", "8f 00"), ("vaddps", "c5 f8 58 c1"), ("bound", "62 00"), ("fnstcw", "d9 38"), ("std", "fd"),
]  # fmt: skip


def planted(code: bytes) -> list[str]:
    """What the verifier says of a fragment with these bytes as its first template."""
    guest = b"\x90" * 3 + b"\xc3"
    fragment = translate(guest, 0x1000, POLICY, offset=0x1000, window=WINDOW)
    start, extra = fragment.spans[0].offset - fragment.offset, len(code) - 1
    # As if the first instruction had been copied with these bytes: all that follows moves.
    moved = fragment.with_code(fragment.code[:start] + code + fragment.code[start + 1 :])
    spans = fragment.spans
    moved.spans = (spans[0], *(span._replace(offset=span.offset + extra) for span in spans[1:]))
    moved.tail = fragment.tail + extra
    return problems(moved, window=WINDOW)


@pytest.mark.parametrize(("name", "code"), primitives(), ids=[name for name, _ in primitives()])
def test_no_escape_primitive_is_accepted_by_the_verifier(name: str, code: bytes) -> None:
    found = planted(code)
    assert len(found) >= 1, f"{name} was accepted"
    assert "0x1007" in found[0], f"refused for another reason: {found}"


@pytest.mark.parametrize(("name", "code"), primitives(), ids=[name for name, _ in primitives()])
def test_no_escape_primitive_is_copied_by_the_translator(name: str, code: bytes) -> None:
    for gs_base in (None, 0x5000):
        try:
            item = scan(code + b"\x90" * 16, 0x1000, POLICY, gs_base)[0]
        except DecodeError:
            continue
        assert item.shape != Shape.COPY
        if item.shape == Shape.FOLD:  # the thread pointer: another operand, in the guest's own memory
            fragment = translate(code + b"\xc3", 0x1000, POLICY, offset=0x1000, gs_base=gs_base, window=WINDOW)
            assert not problems(fragment, gs_base=gs_base, window=WINDOW, guest=code + b"\xc3")
            assert code not in fragment.code


@pytest.mark.parametrize(("name", "digits"), HARMLESS, ids=[name for name, _ in HARMLESS])
def test_what_may_be_copied_is_accepted_in_the_same_place(name: str, digits: str) -> None:
    assert planted(bytes.fromhex(digits)) == []
