# Native answers: system calls that need no decision are answered here, on the way out of a guest, and the guest goes on
# without ever having left. 64-bit code behind the gateway's; `leave` comes here with the guest's general registers and
# flags in the control block, its floating-point state in the processor, and DS, ES, SS and GS still its own.
#
# What may be answered, and how, stands on the page of answers (answers.py). Whoever meets anything that is not plain
# goes to `stopped`: nothing of the guest has been changed, and Python answers the call as if this code were not here.
#
#   answer             which call is it, where does the guest go on, who answers
#   answer_...         one for each kind of answer
#   answer_call        the one system call instruction, and what becomes of its result
#
# A signal that arrives up to `answer_call` makes Python answer: a call that has not begun must not wait. Behind it the
# result counts, and the tests on the way in (range_begin) see what the signal has left. A fault anywhere makes Python
# answer, too: another thread may have taken a page away that was there a moment ago. So no answer may have an effect
# before the store of its result, but one that may be repeated.
#
# Everything may run with the guest's AC flag, so every access to the host's memory must be aligned.

.set MOST_WITH_LOCK, 65536       # more bytes than these may take too long while others wait for the interpreter
.set FILE_POSITION, -1           # preadv2, pwritev2: at the file's own position
.set RWF_NOWAIT, 8               # rather EAGAIN than wait
.set EOPNOTSUPP, 95
.set CLOCK_REALTIME, 0
.set CLOCK_MONOTONIC, 1
.set CLOCK_PROCESS_CPUTIME_ID, 2
.set BILLION, 1000000000
.set BRK_MASK, 0xFFFFF           # the VX ABI rounds the end of the heap up to 1 MiB

# rbx: the page of answers. r12: the record of this answer. r13d: the EIP in the code segment where the guest goes on.
        .p2align 4
answer_begin:
answer:
        mov     eax, gs:[REASON]
        cmp     eax, [rbx + CALL_TRAP]
        jne     stopped
        mov     eax, gs:[EAX_SAVED - CONTROL_BLOCK]
        cmp     eax, CALL_NUMBERS
        jae     stopped
        movzx   eax, byte ptr [rbx + CALL_INDEX + rax]
        test    eax, eax
        jz      stopped
        cmp     dword ptr gs:[SINGLE - CONTROL_BLOCK], 0
        jne     stopped
        shl     eax, RECORD_BYTES_SHIFT
        lea     r12, [rbx + RECORDS + rax]
        mov     eax, gs:[EIP_SAVED - CONTROL_BLOCK]
        imul    ecx, eax, HASH_MULTIPLIER
        shr     ecx, 32 - KNOWN_BITS
        cmp     [rbx + KNOWN + rcx * 8], eax
        je      .Lknown
        xor     ecx, 1
        cmp     [rbx + KNOWN + rcx * 8], eax
        jne     stopped
.Lknown:
        mov     r13d, [rbx + KNOWN + rcx * 8 + 4]
        test    r13d, r13d
        jz      stopped
        jmp     [r12 + RECORD_ROUTINE]

# int write(int fd, const void *data, uint32_t count), int read(int fd, void *buffer, uint32_t count)
answer_write:
        mov     r14d, PAGE_READ
        mov     ecx, PAGE_READ
        mov     r15d, SYS_WRITE
        mov     r10d, RIGHT_WRITE
        jmp     .Ltransfer
answer_read:
        mov     r14d, PAGE_WRITE | PAGE_WATCHED
        mov     ecx, PAGE_WRITE
        mov     r15d, SYS_READ
        mov     r10d, RIGHT_READ
.Ltransfer:
        mov     rbp, FILE_POSITION
        mov     eax, [rbx + ARGUMENT_0]
        mov     r8d, gs:[rax - CONTROL_BLOCK]
        mov     eax, [rbx + ARGUMENT_2]
        mov     edx, gs:[rax - CONTROL_BLOCK]
        mov     eax, [rbx + ARGUMENT_1]
        mov     esi, gs:[rax - CONTROL_BLOCK]
