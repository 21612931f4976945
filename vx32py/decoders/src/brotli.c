/* brotli.c - one Brotli stream (RFC 7932) and nothing behind it: the format has neither a mark nor a checksum. */
#define DECODER "brotli"
#include "decoder.h"

#include <brotli/decode.h>

int main(void)
{
    BrotliDecoderState *state = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    BrotliDecoderResult result = BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT;

    if (!state)
        fail(NO_MEMORY);
    while (result != BROTLI_DECODER_RESULT_SUCCESS) {
        const uint8_t *from;
        uint8_t *to = out_bytes + out_used;
        size_t room = BATCH - out_used;

        if (result == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT && !in_left && !refill())
            fail(CUT_SHORT);
        from = in;
        result = BrotliDecoderDecompressStream(state, &in_left, &from, &room, &to, NULL);
        in = (unsigned char *)from;
        out_used = BATCH - room;
        if (result == BROTLI_DECODER_RESULT_ERROR) {
            BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(state);

            fail(code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES
                     ? NO_MEMORY
                     : DAMAGED);
        }
        if (!room)
            flush();
    }
    if (in_left || refill())
        fail("there is more behind the end of the data");
    return done();
}
