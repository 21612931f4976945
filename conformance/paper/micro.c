/*
 * micro.c - the paper's loops of nothing but control transfers: micro NAME COUNT.
 *
 *   jump      jumps to targets 2 bytes apart
 *   jumpal    the same, targets aligned to 16 bytes
 *   jumpfar   the same, each target on a page of its own
 *   call      direct calls and returns
 *   callind   calls through a register, and returns
 *   syscall   close(-1)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNROLLED 100 /* transfers in each round of a loop */

#ifndef __wasm__ /* which has system calls, but neither jumps nor assembly */

void jump(unsigned rounds), jumpal(unsigned rounds), jumpfar(unsigned rounds);
void call(unsigned rounds), callind(unsigned rounds);

/* The loops are x86: the counter comes on the stack in 32-bit code and in a register in 64-bit code. */
#ifdef __x86_64__
#define COUNTER "    movl %edi, %ecx\n"
#define POINTER "rax"
#else
#define COUNTER "    movl 4(%esp), %ecx\n"
#define POINTER "eax"
#endif

#define LOOP(name, before, body) \
    __asm__(".text\n.globl " name "\n.balign 64\n" name ":\n" COUNTER before "\n.balign 64\n0:\n" \
            ".rept 100\n" body "\n.endr\n" \
            "    decl %ecx\n    jnz 0b\n    ret\n")

LOOP("jump", "", ".byte 0xeb, 0");
LOOP("jumpal", "", "jmp 1f\n.balign 16, 0xcc\n1:");
LOOP("jumpfar", "", "jmp 1f\n.balign 4096, 0xcc\n1:");
__asm__(".balign 64\nnothing: ret\n");
LOOP("call", "", "call nothing");
LOOP("callind", "movl $nothing, %eax", "call *%" POINTER);

#endif

static void system_call(unsigned rounds)
{
    for (unsigned i = 0; i < rounds * UNROLLED; i++)
        close(-1);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(unsigned rounds); } loops[] = {
#ifndef __wasm__
        {"jump", jump}, {"jumpal", jumpal}, {"jumpfar", jumpfar},
        {"call", call}, {"callind", callind},
#endif
        {"syscall", system_call},
    };
    unsigned rounds = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) / UNROLLED : 0;

    for (size_t i = 0; argc == 3 && i < sizeof loops / sizeof *loops; i++)
        if (!strcmp(argv[1], loops[i].name)) {
            if (rounds)
                loops[i].run(rounds);
            printf("%u\n", rounds * UNROLLED);
            return 0;
        }
    fputs("usage: micro jump|jumpal|jumpfar|call|callind|syscall COUNT\n", stderr);
    return 2;
}
