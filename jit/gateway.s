# The way into 32-bit mode and back. 64-bit code, mapped below 4 GiB because 32-bit code must be able to jump here.
#
#   enter      load the guest's state from the control block, and go
#   leave      from the exit stub of translated code: the guest's general registers are where it has left them
#   stopped    from the signal handler: registers and flags are in the control block
#   interrupt  ask a guest to stop
#   adopt      prepare the segment registers of a thread that is going to run guests
#   facts      what only the processor itself can say
#   ticks      its time-stamp counter
#   thunks     entry points of one control block, which spare the caller passing its address
#
# Between range_begin and range_end an interruption cannot simply be noted down, because the test for it has perhaps been
# passed already: the signal handler sends whoever is in there to `stopped`. Nothing in the range changes the guest's
# saved state, so it can be entered again as if nothing had happened. From range_begin on GS is the control segment.
#
# GS begins behind the control block: what is in the block has a negative offset, which in 64-bit mode no limit forbids.
#
# The range and everything after `leave` may run with the guest's AC flag, so every access must be aligned.

.set TF, 0x100
.set NT, 0x4000
.set RF, 0x10000
.set AC, 0x40000
.set USER_FLAGS, 0x244CD5        # CF PF AF ZF SF DF OF NT AC ID: what the guest owns
.set FIXED_FLAGS, 0x202          # bit 1, and IF
.set QUICK_SHIFT, 16             # a stay of 2^16 cycles of the time-stamp counter, some 20 microseconds, is long

# The guest's general registers but ESP, which goes with SS.
.macro load_registers
        mov     eax, gs:[EAX_SAVED - CONTROL_BLOCK]
        mov     ecx, gs:[ECX_SAVED - CONTROL_BLOCK]
        mov     edx, gs:[EDX_SAVED - CONTROL_BLOCK]
        mov     ebx, gs:[EBX_SAVED - CONTROL_BLOCK]
        mov     ebp, gs:[EBP_SAVED - CONTROL_BLOCK]
        mov     esi, gs:[ESI_SAVED - CONTROL_BLOCK]
        mov     edi, gs:[EDI_SAVED - CONTROL_BLOCK]
.endm

# int enter(control: rdi, code offset: esi, single: edx) -> KIND
        .p2align 6
enter:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        pushfq
        mov     [rdi + HOST_RSP], rsp
        stmxcsr [rdi + HOST_MXCSR]
        fnstcw  [rdi + HOST_X87]
        mov     eax, ds
        mov     [rdi + HOST_DS], eax
        mov     eax, es
        mov     [rdi + HOST_ES], eax
        mov     eax, ss
        mov     [rdi + HOST_SS], eax
        mov     eax, gs
        mov     [rdi + HOST_GS], eax
        cmp     dword ptr [rdi + FSGSBASE], 0
        je      .Lno_gs_base
        rdgsbase rax
        mov     [rdi + HOST_GS_BASE], rax
.Lno_gs_base:
        mov     dword ptr [rdi + KIND], KIND_LEFT
        mov     [rdi + SINGLE], edx
        mov     [rdi + ENTER_POINTER], esi      # the selector stands behind it already
        mov     [rdi + RAW_EIP], esi

        # The pointer to the last x87 instruction will read as it is loaded here, unless the guest executes one.
        mov     eax, [rdi + FP_IMAGE + 8]
        mov     [rdi + X87_GUEST_EIP], eax
        mov     eax, [rdi + X87_EIP]
        mov     [rdi + FP_IMAGE + 8], rax

        # The image is the host application's to write, but XRSTOR faults on a header or MXCSR with reserved bits.
        and     dword ptr [rdi + FP_IMAGE + 24], 0xFFFF
        mov     eax, [rdi + XRSTOR_MASK]
        test    eax, eax
        jz      .Lload_legacy
        xor     edx, edx
        mov     qword ptr [rdi + FP_IMAGE + 512], 7
        mov     [rdi + FP_IMAGE + 520], rdx
        mov     [rdi + FP_IMAGE + 528], rdx
        # Components beyond AVX are in the mask but not in the header: they get their initial state.
        xrstor  [rdi + FP_IMAGE]
        jmp     .Lloaded
.Lload_legacy:
        fxrstor [rdi + FP_IMAGE]
.Lloaded:
        # Announce the thread, then look for requests; interrupt() posts a request, then looks for the thread. XCHG is the
        # fence without which both could miss each other.
        mov     eax, [rdi + THREAD]
        xchg    eax, [rdi + INSIDE]
        mov     eax, [rdi + CONTROL_SELECTOR]
        mov     gs, eax
        mov     eax, [rdi + DATA_SELECTOR]
        mov     ds, eax                         # in 64-bit mode neither base nor limit of DS and ES count
        mov     es, eax
