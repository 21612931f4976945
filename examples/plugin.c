/*
 * plugin.c - a plug-in: a CRC-32, whole and in pieces, and a search that asks its host how far to go.
 *
 *     vx32py cc --plugin examples/plugin.c -o plugin.elf
 *     python examples/plugin.py plugin.elf
 */
#include <stdlib.h>
#include <string.h>
#include <vxplugin.h>

/* Called with each place that was found; 0 means that this is enough. */
VX_IMPORT(u32, found, "u32 place", uint32_t place);

static uint32_t table[256];
static uint32_t state;

/* Runs once: what it leaves is what reset() comes back to. */
__attribute__((constructor)) static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        table[i] = crc;
    }
}

static uint32_t update(uint32_t crc, vx_bytes data)
{
    for (uint32_t i = 0; i < data.size; i++)
        crc = crc >> 8 ^ table[(crc ^ data.data[i]) & 0xff];
    return crc;
}

uint32_t crc32(vx_bytes data)
{
    return ~update(~0u, data);
}
VX_EXPORT(crc32, "bytes data -> u32");

void add(vx_bytes data)
{
    state = ~update(~state, data);
}
VX_EXPORT(add, "bytes data -> none");

uint32_t sum(void)
{
    return state;
}
VX_EXPORT(sum, "-> u32");

vx_bytes reversed(vx_bytes text)
{
    static uint8_t *last; /* must stay until the next call */
    vx_bytes result = { malloc(text.size), text.size };

    free(last);
    last = result.data;
    if (!result.data)
        abort();
    for (uint32_t i = 0; i < text.size; i++)
        result.data[i] = text.data[text.size - 1 - i];
    return result;
}
VX_EXPORT(reversed, "bytes text -> bytes");

uint32_t search(vx_bytes text, vx_bytes wanted)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i + wanted.size <= text.size; i++)
        if (!memcmp(text.data + i, wanted.data, wanted.size)) {
            count++;
            if (!found(i))
                break;
        }
    return count;
}
VX_EXPORT(search, "bytes text, bytes wanted -> u32");

uint32_t divide(uint32_t a, uint32_t b)
{
    return a / b;
}
VX_EXPORT(divide, "u32 dividend, u32 divisor -> u32");

void *lookup(void)
{
    return table;
}
VX_EXPORT(lookup, "-> pointer");
