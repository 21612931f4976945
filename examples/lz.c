/*
 * lz.c - a compressor and its decoder, as an archive would carry it: lz -c compresses stdin, lz -d restores it.
 *
 * LZ77 with hash chains and one step of lazy matching; what it finds goes through an adaptive binary range coder.
 *
 *   stream   "VXLZ" 1, then blocks, then a block of raw size 0
 *   block    raw size, coded size, CRC-32 of the raw bytes (32-bit little-endian each), coded bytes
 *
 * Blocks hold up to 1 MiB and know nothing of each other. A block that would not shrink is stored, with coded size =
 * raw size.
 * The decoder trusts nothing: whatever is wrong with a stream, it says so and exits with 1.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK (1u << 20)
#define CODED_MAX (BLOCK + BLOCK / 8 + 64)
#define MIN_MATCH 4
#define MAX_MATCH (MIN_MATCH + 255)
#define HASH_BITS 16
#define CHAIN 48 /* candidates that are tried for each match */

static const unsigned char magic[5] = {'V', 'X', 'L', 'Z', 1};

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "lz: %s\n", why);
    exit(1);
}

/* ---- The model: every probability that a block starts with, and that its bits change. ---- */

typedef uint16_t probability; /* that the next bit is 0, in 1/2048 */

static struct model {
    probability match[3];         /* literal or match, by how many of the last two were matches */
    probability literal[16][256]; /* by the top of the byte before */
    probability repeat;           /* the same distance as last time */
    probability length[2][256];   /* by whether it is a repeat */
    probability slot[32];         /* how many bits the distance has */
    probability high[32][16];     /* the top of those bits */
} model;

static void reset_model(void)
{
    probability *p = (probability *)&model;

    for (size_t i = 0; i < sizeof model / sizeof *p; i++)
        p[i] = 1024;
}

/* ---- The range coder. ---- */

static unsigned char raw[BLOCK], coded[CODED_MAX];
static size_t coded_size; /* encoder: bytes written; decoder: bytes there are */
static size_t coded_at;   /* decoder: bytes read */

static uint64_t low;
static uint32_t range, code;
static unsigned char held; /* a byte that a carry may still change, */
static size_t held_count;  /* and the 0xFF bytes behind it */

static void encoder_start(void)
{
    low = 0, range = 0xffffffffu, held = 0, held_count = 1, coded_size = 0;
}

static void shift_low(void)
{
    if ((uint32_t)low < 0xff000000u || low >> 32) {
        unsigned char carry = (unsigned char)(low >> 32);

        for (; held_count; held_count--, held = 0xff)
            if (coded_size < CODED_MAX)
                coded[coded_size++] = (unsigned char)(held + carry);
        held = (unsigned char)(low >> 24);
    }
    held_count++;
    low = (low & 0x00ffffffu) << 8;
}

static void encoder_end(void)
{
    for (int i = 0; i < 5; i++)
        shift_low();
}

static void put_bit(probability *p, unsigned bit)
{
    uint32_t bound = (range >> 11) * *p;

    if (!bit) {
        range = bound;
        *p = (probability)(*p + ((2048 - *p) >> 5));
    } else {
        low += bound;
        range -= bound;
        *p = (probability)(*p - (*p >> 5));
    }
    for (; range < 1u << 24; range <<= 8)
        shift_low();
}

static void put_plain(uint32_t value, int bits)
{
    while (bits--) {
        range >>= 1;
        if (value >> bits & 1)
            low += range;
        for (; range < 1u << 24; range <<= 8)
            shift_low();
    }
}

static void put_tree(probability *tree, uint32_t value, int bits)
{
    for (unsigned node = 1; bits--;) {
        unsigned bit = value >> bits & 1;

        put_bit(&tree[node], bit);
        node = node << 1 | bit;
    }
}

static uint32_t next_coded(void)
{
    if (coded_at >= coded_size)
        fail("a block ends too soon");
    return coded[coded_at++];
}

static void decoder_start(void)
{
    coded_at = 0, range = 0xffffffffu, code = 0;
    next_coded(); /* the encoder's first byte is always 0 */
    for (int i = 0; i < 4; i++)
        code = code << 8 | next_coded();
}

