/*
 * vorbis.c - Ogg Vorbis: vorbis -c SECONDS makes a sound, vorbis TIMES decodes one from standard input so many times.
 */
#include "driver.h"

#include <vorbis/vorbisenc.h>
#include <vorbis/vorbisfile.h>

#define RATE 44100
#define BLOCK 1024

struct bytes {
    unsigned char *start;
    size_t size, at;
};

static size_t take(void *to, size_t unit, size_t n, void *user)
{
    struct bytes *bytes = user;
    size_t left = (bytes->size - bytes->at) / unit;

    n = n < left ? n : left;
    memcpy(to, bytes->start + bytes->at, n * unit);
    bytes->at += n * unit;
    return n;
}

static void write_page(const ogg_page *page)
{
    fwrite(page->header, 1, (size_t)page->header_len, stdout);
    fwrite(page->body, 1, (size_t)page->body_len, stdout);
}

static void encode(unsigned seconds)
{
    vorbis_info info;
    vorbis_comment comment;
    vorbis_dsp_state dsp;
    vorbis_block block;
    ogg_stream_state stream;
    ogg_packet headers[3], packet;
    ogg_page page;
    unsigned at = 0, end = seconds * RATE;
    int ended = 0;

    vorbis_info_init(&info);
    if (vorbis_encode_init_vbr(&info, 2, RATE, 0.5f))
        fail("cannot start");
    vorbis_comment_init(&comment);
    vorbis_analysis_init(&dsp, &info);
    vorbis_block_init(&dsp, &block);
    ogg_stream_init(&stream, 1);
    vorbis_analysis_headerout(&dsp, &comment, &headers[0], &headers[1], &headers[2]);
    for (int i = 0; i < 3; i++)
        ogg_stream_packetin(&stream, &headers[i]);
    while (ogg_stream_flush(&stream, &page))
        write_page(&page);
    while (!ended) {
        unsigned n = end - at < BLOCK ? end - at : BLOCK;

        if (n) {
            float **room = vorbis_analysis_buffer(&dsp, BLOCK);

            for (unsigned i = 0; i < n; i++, at++)
                for (int channel = 0; channel < 2; channel++)
                    room[channel][i] = (float)sound(at, channel) / 32768;
        }
        vorbis_analysis_wrote(&dsp, (int)n);
        while (vorbis_analysis_blockout(&dsp, &block) == 1) {
            vorbis_analysis(&block, NULL);
            vorbis_bitrate_addblock(&block);
            while (vorbis_bitrate_flushpacket(&dsp, &packet)) {
                ogg_stream_packetin(&stream, &packet);
                while (!ended && ogg_stream_pageout(&stream, &page)) {
                    write_page(&page);
                    ended = ogg_page_eos(&page);
                }
            }
        }
    }
}

static void decode(unsigned char *input, size_t size)
{
    struct bytes bytes = {input, size, 0};
    ov_callbacks callbacks = {.read_func = take};
    OggVorbis_File file;
    static char samples[4 * BLOCK];
    long n;
    int section;

    if (ov_open_callbacks(&bytes, &file, NULL, 0, callbacks))
        fail("not a Vorbis stream");
    while ((n = ov_read(&file, samples, sizeof samples, 0, 2, 1, &section)) > 0)
        mix(samples, (size_t)n);
    if (n)
        fail("the stream is damaged");
    ov_clear(&file);
}

int main(int argc, char **argv)
{
    return run_codec(argc, argv, encode, decode);
}
