/*
 * hostile.c - a plug-in that is a small honest hash and a small honest signature scheme, or whatever the five letters behind
 * "BEHAVIOUR:" say, which tests change in the finished image.
 *
 * The hash is FNV-1a four times, the signature a repetition of key and message: both are good enough to be told from lies.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vx.h>
#include <vxplugin.h>

static volatile char behaviour[] = "BEHAVIOUR:-----";
static uint32_t state[4];
static uint8_t result[80];
static uint32_t calls;

static int is(const char *what)
{
    return !memcmp((const char *)behaviour + 10, what, 5);
}

static void loop(void)
{
    for (;;)
        __asm__ volatile("");
}

static uint32_t deep(uint32_t n)
{
    volatile char room[512];

    room[n & 511] = n;
    return deep(n + 1) + room[n & 511];
}

/* What a function does that is asked for something else. `where` is its letter. */
static void misbehave(char where)
{
    volatile uint32_t zero = 0;

    if (behaviour[10] != where)
        return;
    if (!memcmp((const char *)behaviour + 11, "loop", 4))
        loop();
    if (!memcmp((const char *)behaviour + 11, "ud2-", 4))
        __builtin_trap();
    if (!memcmp((const char *)behaviour + 11, "null", 4))
        *(volatile uint32_t *)zero = 1;
    if (!memcmp((const char *)behaviour + 11, "high", 4))
        *(volatile uint32_t *)0xfffffff0u = 1;
    if (!memcmp((const char *)behaviour + 11, "code", 4))
        *(volatile uint8_t *)loop = 0x90;
    if (!memcmp((const char *)behaviour + 11, "div0", 4))
        __asm__ volatile("divl %0" : : "r"(zero) : "eax", "edx", "cc");
    if (!memcmp((const char *)behaviour + 11, "deep", 4))
        result[0] = deep(0);
    if (!memcmp((const char *)behaviour + 11, "jump", 4))
        ((void (*)(void))0x12345678u)();
    if (!memcmp((const char *)behaviour + 11, "data", 4))
        ((void (*)(void))(uintptr_t)result)();
    if (!memcmp((const char *)behaviour + 11, "exit", 4))
        exit(0);
    if (!memcmp((const char *)behaviour + 11, "int3", 4))
        __asm__ volatile("int3");
    if (!memcmp((const char *)behaviour + 11, "in70", 4))
        __asm__ volatile("int $0x70");
    if (!memcmp((const char *)behaviour + 11, "in71", 4))
        __asm__ volatile("movl $0x400000, %%edx; int $0x71" ::: "edx");
    if (!memcmp((const char *)behaviour + 11, "in80", 4))
        __asm__ volatile("movl $1, %%eax; int $0x80" ::: "eax");
    if (!memcmp((const char *)behaviour + 11, "rtsc", 4))
        __asm__ volatile("rdtsc" ::: "eax", "edx");
    if (!memcmp((const char *)behaviour + 11, "rand", 4))
        __asm__ volatile(".byte 0x0f, 0xc7, 0xf0" ::: "eax");
    if (!memcmp((const char *)behaviour + 11, "far-", 4))
        __asm__ volatile(".byte 0x9a, 0, 0, 0, 0, 0x33, 0");
    if (!memcmp((const char *)behaviour + 11, "gseg", 4))
        __asm__ volatile("movl %%gs:0, %%eax" ::: "eax");
    if (!memcmp((const char *)behaviour + 11, "espx", 4))
        __asm__ volatile("movl $0, %esp; pushl $0");
    if (!memcmp((const char *)behaviour + 11, "ret-", 4))
        __asm__ volatile("pushl 4(%ebp); ret");
    if (!memcmp((const char *)behaviour + 11, "bomb", 4))
        for (;;)
            *(volatile char *)malloc(1 << 16) = 1;
    if (!memcmp((const char *)behaviour + 11, "talk", 4))
        for (;;)
            write(1, state, sizeof state);
    if (!memcmp((const char *)behaviour + 11, "rep-", 4))
        for (;;)
            memset((void *)(((uintptr_t)&result + 4095) & ~4095u), 0, 1 << 30);
}

__attribute__((constructor)) static void begin(void)
{
    misbehave('c');
}

void init(void)
{
    misbehave('i');
    for (int i = 0; i < 4; i++)
        state[i] = 2166136261u + i;
}
VX_EXPORT(init, "-> none");

void update(vx_bytes data)
{
    misbehave('u');
    for (uint32_t k = 0; k < data.size; k++)
        for (int i = 0; i < 4; i++)
            state[i] = (state[i] ^ data.data[k]) * (16777619u + 2 * i);
    if (is("piece")) /* every piece counts for something by itself */
        state[0]++;
}
VX_EXPORT(update, "bytes data -> none");

static vx_bytes finished(void)
{
    memcpy(result, state, 16);
    memcpy(result + 16, state, 16);
    if (is("const"))
        memset(result, 0x55, sizeof result);
    if (is("dsize"))
        return (vx_bytes){ result, state[0] == 2166136261u ? 16 : 32 }; /* of nothing it has another size */
    if (is("size0"))
        return (vx_bytes){ result, 0 };
    if (is("sizef"))
        return (vx_bytes){ result, 15 };
    if (is("size+"))
        return (vx_bytes){ result, 65 };
    if (is("sizeM"))
        return (vx_bytes){ result, 0xffffffffu };
    if (is("sizeG"))
        return (vx_bytes){ (uint8_t *)0x400000, 0x40000000u };
    if (is("nullp"))
        return (vx_bytes){ NULL, 32 };
    if (is("highp"))
        return (vx_bytes){ (uint8_t *)0xfffffff8u, 32 };
    return (vx_bytes){ result, 32 };
}

vx_bytes final(void)
{
    misbehave('f');
    if (is("final"))
        state[2]++;
    return finished();
}
VX_EXPORT(final, "-> bytes");

vx_bytes digest(vx_bytes data)
{
    misbehave('d');
    init();
    update(data);
    if (is("whole"))
        state[3]++;
    if (is("count")) /* gives another digest every time, unless it is put back before */
        state[1] += calls++;
    return finished();
}
VX_EXPORT(digest, "bytes data -> bytes");

uint32_t verify(vx_bytes key, vx_bytes message, vx_bytes signature)
{
    uint32_t good = key.size && signature.size == key.size + message.size
        && !memcmp(signature.data, key.data, key.size) && !memcmp(signature.data + key.size, message.data, message.size);

    misbehave('v');
    if (is("yes--"))
        return 1;
    if (is("two--"))
        return 2;
    if (is("minus"))
        return 0xffffffffu;
    if (is("size-")) /* looks at the sizes alone */
        return signature.size == key.size + message.size;
    return good;
}
VX_EXPORT(verify, "bytes key, bytes message, bytes signature -> u32");

vx_bytes scheme(void)
{
    static uint8_t name[128] = "hostile";
    uint32_t size = 7;

    misbehave('s');
    if (is("name0"))
        size = 0;
    if (is("name+"))
        memset(name, 'x', size = 65);
    if (is("nameM"))
        size = 0xfffffffeu;
    if (is("nameN"))
        return (vx_bytes){ NULL, 4 };
    if (is("name\n"))
        name[3] = '\n';
    if (is("nameE"))
        name[3] = 27;
    if (is("nameU"))
        name[3] = 0xe2;
    if (is("nameZ"))
        name[3] = 0;
    return (vx_bytes){ name, size };
}
VX_EXPORT(scheme, "-> bytes");
