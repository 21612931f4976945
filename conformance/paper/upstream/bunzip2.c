/*
 * bunzip2.c - bunzip2 TIMES: decompress a bzip2 stream from standard input so many times.
 */
#include "driver.h"

#include <bzlib.h>

/* Called by the library, which is compiled without stdio. */
void bz_internal_error(int code)
{
    (void)code;
    fail("an internal error");
}

static void decode(unsigned char *input, size_t size)
{
    static char output[1 << 16];
    bz_stream stream = {.next_in = (char *)input, .avail_in = (unsigned)size};
    int status;

    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK)
        fail("cannot start");
    do {
        stream.next_out = output, stream.avail_out = sizeof output;
        status = BZ2_bzDecompress(&stream);
        mix(output, sizeof output - stream.avail_out);
    } while (status == BZ_OK);
    if (status != BZ_STREAM_END)
        fail("the stream is damaged");
    BZ2_bzDecompressEnd(&stream);
}

int main(int argc, char **argv)
{
    return run_codec(argc, argv, NULL, decode);
}
