/*
 * gzip.c - gzip files (RFC 1952): any number of members, all header fields, CRC and length of each member checked, and of
 * the header where it has one. Zeros may follow, as tapes leave them; anything else may not.
 */
#define DECODER "gzip"
#include "inflating.h"

int main(void)
{
    z_stream z = {0};
    int byte = 0;

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        fail(NO_MEMORY);
    do {
        inflate_one(&z);
        inflateReset(&z);
        if (!in_left)
            refill();
    } while (in_left && *in == 0x1f);
    while (byte == 0)
        byte = next_byte();
    if (byte > 0)
        fail("there is something else behind the last member");
    return done();
}