# Transfer edx bytes between the guest's descriptor r8d and its memory at esi, whose pages must have the rights ecx of those
# in r14d, by the host's call r15d, if the descriptor has the right r10d; at offset rbp, or at the file's position.
.Lmove:
        cmp     r8d, DESCRIPTORS
        jae     stopped
        shl     r8d, DESCRIPTOR_BYTES_SHIFT
        lea     r8, [rbx + DESCRIPTOR_TABLE + r8]
        mov     edi, [r8 + DESCRIPTOR_RIGHTS]
        test    edi, r10d
        jz      stopped
        test    edx, edx
        jz      stopped
        cmp     edx, [r8 + DESCRIPTOR_MOST]
        ja      stopped
        call    check_range
        # With the interpreter lock held nothing may take long. Give it up from the next entry on.
        test    edi, RIGHT_LASTING
        jnz     .Llasting
        cmp     edx, MOST_WITH_LOCK
        jbe     .Lprompt
.Llasting:
        mov     dword ptr gs:[STAYS_UNTIL_QUICK - CONTROL_BLOCK], QUICK_STAYS
        cmp     dword ptr gs:[LOCK_HELD - CONTROL_BLOCK], 0
        jne     stopped
.Lprompt:
        test    edi, RIGHT_NO_WAIT
        jnz     .Lno_wait
        mov     edi, [r8 + DESCRIPTOR_HOST]
        mov     eax, r15d
        cmp     rbp, FILE_POSITION
        je      answer_call
        mov     r10, rbp
        add     eax, SYS_PREAD64 - SYS_READ     # as far apart as pwrite64 and write
        jmp     answer_call
.Lno_wait:
        cmp     rbp, FILE_POSITION
        jne     stopped
        mov     edi, [r8 + DESCRIPTOR_HOST]
        push    rdx                             # struct iovec
        push    rsi
        mov     rsi, rsp
        mov     edx, 1
        mov     r10, FILE_POSITION
        mov     r9d, RWF_NOWAIT
        mov     eax, SYS_PREADV2
        cmp     r15d, SYS_READ
        je      answer_call
        mov     eax, SYS_PWRITEV2
        jmp     answer_call

# long pwrite(int fd, const void *data, long count, vlong offset) of Plan 9, and pread: the arguments are on the stack, above
# the return address. Offset -1 is the file's position.
answer_plan9_pwrite:
        call    plan9_transfer_arguments
        mov     r14d, PAGE_READ
        mov     ecx, PAGE_READ
        mov     r15d, SYS_WRITE
        mov     r10d, RIGHT_WRITE
        jmp     .Lmove
answer_plan9_pread:
        call    plan9_transfer_arguments
        mov     r14d, PAGE_WRITE | PAGE_WATCHED
        mov     ecx, PAGE_WRITE
        mov     r15d, SYS_READ
        mov     r10d, RIGHT_READ
        jmp     .Lmove

# The arguments of a transfer -> r8d, esi, edx, and the offset in rbp.
plan9_transfer_arguments:
        mov     edx, 4 * 6
        call    plan9_arguments
        mov     r8d, [rsi + 4 * 1]
        mov     edx, [rsi + 4 * 3]
        mov     eax, [rsi + 4 * 4]
        mov     ebp, [rsi + 4 * 5]
        mov     esi, [rsi + 4 * 2]
        shl     rbp, 32
        or      rbp, rax
        jns     .Lat_offset
        cmp     rbp, FILE_POSITION
        jne     stopped
.Lat_offset:
        ret

# int nsec(vlong *time) of Plan 9
answer_plan9_nsec:
        mov     edx, 4 * 2
        call    plan9_arguments
        mov     esi, [rsi + 4]
        mov     edx, 8
        call    check_writable
        mov     rbp, rsi
        mov     edi, CLOCK_REALTIME
        call    ask_clock
        imul    rax, rax, BILLION
        add     rax, rdx
        mov     [rbp], eax
        shr     rax, 32
        mov     [rbp + 4], eax
        xor     eax, eax
        jmp     answered

