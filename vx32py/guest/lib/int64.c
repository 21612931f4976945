/*
 * int64.c - 64-bit division and conversion, which compilers call on 32-bit x86. The names are those that libgcc and
 * compiler-rt use, so guests link without either.
 */
#include <stdint.h>

uint64_t __udivmoddi4(uint64_t a, uint64_t b, uint64_t *rest);
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);
int64_t __divmoddi4(int64_t a, int64_t b, int64_t *rest);
int64_t __divdi3(int64_t a, int64_t b);
int64_t __moddi3(int64_t a, int64_t b);
uint64_t __fixunsdfdi(double a);
uint64_t __fixunssfdi(float a);
double __floatundidf(uint64_t a);
float __floatundisf(uint64_t a);
int __popcountsi2(uint32_t a);
int __popcountdi2(uint64_t a);

/* DIV divides 64 bits by 32 as long as the quotient fits 32: as long as high < b. */
static uint32_t vx_div(uint32_t high, uint32_t low, uint32_t b, uint32_t *rest)
{
    uint32_t quotient;

    __asm__("divl %4" : "=a"(quotient), "=d"(*rest) : "0"(low), "1"(high), "rm"(b) : "cc");
    return quotient;
}

/* Schoolbook division in base 2^32 (Knuth, volume 2, algorithm D, for two digits). b = 0 gives a divide trap. */
uint64_t __udivmoddi4(uint64_t a, uint64_t b, uint64_t *rest)
{
    uint32_t high = (uint32_t)(a >> 32), low = (uint32_t)a, divisor = (uint32_t)(b >> 32), q, r;
    uint64_t product;
    int shift;

    if (!divisor) {
        uint32_t q1 = vx_div(0, high, (uint32_t)b, &r), q0 = vx_div(r, low, (uint32_t)b, &r);

        if (rest)
            *rest = r;
        return (uint64_t)q1 << 32 | q0;
    }
    /* Divide by the divisor's 32 leading bits: the quotient is right or one too large. */
    shift = 31 - __builtin_clz(divisor);
    q = vx_div(high >> 1, (uint32_t)(a >> 1), (uint32_t)(b >> 1 >> shift), &r) >> shift;
    if (q)
        q--;
    product = (uint64_t)q * (uint32_t)b + ((uint64_t)(q * divisor) << 32);
    a -= product;
    if (a >= b) {
        a -= b;
        q++;
    }
    if (rest)
        *rest = a;
    return q;
}

uint64_t __udivdi3(uint64_t a, uint64_t b)
{
    return __udivmoddi4(a, b, 0);
}

uint64_t __umoddi3(uint64_t a, uint64_t b)
{
    uint64_t rest;

    __udivmoddi4(a, b, &rest);
    return rest;
}

int64_t __divmoddi4(int64_t a, int64_t b, int64_t *rest)
{
    uint64_t r, q = __udivmoddi4(a < 0 ? -(uint64_t)a : (uint64_t)a, b < 0 ? -(uint64_t)b : (uint64_t)b, &r);

    if (rest)
        *rest = (int64_t)(a < 0 ? -r : r);
    return (int64_t)((a < 0) != (b < 0) ? -q : q);
}

int64_t __divdi3(int64_t a, int64_t b)
{
    return __divmoddi4(a, b, 0);
}

int64_t __moddi3(int64_t a, int64_t b)
{
    int64_t rest;

    __divmoddi4(a, b, &rest);
    return rest;
}

uint64_t __fixunsdfdi(double a)
{
    uint32_t high;

    if (!(a >= 0))
        return 0;
    high = (uint32_t)(a / 4294967296.0);
    return (uint64_t)high << 32 | (uint32_t)(a - (double)high * 4294967296.0);
}

uint64_t __fixunssfdi(float a)
{
    return __fixunsdfdi((double)a);
}

double __floatundidf(uint64_t a)
{
    return (double)(uint32_t)(a >> 32) * 4294967296.0 + (double)(uint32_t)a;
}

/* A value of more than 53 bits keeps its low ones as one sticky bit, so that it is rounded once and not twice. */
float __floatundisf(uint64_t a)
{
    if (a >> 53)
        a = (a & ~(uint64_t)0x7ff) | ((a & 0x7ff) ? 0x800 : 0);
    return (float)__floatundidf(a);
}

int __popcountsi2(uint32_t a)
{
    a -= a >> 1 & 0x55555555;
    a = (a & 0x33333333) + (a >> 2 & 0x33333333);
    return (int)(((a + (a >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24);
}

int __popcountdi2(uint64_t a)
{
    return __popcountsi2((uint32_t)a) + __popcountsi2((uint32_t)(a >> 32));
}