range_begin:
        cmp     dword ptr gs:[PENDING - CONTROL_BLOCK], 0
        jne     .Labort
        mov     eax, gs:[MAIN_MASK - CONTROL_BLOCK]
        and     eax, [rip + attention]
        jnz     .Lattend
        mov     rax, gs:[THREAD_RECORD - CONTROL_BLOCK]
        cmp     dword ptr [rax + THREAD_EXPIRED], 0
        jne     .Labort
        mov     eax, gs:[EFLAGS_SAVED - CONTROL_BLOCK]
        and     eax, USER_FLAGS
        or      eax, FIXED_FLAGS
        cmp     dword ptr gs:[SINGLE - CONTROL_BLOCK], 0
        jne     .Lsingle
        push    rax
        popfq
        mov     ss, word ptr gs:[DATA_SELECTOR - CONTROL_BLOCK]
        mov     esp, gs:[ESP_SAVED - CONTROL_BLOCK]
        load_registers
        jmp     fword ptr gs:[ENTER_POINTER - CONTROL_BLOCK]
.Lsingle:
        # Only IRET can set TF so that it takes effect behind the first guest instruction. It must not find NT set.
        mov     ecx, gs:[DATA_SELECTOR - CONTROL_BLOCK]
        push    rcx
        mov     ecx, gs:[ESP_SAVED - CONTROL_BLOCK]
        push    rcx
        or      eax, TF
        push    rax
        mov     ecx, gs:[CODE_SELECTOR - CONTROL_BLOCK]
        push    rcx
        mov     ecx, gs:[RAW_EIP - CONTROL_BLOCK]
        push    rcx
        load_registers
        iretq
range_end:

.Lattend:
        mov     dword ptr [rip + attention], 0
.Labort:
        mov     dword ptr gs:[KIND - CONTROL_BLOCK], KIND_INTERRUPTED
        jmp     stopped

        .p2align 4
leave:
        mov     gs:[EAX_SAVED - CONTROL_BLOCK], eax
        mov     gs:[ECX_SAVED - CONTROL_BLOCK], ecx
        mov     gs:[EDX_SAVED - CONTROL_BLOCK], edx
        mov     gs:[EBX_SAVED - CONTROL_BLOCK], ebx
        mov     gs:[ESP_SAVED - CONTROL_BLOCK], esp
        mov     gs:[EBP_SAVED - CONTROL_BLOCK], ebp
        mov     gs:[ESI_SAVED - CONTROL_BLOCK], esi
        mov     gs:[EDI_SAVED - CONTROL_BLOCK], edi
        mov     ecx, gs:[TRAP_EIP]
        mov     gs:[EIP_SAVED - CONTROL_BLOCK], ecx
        mov     rsp, gs:[HOST_RSP - CONTROL_BLOCK]
        pushfq
        pop     rax
        and     eax, ~(TF | RF)
        mov     gs:[EFLAGS_SAVED - CONTROL_BLOCK], eax
        mov     rbx, gs:[ANSWERS - CONTROL_BLOCK]
        test    rbx, rbx
        jnz     answer                          # answers.s
stopped:
        mov     rsp, gs:[HOST_RSP - CONTROL_BLOCK]
        mov     rbx, gs:[SELF - CONTROL_BLOCK]
        mov     eax, [rbx + XSAVE_MASK]
        test    eax, eax
        jz      .Lsave_legacy
        xor     edx, edx
        xsave   [rbx + FP_IMAGE]
        test    eax, 4
        jz      .Lsaved
        vzeroupper                              # else every SSE instruction of the host would pay for it
        jmp     .Lsaved
.Lsave_legacy:
        fxsave  [rbx + FP_IMAGE]
.Lsaved:
        # AMD's processors store zeros for the pointers to the last x87 instruction and operand, unless an exception is
        # pending: only FNSTENV tells them. The image keeps the selectors zero, and the EIP that the guest knows.
        fnstenv [rbx + X87_ENVIRONMENT]
        mov     eax, [rbx + X87_ENVIRONMENT + 12]
        mov     [rbx + X87_EIP], eax
        mov     eax, [rbx + X87_GUEST_EIP]
        mov     [rbx + FP_IMAGE + 8], rax
        mov     eax, [rbx + X87_ENVIRONMENT + 20]
        mov     [rbx + FP_IMAGE + 16], rax
        mov     eax, [rbx + X87_ENVIRONMENT + 16]
        shr     eax, 16
        and     eax, 0x7FF
        mov     [rbx + FP_IMAGE + 6], ax
        fninit                                  # also drops an exception that the guest left pending
        fldcw   [rbx + HOST_X87]
        ldmxcsr [rbx + HOST_MXCSR]
        mov     ss, word ptr [rbx + HOST_SS]
        mov     ds, word ptr [rbx + HOST_DS]
        mov     es, word ptr [rbx + HOST_ES]
        mov     gs, word ptr [rbx + HOST_GS]
        cmp     dword ptr [rbx + FSGSBASE], 0
        je      .Lgs_restored
        mov     rax, [rbx + HOST_GS_BASE]
        wrgsbase rax