# The linear address of edx bytes of the guest's stack -> rsi
plan9_arguments:
        mov     esi, gs:[ESP_SAVED - CONTROL_BLOCK]
        mov     r14d, PAGE_READ
        mov     ecx, PAGE_READ
        jmp     check_range

# The same number each time.
answer_constant:
        mov     eax, [r12 + RECORD_VALUE]
        jmp     answered

# int gettimeofday(struct timeval *time, void *zone): only without a zone
answer_timeval:
        mov     eax, [rbx + ARGUMENT_1]
        mov     ecx, gs:[rax - CONTROL_BLOCK]
        and     ecx, [r12 + RECORD_VALUE]       # all ones where the second argument means anything
        jnz     stopped
        mov     edi, CLOCK_REALTIME
        call    ask_clock
        mov     r14, rax
        mov     eax, edx
        xor     edx, edx
        mov     ecx, 1000
        div     ecx
        and     r14d, 0x7FFFFFFF
        mov     r15d, eax
        mov     eax, [rbx + ARGUMENT_0]
        jmp     .Lstore_pair

# int clock_gettime(int clock, struct timespec *time): the two clocks that everybody asks
answer_timespec:
        call    ask_for_argument
        mov     ecx, 0x7FFFFFFF
        cmp     r14, rcx
        ja      stopped
        mov     eax, [rbx + ARGUMENT_1]
# Store r14d and r15d at the address in the argument register at offset eax, and answer 0.
.Lstore_pair:
        mov     esi, gs:[rax - CONTROL_BLOCK]
        test    esi, esi
        jz      stopped
        mov     edx, 8
        call    check_writable
        mov     [rsi], r14d
        mov     [rsi + 4], r15d
        xor     eax, eax
        jmp     answered

# The same with 64-bit fields.
answer_timespec64:
        call    ask_for_argument
        mov     eax, [rbx + ARGUMENT_1]
        mov     esi, gs:[rax - CONTROL_BLOCK]
        mov     edx, 16
        call    check_writable
        mov     [rsi], r14
        mov     [rsi + 8], r15
        xor     eax, eax
        jmp     answered

# int time(int *result): only with the result in EAX alone
answer_seconds:
        mov     eax, [rbx + ARGUMENT_0]
        cmp     dword ptr gs:[rax - CONTROL_BLOCK], 0
        jne     stopped
        mov     edi, CLOCK_REALTIME
        call    ask_clock
        and     eax, 0x7FFFFFFF
        jmp     answered

# int clock(void): microseconds of processor time
answer_processor_time:
        mov     edi, CLOCK_PROCESS_CPUTIME_ID
        call    ask_clock
        imul    rax, rax, BILLION
        add     rax, rdx
        sub     rax, [rbx + START_PROCESSOR]
        xor     edx, edx
        mov     ecx, 1000
        div     rcx
        and     eax, 0x7FFFFFFF
        jmp     answered

# int brk(uint32_t end) of the VX ABI, and of Linux: where the end stays what it is
answer_vx_brk:
        mov     eax, [rbx + ARGUMENT_0]
        mov     eax, gs:[rax - CONTROL_BLOCK]
        cmp     eax, [rbx + HEAP_START]
        jb      stopped
        add     rax, BRK_MASK
        and     rax, ~BRK_MASK
        mov     ecx, [rbx + HEAP_END]
        cmp     rax, rcx
        jne     stopped
        xor     eax, eax
        jmp     answered
answer_linux_brk:
        mov     ecx, [rbx + ARGUMENT_0]
        mov     ecx, gs:[rcx - CONTROL_BLOCK]
        mov     eax, [rbx + HEAP_END]
        cmp     ecx, eax
        je      answered
        cmp     ecx, [rbx + HEAP_START]
        jb      answered
        jmp     stopped

