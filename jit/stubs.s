# The runtime: the few stubs of 32-bit code at the start of every code segment that all fragments share, for LLVM's
# assembler. The specification has the same bytes, by hand, in reference/runtime.py, which also says what each is for.
#
# Names in capitals are the layout of the control segment (reference/layout.py), defined by whoever assembles this.

# Where entries lead that are not set: a fault.
        .rept   NO_CODE
        hlt
        .endr

# With the hashed table: an indirect branch missed its first level, target in ECX, the guest's EDX and ECX spilled. Unused
# entries of that table lead here as well. LAHF and SETO keep the guest's flags in EAX.
lookup:
        mov     gs:[SPILL_EAX], eax
        lahf
        seto    al
        imul    edx, ecx, HASH_MULTIPLIER
        shr     edx, 32 - PROBED_BITS
        cmp     gs:[PROBED_TABLE + edx * 8], ecx
        je      5f
        .rept   PROBES - 1
        inc     edx
        cmp     gs:[PROBED_TABLE + edx * 8], ecx
        je      5f
        .endr
        jmp     miss
5:      mov     edx, gs:[PROBED_TABLE + 4 + edx * 8]
        test    edx, edx
        je      miss
        mov     gs:[SCRATCH], edx
        add     al, 0x7f                                # overflows just if SETO said 1
        sahf
        mov     eax, gs:[SPILL_EAX]
        jmp     gs:[SCRATCH]

# Neither table knows the target: the host must translate it.
miss:
        add     al, 0x7f
        sahf
        mov     eax, gs:[SPILL_EAX]
        mov     gs:[TRAP_EIP], ecx
        mov     edx, gs:[SPILL_EDX]
        mov     ecx, gs:[SPILL_ECX]
        mov     dword ptr gs:[REASON], LOOKUP
        jmp     exit

# The single instruction in the scratch area is done.
stepped:
        mov     dword ptr gs:[REASON], STEPPED
        jmp     exit

# From a trampoline.
chain:
        mov     dword ptr gs:[REASON], CHAIN

# Back to the host, with the guest's registers as they are.
exit:
        jmp     fword ptr gs:[LEAVE_POINTER]
