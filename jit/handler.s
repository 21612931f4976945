# The signal handler. 64-bit code behind the gateway's, entered by the kernel on the thread's alternate stack as
# handler(signal: edi, siginfo: rsi, ucontext: rdx). No Python runs here.
#
#   A processor exception in a guest: copy its registers to the control block and go on in the leave path.
#   Anything else while a guest runs: call the handler that was there before ours, then leave the guest, so that the
#   interpreter gets the chance to run the Python part of that handler. The kick signal is the same without the call.
#   Anything while the host runs: call the handler that was there before.
#
# DS, ES, SS and GS are still the guest's when one was interrupted; the kernel does not touch them, and 64-bit mode looks
# at none but GS, which finds the control block.

# ucontext_t and siginfo_t of x86-64 Linux
.set UC_RAX, 144
.set UC_RBX, 128
.set UC_RCX, 152
.set UC_RDX, 136
.set UC_RSI, 112
.set UC_RDI, 104
.set UC_RBP, 120
.set UC_RSP, 160
.set UC_RIP, 168
.set UC_FLAGS, 176
.set UC_CS, 184
.set UC_SS, 190
.set UC_ERROR, 192
.set UC_TRAP, 200
.set UC_CR2, 216
.set SI_CODE, 8                  # positive: from the kernel
.set SI_TIMER, -2
.set SI_VALUE, 24

.set SA_RESETHAND, 0x80000000
.set GLANCE_SHIFT, 16            # 2^16 cycles: 15 to 60 microseconds
.set CHECK_SHIFT, 24             # 2^24 cycles of the time-stamp counter: 4 to 16 milliseconds

.set LDT_SELECTOR, 4             # the table indicator in a selector
.set DEBUG, 1
.set ALIGNMENT, 17
.set PROCESSOR_SIGNALS, 1 << SIGILL | 1 << SIGTRAP | 1 << SIGBUS | 1 << SIGFPE | 1 << SIGSEGV

# The handler has several entries, all alike but for their number. When other code displaces one of them, and remembers
# it as what to restore or to call, the next one is installed in its turn. So each entry knows what it has displaced
# itself, and an entry that is in force again shows that whoever came after it has withdrawn.
        .p2align 4
handlers:
.set entry, 0
.rept ENTRIES
        .p2align ENTRY_SHIFT
        mov     ecx, entry
        jmp     handler
.set entry, entry + 1
.endr

        .p2align 4
handler:
        # The guest's AC would make the next unaligned access of any C code die of SIGBUS. The kernel clears DF and TF.
        pushfq
        and     qword ptr [rsp], ~(AC | NT)
        popfq
        push    rbp                             # aligns the stack for calls; nothing needs saving, sigreturn restores all
        mov     r15d, ecx
        mov     ebx, edi
        mov     r12, rsi
        mov     r13, rdx
        xor     r14d, r14d                      # 1: a processor exception
        mov     eax, PROCESSOR_SIGNALS
        cmp     edi, 31
        ja      .Lclassified
        bt      eax, edi
        jnc     .Lclassified
        cmp     dword ptr [rsi + SI_CODE], 0
        setg    r14b
.Lclassified:
        test    byte ptr [rdx + UC_CS], LDT_SELECTOR
        jz      .Lin_host
        mov     eax, gs
        test    al, LDT_SELECTOR
        jz      .Lin_host
        cmp     dword ptr gs:[MAGIC - CONTROL_BLOCK], MAGIC_VALUE
        jne     .Lin_host

        # In a guest.
        test    r14d, r14d
        jnz     .Lguest_exception
        call    pass_on
        mov     dword ptr gs:[KIND - CONTROL_BLOCK], KIND_INTERRUPTED
        jmp     .Lstop_guest
.Lguest_exception:
        mov     dword ptr gs:[KIND - CONTROL_BLOCK], KIND_FAULT
        mov     eax, [r13 + UC_TRAP]
        mov     gs:[VECTOR - CONTROL_BLOCK], eax
        mov     ecx, [r13 + UC_ERROR]
        mov     gs:[ERROR_CODE - CONTROL_BLOCK], ecx
        mov     rcx, [r13 + UC_CR2]
        mov     gs:[FAULT_ADDRESS - CONTROL_BLOCK], rcx
        cmp     eax, DEBUG
        jne     .Lstop_guest
        cmp     dword ptr gs:[SINGLE - CONTROL_BLOCK], 0
        je      .Lstop_guest
        mov     dword ptr gs:[KIND - CONTROL_BLOCK], KIND_STEPPED