# The clock that the guest's first argument names -> seconds r14, nanoseconds r15
ask_for_argument:
        mov     eax, [rbx + ARGUMENT_0]
        mov     edi, gs:[rax - CONTROL_BLOCK]
        cmp     edi, CLOCK_MONOTONIC
        ja      stopped
        mov     r14d, edi
        sub     rsp, 8
        call    ask_clock
        add     rsp, 8
        test    r14d, r14d
        mov     r14, rax
        mov     r15, rdx
        jz      .Lasked
        imul    rax, rax, BILLION               # monotonic time starts with the sandbox
        add     rax, rdx
        sub     rax, [rbx + START_MONOTONIC]
        xor     edx, edx
        mov     ecx, BILLION
        div     rcx
        mov     r14, rax
        mov     r15, rdx
.Lasked:
        ret

# clock_gettime of the C library, which asks the kernel's page of clocks, for clock edi -> seconds rax, nanoseconds rdx.
# It keeps rbx, rbp and r12 to r15, and might use vector registers; a 32-bit guest has eight. Called with rsp at a multiple
# of 16, less the return address.
ask_clock:
        sub     rsp, 8 + 16 + 8 * 32
        push    FIXED_FLAGS
        popfq
        test    dword ptr gs:[XSAVE_MASK - CONTROL_BLOCK], 4
        jz      .Lsave_xmm
.irp n, 0, 1, 2, 3, 4, 5, 6, 7
        vmovups [rsp + 16 + 32 * \n], ymm\n
.endr
        jmp     .Lask
.Lsave_xmm:
.irp n, 0, 1, 2, 3, 4, 5, 6, 7
        movups  [rsp + 16 + 32 * \n], xmm\n
.endr
.Lask:
        mov     rsi, rsp
        call    [rbx + CLOCK_FUNCTION]
        mov     ecx, eax
        mov     rax, [rsp]
        mov     rdx, [rsp + 8]
        test    dword ptr gs:[XSAVE_MASK - CONTROL_BLOCK], 4
        jz      .Lrestore_xmm
.irp n, 0, 1, 2, 3, 4, 5, 6, 7
        vmovups ymm\n, [rsp + 16 + 32 * \n]
.endr
        jmp     .Ltold
.Lrestore_xmm:
.irp n, 0, 1, 2, 3, 4, 5, 6, 7
        movups  xmm\n, [rsp + 16 + 32 * \n]
.endr
.Ltold:
        add     rsp, 8 + 16 + 8 * 32
        test    ecx, ecx
        jnz     stopped
        ret

# The guest's bytes [esi, esi + edx), edx not 0: rsi becomes their linear address if each of their pages has the rights
# ecx of those in the mask r14d. The sum has 64 bits: it does not wrap. Changes rax, r9, r10, r11.
check_writable:
        push    r14
        mov     r14d, PAGE_WRITE | PAGE_WATCHED
        mov     ecx, PAGE_WRITE
        call    check_range
        pop     r14
        ret
check_range:
        lea     r9, [rsi + rdx - 1]
        shr     r9, 12
        cmp     r9, [rbx + PAGES]
        jae     stopped
        mov     r10d, esi
        shr     r10d, 12
        mov     r11, [rbx + PERMISSIONS]
.Lnext_page:
        movzx   eax, byte ptr [r11 + r10]
        and     eax, r14d
        cmp     eax, ecx
        jne     stopped
        inc     r10
        cmp     r10, r9
        jbe     .Lnext_page
        add     rsi, [rbx + BASE]
        ret

        .p2align 4
answer_call:
        syscall
answer_called:
        mov     rsp, gs:[HOST_RSP - CONTROL_BLOCK]
        test    rax, rax
        js      .Lfailed
answered:
        mov     gs:[EAX_SAVED - CONTROL_BLOCK], eax
        inc     qword ptr [r12 + RECORD_COUNT]
        mov     gs:[ENTER_POINTER - CONTROL_BLOCK], r13d        # the selector stands behind it already
        mov     gs:[RAW_EIP - CONTROL_BLOCK], r13d
        jmp     range_begin
.Lfailed:
        # Python makes the call again, and gets the same error. Where the system cannot do without waiting: not here again.
        cmp     rax, -EOPNOTSUPP
        jne     stopped
        mov     dword ptr [r8 + DESCRIPTOR_RIGHTS], 0
        jmp     stopped
answer_end:
