/* guest_library.c - says what the C library does, in a way that any correct one says alike. See test_guest_library.py. */
#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 0x123456789abcdef0u;

static uint64_t next(void)
{
    return state = state * 6364136223846793005u + 1442695040888963407u;
}

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static void reals(void)
{
    static const double values[] = {
        0, -0.0, 1, 1.5, 0.1, 123456789.123, 1e300, 1e-300, 5e-324, 2.5, 3.5, 9.995, 0.05, 999999.5, 1e15, 1e16, 1e-5,
        0.0001, 1.7976931348623157e308, 1e100, 0.5, 0.25, 2.2250738585072014e-308, -1e22, 1e23,
    };
    static const char *const formats[] = {
        "%f", "%.0f", "%.1f", "%.2f", "%e", "%.0e", "%g", "%.3g", "%.17g", "%+10.3f|", "%-12.2e|", "%012.3f", "%#.0f",
        "%G", "%.30f", "% .15g", "%.0g", "%F",
    };

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        for (size_t k = 0; k < sizeof formats / sizeof *formats; k++) {
            char text[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof text, formats[k], values[i]);
#pragma GCC diagnostic pop
            printf("%s ", text);
        }
        putchar('\n');
    }
    printf("%f %e %g %F %5f|%-5f|%05f\n", __builtin_inf(), -__builtin_inf(), __builtin_nan(""), __builtin_inf(),
           __builtin_inf(), __builtin_inf(), __builtin_inf());
}

static void integers(void)
{
    printf("%d %5d|%-5d|%05d|%+d|% d|%x|%#x|%#o|%X|%lld|%llu|%hhd|%hd|%ld|%zu|%c|%s|%10s|%-10s|%.3s|%p|%%\n", 42, 42, 42,
           42, 42, 42, 255, 255, 8, 255, -1234567890123ll, 18446744073709551615ull, (signed char)44, (short)4464, -5l,
           sizeof(int), 'x', "str", "right", "left", "truncate", (void *)0x1234);
    printf("%.0d|%5.3d|%-8.3x|%+.3d|%*d|%-*d|%.*s|%3c|%-3c|\n", 0, 7, 10, 7, 6, 9, 6, 9, 2, "abc", 'y', 'z');
    printf("%" PRIu64 " %" PRIx64 " %" PRId64 " %d %d\n", UINT64_MAX, UINT64_MAX / 3, INT64_MIN, INT_MIN, INT_MAX);
    printf("%ld %lu %lld %llu %ld\n", strtol(" -0x1fz", NULL, 0), strtoul("4294967295", NULL, 10),
           strtoll("-9223372036854775808", NULL, 10), strtoull("777", NULL, 8), strtol("99999999999", NULL, 10));
}

static void wide_arithmetic(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < 20000; i++) {
        uint64_t a = next(), b = (next() >> (i * 7 % 64)) | 1, v = a >> (i % 63 + 1);
        volatile double d = (double)v;
        volatile float f = (float)v;

        sum = sum * 31 + a / b;
        sum = sum * 31 + a % b;
        sum = sum * 31 + (uint64_t)((int64_t)a / (int64_t)b) + (uint64_t)((int64_t)a % (int64_t)b);
        sum = sum * 31 + (uint64_t)d + (uint64_t)f + (uint64_t)(int64_t)d;
    }
    printf("%" PRIx64 "\n", sum);
}

static void memory(void)
{
    static void *blocks[200];
    static size_t sizes[200];
    char text[600];
    unsigned sum = 0;

    for (int i = 0; i < 20000; i++) {
        uint64_t r = next();
        unsigned k = (unsigned)(r >> 33) % 200;
        size_t n = (size_t)(r >> 45) % (i % 100 ? 2000 : 200000) + 1;
        unsigned char *p = blocks[k];

        for (size_t j = 0; p && j < sizes[k]; j++)
            assert(p[j] == (unsigned char)k);
        if (p && r >> 63) {
            free(p);
            blocks[k] = NULL;
            continue;
        }
        blocks[k] = p ? realloc(p, n) : i & 1 ? malloc(n) : calloc(1, n);
        assert(blocks[k] && ((uintptr_t)blocks[k] & 15) == 0);
        memset(blocks[k], (int)k, n);
        sizes[k] = n;
    }
    for (int i = 0; i < 600; i++)
        text[i] = (char)i;
    memmove(text + 3, text, 500);
    memmove(text, text + 5, 400);
    memmove(text + 100, text + 101, 300);
    memcpy(text + 300, text, 299);
    for (int i = 0; i < 600; i++)
        sum = sum * 33 + (unsigned char)text[i];
    printf("%u\n", sum);
}

static void sorting(void)
{
    static int numbers[5000];

    for (int round = 0; round < 4; round++) {
        unsigned sum = 0;

        for (int i = 0; i < 5000; i++)
            numbers[i] = round == 0 ? (int)(next() >> 40) : round == 1 ? i : round == 2 ? -i : i % 3;
        qsort(numbers, 5000, sizeof *numbers, compare);
        for (int i = 0; i < 5000; i++) {
            assert(!i || numbers[i - 1] <= numbers[i]);
            sum = sum * 31 + (unsigned)numbers[i];
        }
        assert(bsearch(&numbers[77], numbers, 5000, sizeof *numbers, compare));
        printf("%u\n", sum);
    }
}

static void strings(void)
{
    char text[] = "a,b;;c", to[32] = "x";

    for (char *word = strtok(text, ",;"); word; word = strtok(NULL, ",;"))
        printf("<%s>", word);
    strcat(strcpy(to, "abc"), "def");
    strncat(to, "ghijk", 2);
    printf("%s %d %d %d %s %s %d %d %s\n", to, strcmp("a", "b") < 0, strncmp("abc", "abd", 2),
           memcmp("abcdef", "abcdeg", 6) < 0, strchr("hello", 'l'), strrchr("hello", 'l'), (int)strspn("aabbc", "ab"), (int)strcspn("hello", "l"),
           strstr("haystack", "st"));
    for (int c = 0, bits = 0; c < 128; c++, bits = 0) {
        bits = !!isalnum(c) | !!isalpha(c) << 1 | !!iscntrl(c) << 2 | !!isdigit(c) << 3 | !!isgraph(c) << 4 |
               !!islower(c) << 5 | !!isprint(c) << 6 | !!ispunct(c) << 7 | !!isspace(c) << 8 | !!isupper(c) << 9 |
               !!isxdigit(c) << 10;
        printf("%x%c", bits + tolower(c) + toupper(c), c % 16 == 15 ? '\n' : ' ');
    }
}

static jmp_buf again;

static void jumps(void)
{
    int times = setjmp(again);

    if (times < 3)
        longjmp(again, times + 1);
    printf("jumped %d times\n", times);
}

static void streams(void)
{
    char line[64];
    int lines = 0, bytes = 0, c;

    c = getchar();
    ungetc(c, stdin);
    while (lines < 2 && fgets(line, sizeof line, stdin)) {
        lines++;
        bytes += (int)strlen(line);
    }
    bytes += (int)fread(line, 1, 10, stdin) * 1000;
    while ((c = getchar()) != EOF)
        bytes += c;
    printf("%d lines, %d, end %d, error %d\n", lines, bytes, !!feof(stdin), !!ferror(stdin));
    fprintf(stderr, "on stderr: %s\n", "seen");
}

int main(int argc, char **argv)
{
    reals();
    integers();
    wide_arithmetic();
    memory();
    sorting();
    strings();
    jumps();
    streams();
    printf("%d %s\n", argc, argv[argc - 1]);
    return 42;
}
