/*
 * flac.c - FLAC files (RFC 9639) to WAV, 4 to 32 bits, up to 8 channels; each frame's CRC and the MD5 of all are checked.
 *
 * The output is that of `flac -d`: samples whose bits fill no whole bytes are shifted up, 8 bits and fewer are unsigned.
 */
#define DECODER "flac"
#include "wav.h"

#include <stdio.h>
#include <strings.h>

#include <FLAC/stream_decoder.h>

#define MASK_TAG "WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x"

static struct {
    unsigned channels, rate, bits;
    uint32_t speakers;
    uint64_t announced, written;
    int known, started;
    const char *complaint;
} sound;

static FLAC__StreamDecoderReadStatus give(const FLAC__StreamDecoder *decoder, FLAC__byte to[], size_t *n, void *user)
{
    (void)decoder, (void)user;
    if (!in_left && !refill()) {
        *n = 0;
        return FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM;
    }
    *n = *n < in_left ? *n : in_left;
    memcpy(to, in, *n);
    in += *n;
    in_left -= *n;
    return FLAC__STREAM_DECODER_READ_STATUS_CONTINUE;
}

static void complain(const FLAC__StreamDecoder *decoder, FLAC__StreamDecoderErrorStatus status, void *user)
{
    (void)decoder, (void)user;
    if (!sound.complaint)
        sound.complaint = status == FLAC__STREAM_DECODER_ERROR_STATUS_FRAME_CRC_MISMATCH ? "a frame has a wrong checksum"
                          : status == FLAC__STREAM_DECODER_ERROR_STATUS_UNPARSEABLE_STREAM
                              ? "a frame needs a newer decoder"
                              : DAMAGED;
}

/* A tag can name the speakers, as `flac` writes it for files that had them. */
static void find_speakers(const FLAC__StreamMetadata_VorbisComment *tags)
{
    for (unsigned i = 0; i < tags->num_comments; i++) {
        const char *entry = (const char *)tags->comments[i].entry;

        if (entry && !strncasecmp(entry, MASK_TAG, sizeof MASK_TAG - 1)) {
            sound.speakers = strtoul(entry + sizeof MASK_TAG - 1, NULL, 16);
            return;
        }
    }
}

static void learn(const FLAC__StreamDecoder *decoder, const FLAC__StreamMetadata *block, void *user)
{
    (void)decoder, (void)user;
    if (block->type == FLAC__METADATA_TYPE_STREAMINFO) {
        sound.channels = block->data.stream_info.channels;
        sound.rate = block->data.stream_info.sample_rate;
        sound.bits = block->data.stream_info.bits_per_sample;
        sound.announced = block->data.stream_info.total_samples;
        sound.known = 1;
    } else if (block->type == FLAC__METADATA_TYPE_VORBIS_COMMENT) {
        find_speakers(&block->data.vorbis_comment);
    }
}

static void start(void)
{
    static const uint32_t usual[] = {0, 0x4, 0x3, 0x7, 0x33, 0x607, 0x60f, 0x70f, 0x63f};

    if (sound.started)
        return;
    sound.started = 1;
    if (!sound.speakers)
        sound.speakers = usual[sound.channels];
    wav_start(sound.channels, sound.rate, sound.bits, sound.speakers, sound.announced);
}

/* One frame, sample by sample of all channels; `width` and `shift` are constants in each copy of this. */
static inline __attribute__((always_inline)) void interleave(const FLAC__int32 *const from[], unsigned n, unsigned width)
{
    unsigned channels = sound.channels, shift = 8 * width - sound.bits, frame = channels * width;

    for (unsigned i = 0; i < n;) {
        unsigned char *to, *end;
        unsigned part;

        if (BATCH - out_used < frame)
            flush();
        part = (BATCH - out_used) / frame;
        part = part < n - i ? part : n - i;
        to = out_bytes + out_used;
        end = to + part * frame;
        out_used += part * frame;
        for (; to < end; i++)
            for (unsigned c = 0; c < channels; c++, to += width) {
                uint32_t sample = (uint32_t)from[c][i] << shift;

                if (width == 1)
                    sample += 0x80;
                to[0] = (unsigned char)sample;
                if (width > 1)
                    to[1] = (unsigned char)(sample >> 8);
                if (width > 2)
                    to[2] = (unsigned char)(sample >> 16);
                if (width > 3)
                    to[3] = (unsigned char)(sample >> 24);
            }
    }
}

static FLAC__StreamDecoderWriteStatus take_frame(const FLAC__StreamDecoder *decoder, const FLAC__Frame *frame,
                                                 const FLAC__int32 *const samples[], void *user)
{
    unsigned n = frame->header.blocksize;

    (void)decoder, (void)user;
    if (!sound.known)
        fail("there is no STREAMINFO");
    if (frame->header.channels != sound.channels || frame->header.bits_per_sample != sound.bits ||
        frame->header.sample_rate != sound.rate)
        fail("a frame has other channels, bits or rate than the file says");
    start();
    if (sound.announced && n > sound.announced - sound.written)
        fail("there are more samples than the file says");
    sound.written += n;
    switch ((sound.bits + 7) / 8) {
    case 1: interleave(samples, n, 1); break;
    case 2: interleave(samples, n, 2); break;
    case 3: interleave(samples, n, 3); break;
    default: interleave(samples, n, 4); break;
    }
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
}

int main(void)
{
    FLAC__StreamDecoder *decoder = FLAC__stream_decoder_new();
    int whole;

    if (!decoder)
        fail(NO_MEMORY);
    FLAC__stream_decoder_set_md5_checking(decoder, 1);
    FLAC__stream_decoder_set_metadata_respond(decoder, FLAC__METADATA_TYPE_VORBIS_COMMENT);
    if (FLAC__stream_decoder_init_stream(decoder, give, NULL, NULL, NULL, NULL, take_frame, learn, complain, NULL) !=
        FLAC__STREAM_DECODER_INIT_STATUS_OK)
        fail(NO_MEMORY);
    whole = FLAC__stream_decoder_process_until_end_of_stream(decoder);
    if (FLAC__stream_decoder_get_state(decoder) == FLAC__STREAM_DECODER_MEMORY_ALLOCATION_ERROR)
        fail(NO_MEMORY);
    if (sound.known && sound.channels && sound.bits && !sound.complaint)
        start();
    if (!whole || !sound.known || sound.complaint)
        fail(sound.complaint ? sound.complaint : sound.known ? DAMAGED : "this is no FLAC file");
    if (sound.announced && sound.written < sound.announced)
        fail(CUT_SHORT);
    if (!FLAC__stream_decoder_finish(decoder))
        fail("the MD5 of the samples is not the one in the file");
    if (sound.written * sound.channels * ((sound.bits + 7) / 8) % 2)
        put("", 1); /* chunks begin at even places */
    return done();
}
