/*
 * fault.c - every way to go wrong. argv[1] picks one:
 *
 *   divide  null  wild  code  data  illegal  privileged  breakpoint  overflow  abort  exit N
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int zero;
static unsigned char no_code[16] = {0xc3}; /* RET, where nothing may be executed */

/* Each frame keeps a kilobyte alive until the call below it returns. */
static int overflow(volatile char *above)
{
    volatile char frame[1024];

    frame[0] = above ? (char)(above[0] + 1) : 0;
    if (zero)
        return 0; /* never: but a compiler cannot know that, and does not warn */
    return overflow(frame) + frame[0];
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (!strcmp(what, "divide"))
        __asm__ volatile("xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx" : : "a"(1) : "ecx", "edx", "cc");
    else if (!strcmp(what, "null"))
        printf("%d\n", *(volatile int *)(uintptr_t)zero);
    else if (!strcmp(what, "wild"))
        *(volatile int *)(uintptr_t)(0xfffff000u + (unsigned)zero) = 1;
    else if (!strcmp(what, "code"))
        *(volatile unsigned char *)(uintptr_t)main = 0xcc;
    else if (!strcmp(what, "data"))
        ((void (*)(void))(uintptr_t)no_code)();
    else if (!strcmp(what, "illegal"))
        __asm__ volatile("ud2");
    else if (!strcmp(what, "privileged"))
        __asm__ volatile("hlt");
    else if (!strcmp(what, "breakpoint"))
        __asm__ volatile("int3");
    else if (!strcmp(what, "overflow"))
        return overflow(NULL);
    else if (!strcmp(what, "abort"))
        abort();
    else if (!strcmp(what, "exit") && argc > 2)
        return atoi(argv[2]);
    else {
        fputs("usage: fault divide|null|wild|code|data|illegal|privileged|breakpoint|overflow|abort|exit N\n", stderr);
        return 2;
    }
    puts("still here");
    return 0;
}
