/* deflate.c - one raw deflate stream (RFC 1951) and nothing behind it. */
#define DECODER "deflate"
#include "inflating.h"

int main(void)
{
    z_stream z = {0};

    if (inflateInit2(&z, -15) != Z_OK)
        fail(NO_MEMORY);
    inflate_one(&z);
    if (in_left || refill())
        fail("there is more behind the end of the data");
    return done();
}
