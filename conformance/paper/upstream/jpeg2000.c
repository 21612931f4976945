/*
 * jpeg2000.c - JPEG 2000: jpeg2000 -c WIDTH makes a picture of that width, jpeg2000 TIMES decodes one from standard input.
 */
#include "driver.h"

#include <openjpeg.h>

struct bytes {
    unsigned char *start;
    size_t size, at, room;
};

static OPJ_SIZE_T take(void *to, OPJ_SIZE_T n, void *user)
{
    struct bytes *bytes = user;
    size_t left = bytes->size - bytes->at;

    if (!left)
        return (OPJ_SIZE_T)-1;
    n = n < left ? n : left;
    memcpy(to, bytes->start + bytes->at, n);
    bytes->at += n;
    return n;
}

static OPJ_SIZE_T put(void *from, OPJ_SIZE_T n, void *user)
{
    struct bytes *bytes = user;

    while (bytes->at + n > bytes->room)
        if (!(bytes->start = realloc(bytes->start, bytes->room *= 2)))
            fail("no memory");
    memcpy(bytes->start + bytes->at, from, n);
    bytes->at += n;
    bytes->size = bytes->at > bytes->size ? bytes->at : bytes->size;
    return n;
}

static OPJ_BOOL seek(OPJ_OFF_T to, void *user)
{
    struct bytes *bytes = user;

    bytes->at = (size_t)to;
    return bytes->at <= bytes->size;
}

static OPJ_OFF_T skip(OPJ_OFF_T by, void *user)
{
    struct bytes *bytes = user;

    return seek((OPJ_OFF_T)bytes->at + by, user) ? by : -1;
}

static opj_stream_t *stream_of(struct bytes *bytes, OPJ_BOOL is_input)
{
    opj_stream_t *stream = opj_stream_create(1 << 16, is_input);

    opj_stream_set_user_data(stream, bytes, NULL);
    opj_stream_set_user_data_length(stream, bytes->size);
    opj_stream_set_read_function(stream, take);
    opj_stream_set_write_function(stream, put);
    opj_stream_set_seek_function(stream, seek);
    opj_stream_set_skip_function(stream, skip);
    return stream;
}

static void encode(unsigned width)
{
    opj_image_cmptparm_t channel = {.dx = 1, .dy = 1, .w = width, .h = width * 3 / 4, .prec = 8, .bpp = 8};
    opj_image_cmptparm_t channels[3] = {channel, channel, channel};
    opj_image_t *image = opj_image_create(3, channels, OPJ_CLRSPC_SRGB);
    struct bytes made = {claim(1 << 16), 0, 0, 1 << 16};
    opj_stream_t *stream = stream_of(&made, OPJ_FALSE);
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_cparameters_t parameters;

    image->x1 = width, image->y1 = width * 3 / 4;
    for (unsigned y = 0; y < image->y1; y++)
        for (unsigned x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                image->comps[c].data[y * width + x] = picture(x, y, c);
    opj_set_default_encoder_parameters(&parameters);
    parameters.tcp_numlayers = 1, parameters.tcp_rates[0] = 12, parameters.cp_disto_alloc = 1;
    parameters.irreversible = 1, parameters.tcp_mct = 1;
    if (!opj_setup_encoder(codec, &parameters, image) || !opj_start_compress(codec, image, stream) ||
        !opj_encode(codec, stream) || !opj_end_compress(codec, stream))
        fail("cannot encode");
    fwrite(made.start, 1, made.size, stdout);
}

static void decode(unsigned char *input, size_t size)
{
    struct bytes bytes = {input, size, 0, size};
    opj_stream_t *stream = stream_of(&bytes, OPJ_TRUE);
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_dparameters_t parameters;
    opj_image_t *image;

    opj_set_default_decoder_parameters(&parameters);
    if (!opj_setup_decoder(codec, &parameters) || !opj_read_header(stream, codec, &image) ||
        !opj_decode(codec, stream, image) || !opj_end_decompress(codec, stream))
        fail("the picture is damaged");
    for (unsigned c = 0; c < image->numcomps; c++)
        mix(image->comps[c].data, sizeof(OPJ_INT32) * image->comps[c].w * image->comps[c].h);
    opj_image_destroy(image);
    opj_destroy_codec(codec);
    opj_stream_destroy(stream);
}

int main(int argc, char **argv)
{
    return run_codec(argc, argv, encode, decode);
}
