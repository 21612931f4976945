/*
 * flac.c - FLAC: flac -c SECONDS makes a sound, flac TIMES decodes one from standard input so many times.
 */
#include "driver.h"

#include <FLAC/stream_decoder.h>
#include <FLAC/stream_encoder.h>

#define RATE 44100
#define BLOCK 4096

struct bytes {
    unsigned char *start;
    size_t size, at;
};

static FLAC__StreamEncoderWriteStatus put(const FLAC__StreamEncoder *encoder, const FLAC__byte from[], size_t n,
                                          uint32_t samples, uint32_t frame, void *user)
{
    (void)encoder, (void)samples, (void)frame, (void)user;
    return fwrite(from, 1, n, stdout) == n ? FLAC__STREAM_ENCODER_WRITE_STATUS_OK
                                           : FLAC__STREAM_ENCODER_WRITE_STATUS_FATAL_ERROR;
}

static void encode(unsigned seconds)
{
    FLAC__StreamEncoder *encoder = FLAC__stream_encoder_new();
    static FLAC__int32 samples[2 * BLOCK];

    FLAC__stream_encoder_set_channels(encoder, 2);
    FLAC__stream_encoder_set_bits_per_sample(encoder, 16);
    FLAC__stream_encoder_set_sample_rate(encoder, RATE);
    FLAC__stream_encoder_set_compression_level(encoder, 5);
    if (FLAC__stream_encoder_init_stream(encoder, put, NULL, NULL, NULL, NULL))
        fail("cannot start");
    for (unsigned at = 0, end = seconds * RATE; at < end;) {
        unsigned n = end - at < BLOCK ? end - at : BLOCK;

        for (unsigned i = 0; i < n; i++, at++)
            for (int channel = 0; channel < 2; channel++)
                samples[2 * i + (unsigned)channel] = sound(at, channel);
        if (!FLAC__stream_encoder_process_interleaved(encoder, samples, n))
            fail("cannot encode");
    }
    FLAC__stream_encoder_finish(encoder);
    FLAC__stream_encoder_delete(encoder);
}

static FLAC__StreamDecoderReadStatus take(const FLAC__StreamDecoder *decoder, FLAC__byte to[], size_t *n, void *user)
{
    struct bytes *bytes = user;
    size_t left = bytes->size - bytes->at;

    (void)decoder;
    *n = *n < left ? *n : left;
    memcpy(to, bytes->start + bytes->at, *n);
    bytes->at += *n;
    return *n ? FLAC__STREAM_DECODER_READ_STATUS_CONTINUE : FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM;
}

static FLAC__StreamDecoderWriteStatus use(const FLAC__StreamDecoder *decoder, const FLAC__Frame *frame,
                                          const FLAC__int32 *const samples[], void *user)
{
    (void)decoder, (void)user;
    for (unsigned channel = 0; channel < frame->header.channels; channel++)
        mix(samples[channel], sizeof(FLAC__int32) * frame->header.blocksize);
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
}

static void complain(const FLAC__StreamDecoder *decoder, FLAC__StreamDecoderErrorStatus status, void *user)
{
    (void)decoder, (void)status, (void)user;
    fail("the stream is damaged");
}

static void decode(unsigned char *input, size_t size)
{
    struct bytes bytes = {input, size, 0};
    FLAC__StreamDecoder *decoder = FLAC__stream_decoder_new();

    FLAC__stream_decoder_set_md5_checking(decoder, 0);
    if (FLAC__stream_decoder_init_stream(decoder, take, NULL, NULL, NULL, NULL, use, NULL, complain, &bytes) ||
        !FLAC__stream_decoder_process_until_end_of_stream(decoder))
        fail("cannot decode");
    FLAC__stream_decoder_finish(decoder);
    FLAC__stream_decoder_delete(decoder);
}

int main(int argc, char **argv)
{
    return run_codec(argc, argv, encode, decode);
}
