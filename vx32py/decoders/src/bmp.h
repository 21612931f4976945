/*
 * bmp.h - BMP pictures, row by row from the top, so that none has to be held in memory: the height is negative, as the
 * format allows for pictures that are not compressed. 8 bits are shades of grey, 24 are blue, green, red, and 32 have
 * opacity behind them, in a header of version 4.
 */
#ifndef BMP_H
#define BMP_H

#include "decoder.h"

MAYBE_UNUSED static void put16(uint32_t n)
{
    unsigned char bytes[2] = {n & 255, n >> 8 & 255};

    put(bytes, 2);
}

MAYBE_UNUSED static void put32(uint32_t n)
{
    put16(n);
    put16(n >> 16);
}

/* Bytes of a row in the file. */
MAYBE_UNUSED static size_t bmp_row(uint32_t width, int bits)
{
    return ((size_t)width * (size_t)(bits / 8) + 3) & ~(size_t)3;
}

MAYBE_UNUSED static void bmp_start(uint32_t width, uint32_t height, int bits)
{
    uint32_t palette = bits == 8 ? 256 : 0, header = bits == 32 ? 108 : 40, offset = 14 + header + 4 * palette;
    uint64_t image;

    if (!width || !height || width > INT32_MAX / 4 || height > INT32_MAX)
        fail("the picture has no size that a BMP can have");
    image = (uint64_t)bmp_row(width, bits) * height;
    if (image + offset > UINT32_MAX)
        fail("the picture is too large for a BMP");
    put("BM", 2);
    put32(offset + (uint32_t)image);
    put32(0);
    put32(offset);
    put32(header);
    put32(width);
    put32(-height);
    put16(1);
    put16((uint32_t)bits);
    put32(bits == 32 ? 3 : 0); /* BI_BITFIELDS, BI_RGB */
    put32((uint32_t)image);
    put32(0);
    put32(0);
    put32(palette);
    put32(0);
    if (bits == 32) {
        put32(0x00ff0000);
        put32(0x0000ff00);
        put32(0x000000ff);
        put32(0xff000000);
        put32(0x73524742); /* LCS_sRGB */
        for (int i = 0; i < 12; i++)
            put32(0);
    }
    for (uint32_t grey = 0; grey < palette; grey++)
        put32(grey * 0x010101);
}

#endif
