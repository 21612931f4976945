/*
 * zstd.c - Zstandard files (RFC 8878): any number of frames, skippable ones among them, checksums checked. Windows up to
 * 128 MiB, which is what the zstd program accepts without being told to; no dictionaries.
 */
#define DECODER "zstd"
#include "decoder.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#define WINDOW_LOG 27

int main(void)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    size_t expected = 0; /* 0 between frames */
    int any = 0;

    if (!context || ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG)))
        fail(NO_MEMORY);
    while (in_left || refill()) {
        ZSTD_inBuffer from = {in, in_left, 0};
        ZSTD_outBuffer to;

        do {
            if (out_used == BATCH)
                flush();
            to = (ZSTD_outBuffer){out_bytes, BATCH, out_used};
            expected = ZSTD_decompressStream(context, &to, &from);
            out_used = to.pos;
            if (ZSTD_isError(expected))
                fail(ZSTD_getErrorCode(expected) == ZSTD_error_memory_allocation ? NO_MEMORY : ZSTD_getErrorName(expected));
            any = 1;
        } while (from.pos < from.size || (expected && to.pos == to.size));
        in_left = 0;
    }
    if (expected || !any)
        fail(CUT_SHORT);
    return done();
}
