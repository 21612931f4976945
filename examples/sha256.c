/*
 * sha256.c - a hash function as a guest: SHA-256 (FIPS 180-4) of stdin, as hex digits.
 *
 *   sha256         hash stdin
 *   sha256 -z N    hash N MiB of zeros, without input
 *
 * `sha256_buffer` is exported: a host can call it without running main.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sha256 {
    uint32_t h[8];
    uint64_t length; /* bytes so far */
    unsigned char block[64];
};

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void compress(uint32_t h[8], const unsigned char *block)
{
    uint32_t w[64], s[8];

    for (int i = 0; i < 16; i++)
        w[i] = big_endian(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t a = s[0], e = s[4];
        uint32_t t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + K[i] + w[i];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

        s[7] = s[6], s[6] = s[5], s[5] = e, s[4] = s[3] + t1;
        s[3] = s[2], s[2] = s[1], s[1] = a, s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += s[i];
}

static void sha256_start(struct sha256 *s)
{
    static const uint32_t initial[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };

    memcpy(s->h, initial, sizeof initial);
    s->length = 0;
}

static void sha256_add(struct sha256 *s, const unsigned char *p, size_t n)
{
    size_t held = s->length % 64;

    s->length += n;
    if (held) {
        size_t take = n < 64 - held ? n : 64 - held;

        memcpy(s->block + held, p, take);
        p += take, n -= take;
        if (held + take < 64)
            return;
        compress(s->h, s->block);
    }
    for (; n >= 64; p += 64, n -= 64)
        compress(s->h, p);
    memcpy(s->block, p, n);
}

static void sha256_end(struct sha256 *s, unsigned char digest[32])
{
    static const unsigned char padding[64] = {0x80};
    uint64_t bits = s->length * 8;
    unsigned char tail[8];

    sha256_add(s, padding, (119 - s->length % 64) % 64 + 1);
    for (int i = 0; i < 8; i++)
        tail[i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_add(s, tail, 8);
    for (int i = 0; i < 32; i++)
        digest[i] = (unsigned char)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

/* The digest of n bytes at p goes to `digest`, 32 bytes. For hosts that call functions instead of running main. */
void sha256_buffer(const unsigned char *p, size_t n, unsigned char *digest);

__attribute__((used, noinline)) void sha256_buffer(const unsigned char *p, size_t n, unsigned char *digest)
{
    struct sha256 s;

    sha256_start(&s);
    sha256_add(&s, p, n);
    sha256_end(&s, digest);
}

static unsigned char buffer[65536];

int main(int argc, char **argv)
{
    struct sha256 s;
    unsigned char digest[32];
    size_t n;

    sha256_start(&s);
    if (argc == 3 && !strcmp(argv[1], "-z")) {
        for (unsigned long left = strtoul(argv[2], NULL, 10) * 16; left; left--)
            sha256_add(&s, buffer, sizeof buffer);
    } else if (argc == 1 || (argc == 2 && !strcmp(argv[1], "-"))) {
        while ((n = fread(buffer, 1, sizeof buffer, stdin)) > 0)
            sha256_add(&s, buffer, n);
        if (ferror(stdin)) {
            fputs("sha256: cannot read stdin\n", stderr);
            return 1;
        }
    } else {
        fputs("usage: sha256 [-z MEBIBYTES]\n", stderr);
        return 2;
    }
    sha256_end(&s, digest);
    for (int i = 0; i < 32; i++)
        printf("%02x", digest[i]);
    putchar('\n');
    return 0;
}
