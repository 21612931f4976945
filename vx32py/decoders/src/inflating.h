/* inflating.h - one deflate stream through zlib, from the pieces of the input to the batches of the output. */
#ifndef INFLATING_H
#define INFLATING_H

#include "decoder.h"

#include <zlib.h>

/* Up to the end of the stream; the input is then right behind it. */
static void inflate_one(z_stream *z)
{
    int result = Z_OK;

    do {
        if (!in_left && !refill())
            fail(CUT_SHORT);
        z->next_in = in;
        z->avail_in = in_left;
        do {
            if (out_used == BATCH)
                flush();
            z->next_out = out_bytes + out_used;
            z->avail_out = BATCH - out_used;
            result = inflate(z, Z_NO_FLUSH);
            out_used = BATCH - z->avail_out;
            if (result == Z_MEM_ERROR)
                fail(NO_MEMORY);
            if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
                fail(z->msg ? z->msg : DAMAGED);
        } while (result != Z_STREAM_END && !z->avail_out);
        in = (unsigned char *)z->next_in;
        in_left = z->avail_in;
    } while (result != Z_STREAM_END);
}

#endif
