/* stdlib.c - numbers from strings, arithmetic, the end of the program. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vx.h>

#define VX_ATEXIT_MAX 32

static void (*vx_at_exit[VX_ATEXIT_MAX])(void);
static int vx_at_exit_count;

/* Set by stdio.c when the first stream gets a buffer, so that a guest without streams does not link them. */
void (*vx_flush_all)(void), (*vx_begin_again)(void);

int atexit(void (*function)(void))
{
    if (vx_at_exit_count == VX_ATEXIT_MAX)
        return -1;
    vx_at_exit[vx_at_exit_count++] = function;
    return 0;
}

void exit(int code)
{
    while (vx_at_exit_count)
        vx_at_exit[--vx_at_exit_count]();
    if (vx_flush_all)
        vx_flush_all();
    _exit(code);
}

int vx_done(int code)
{
    int answer;

    if (vx_flush_all)
        vx_flush_all();
    answer = vx_syscall(VX_SYS_DONE, (uint32_t)code, 0, 0, 0, 0);
    if (!answer && vx_begin_again)
        vx_begin_again();
    return answer;
}

void _Exit(int code)
{
    _exit(code);
}

void abort(void)
{
    __asm__ volatile("ud2");
    __builtin_unreachable();
}

char *getenv(const char *name)
{
    size_t n = strlen(name);

    for (char **e = environ; e && *e; e++)
        if (!strncmp(*e, name, n) && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

/* The number at s; *negative tells its sign. Values above `limit` (+ 1 if negative) give that and ERANGE. */
static unsigned long long vx_number(const char *s, char **end, int base, unsigned long long limit,
                                    unsigned long long below, int *negative)
{
    const char *start = s;
    unsigned long long value = 0;
    int any = 0, over = 0;

    *negative = 0;
    while (isspace((unsigned char)*s))
        s++;
    if (*s == '-' || *s == '+')
        *negative = *s++ == '-';
    limit += *negative ? below : 0;
    if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 32) == 'x' && isxdigit((unsigned char)s[2]))
        s += 2, base = 16;
    if (base == 0)
        base = *s == '0' ? 8 : 10;
    for (;; s++, any = 1) {
        int c = (unsigned char)*s;
        int digit = isdigit(c) ? c - '0' : isalpha(c) ? (c | 32) - 'a' + 10 : 99;

        if (digit >= base)
            break;
        if (value > (limit - (unsigned)digit) / (unsigned)base)
            over = 1;
        else
            value = value * (unsigned)base + (unsigned)digit;
    }
    if (end)
        *end = (char *)(any ? s : start);
    if (over) {
        errno = ERANGE;
        return limit;
    }
    return value;
}

long long strtoll(const char *restrict s, char **restrict end, int base)
{
    int negative;
    unsigned long long n = vx_number(s, end, base, LLONG_MAX, 1, &negative);

    return (long long)(negative ? -n : n);
}

unsigned long long strtoull(const char *restrict s, char **restrict end, int base)
{
    int negative;
    unsigned long long n = vx_number(s, end, base, ULLONG_MAX, 0, &negative);

    return negative ? -n : n;
}

long strtol(const char *restrict s, char **restrict end, int base)
{
    int negative;
    unsigned long n = (unsigned long)vx_number(s, end, base, LONG_MAX, 1, &negative);

    return (long)(negative ? -n : n);
}

unsigned long strtoul(const char *restrict s, char **restrict end, int base)
{
    int negative;
    unsigned long n = (unsigned long)vx_number(s, end, base, ULONG_MAX, 0, &negative);

    return negative ? -n : n;
}

int atoi(const char *s) { return (int)strtol(s, NULL, 10); }
long atol(const char *s) { return strtol(s, NULL, 10); }
long long atoll(const char *s) { return strtoll(s, NULL, 10); }

int abs(int n) { return n < 0 ? -n : n; }
long labs(long n) { return n < 0 ? -n : n; }
long long llabs(long long n) { return n < 0 ? -n : n; }
div_t div(int a, int b) { return (div_t){a / b, a % b}; }
ldiv_t ldiv(long a, long b) { return (ldiv_t){a / b, a % b}; }
lldiv_t lldiv(long long a, long long b) { return (lldiv_t){a / b, a % b}; }

static uint64_t vx_random = 1;

void srand(unsigned seed)
{
    vx_random = seed;
}

/* Knuth's 64-bit linear congruential generator (MMIX); the high bits are the good ones. */
int rand(void)
{
    vx_random = vx_random * 6364136223846793005ull + 1442695040888963407ull;
    return (int)(vx_random >> 33);
}

void vx_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}
