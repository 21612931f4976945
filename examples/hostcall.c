/*
 * hostcall.c - a system call that the host has added to the table: number 100 gets a buffer and its size.
 *
 * Prints what the call returns for argv[1]; -38 (ENOSYS) where the host has no such call, which is everywhere else.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __vx__
#include <vx.h>
#else
#define VX_PTR(p) ((uint32_t)(uintptr_t)(p))
static int32_t vx_syscall(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e;
    return -38;
}
#endif

int main(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "";

    printf("%ld\n", (long)vx_syscall(100, VX_PTR(text), (uint32_t)strlen(text), 0, 0, 0));
    return 0;
}