.Lstop_guest:
        mov     eax, [r13 + UC_RAX]
        mov     gs:[EAX_SAVED - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_RCX]
        mov     gs:[ECX_SAVED - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_RDX]
        mov     gs:[EDX_SAVED - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_RBX]
        mov     gs:[EBX_SAVED - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_RSP]
        mov     gs:[ESP_SAVED - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_RBP]
        mov     gs:[EBP_SAVED - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_RSI]
        mov     gs:[ESI_SAVED - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_RDI]
        mov     gs:[EDI_SAVED - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_RIP]
        mov     gs:[RAW_EIP - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_FLAGS]
        and     eax, ~(TF | RF)
        mov     gs:[EFLAGS_SAVED - CONTROL_BLOCK], eax
.Lresume_in_leave_path:
        lea     rax, [rip + stopped]
        mov     [r13 + UC_RIP], rax
        mov     qword ptr [r13 + UC_FLAGS], FIXED_FLAGS
        mov     eax, cs
        mov     [r13 + UC_CS], ax
        mov     eax, gs:[HOST_SS - CONTROL_BLOCK]
        mov     [r13 + UC_SS], ax
        pop     rbp
        ret

.Lin_host:
        mov     rax, [r13 + UC_RIP]
        lea     rcx, [rip + range_begin]
        cmp     rax, rcx
        jb      .Loutside_range
        lea     rcx, [rip + range_end]
        cmp     rax, rcx
        jae     .Loutside_range
        # On the way in, past the tests or about to be: as if the guest had been stopped before its first instruction.
        test    r14d, r14d
        jnz     .Lrange_exception
        call    pass_on
        mov     dword ptr gs:[KIND - CONTROL_BLOCK], KIND_INTERRUPTED
        jmp     .Lresume_in_leave_path
.Lrange_exception:                              # the far jump itself: an offset beyond the code segment
        mov     dword ptr gs:[KIND - CONTROL_BLOCK], KIND_FAULT
        mov     eax, [r13 + UC_TRAP]
        mov     gs:[VECTOR - CONTROL_BLOCK], eax
        mov     eax, [r13 + UC_ERROR]
        mov     gs:[ERROR_CODE - CONTROL_BLOCK], eax
        jmp     .Lresume_in_leave_path

.Loutside_range:
        lea     rcx, [rip + answer_begin]
        cmp     rax, rcx
        jb      .Loutside_answers
        lea     rcx, [rip + answer_end]
        cmp     rax, rcx
        jb      .Lin_answers
.Loutside_answers:
        test    r14d, r14d
        jz      .Lhost_asynchronous
        cmp     qword ptr [r13 + UC_TRAP], DEBUG
        jne     .Lnot_stepped_out
        # A guest that was single-stepped left by the exit stub: TF is still set behind the far jump.
        lea     rcx, [rip + leave]
        cmp     rax, rcx
        jb      .Lhost_exception
        lea     rcx, [rip + leave_end]
        cmp     rax, rcx
        jae     .Lhost_exception
        and     qword ptr [r13 + UC_FLAGS], ~TF
        jmp     .Lreturn
.Lnot_stepped_out:
        # Another library's handler, which interrupted a guest with AC set and does not know that it should clear it.
        cmp     qword ptr [r13 + UC_TRAP], ALIGNMENT
        jne     .Lhost_exception
        btr     qword ptr [r13 + UC_FLAGS], 18
        jc      .Lreturn
.Lin_answers:                                   # see answers.s
        test    r14d, r14d
        jz      .Lanswer_disturbed
        cmp     qword ptr [r13 + UC_TRAP], DEBUG
        je      .Loutside_answers               # single-stepped: see below
        cmp     qword ptr [r13 + UC_TRAP], ALIGNMENT
        je      .Loutside_answers
        jmp     .Lask_python
.Lanswer_disturbed:
        call    pass_on
        lea     rcx, [rip + answer_call]
        mov     rax, [r13 + UC_RIP]
        cmp     rax, rcx
        ja      .Lreturn
.Lask_python:
        mov     dword ptr gs:[KIND - CONTROL_BLOCK], KIND_LEFT
        jmp     .Lresume_in_leave_path
.Lhost_exception:
        call    chain
        jmp     .Lreturn
.Lhost_asynchronous:
        call    pass_on
        # If GS is still a guest's, what was interrupted is most likely another library's handler that has itself
        # interrupted the guest, and would return to it as if nothing had happened: fetch the thread again a little later.
        mov     eax, gs
        test    al, LDT_SELECTOR
        jz      .Lreturn
        cmp     dword ptr gs:[MAGIC - CONTROL_BLOCK], MAGIC_VALUE
        jne     .Lreturn
        mov     rax, gs:[THREAD_RECORD - CONTROL_BLOCK]
        mov     edi, [rax + THREAD_TIMER]
        xor     esi, esi
        lea     rdx, [rip + short_while]
        xor     r10d, r10d
        mov     eax, SYS_TIMER_SETTIME
        syscall
