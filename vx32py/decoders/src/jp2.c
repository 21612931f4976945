/*
 * jp2.c - JPEG 2000 pictures to BMP: JP2 files and bare codestreams; grey to 8 bits, colour to 24, with opacity to 32.
 *
 * sYCC, e-YCC and CMYK are converted as opj_decompress does it, profiles are not applied. Samples of more than 8 bits are
 * rounded to 8, those of fewer are spread; components with fewer samples are repeated. The picture is held in memory with
 * four bytes for each sample, and its file beside it.
 */
#define DECODER "jp2"
#include "bmp.h"

#include <stdio.h>

#include <openjpeg.h>

static struct {
    unsigned char *start;
    size_t size, at;
} file;

static char complaint[160];

static void note(const char *text, void *user)
{
    (void)user;
    if (complaint[0])
        return;
    for (size_t i = 0; text[i] && text[i] != '\n' && i < sizeof complaint - 1; i++)
        complaint[i] = text[i];
}

static void quiet(const char *text, void *user)
{
    (void)text, (void)user;
}

static _Noreturn void give_up(const char *what)
{
    fail(complaint[0] ? complaint : what);
}

static void read_all(void)
{
    size_t room = 1 << 20, n;

    file.start = claim(room);
    while ((n = take(file.start + file.size, room - file.size)) > 0) {
        file.size += n;
        if (file.size == room && !(file.start = realloc(file.start, room *= 2)))
            fail(NO_MEMORY);
    }
}

static OPJ_SIZE_T give(void *to, OPJ_SIZE_T n, void *user)
{
    size_t left = file.size - file.at;

    (void)user;
    if (!left)
        return (OPJ_SIZE_T)-1;
    n = n < left ? n : left;
    memcpy(to, file.start + file.at, n);
    file.at += n;
    return n;
}

static OPJ_OFF_T skip(OPJ_OFF_T by, void *user)
{
    (void)user;
    if (by < 0 || (uint64_t)by > file.size - file.at)
        return -1;
    file.at += (size_t)by;
    return by;
}

static OPJ_BOOL seek(OPJ_OFF_T to, void *user)
{
    (void)user;
    if (to < 0 || (uint64_t)to > file.size)
        return OPJ_FALSE;
    file.at = (size_t)to;
    return OPJ_TRUE;
}

static OPJ_CODEC_FORMAT kind(void)
{
    static const unsigned char codestream[] = {0xff, 0x4f, 0xff, 0x51};
    static const unsigned char box[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};

    if (file.size >= 4 && !memcmp(file.start, codestream, 4))
        return OPJ_CODEC_J2K;
    if (file.size >= 8 && !memcmp(file.start, box, 8))
        return OPJ_CODEC_JP2;
    fail(file.size < 8 ? CUT_SHORT : "this is no JPEG 2000 picture");
}

static opj_image_t *decode(void)
{
    opj_codec_t *codec = opj_create_decompress(kind());
    opj_stream_t *stream = opj_stream_create(PIECE, OPJ_TRUE);
    opj_dparameters_t parameters;
    opj_image_t *image = NULL;

    if (!codec || !stream)
        fail(NO_MEMORY);
    opj_stream_set_user_data(stream, &file, NULL);
    opj_stream_set_user_data_length(stream, file.size);
    opj_stream_set_read_function(stream, give);
    opj_stream_set_seek_function(stream, seek);
    opj_stream_set_skip_function(stream, skip);
    opj_set_error_handler(codec, note, NULL);
    opj_set_warning_handler(codec, quiet, NULL);
    opj_set_info_handler(codec, quiet, NULL);
    opj_set_default_decoder_parameters(&parameters);
    if (!opj_setup_decoder(codec, &parameters) || !opj_read_header(stream, codec, &image))
        give_up(DAMAGED);
    opj_set_warning_handler(codec, note, NULL); /* in the data itself nothing is harmless */
    if (!opj_decode(codec, stream, image))
        give_up(DAMAGED);
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    return image;
}

/* A component, and where its sample for a column of the picture is. */
struct plane {
    const opj_image_comp_t *from;
    uint32_t *columns;
    int bias, top;
    unsigned bits;
};

static struct plane plane_of(const opj_image_t *image, unsigned index)
{
    const opj_image_comp_t *comp = &image->comps[index], *first = &image->comps[0];
    struct plane plane = {.from = comp, .bits = comp->prec, .top = (int)((1u << (comp->prec & 31)) - 1)};

    if (!comp->data || !comp->w || !comp->h || !comp->dx || !comp->dy || comp->prec < 1 || comp->prec > 30)
        fail("a component of the picture has no data, or more than 30 bits");
    plane.bias = comp->sgnd ? 1 << (comp->prec - 1) : 0;
    plane.columns = claim(sizeof *plane.columns * (size_t)first->w);
    for (uint32_t x = 0; x < first->w; x++) {
        uint32_t at = (uint32_t)((uint64_t)x * first->dx / comp->dx);

        plane.columns[x] = at < comp->w ? at : comp->w - 1;
    }
    return plane;
}

