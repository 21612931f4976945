# Stencils: the code that translated fragments consist of besides the guest's own instructions, for LLVM's assembler.
#
# A stencil is what stands between its label and the next. A symbol that is not defined here is a hole, and the assembler's
# relocation says where it is and whether it counts from the end of the field: the native translator fills it in when it
# stamps the stencil. `offset` in front of a symbol makes it an immediate (Intel syntax), not an address.
#
# Names in capitals are the layout of the control segment (reference/layout.py), defined by whoever assembles this. Memory
# operands with GS are in that segment, and count from its start. Nothing here may touch the guest's
# flags, except where they are saved: LEA, MOV, PUSH, JECXZ and jumps do not.

# -- templates ---------------------------------------------------------------------------------------------------------

        .text

# Where indirect branches to one guest EIP arrive, their target in ECX. Giving back the spilled register is the check:
# for another target the operand is beyond the segment's limit. What follows is the code for that EIP.
        .globl  landing
landing:
        mov     ecx, gs:[ecx + ecx_spilled]

# Where a direct branch ends up whose target does not exist yet: tell the host which one, and leave.
        .globl  trampoline
trampoline:
        mov     dword ptr gs:[SITE], offset site
        jmp     chain

# In front of an indirect branch: the register that it works with.
        .globl  spill
spill:
        mov     gs:[SPILL_ECX], ecx

# A return takes its target from the guest's stack, and may release arguments there.
        .globl  pop_target
pop_target:
        pop     ecx
        .globl  release
release:
        lea     esp, [esp + released]

# A call: the return address for the guest.
        .macro  push_return_address
        push    0x7fffffff                      # LLVM pushes 16 bits of a symbol: the hole is made by hand
        .reloc  . - 4, R_386_32, return_eip
        .endm
        .globl  return_eip
        .globl  push_return
push_return:
        push_return_address

# The end of an indirect branch, target in ECX: to the landing that the entry table has for it.
        .globl  dispatch
dispatch:
        jmp     gs:[ecx * 8 + table]

# The same with the hashed table: its index is the target's low half, and a call stores the landing for its return.
        .globl  hashed_landing
hashed_landing:
        mov     edx, gs:[ecx * 8 + edx_spilled]
        mov     ecx, gs:[ecx + ecx_spilled]
        .globl  hashed_spill
hashed_spill:
        mov     gs:[SPILL_EDX], edx
        mov     gs:[SPILL_ECX], ecx
        .globl  hashed_push_return
hashed_push_return:
        push_return_address
        mov     dword ptr gs:[entry_slot], offset return_landing
        .globl  hashed_dispatch
hashed_dispatch:
        movzx   edx, cx
        jmp     gs:[HASHED_TABLE + edx * 4]

# To the host, with a trap number, and the EIP that the trap reports.
        .macro  to_host
        mov     dword ptr gs:[TRAP_EIP], offset reported
        mov     dword ptr gs:[REASON], offset reason
        jmp     exit
        .endm
        .globl  trap
trap:
        to_host

# INTO: the same if the overflow flag is set.
        .globl  overflow
overflow:
        jno     2f
        to_host
2:

# -- direct branches ---------------------------------------------------------------------------------------------------

# A jump to an unknown place has 32 bits; the short form needs a place to be assembled, so it jumps to itself, and says by
# hand where its hole is.
        .macro  short_hole
        .reloc  . - 1, R_386_PC8, destination
        .endm

        .globl  jump_near
jump_near:
        jmp     destination
        .globl  jump_short
jump_short:
6:      jmp     6b
        short_hole

# Conditions in the order of their codes (SDM volume 1, appendix B).
        .irp    condition, o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g
        .globl  branch_near_\condition
branch_near_\condition:
        j\condition     destination
        .endr
        .irp    condition, o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g
        .globl  branch_short_\condition
branch_short_\condition:
7:      j\condition     7b
        short_hole
        .endr

# Jumps on ECX, in the order of their opcodes. They have a short form only: the near one jumps over a jump.
        .irp    loop, loopne, loope, loop, jecxz
        .globl  near_\loop
near_\loop:
        \loop   3f
        jmp     4f
3:      jmp     destination
4:
        .endr
        .irp    loop, loopne, loope, loop, jecxz
        .globl  short_\loop
short_\loop:
        \loop   destination
        .endr

# In front of a jump on ECX: it counts in CX.
        .globl  address_prefix
address_prefix:
        .byte   0x67

# In front of a stretch of instructions (reference/translator/meter.py): takes the fuel of all of them, the negative number
# of which is `charge`; a fault if there is not enough. LLVM has no symbols of 8 bits in addresses: the hole is made by hand.
        .globl  meter
meter:
        mov     gs:[SPILL_ECX], ecx
        mov     ecx, gs:[FUEL]
        lea     ecx, [ecx - 1]
        .reloc  . - 1, R_386_8, charge
        mov     gs:[FUEL], ecx
        movzx   ecx, byte ptr gs:[FUEL + 3]
        jecxz   8f
        hlt
8:      mov     ecx, gs:[SPILL_ECX]
        .globl  end
end:
