/*
 * decoder.h - what all decoders share: standard input piece by piece, standard output in large pieces, and the end.
 *
 * A driver defines DECODER, its name, before it includes this. What can be prepared is prepared before the first read: a
 * host may keep the program as it is at that moment and start every file from there.
 */
#ifndef DECODER_H
#define DECODER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAYBE_UNUSED __attribute__((unused))
#define PIECE 65536u /* bytes of input at a time */
#define BATCH 262144u /* bytes of output at a time */

static unsigned char in_bytes[PIECE], out_bytes[BATCH];
static unsigned char *in = in_bytes;  /* what is read and not yet used, */
static size_t in_left;                /* and how much of it there is; */
static int in_ended;                  /* whether that was the last of it */
static size_t out_used;

static void say(const char *text)
{
    while (write(2, text, strlen(text)) < 0)
        break;
}

static void write_all(const unsigned char *from, size_t n)
{
    while (n) {
        ssize_t done = write(1, from, n);

        if (done <= 0) {
            say(DECODER ": cannot write the output\n");
            _exit(1);
        }
        from += done;
        n -= (size_t)done;
    }
}

MAYBE_UNUSED static void flush(void)
{
    write_all(out_bytes, out_used);
    out_used = 0;
}

/* What was decoded before the fault is written, as every decoder of streams does. */
MAYBE_UNUSED static _Noreturn void fail(const char *what)
{
    flush();
    say(DECODER ": ");
    say(what);
    say("\n");
    _exit(1);
}

#define CUT_SHORT "the data ends too early"
#define DAMAGED "the data is damaged"
#define NO_MEMORY "not enough memory"

/* Read more, once all is used; 0 at the end. */
MAYBE_UNUSED static int refill(void)
{
    ssize_t n = in_ended ? 0 : read(0, in_bytes, PIECE);

    if (n < 0)
        fail("cannot read the input");
    in = in_bytes;
    in_left = (size_t)n;
    in_ended = n == 0;
    return n > 0;
}

/* The next byte, or -1 at the end. */
MAYBE_UNUSED static int next_byte(void)
{
    if (!in_left && !refill())
        return -1;
    in_left--;
    return *in++;
}

/* As many of n bytes as there are. */
MAYBE_UNUSED static size_t take(void *to, size_t n)
{
    unsigned char *p = to;
    size_t got = 0;

    while (got < n && (in_left || refill())) {
        size_t part = n - got < in_left ? n - got : in_left;

        memcpy(p + got, in, part);
        in += part;
        in_left -= part;
        got += part;
    }
    return got;
}

MAYBE_UNUSED static void put(const void *from, size_t n)
{
    if (n > BATCH - out_used) {
        flush();
        if (n >= BATCH) {
            write_all(from, n);
            return;
        }
    }
    memcpy(out_bytes + out_used, from, n);
    out_used += n;
}

MAYBE_UNUSED static void *claim(size_t n)
{
    void *p = malloc(n ? n : 1);

    if (!p)
        fail(NO_MEMORY);
    return p;
}

MAYBE_UNUSED static int done(void)
{
    flush();
    return 0;
}

#endif
