/*
 * jpeg.c - JPEG: jpeg -c WIDTH makes a picture of that width, jpeg TIMES decodes one from standard input so many times.
 */
#include "driver.h"

#include <jpeglib.h>

static void give_up(j_common_ptr state)
{
    (void)state;
    fail("the picture is damaged");
}

static void encode(unsigned width)
{
    struct jpeg_error_mgr errors;
    struct jpeg_compress_struct state = {.err = jpeg_std_error(&errors)};
    unsigned char *row = claim(3 * (size_t)width), *made = NULL;
    unsigned long size = 0;

    errors.error_exit = give_up;
    jpeg_create_compress(&state);
    jpeg_mem_dest(&state, &made, &size);
    state.image_width = width, state.image_height = width * 3 / 4;
    state.input_components = 3, state.in_color_space = JCS_RGB;
    jpeg_set_defaults(&state);
    jpeg_set_quality(&state, 85, TRUE);
    jpeg_start_compress(&state, TRUE);
    while (state.next_scanline < state.image_height) {
        for (unsigned x = 0; x < width; x++)
            for (int channel = 0; channel < 3; channel++)
                row[3 * x + (unsigned)channel] = (unsigned char)picture(x, state.next_scanline, channel);
        jpeg_write_scanlines(&state, &row, 1);
    }
    jpeg_finish_compress(&state);
    fwrite(made, 1, size, stdout);
}

static void decode(unsigned char *input, size_t size)
{
    struct jpeg_error_mgr errors;
    struct jpeg_decompress_struct state = {.err = jpeg_std_error(&errors)};
    unsigned char *row;

    errors.error_exit = give_up;
    jpeg_create_decompress(&state);
    jpeg_mem_src(&state, input, (unsigned long)size);
    jpeg_read_header(&state, TRUE);
    jpeg_start_decompress(&state);
    row = claim((size_t)state.output_width * (size_t)state.output_components);
    while (state.output_scanline < state.output_height) {
        jpeg_read_scanlines(&state, &row, 1);
        mix(row, (size_t)state.output_width * (size_t)state.output_components);
    }
    free(row);
    jpeg_finish_decompress(&state);
    jpeg_destroy_decompress(&state);
}

int main(int argc, char **argv)
{
    return run_codec(argc, argv, encode, decode);
}
