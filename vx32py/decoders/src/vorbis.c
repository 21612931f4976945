/*
 * vorbis.c - Ogg Vorbis files to WAV of 16 bits; chained streams follow one another if they have the same channels and rate.
 * Channels are in the order of WAV, with their speakers named where there are more than two.
 *
 * A WAV begins with its length, which an Ogg file tells at its end: up to HOLD bytes of input are held in memory for that,
 * and a longer file gets a WAV of unknown length. All pages must be there, each stream must have an end.
 */
#define DECODER "vorbis"
#include "wav.h"

#include <stdio.h>

#include <vorbis/vorbisfile.h>

#define HOLD_PART (1u << 20)
#define HOLD_PARTS 64u

/* What is held of the input. Beyond it, pieces follow as they are read. */
static struct {
    unsigned char *parts[HOLD_PARTS];
    size_t size, at;
    int all; /* the input is held as a whole */
} held;

#define HOLE "a part of the data is missing or damaged"

/* Where the input is in its pages. */
static struct {
    unsigned char header[27];
    unsigned got;      /* bytes of the header, */
    unsigned segments; /* of its table that are to come, */
    unsigned body;     /* and of the body */
    unsigned open;     /* streams that have begun and not ended */
    int broken;
} pages;

static void follow_pages(const unsigned char *p, size_t n)
{
    while (n && !pages.broken) {
        if (pages.got < 27) {
            pages.header[pages.got++] = *p++, n--;
            if (pages.got == 27) {
                pages.segments = pages.header[26];
                pages.broken = memcmp(pages.header, "OggS", 4) != 0;
                if (pages.header[5] & 2)
                    pages.open++;
                if (pages.header[5] & 4 && pages.open)
                    pages.open--;
            }
        } else if (pages.segments) {
            pages.body += *p++, n--;
            pages.segments--;
        } else {
            size_t part = n < pages.body ? n : pages.body;

            p += part, n -= part;
            pages.body -= (unsigned)part;
        }
        if (pages.got == 27 && !pages.segments && !pages.body)
            pages.got = 0;
    }
}

/* The next piece of the input itself. */
static size_t read_piece(void *to, size_t n)
{
    n = take(to, n);
    follow_pages(to, n);
    return n;
}

static void hold(void)
{
    while (held.size < (size_t)HOLD_PART * HOLD_PARTS) {
        unsigned char *part = held.parts[held.size / HOLD_PART] = claim(HOLD_PART);
        size_t n = read_piece(part, HOLD_PART);

        held.size += n;
        if (n < HOLD_PART) {
            held.all = 1;
            return;
        }
    }
}

static size_t give(void *to, size_t unit, size_t count, void *user)
{
    size_t n = unit * count, left = held.size - held.at, room = HOLD_PART - held.at % HOLD_PART;

    (void)user;
    if (!left)
        return held.all ? 0 : read_piece(to, n) / unit;
    n = n < left ? n : left;
    n = n < room ? n : room;
    memcpy(to, held.parts[held.at / HOLD_PART] + held.at % HOLD_PART, n);
    held.at += n;
    return n / unit;
}

static int seek(void *user, ogg_int64_t offset, int whence)
{
    ogg_int64_t to = offset + (whence == SEEK_CUR ? (ogg_int64_t)held.at : whence == SEEK_END ? (ogg_int64_t)held.size : 0);

    (void)user;
    if (to < 0 || to > (ogg_int64_t)held.size)
        return -1;
    held.at = (size_t)to;
    return 0;
}

static long tell(void *user)
{
    (void)user;
    return (long)held.at;
}

/* The order of channels in a WAV, as places in a Vorbis frame (Vorbis I, section 4.3.9), and the speakers it names. */
static const struct {
    uint32_t speakers;
    unsigned char order[8];
} layouts[9] = {
    [3] = {0x007, {0, 2, 1}},
    [4] = {0x033, {0, 1, 2, 3}},
    [5] = {0x037, {0, 2, 1, 3, 4}},
    [6] = {0x03f, {0, 2, 1, 5, 3, 4}},
    [7] = {0x70f, {0, 2, 1, 6, 5, 3, 4}},
    [8] = {0x63f, {0, 2, 1, 7, 5, 6, 3, 4}},
};

static void reorder(int16_t *samples, size_t bytes, unsigned channels)
{
    for (int16_t *end = samples + bytes / 2; samples < end; samples += channels) {
        int16_t frame[8];

        memcpy(frame, samples, 2 * channels);
        for (unsigned i = 0; i < channels; i++)
            samples[i] = frame[layouts[channels].order[i]];
    }
}

int main(void)
{
    ov_callbacks as_stream = {.read_func = give}, as_file = {.read_func = give, .seek_func = seek, .tell_func = tell};
    OggVorbis_File file;
    vorbis_info *info;
    static int16_t samples[4096];
    const char *complaint = NULL;
    int section, seen = 0, hole = 0, channels;
    uint64_t expected = 0, written = 0;
    long n, rate;

    hold();
    if (held.all) { /* for the length alone: read as a file, the library skips short streams in a chain */
        if (ov_open_callbacks(&held, &file, NULL, 0, as_file))
            fail("this is no Vorbis stream");
        expected = ov_pcm_total(&file, -1) > 0 ? (uint64_t)ov_pcm_total(&file, -1) : 0;
        ov_clear(&file);
        held.at = 0;
    }
    if (ov_open_callbacks(&held, &file, NULL, 0, as_stream))
        fail("this is no Vorbis stream");
    info = ov_info(&file, -1);
    channels = info->channels;
    rate = info->rate;
    wav_start((unsigned)channels, (unsigned)rate, 16, channels > 8 ? 0 : layouts[channels].speakers, expected);
    while ((n = ov_read(&file, (char *)samples, sizeof samples, 0, 2, 1, &section)) != 0) {
        if (n < 0) {
            if (n != OV_HOLE)
                fail(DAMAGED);
            hole = 1;
            continue;
        }
        if (section != seen) { /* the library finds a hole before each stream but the first: that is none */
            hole = 0;
            seen = section;
            info = ov_info(&file, -1);
            if (info->channels != channels || info->rate != rate)
                fail("a stream has other channels or another rate than the one before it");
        }
        if (hole)
            complaint = HOLE;
        if (channels > 2 && channels <= 8)
            reorder(samples, (size_t)n, (unsigned)channels);
        put(samples, (size_t)n);
        written += (uint64_t)n;
    }
    if (hole)
        complaint = HOLE;
    if (pages.got || pages.open)
        fail(CUT_SHORT);
    if (pages.broken)
        complaint = "there is something else between the pages";
    if (expected && written != expected * 2 * (unsigned)channels)
        complaint = "the data has another length than it says";
    if (complaint)
        fail(complaint);
    return done();
}
