/*
 * native_calls.h - makes a native Linux program of a guest: included before anything else, it puts Linux's system calls in
 * the place of the VX ABI's. Nothing else changes: the same objects, the same library, the same addresses.
 *
 * Only what the measured programs call is here; other calls answer -ENOSYS.
 */
#ifndef NATIVE_CALLS_H
#define NATIVE_CALLS_H

#include <vx.h>

static inline int32_t native_linux(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f)
{
    int32_t result;

    /* EBP is the sixth argument, and no operand of inline assembly. */
    __asm__ volatile("pushl %7\n\tpushl %%ebp\n\tmovl 4(%%esp), %%ebp\n\tint $0x80\n\tpopl %%ebp\n\taddl $4, %%esp"
                     : "=a"(result)
                     : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "m"(f)
                     : "memory", "cc");
    return result;
}

/* The end of the data segment moves up from the end of the image; Linux's own would start at a random address. */
static inline int32_t native_brk(uint32_t wanted)
{
    extern char vx_image_end[];
    static uint32_t end;
    uint32_t rounded = (wanted + VX_BRK_UNIT - 1) & ~(VX_BRK_UNIT - 1);
    int32_t result = 0;

    if (!end)
        end = VX_PTR(vx_image_end);
    if (rounded > end) /* mmap2: read and write, private, fixed, anonymous */
        result = native_linux(192, end, rounded - end, 3, 0x32, (uint32_t)-1, 0);
    if ((uint32_t)result >= -4095u)
        return result;
    if (rounded > end)
        end = rounded;
    return 0;
}

static inline int32_t native_call(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
    switch (number) {
    case VX_SYS_BRK:
        return native_brk(a);
    case VX_SYS_GETTIMEOFDAY:
        return native_linux(78, a, b, 0, 0, 0, 0);
    case VX_SYS_EXIT: /* these four have the numbers that they have on Linux */
    case VX_SYS_READ:
    case VX_SYS_WRITE:
    case VX_SYS_CLOSE:
        return native_linux(number, a, b, c, 0, 0, 0);
    default:
        (void)d, (void)e;
        return -38;
    }
}

#define vx_syscall native_call

#endif