static unsigned get_bit(probability *p)
{
    uint32_t bound = (range >> 11) * *p;
    unsigned bit = code >= bound;

    if (!bit) {
        range = bound;
        *p = (probability)(*p + ((2048 - *p) >> 5));
    } else {
        code -= bound;
        range -= bound;
        *p = (probability)(*p - (*p >> 5));
    }
    for (; range < 1u << 24; range <<= 8)
        code = code << 8 | next_coded();
    return bit;
}

static uint32_t get_plain(int bits)
{
    uint32_t value = 0;

    while (bits--) {
        unsigned bit;

        range >>= 1;
        bit = code >= range;
        if (bit)
            code -= range;
        value = value << 1 | bit;
        for (; range < 1u << 24; range <<= 8)
            code = code << 8 | next_coded();
    }
    return value;
}

static uint32_t get_tree(probability *tree, int bits)
{
    unsigned node = 1;

    for (int i = bits; i--;)
        node = node << 1 | get_bit(&tree[node]);
    return node - (1u << bits);
}

/* ---- Distances: their number of bits, up to three modelled bits below the top one, the rest as they are. ---- */

static int bits_of(uint32_t n)
{
    int bits = 0;

    while (n >> bits > 1)
        bits++;
    return bits;
}

static void put_distance(uint32_t distance)
{
    int bits = bits_of(distance), high = bits < 3 ? bits : 3;

    put_tree(model.slot, (uint32_t)bits, 5);
    put_tree(model.high[bits], distance >> (bits - high) & ((1u << high) - 1), high);
    put_plain(distance, bits - high);
}

static uint32_t get_distance(void)
{
    int bits = (int)get_tree(model.slot, 5), high = bits < 3 ? bits : 3;
    uint32_t distance;

    if (bits > 20)
        fail("a distance that no block has");
    distance = 1u << high | get_tree(model.high[bits], high);
    return distance << (bits - high) | get_plain(bits - high);
}

/* ---- The encoder: the longest match among recent places with the same four bytes. ---- */

static uint32_t heads[1u << HASH_BITS], before[BLOCK]; /* places plus one: 0 is none */

static uint32_t hash(const unsigned char *p)
{
    uint32_t word = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

    return word * 2654435761u >> (32 - HASH_BITS);
}

static void remember(uint32_t at, uint32_t size)
{
    uint32_t h;

    if (at + MIN_MATCH > size)
        return;
    h = hash(raw + at);
    before[at] = heads[h];
    heads[h] = at + 1;
}

static uint32_t match_length(uint32_t a, uint32_t b, uint32_t size)
{
    uint32_t n = 0, limit = size - b < MAX_MATCH ? size - b : MAX_MATCH;

    while (n < limit && raw[a + n] == raw[b + n])
        n++;
    return n;
}

static uint32_t find_match(uint32_t at, uint32_t size, uint32_t last, uint32_t *distance)
{
    uint32_t best = 0, candidate;

    if (at + MIN_MATCH > size)
        return 0;
    if (last <= at && (best = match_length(at - last, at, size)) >= MIN_MATCH)
        *distance = last; /* costs little to say: others must be longer */
    else
        best = MIN_MATCH - 1;
    candidate = heads[hash(raw + at)];
    for (int tries = CHAIN; candidate && tries && best < MAX_MATCH && at + best < size; tries--) {
        uint32_t place = candidate - 1;

        if (raw[place + best] == raw[at + best]) {
            uint32_t n = match_length(place, at, size);

            if (n > best) {
                best = n;
                *distance = at - place;
            }
        }
        candidate = before[place];
    }
    return best >= MIN_MATCH ? best : 0;
}