.Lgs_restored:
        mov     dword ptr [rbx + INSIDE], 0
        mov     eax, [rbx + KIND]
        popfq
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret
leave_end:

# int interrupt(control: rdi)
        .p2align 4
interrupt:
        mov     eax, 1
        xchg    eax, [rdi + PENDING]            # a fence: see enter
        mov     r8d, [rdi + INSIDE]
        test    r8d, r8d
        jnz     kick_thread
        ret

# Send the kick signal to thread r8d of this process. Changes rax, rcx, rdx, rsi, rdi, r11.
kick_thread:
        mov     eax, SYS_GETPID                 # asked each time: it changes with fork
        syscall
        mov     edi, eax
        mov     esi, r8d
        mov     edx, [rip + kick_signal]
        mov     eax, SYS_TGKILL
        syscall
        ret

# int adopt(user data selector: edi)
# A 64-bit process runs with null selectors in DS, ES and GS, and means nothing by them. AMD's processors take 100 cycles to
# load a null selector and 20 for any other; giving the thread the ordinary data selector makes leaving a guest cheaper.
        .p2align 4
adopt:
        mov     eax, ds
        test    eax, eax
        jnz     .Lds_in_use
        mov     ds, edi
.Lds_in_use:
        mov     eax, es
        test    eax, eax
        jnz     .Les_in_use
        mov     es, edi
.Les_in_use:
        xor     eax, eax
        ret

# uint64_t ticks(): the time-stamp counter
        .p2align 4
ticks:
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        ret

# int facts(result: rdi): stores CPUID.1:ECX, and XCR0 or 0 where the system has not enabled XSAVE
        .p2align 4
facts:
        push    rbx
        mov     eax, 1
        xor     ecx, ecx
        cpuid
        mov     [rdi], ecx
        xor     eax, eax
        bt      dword ptr [rdi], 27             # OSXSAVE
        jnc     .Lno_xcr0
        xor     ecx, ecx
        xgetbv
.Lno_xcr0:
        mov     [rdi + 4], eax
        mov     eax, cs
        mov     [rdi + 8], eax
        mov     eax, ss
        mov     [rdi + 12], eax
        xor     eax, eax
        pop     rbx
        ret

# Copied to a page of its own for each control block, with the words at the end filled in.
        .p2align 4
thunks:
thunk_enter:                                    # int enter(code offset: edi)
        mov     esi, edi
        xor     edx, edx
        mov     edi, [rip + thunk_control]
        jmp     [rip + thunk_to_enter]
        .p2align 4
thunk_step:                                     # int step(code offset: edi)
        mov     esi, edi
        mov     edx, 1
        mov     edi, [rip + thunk_control]
        jmp     [rip + thunk_to_enter]
        .p2align 4
thunk_interrupt:                                # int interrupt()
        mov     edi, [rip + thunk_control]
        jmp     [rip + thunk_to_interrupt]
        .p2align 4
thunk_verify:                                   # int verify()
        mov     edi, [rip + thunk_control]
        jmp     [rip + thunk_to_verify]
# PyObject *call(PyObject *self, PyObject *code offset) -> KIND: enter for Python itself, as a built-in function, which
# costs a third of a call through ctypes. Above 4 GiB, and the functions called here are the interpreter's.
        .p2align 4
thunk_call:
        push    rbx
        push    rbp
        push    r12
        mov     rdi, rsi
        call    [rip + thunk_from_python]
        mov     r12d, eax
        mov     rbx, [rip + thunk_control]
        call    .Lstay
        mov     edi, r12d
.Lto_python:
        pop     r12
        pop     rbp
        pop     rbx
        jmp     [rip + thunk_to_python]

# PyObject *resume(PyObject *self, PyObject *foreign): go on behind a call that has been answered -> the number of the next
# call, if the guest makes one by the trap that the page of answers names; else -1. RESUMED then says whether it was
# entered. `foreign` is True if code of the application's has run meanwhile, which may have changed what `glance` looks
# at.
        .p2align 4
