/*
 * png.c - PNG pictures to BMP: all colour types, depths and interlacing; 24 bits, or 32 where there is transparency.
 *
 * Samples of 1, 2 and 4 bits are spread over 0 to 255, those of 16 bits are rounded to 8. Colours are taken as they are:
 * no gamma, no profile, no background. A picture that is not interlaced needs memory for two rows, others for all.
 */
#define DECODER "png"
#include "bmp.h"

#include <png.h>

static void give_up(png_structp png, png_const_charp what)
{
    (void)png;
    fail(strcmp(what, "Out of memory") ? what : NO_MEMORY);
}

static void ignore(png_structp png, png_const_charp what)
{
    (void)png, (void)what;
}

static void read_some(png_structp png, png_bytep to, size_t n)
{
    if (take(to, n) < n)
        png_error(png, CUT_SHORT);
}

int main(void)
{
    /* What says nothing about the samples is skipped unread. */
    static const png_byte skipped[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0"
                                      "sRGB\0sTER\0tEXt\0tIME\0zTXt";
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, give_up, ignore);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    png_uint_32 width, height, y;
    int depth, colour, interlaced, bits, opaque;
    size_t row_bytes;

    if (!info)
        fail(NO_MEMORY);
    png_set_read_fn(png, NULL, read_some);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, sizeof skipped / 5);
    png_read_info(png, info);
    png_get_IHDR(png, info, &width, &height, &depth, &colour, &interlaced, NULL, NULL);
    opaque = !(colour & PNG_COLOR_MASK_ALPHA) && !png_get_valid(png, info, PNG_INFO_tRNS);
    bits = opaque ? 24 : 32;
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_bgr(png);
    interlaced = png_set_interlace_handling(png) > 1;
    png_read_update_info(png, info);
    row_bytes = bmp_row(width, bits);
    if (png_get_rowbytes(png, info) > row_bytes)
        fail(DAMAGED);
    bmp_start(width, height, bits);
    if (interlaced) {
        png_bytep all = claim(row_bytes * height);
        png_bytepp rows = claim(sizeof *rows * height);

        memset(all, 0, row_bytes * height);
        for (y = 0; y < height; y++)
            rows[y] = all + y * row_bytes;
        png_read_image(png, rows);
        for (y = 0; y < height; y++)
            put(rows[y], row_bytes);
    } else {
        png_bytep row = claim(row_bytes);

        memset(row, 0, row_bytes);
        for (y = 0; y < height; y++) {
            png_read_row(png, row, NULL);
            put(row, row_bytes);
        }
    }
    png_read_end(png, NULL);
    return done();
}
