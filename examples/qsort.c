/* qsort.c - indirect calls: sorts argv[1] (200,000 if absent) numbers with a callback and prints a checksum. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
    uint32_t *numbers = malloc((count + 1) * sizeof *numbers), state = 2463534242u, sum = 0;

    if (!numbers || count > SIZE_MAX / sizeof *numbers - 1) {
        fprintf(stderr, "qsort: out of memory\n");
        return 1;
    }
    for (size_t i = 0; i < count; i++) { /* Marsaglia's xorshift32 */
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        numbers[i] = state;
    }
    qsort(numbers, count, sizeof *numbers, compare);
    for (size_t i = 0; i < count; i++) {
        if (i && numbers[i - 1] > numbers[i]) {
            fprintf(stderr, "qsort: out of order at %lu\n", (unsigned long)i);
            return 1;
        }
        sum = sum * 31 + numbers[i];
    }
    printf("%lu numbers, checksum %08lx\n", (unsigned long)count, (unsigned long)sum);
    free(numbers);
    return 0;
}