static void encode(uint32_t size)
{
    uint32_t at = 0, last = 1;
    unsigned context = 0;

    reset_model();
    encoder_start();
    memset(heads, 0, sizeof heads);
    while (at < size && coded_size < size) {
        uint32_t distance = 0, later = 0, length = find_match(at, size, last, &distance);

        remember(at, size);
        if (length && length < 64 && find_match(at + 1, size, last, &later) > length)
            length = 0; /* a literal first: the next match is better */
        put_bit(&model.match[context], length > 0);
        if (!length) {
            put_tree(model.literal[at ? raw[at - 1] >> 4 : 0], raw[at], 8);
            at++;
            context >>= 1;
            continue;
        }
        put_bit(&model.repeat, distance == last);
        put_tree(model.length[distance == last], length - MIN_MATCH, 8);
        if (distance != last)
            put_distance(distance);
        last = distance;
        context = 2;
        for (uint32_t end = at + length; ++at < end;)
            remember(at, size);
    }
    encoder_end();
}

static void decode(uint32_t size)
{
    uint32_t at = 0, last = 1;
    unsigned context = 0;

    reset_model();
    decoder_start();
    while (at < size) {
        uint32_t length;
        unsigned repeat;

        if (!get_bit(&model.match[context])) {
            raw[at] = (unsigned char)get_tree(model.literal[at ? raw[at - 1] >> 4 : 0], 8);
            at++;
            context >>= 1;
            continue;
        }
        repeat = get_bit(&model.repeat);
        length = MIN_MATCH + get_tree(model.length[repeat], 8);
        if (!repeat)
            last = get_distance();
        if (last > at)
            fail("a match before the start of its block");
        if (length > size - at)
            fail("a match beyond the end of its block");
        for (; length--; at++)
            raw[at] = raw[at - last];
        context = 2;
    }
    if (coded_at != coded_size)
        fail("bytes left over in a block");
}

/* ---- Streams. ---- */

static uint32_t crc_table[256];

static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        crc_table[i] = c;
    }
}

static uint32_t crc32(const unsigned char *p, size_t n)
{
    uint32_t c = 0xffffffffu;

    while (n--)
        c = crc_table[(c ^ *p++) & 0xff] ^ c >> 8;
    return ~c;
}

static void put_bytes(const void *p, size_t n)
{
    if (fwrite(p, 1, n, stdout) != n)
        fail("cannot write");
}

static void put_word(uint32_t n)
{
    unsigned char bytes[4] = {(unsigned char)n, (unsigned char)(n >> 8), (unsigned char)(n >> 16),
                              (unsigned char)(n >> 24)};

    put_bytes(bytes, 4);
}

static void get_bytes(void *p, size_t n)
{
    if (fread(p, 1, n, stdin) != n)
        fail("the stream ends too soon");
}

static uint32_t get_word(void)
{
    unsigned char b[4];

    get_bytes(b, 4);
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void compress(void)
{
    size_t size;

    put_bytes(magic, sizeof magic);
    while ((size = fread(raw, 1, BLOCK, stdin)) > 0) {
        encode((uint32_t)size);
        put_word((uint32_t)size);
        put_word((uint32_t)(coded_size < size ? coded_size : size));
        put_word(crc32(raw, size));
        if (coded_size < size)
            put_bytes(coded, coded_size);
        else
            put_bytes(raw, size);
    }
    if (ferror(stdin))
        fail("cannot read");
    put_word(0);
}

static void decompress(void)
{
    unsigned char start[sizeof magic];
    uint32_t size;

    get_bytes(start, sizeof start);
    if (memcmp(start, magic, sizeof magic) != 0)
        fail("not a stream of this kind");
    while ((size = get_word()) != 0) {
        uint32_t crc;

        coded_size = get_word();
        crc = get_word();
        if (size > BLOCK || coded_size > size)
            fail("a block of an impossible size");
        if (coded_size < size) {
            get_bytes(coded, coded_size);
            decode(size);
        } else {
            get_bytes(raw, size);
        }
        if (crc32(raw, size) != crc)
            fail("a block with the wrong checksum");
        put_bytes(raw, size);
    }
    if (getchar() != EOF)
        fail("bytes after the end of the stream");
}

int main(int argc, char **argv)
{
    make_crc_table();
    if (argc == 2 && !strcmp(argv[1], "-c")) {
        compress();
    } else if (argc == 2 && !strcmp(argv[1], "-d")) {
        decompress();
    } else {
        fputs("usage: lz -c | -d\n", stderr);
        return 2;
    }
    if (fflush(stdout) == EOF)
        fail("cannot write");
    return 0;
}
