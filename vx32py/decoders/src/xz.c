/*
 * xz.c - .xz files: any number of streams and padding between them, every kind of check, LZMA2 with all filters that
 * liblzma knows. The dictionary is as large as the file says, so the guest's memory is the limit.
 */
#define DECODER "xz"
#include "decoder.h"

#include <lzma.h>

static const char *reason(lzma_ret result)
{
    switch (result) {
    case LZMA_MEM_ERROR:
        return NO_MEMORY;
    case LZMA_FORMAT_ERROR:
        return "this is no .xz stream";
    case LZMA_OPTIONS_ERROR:
        return "the stream uses options that are not supported";
    case LZMA_BUF_ERROR:
        return CUT_SHORT;
    default:
        return DAMAGED;
    }
}

int main(void)
{
    lzma_stream xz = LZMA_STREAM_INIT;
    lzma_ret result = lzma_stream_decoder(&xz, UINT64_MAX, LZMA_CONCATENATED);
    lzma_action action = LZMA_RUN;

    while (result == LZMA_OK) {
        if (!xz.avail_in && action == LZMA_RUN) {
            if (refill()) {
                xz.next_in = in;
                xz.avail_in = in_left;
            } else {
                action = LZMA_FINISH;
            }
        }
        if (out_used == BATCH)
            flush();
        xz.next_out = out_bytes + out_used;
        xz.avail_out = BATCH - out_used;
        result = lzma_code(&xz, action);
        out_used = BATCH - xz.avail_out;
    }
    if (result != LZMA_STREAM_END)
        fail(reason(result));
    return done();
}
