/*
 * main.c - the native program of a hash plug-in: hash PIECES SEED prints the digest of so many pieces of 1 MiB, all of them
 * the same bytes, which a generator of ours makes (conformance/hashes/__init__.py has the same one).
 */
#include <stdio.h>
#include <stdlib.h>
#include <vxplugin.h>

void init(void);
void update(vx_bytes);
vx_bytes final(void);

int main(int argc, char **argv)
{
    static uint8_t piece[1 << 20];
    uint32_t word = argc == 3 ? strtoul(argv[2], NULL, 10) : 1;
    vx_bytes digest;

    for (uint32_t i = 0; i < sizeof piece; i++) {
        word = word * 1664525u + 1013904223u;
        piece[i] = word >> 24;
    }
    init();
    for (unsigned long left = argc == 3 ? strtoul(argv[1], NULL, 10) : 0; left; left--)
        update((vx_bytes){ piece, sizeof piece });
    digest = final();
    for (uint32_t i = 0; i < digest.size; i++)
        printf("%02x", digest.data[i]);
    putchar('\n');
    return 0;
}