.Lreturn:
        pop     rbp
        ret

restorer:
        mov     eax, SYS_RT_SIGRETURN
        syscall

# A signal that is no processor exception: to the handler that was there before, and see that the interpreter's main
# thread, which runs the Python part of handlers, comes out of its guest or does not go into one.
pass_on:
        cmp     ebx, [rip + kick_signal]
        je      .Lkicked
        cmp     ebx, [rip + wake_signal]
        je      .Lpassed_on
        sub     rsp, 8
        call    chain
        add     rsp, 8
        mov     dword ptr [rip + attention], -1
        mov     eax, SYS_GETPID
        syscall
        mov     r8d, eax
        mov     eax, SYS_GETTID
        syscall
        cmp     eax, r8d
        je      .Lpassed_on
        mov     edi, r8d                        # the main thread's id is the process's
        mov     esi, r8d
        mov     edx, [rip + wake_signal]
        mov     eax, SYS_TGKILL
        syscall
.Lpassed_on:
        ret
.Lkicked:
        # Its timer has fetched the thread, or has met it outside its guests: it must be set again before the next one.
        cmp     dword ptr [r12 + SI_CODE], SI_TIMER
        jne     .Lpassed_on
        mov     rax, [r12 + SI_VALUE]
        mov     dword ptr [rax + THREAD_EXPIRED], 1
        ret

# Call what entry r15d of the handler has displaced for signal ebx, with siginfo r12 and ucontext r13.
chain:
        push    rbp
        mov     eax, ebx
        shl     eax, RECORD_SHIFT
        shl     r15d, 4
        lea     rbp, [rip + records + RECORD_HANDLERS]
        add     rbp, rax
        add     rbp, r15
        mov     rax, [rbp]
        cmp     rax, 1
        jb      .Ldefault
        je      .Lignore
        test    dword ptr [rbp + 8], SA_RESETHAND
        jz      .Lcall_handler
        mov     qword ptr [rbp], 0
.Lcall_handler:
        mov     edi, ebx
        mov     rsi, r12
        mov     rdx, r13
        call    rax
        pop     rbp
        ret
.Lignore:
        test    r14d, r14d                      # the kernel does not let an exception be ignored
        jnz     .Ldefault
        pop     rbp
        ret
.Ldefault:
        # Die as if we had never been here: restore the default action; a fault then happens again by itself.
        sub     rsp, 32
        mov     qword ptr [rsp], 0
        mov     qword ptr [rsp + 8], 0
        mov     qword ptr [rsp + 16], 0
        mov     qword ptr [rsp + 24], 0
        mov     edi, ebx
        mov     rsi, rsp
        xor     edx, edx
        mov     r10d, 8
        mov     eax, SYS_RT_SIGACTION
        syscall
        add     rsp, 32
        test    r14d, r14d
        jz      .Lraise
        cmp     ebx, SIGTRAP                    # a trap, not a fault: it does not happen again
        jne     .Ldefault_set
.Lraise:
        mov     eax, SYS_GETTID
        syscall
        mov     r8d, eax
        mov     eax, SYS_GETPID
        syscall
        mov     edi, eax
        mov     esi, r8d
        mov     edx, ebx
        mov     eax, SYS_TGKILL
        syscall
.Ldefault_set:
        pop     rbp
        ret

# int verify(control: rdi)
#   -> 0, or -1 if the alternate stack is not in place, or the number of a signal whose handler is not ours
# Makes the thread of the control block's thread record the one that will enter, and unblocks the signals that must reach
# it. Called before each run: only what a guest's fault needs is checked each time. The other signals are looked at when
# that was some milliseconds ago. Then a timer is set, too, that fetches the thread out of a guest in which it stays for
# longer, so that a handler installed in between is noticed then, and its Python part, if it is due, can run.
        .p2align 4
