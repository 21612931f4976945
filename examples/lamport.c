/*
 * lamport.c - a signature scheme as a plug-in of the PKI: Lamport's one-time signatures (1979) with SHA-256.
 *
 *     vx32py cc --plugin examples/lamport.c -o lamport.elf
 *     python examples/pki.py lamport.elf
 *
 * The private key is 2 x 256 secrets of 32 bytes, and a public key the hash of all of their hashes. A signature has, for each
 * bit of the message's hash, the secret for that bit and the hash of the one for the other: 256 x 64 bytes. Whoever verifies
 * puts the hashes back in order, and compares the hash of all of them with the key. A key is good for one message.
 */
#include <string.h>
#include <vxplugin.h>

typedef struct {
    uint32_t state[8];
    uint64_t size;
    uint8_t block[64];
} sha256;

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turned(uint32_t word, int by)
{
    return word >> by | word << (32 - by);
}

static void compress(sha256 *hash)
{
    uint32_t w[64], v[8];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)hash->block[4 * i] << 24 | hash->block[4 * i + 1] << 16 | hash->block[4 * i + 2] << 8 | hash->block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3)
            + (turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, hash->state, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t first = v[7] + (turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[i] + w[i];
        uint32_t second = (turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        hash->state[i] += v[i];
}

static void begin(sha256 *hash)
{
    static const uint32_t first[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };

    memcpy(hash->state, first, sizeof first);
    hash->size = 0;
}

static void add(sha256 *hash, const uint8_t *data, uint32_t size)
{
    while (size--) {
        hash->block[hash->size++ % 64] = *data++;
        if (hash->size % 64 == 0)
            compress(hash);
    }
}

static void end(sha256 *hash, uint8_t digest[32])
{
    uint64_t bits = hash->size * 8;
    uint8_t length[8];

    add(hash, (const uint8_t *)"\x80", 1);
    while (hash->size % 64 != 56)
        add(hash, (const uint8_t *)"", 1);
    for (int i = 0; i < 8; i++)
        length[i] = bits >> (56 - 8 * i);
    add(hash, length, 8);
    for (int i = 0; i < 32; i++)
        digest[i] = hash->state[i / 4] >> (24 - 8 * (i % 4));
}

static void digest_of(const uint8_t *data, uint32_t size, uint8_t digest[32])
{
    sha256 hash;

    begin(&hash);
    add(&hash, data, size);
    end(&hash, digest);
}

uint32_t verify(vx_bytes key, vx_bytes message, vx_bytes signature)
{
    uint8_t wanted[32], shown[32], all[32];
    sha256 hash;

    if (key.size != 32 || signature.size != 256 * 64)
        return 0;
    digest_of(message.data, message.size, wanted);
    begin(&hash);
    for (int i = 0; i < 256; i++) {
        const uint8_t *secret = signature.data + 64 * i, *other = secret + 32;
        int bit = wanted[i / 8] >> (7 - i % 8) & 1;

        digest_of(secret, 32, shown);
        add(&hash, bit ? other : shown, 32);
        add(&hash, bit ? shown : other, 32);
    }
    end(&hash, all);
    return memcmp(all, key.data, 32) == 0;
}
VX_EXPORT(verify, "bytes key, bytes message, bytes signature -> u32");

vx_bytes scheme(void)
{
    static uint8_t name[] = "Lamport one-time signature, SHA-256";

    return (vx_bytes){ name, sizeof name - 1 };
}
VX_EXPORT(scheme, "-> bytes");
