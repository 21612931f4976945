/*
 * calls.S - measured_call(number, a, b, c, d, e): a system call of the VX ABI, made of the host of a guest, or (with
 * NATIVE) of Linux. Both versions take as much room in every section.
 */
    .section .text.calls, "ax", @progbits
    .globl measured_call
    .globl measured_call_end
    .type measured_call, @function
    .balign 64
measured_call:
    pushl %ebx
    pushl %esi
    pushl %edi
    movl 16(%esp), %eax
#ifndef NATIVE
    movl 20(%esp), %edx
    movl 24(%esp), %ecx
    movl 28(%esp), %ebx
    movl 32(%esp), %edi
    movl 36(%esp), %esi
    .byte 0x0f, 0x05
#else
    movl 20(%esp), %ebx
    movl 24(%esp), %ecx
    movl 28(%esp), %edx
    cmpl $2, %eax
    je .Lmove_break
    cmpl $9, %eax
    je .Lget_time
    /* exit, read, write, open and close have the numbers that they have on Linux; there are no others. */
    cmpl $6, %eax
    jbe .Llinux
    movl $-38, %eax
    jmp .Ldone
.Lget_time:
    movl $78, %eax
.Llinux:
    int $0x80
    jmp .Ldone

    /* The segment grows from the end of the image; Linux's own would start at a random address. */
.Lmove_break:
    movl .Llast_end, %esi
    testl %esi, %esi
    jnz 1f
    movl $vx_image_end, %esi
1:  addl $0xfffff, %ebx
    andl $0xfff00000, %ebx
    xorl %eax, %eax
    movl %ebx, %ecx
    subl %esi, %ecx
    jbe .Ldone
    movl %ebx, .Llast_end
    movl %esi, %ebx
    movl $192, %eax     /* mmap2(end, bytes, readable and writable, private and fixed and anonymous, -1, 0) */
    movl $3, %edx
    movl $0x32, %esi
    movl $-1, %edi
    pushl %ebp
    xorl %ebp, %ebp
    int $0x80
    popl %ebp
    cmpl $-4095, %eax
    jae .Ldone
    xorl %eax, %eax
.Ldone:
#endif
    popl %edi
    popl %esi
    popl %ebx
    ret
    .org measured_call + 192, 0xcc
measured_call_end:
    .size measured_call, . - measured_call

    .bss
    .balign 4
.Llast_end:
    .skip 4

    .section .note.GNU-stack, "", @progbits