verify:
        push    rbp
        push    rbx
        push    r12
        sub     rsp, 32
        mov     r12, [rdi + THREAD_RECORD]
        mov     eax, [r12 + THREAD_ID]
        mov     [rdi + THREAD], eax
        mov     eax, [r12 + THREAD_MAIN_MASK]
        mov     [rdi + MAIN_MASK], eax
        xor     edi, edi
        mov     rsi, rsp
        mov     eax, SYS_SIGALTSTACK
        syscall
        mov     eax, -1
        mov     rcx, [r12 + THREAD_STACK]
        cmp     [rsp], rcx
        jne     .Lanswer
        test    dword ptr [rsp + 8], 2          # SS_DISABLE
        jnz     .Lanswer
        mov     edi, 1                          # SIG_UNBLOCK
        lea     rsi, [rip + needed_mask]
        xor     edx, edx
        mov     r10d, 8
        mov     eax, SYS_RT_SIGPROCMASK
        syscall
        lea     rbp, [rip + records + RECORD_EXPECTED]
        lea     rbx, [rip + exception_signals]
.Lnext_exception:
        movzx   edi, byte ptr [rbx]
        test    edi, edi
        jz      .Lexceptions_are_ours
        call    query
        jne     .Lnot_ours
        inc     rbx
        jmp     .Lnext_exception
.Lexceptions_are_ours:
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        mov     [r12 + THREAD_GLANCED], rax
        mov     rcx, rax
        sub     rcx, [r12 + THREAD_CHECKED]
        shr     rcx, CHECK_SHIFT
        or      ecx, [r12 + THREAD_EXPIRED]
        jz      .Lverified
        mov     dword ptr [r12 + THREAD_EXPIRED], 0
        push    rax
        push    rax
        mov     edi, [r12 + THREAD_TIMER]
        xor     esi, esi
        lea     rdx, [rip + longest_stay]
        xor     r10d, r10d
        mov     eax, SYS_TIMER_SETTIME
        syscall
        pop     rax
        pop     rax
        # Without a timer the others are checked each time.
        mov     rcx, rax
        xor     edx, edx
        cmp     dword ptr [r12 + THREAD_TIMER], 0
        cmovl   rcx, rdx
        mov     [r12 + THREAD_CHECKED], rcx
        lea     rbx, [rip + other_signals]
.Lnext_other:
        movzx   edi, byte ptr [rbx]
        test    edi, edi
        jz      .Lverified
        call    query
        je      .Lother_is_fine
        movzx   edi, byte ptr [rbx]
        cmp     edi, [rip + kick_signal]
        je      .Lrecheck
        cmp     edi, [rip + wake_signal]
        je      .Lrecheck
        cmp     rax, 1                          # SIG_DFL and SIG_IGN are none of our business
        ja      .Lrecheck
.Lother_is_fine:
        inc     rbx
        jmp     .Lnext_other
.Lverified:
        xor     eax, eax
.Lanswer:
        add     rsp, 32
        pop     r12
        pop     rbx
        pop     rbp
        ret
.Lrecheck:
        mov     qword ptr [r12 + THREAD_CHECKED], 0
.Lnot_ours:
        movzx   eax, byte ptr [rbx]
        jmp     .Lanswer

# int glance(control: rdi) -> as verify
# For a thread that is prepared, when foreign code has run for a moment: what matters most, the handler of SIGSEGV, is
# looked at each time, and everything as soon as GLANCE_SHIFT says that it is time.
        .p2align 4
glance:
        mov     r9, [rdi + THREAD_RECORD]
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        sub     rax, [r9 + THREAD_GLANCED]
        shr     rax, GLANCE_SHIFT
        jnz     verify
        push    rbp
        sub     rsp, 32
        lea     rbp, [rip + records + RECORD_EXPECTED]
        mov     edi, SIGSEGV
        call    query
        setne   al
        movzx   eax, al
        add     rsp, 32
        pop     rbp
        ret

# The handler of signal edi, in rax, and ZF set if it is the expected one. Uses the 32 bytes above the return address.
query:
        mov     r8d, edi
        xor     esi, esi
        lea     rdx, [rsp + 8]
        mov     r10d, 8
        mov     eax, SYS_RT_SIGACTION
        syscall
        shl     r8d, RECORD_SHIFT
        mov     rax, [rsp + 8]
        cmp     rax, [rbp + r8]
        ret

# Data, on pages of their own, because the code is not writable.
        .p2align 12
data:
attention:      .long 0                 # all ones: a Python handler may be due in the main thread
kick_signal:    .long 0
wake_signal:    .long 0, 0
needed_mask:    .quad 0                 # bit n - 1 for signal n, as the kernel has it
longest_stay:   .quad 0, 0, 0, 20000000 # struct itimerspec: once, after 20 ms of processor time
short_while:    .quad 0, 0, 0, 1000000
exception_signals:
                .zero 8                 # signal numbers, ending with 0
other_signals:  .zero 72
        .p2align 6
records:        .zero 65 << RECORD_SHIFT
        .p2align 12
data_end:
