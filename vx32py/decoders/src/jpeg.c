/*
 * jpeg.c - JPEG pictures to BMP: baseline and progressive, Huffman and arithmetic coding; grey to 8 bits, everything else
 * to 24. The transform is libjpeg's exact one in integers (djpeg -dct int), with its smooth upsampling.
 *
 * A baseline picture needs memory for a few rows, a progressive one two bytes for each sample. CMYK is converted as djpeg
 * does it: each of red, green and blue is its complement times the complement of black.
 */
#define DECODER "jpeg"
#include "bmp.h"

#include <stdio.h>

#include <jerror.h>
#include <jpeglib.h>

/* More passes over a picture than any encoder makes: a small file could keep a decoder busy for hours. */
#define PASSES_MAX 100

static char complaint[JMSG_LENGTH_MAX];

static void give_up(j_common_ptr state)
{
    char text[JMSG_LENGTH_MAX];

    if (state->err->msg_code == JERR_OUT_OF_MEMORY)
        fail(NO_MEMORY);
    (*state->err->format_message)(state, text);
    fail(text);
}

/* Damage that the library repairs somehow: the picture is finished, and then the first complaint is told. */
static void note(j_common_ptr state, int level)
{
    int code = state->err->msg_code;

    if (level >= 0 || code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
        code == JWRN_BOGUS_ICC)
        return;
    if (!complaint[0])
        (*state->err->format_message)(state, complaint);
}

static void count_passes(j_common_ptr state)
{
    if (((j_decompress_ptr)state)->input_scan_number > PASSES_MAX)
        fail("the picture has too many passes");
}

static void nothing(j_decompress_ptr state)
{
    (void)state;
}

static boolean fill(j_decompress_ptr state)
{
    static const JOCTET end[2] = {0xff, JPEG_EOI};

    if (refill()) {
        state->src->next_input_byte = in;
        state->src->bytes_in_buffer = in_left;
    } else { /* the library finishes the picture with what it has */
        WARNMS(state, JWRN_JPEG_EOF);
        state->src->next_input_byte = end;
        state->src->bytes_in_buffer = 2;
    }
    return TRUE;
}

static void skip(j_decompress_ptr state, long n)
{
    while (n > (long)state->src->bytes_in_buffer) {
        n -= (long)state->src->bytes_in_buffer;
        fill(state);
        if (complaint[0])
            return;
    }
    state->src->next_input_byte += n;
    state->src->bytes_in_buffer -= (size_t)n;
}

/* Adobe's CMYK is stored inverted; libjpeg hands it out as it is. Rounded to nearest; there are no ties. */
static void from_cmyk(unsigned char *row, uint32_t width)
{
    unsigned char *to = row;

    for (uint32_t x = 0; x < width; x++, row += 4, to += 3) {
        unsigned r = row[0] * row[3] * 2 + 255, g = row[1] * row[3] * 2 + 255, b = row[2] * row[3] * 2 + 255;

        to[0] = (unsigned char)(b / 510);
        to[1] = (unsigned char)(g / 510);
        to[2] = (unsigned char)(r / 510);
    }
}

int main(void)
{
    struct jpeg_decompress_struct state;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress = {.progress_monitor = count_passes};
    struct jpeg_source_mgr source = {
        .init_source = nothing,
        .fill_input_buffer = fill,
        .skip_input_data = skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = nothing,
    };
    JSAMPROW row;
    size_t bytes;
    int bits;

    state.err = jpeg_std_error(&errors);
    errors.error_exit = give_up;
    errors.emit_message = note;
    jpeg_create_decompress(&state);
    state.src = &source;
    state.progress = &progress;
    jpeg_read_header(&state, TRUE);
    if (state.jpeg_color_space == JCS_CMYK || state.jpeg_color_space == JCS_YCCK)
        state.out_color_space = JCS_CMYK;
    else if (state.jpeg_color_space != JCS_GRAYSCALE)
        state.out_color_space = JCS_EXT_BGR;
    state.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&state);
    bits = state.out_color_space == JCS_GRAYSCALE ? 8 : 24;
    bytes = bmp_row(state.output_width, bits);
    row = claim((size_t)state.output_width * 4 + 4);
    memset(row, 0, (size_t)state.output_width * 4 + 4);
    bmp_start(state.output_width, state.output_height, bits);
    while (state.output_scanline < state.output_height) {
        jpeg_read_scanlines(&state, &row, 1);
        if (state.out_color_space == JCS_CMYK) {
            from_cmyk(row, state.output_width);
            memset(row + (size_t)state.output_width * 3, 0, 4);
        }
        put(row, bytes);
    }
    jpeg_finish_decompress(&state);
    if (complaint[0])
        fail(complaint);
    return done();
}