static const OPJ_INT32 *row_of(const struct plane *plane, const opj_image_comp_t *first, uint32_t y)
{
    uint32_t at = (uint32_t)((uint64_t)y * first->dy / plane->from->dy);

    at = at < plane->from->h ? at : plane->from->h - 1;
    return plane->from->data + (size_t)at * plane->from->w;
}

static int clamped(int value, int top)
{
    return value < 0 ? 0 : value > top ? top : value;
}

static unsigned char eight(int value, unsigned bits)
{
    if (bits > 8)
        value = (value >> (bits - 8)) + (value >> (bits - 9) & 1);
    else if (bits < 8)
        value = (clamped(value, (1 << bits) - 1) * 510 + ((1 << bits) - 1)) / (2 * ((1 << bits) - 1));
    return (unsigned char)clamped(value, 255);
}

/* The conversions are opj_decompress's, operation by operation, so that the results are. */
static void from_sycc(int top, int *v)
{
    int offset = (top + 1) / 2, y = v[0], cb = v[1] - offset, cr = v[2] - offset;

    v[0] = clamped(y + (int)(1.402 * (float)cr), top);
    v[1] = clamped(y - (int)(0.344 * (float)cb + 0.714 * (float)cr), top);
    v[2] = clamped(y + (int)(1.772 * (float)cb), top);
}

static void from_eycc(int top, int *v)
{
    int y = v[0], cb = v[1] - (top + 1) / 2, cr = v[2] - (top + 1) / 2;

    v[0] = clamped((int)((float)y - (float)0.0000368 * (float)cb + (float)1.40199 * (float)cr + (float)0.5), top);
    v[1] = clamped((int)((float)1.0003 * (float)y - (float)0.344125 * (float)cb - (float)0.7141128 * (float)cr +
                         (float)0.5), top);
    v[2] = clamped((int)((float)0.999823 * (float)y + (float)1.77204 * (float)cb - (float)0.000008 * (float)cr +
                         (float)0.5), top);
}

static void from_cmyk(int *v, const struct plane *planes)
{
    float part[4];

    for (int i = 0; i < 4; i++)
        part[i] = 1.0F - (float)v[i] * (1.0F / (float)planes[i].top);
    for (int i = 0; i < 3; i++)
        v[i] = (int)(255.0F * part[i] * part[3]);
}

/* The component that says how opaque each pixel is, or -1. */
static int opacity(const opj_image_t *image, unsigned colours)
{
    for (unsigned i = colours; i < image->numcomps; i++)
        if (image->comps[i].alpha)
            return (int)i;
    return -1;
}

int main(void)
{
    opj_image_t *image;
    const opj_image_comp_t *first;
    struct plane planes[5];
    unsigned colours, used;
    int alpha, bits, space;
    unsigned char *row;

    read_all();
    image = decode();
    if (!image->numcomps)
        fail("the picture has no components");
    first = &image->comps[0];
    space = image->color_space;
    if (space != OPJ_CLRSPC_SYCC && image->numcomps == 3 && first->dx == first->dy && image->comps[1].dx != 1)
        space = OPJ_CLRSPC_SYCC;
    colours = image->numcomps < 3 ? 1 : space == OPJ_CLRSPC_CMYK && image->numcomps > 3 ? 4 : 3;
    alpha = opacity(image, colours);
    for (used = 0; used < colours; used++)
        planes[used] = plane_of(image, used);
    if (alpha >= 0)
        planes[used++] = plane_of(image, (unsigned)alpha);
    bits = alpha >= 0 ? 32 : colours == 1 ? 8 : 24;
    bmp_start(first->w, first->h, bits);
    row = claim(bmp_row(first->w, bits));
    memset(row, 0, bmp_row(first->w, bits));
    for (uint32_t y = 0; y < first->h; y++) {
        const OPJ_INT32 *rows[5];
        unsigned char *to = row;

        for (unsigned i = 0; i < used; i++)
            rows[i] = row_of(&planes[i], first, y);
        for (uint32_t x = 0; x < first->w; x++) {
            int v[5];

            for (unsigned i = 0; i < used; i++)
                v[i] = rows[i][planes[i].columns[x]] + planes[i].bias;
            if (colours == 3 && space == OPJ_CLRSPC_SYCC)
                from_sycc(planes[0].top, v);
            else if (colours == 3 && space == OPJ_CLRSPC_EYCC)
                from_eycc(planes[0].top, v);
            if (colours == 4) {
                int opaque = v[4];

                from_cmyk(v, planes);
                *to++ = eight(v[2], 8), *to++ = eight(v[1], 8), *to++ = eight(v[0], 8);
                v[4] = opaque;
            } else if (colours == 3) {
                *to++ = eight(v[2], planes[2].bits), *to++ = eight(v[1], planes[1].bits), *to++ = eight(v[0], planes[0].bits);
            } else {
                unsigned char grey = eight(v[0], planes[0].bits);

                *to++ = grey;
                if (bits == 32)
                    *to++ = grey, *to++ = grey;
            }
            if (bits == 32)
                *to++ = eight(v[colours], planes[colours].bits);
        }
        put(row, bmp_row(first->w, bits));
    }
    if (complaint[0])
        fail(complaint);
    return done();
}