thunk_resume:
        push    rbx
        push    rbp
        push    r12
        mov     rbx, [rip + thunk_control]
        cmp     dword ptr [rbx + RESUMED], RESUMED_UNSORTED
        je      .Lnot_resumed
        mov     dword ptr [rbx + RESUMED], RESUMED_NOT
        cmp     rsi, [rip + thunk_true]
        jne     .Ltrusted
        mov     rdi, rbx
        call    [rip + thunk_to_glance]
        test    eax, eax
        jnz     .Lnot_resumed
.Ltrusted:
        mov     rdx, [rip + thunk_answers]
        mov     eax, [rbx + EIP_SAVED]
        imul    ecx, eax, HASH_MULTIPLIER
        shr     ecx, 32 - KNOWN_BITS
        cmp     [rdx + KNOWN + rcx * 8], eax
        je      .Lplace_known
        xor     ecx, 1
        cmp     [rdx + KNOWN + rcx * 8], eax
        jne     .Lnot_resumed
.Lplace_known:
        mov     r12d, [rdx + KNOWN + rcx * 8 + 4]
        test    r12d, r12d
        jz      .Lnot_resumed
        call    .Lstay
        add     [rbx + RESUMED_TICKS], rax
        cmp     dword ptr [rbx + CLOSED], 0
        jne     .Lnot_resumed
        mov     rdx, [rip + thunk_answers]
        mov     edi, [rbx + EAX_SAVED]
        mov     eax, [rbx + CONTROL_BLOCK + REASON]
        xor     eax, [rdx + CALL_TRAP]
        or      eax, r12d                       # KIND_LEFT is 0
        mov     ecx, [rbx + X87_EIP]
        not     ecx                             # X87_NONE is all ones
        or      eax, ecx
        mov     ecx, edi
        sar     ecx, 31
        or      eax, ecx
        jnz     .Lunsorted
        mov     dword ptr [rbx + RESUMED], RESUMED_CALL
        inc     qword ptr [rbx + RESUMED_CALLS]
        jmp     .Lto_python
.Lunsorted:
        mov     dword ptr [rbx + RESUMED], RESUMED_UNSORTED
.Lnot_resumed:
        mov     rdi, -1
        jmp     .Lto_python

# Enter at r12d, which becomes the KIND; rbx is the control block. -> rax: how long it took. Changes rbp.
# A guest that has left soon after every one of its last entries is entered with the interpreter lock held, since giving it
# up and getting it back takes as long as all the rest. (Should it then stay after all, the thread's timer fetches it.)
.Lstay:
        sub     rsp, 8
        xor     ebp, ebp
        mov     dword ptr [rbx + LOCK_HELD], 1
        mov     rax, [rbx + THREAD_RECORD]
        mov     eax, [rax + THREAD_TIMER]
        sar     eax, 31                         # all ones without a timer: always give it up
        or      eax, [rbx + STAYS_UNTIL_QUICK]
        jz      .Lkeep_lock
        mov     [rbx + LOCK_HELD], ebp
        call    [rip + thunk_give_up_lock]
        mov     rbp, rax
.Lkeep_lock:
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        mov     [rbx + ENTERED_AT], rax
        mov     edi, ebx
        mov     esi, r12d
        xor     edx, edx
        call    [rip + thunk_to_enter]
        mov     r12d, eax
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        sub     rax, [rbx + ENTERED_AT]
        mov     [rbx + ENTERED_AT], rax
        shr     rax, QUICK_SHIFT
        jnz     .Llong_stay
        sub     dword ptr [rbx + STAYS_UNTIL_QUICK], 1
        adc     dword ptr [rbx + STAYS_UNTIL_QUICK], 0
        jmp     .Lstayed
.Llong_stay:
        mov     dword ptr [rbx + STAYS_UNTIL_QUICK], QUICK_STAYS
.Lstayed:
        test    rbp, rbp
        jz      .Lhave_lock
        mov     rdi, rbp
        call    [rip + thunk_take_lock]
.Lhave_lock:
        mov     rax, [rbx + ENTERED_AT]
        add     rsp, 8
        ret
        .p2align 4
thunk_control:          .quad 0
thunk_to_enter:         .quad 0
thunk_from_python:      .quad 0
thunk_to_python:        .quad 0
thunk_give_up_lock:     .quad 0
thunk_take_lock:        .quad 0
thunk_to_interrupt:     .quad 0
thunk_to_verify:        .quad 0
thunk_to_glance:        .quad 0
thunk_answers:          .quad 0
thunk_true:             .quad 0
thunks_end:
