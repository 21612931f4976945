/*
 * hostside.c - a guest that keeps its host busy: hostside calls N | writes N | reads N | faults ADDRESS N | spin N.
 *
 *   calls    system call 100, so many times
 *   writes   a byte to the standard output, so many times; reads: one from the standard input
 *   faults   a store to each of so many pages from an address on, which the host maps when it sees the fault
 *   spin     nothing but arithmetic, for measurements with several threads
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vx.h>

int main(int argc, char **argv)
{
    uint32_t value = 1;

    if (argc == 3 && !strcmp(argv[1], "calls")) {
        for (unsigned long left = strtoul(argv[2], NULL, 10); left; left--)
            value += (uint32_t)vx_syscall(100, value, 0, 0, 0, 0);
    } else if (argc == 3 && (!strcmp(argv[1], "writes") || !strcmp(argv[1], "reads"))) {
        int reads = argv[1][0] == 'r';
        uint32_t number = reads ? VX_SYS_READ : VX_SYS_WRITE, byte = 0;

        for (unsigned long left = strtoul(argv[2], NULL, 10); left; left--)
            value += (uint32_t)vx_syscall(number, reads ? 0 : 1, VX_PTR(&byte), 1, 0, 0);
    } else if (argc == 4 && !strcmp(argv[1], "faults")) {
        volatile unsigned char *page = (volatile unsigned char *)(uintptr_t)strtoul(argv[2], NULL, 0);

        for (unsigned long left = strtoul(argv[3], NULL, 10); left; left--, page += 4096)
            *page = 1;
    } else if (argc == 3 && !strcmp(argv[1], "spin")) {
        for (unsigned long left = strtoul(argv[2], NULL, 10); left; left--)
            value = (value ^ (uint32_t)left) * 1664525u + (value >> 9);
    } else {
        fputs("usage: hostside calls N | writes N | reads N | faults ADDRESS N | spin N\n", stderr);
        return 2;
    }
    printf("%lu\n", (unsigned long)value);
    return 0;
}
