/*
 * inflate.c - inflate TIMES: decompress a zlib stream from standard input so many times.
 */
#include "driver.h"

#include <zlib.h>

static void decode(unsigned char *input, size_t size)
{
    static unsigned char output[1 << 16];
    z_stream stream = {.next_in = input, .avail_in = (uInt)size};
    int status;

    if (inflateInit(&stream) != Z_OK)
        fail("cannot start");
    do {
        stream.next_out = output, stream.avail_out = sizeof output;
        status = inflate(&stream, Z_NO_FLUSH);
        mix(output, sizeof output - stream.avail_out);
    } while (status == Z_OK);
    if (status != Z_STREAM_END)
        fail("the stream is damaged");
    inflateEnd(&stream);
}

int main(int argc, char **argv)
{
    return run_codec(argc, argv, NULL, decode);
}
