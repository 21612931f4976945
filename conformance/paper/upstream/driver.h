/*
 * driver.h - what the drivers of upstream libraries share: standard input as a whole, a digest of what was decoded, and
 * made-up signals to encode. A driver prints one digest, so that its time is the library's and not that of output.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAYBE_UNUSED __attribute__((unused))

static uint32_t digest_of_output = 2166136261u;

/* Four bytes at a time: a digest that costs little beside a decoder. */
MAYBE_UNUSED static void mix(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint32_t word, d = digest_of_output;

    for (; n >= 4; p += 4, n -= 4) {
        memcpy(&word, p, 4);
        d = (d << 5 | d >> 27) ^ word;
        d *= 16777619u;
    }
    for (; n; p++, n--)
        d = (d ^ *p) * 16777619u;
    digest_of_output = d;
}

MAYBE_UNUSED static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

MAYBE_UNUSED static void *claim(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);

    if (!p)
        fail("no memory");
    return p;
}

MAYBE_UNUSED static unsigned char *read_input(size_t *size)
{
    size_t room = 1 << 16, n = 0, got;
    unsigned char *p = claim(room);

    while ((got = fread(p + n, 1, room - n, stdin)) > 0) {
        n += got;
        if (n == room && !(p = realloc(p, room *= 2)))
            fail("no memory");
    }
    *size = n;
    return p;
}

/* The main function of a codec: `-c SIZE` encodes, if it can; TIMES decodes standard input so often, and prints the digest. */
MAYBE_UNUSED static int run_codec(int argc, char **argv, void (*encode)(unsigned size),
                                  void (*decode)(unsigned char *input, size_t size))
{
    if (encode && argc == 3 && !strcmp(argv[1], "-c")) {
        encode((unsigned)atoi(argv[2]));
    } else {
        size_t size;
        unsigned char *input = read_input(&size);

        for (int times = argc > 1 ? atoi(argv[1]) : 1; times > 0; times--)
            decode(input, size);
        printf("%08x\n", (unsigned)digest_of_output);
    }
    return 0;
}

MAYBE_UNUSED static uint32_t noise(void)
{
    static uint32_t state = 20080625;

    state = state * 1664525u + 1013904223u;
    return state >> 16;
}

/* 0 to 255, back and forth, once in `period`. */
MAYBE_UNUSED static int triangle(uint32_t at, uint32_t period)
{
    uint32_t phase = at % period * 510 / period;

    return (int)(phase < 255 ? phase : 510 - phase);
}

/* A picture of slopes, edges and a little noise: channel 0 to 2 of the pixel at x, y. */
MAYBE_UNUSED static int picture(uint32_t x, uint32_t y, int channel)
{
    int value = triangle(x + y * (uint32_t)(channel + 1) / 2, 211) / 2 + triangle(y * 2 + x / 3, 457) / 3;

    if ((x / 96 + y / 64) % 3 == (uint32_t)channel)
        value += 40;
    value += (int)(noise() & 7);
    return value > 255 ? 255 : value;
}

/* A sound of three tones and a little noise, -32768 to 32767, at 44,100 samples a second. */
MAYBE_UNUSED static int sound(uint32_t at, int channel)
{
    int value = triangle(at, 100) + triangle(at + (uint32_t)channel * 7, 67 + at / 44100 % 5) +
                triangle(at * 3, 1009) - 382;

    return value * 40 + (int)(noise() & 255);
}

#endif
