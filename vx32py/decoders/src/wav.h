/*
 * wav.h - WAV sound. Where the number of samples is not known before they are decoded, or takes more than 32 bits of
 * bytes, both lengths are 0xffffffff: up to the end of the file.
 */
#ifndef WAV_H
#define WAV_H

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

/* `samples` of each channel, 0 if it is not known; `bits` that count of each, in as many whole bytes as they need. The
 * speakers are named, in the extensible form, where the short one does not do. */
MAYBE_UNUSED static void wav_start(unsigned channels, unsigned rate, unsigned bits, uint32_t speakers, uint64_t samples)
{
    unsigned width = (bits + 7) / 8, frame = channels * width;
    int extensible = (bits != 8 && bits != 16) || channels > 2 || (speakers && speakers != 3 && speakers != 4);
    uint64_t data = samples * frame, all = 4 + 8 + (extensible ? 40 : 16) + 8 + ((data + 1) & ~(uint64_t)1);
    int unknown = !samples || samples > UINT32_MAX || all >= 0xfffffff4;

    put("RIFF", 4);
    put32(unknown ? UINT32_MAX : (uint32_t)all);
    put("WAVEfmt ", 8);
    put32(extensible ? 40 : 16);
    put16(extensible ? 0xfffe : 1);
    put16(channels);
    put32(rate);
    put32(rate * frame);
    put16(frame);
    put16(width * 8);
    if (extensible) {
        put16(22);
        put16(bits);
        put32(speakers);
        put("\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71", 16);
    }
    put("data", 4);
    put32(unknown ? UINT32_MAX : (uint32_t)data);
}

#endif
