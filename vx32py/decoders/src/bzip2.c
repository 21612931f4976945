/* bzip2.c - bzip2 files: any number of streams, the CRC of each block and stream checked, and nothing behind the last. */
#define DECODER "bzip2"
#include "decoder.h"

#include <bzlib.h>

void bz_internal_error(int code)
{
    (void)code;
    fail(DAMAGED);
}

static void decode_stream(void)
{
    bz_stream bz = {0};
    int result = BZ2_bzDecompressInit(&bz, 0, 0);

    while (result == BZ_OK) {
        if (!in_left && !refill())
            fail(CUT_SHORT);
        bz.next_in = (char *)in;
        bz.avail_in = in_left;
        do {
            if (out_used == BATCH)
                flush();
            bz.next_out = (char *)out_bytes + out_used;
            bz.avail_out = BATCH - out_used;
            result = BZ2_bzDecompress(&bz);
            out_used = BATCH - bz.avail_out;
        } while (result == BZ_OK && !bz.avail_out);
        in = (unsigned char *)bz.next_in;
        in_left = bz.avail_in;
    }
    if (result == BZ_DATA_ERROR_MAGIC)
        fail("this is no bzip2 stream");
    if (result == BZ_MEM_ERROR)
        fail(NO_MEMORY);
    if (result != BZ_STREAM_END)
        fail(DAMAGED);
    BZ2_bzDecompressEnd(&bz);
}

int main(void)
{
    do
        decode_stream();
    while (in_left || refill());
    return done();
}
