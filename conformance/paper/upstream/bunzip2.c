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

int main(int argc, char **argv)
{
    static char output[1 << 16];
    size_t size;
    unsigned char *input = read_input(&size);

    for (int times = argc > 1 ? atoi(argv[1]) : 1; times > 0; times--) {
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
    printf("%08x\n", (unsigned)digest_of_output);
    return 0;
}
