/* sort.c - qsort and bsearch. Quicksort that falls back to heapsort, so no input makes it quadratic. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int vx_compare(const void *, const void *);
typedef uint32_t __attribute__((may_alias, aligned(1))) vx_sort_word;

static void vx_swap(char *a, char *b, size_t size)
{
    for (; size >= 4; size -= 4, a += 4, b += 4) {
        uint32_t word = *(vx_sort_word *)a;

        *(vx_sort_word *)a = *(vx_sort_word *)b;
        *(vx_sort_word *)b = word;
    }
    for (; size; size--, a++, b++) {
        char byte = *a;

        *a = *b;
        *b = byte;
    }
}

static void vx_sift(char *base, size_t root, size_t count, size_t size, vx_compare *compare)
{
    size_t child;

    while ((child = 2 * root + 1) < count) {
        if (child + 1 < count && compare(base + child * size, base + (child + 1) * size) < 0)
            child++;
        if (compare(base + root * size, base + child * size) >= 0)
            return;
        vx_swap(base + root * size, base + child * size, size);
        root = child;
    }
}

static void vx_heapsort(char *base, size_t count, size_t size, vx_compare *compare)
{
    for (size_t i = count / 2; i-- > 0;)
        vx_sift(base, i, count, size, compare);
    for (size_t i = count; i-- > 1;) {
        vx_swap(base, base + i * size, size);
        vx_sift(base, 0, i, size, compare);
    }
}

static void vx_sort(char *base, size_t count, size_t size, vx_compare *compare, int depth)
{
    while (count > 8) {
        char *low = base, *high = base + (count - 1) * size, *middle = base + count / 2 * size;
        size_t left;

        if (depth-- == 0) {
            vx_heapsort(base, count, size, compare);
            return;
        }
        /* The median of three goes to the front; what it replaces and the last element bound both scans. */
        if (compare(middle, low) < 0)
            vx_swap(middle, low, size);
        if (compare(high, middle) < 0) {
            vx_swap(high, middle, size);
            if (compare(middle, low) < 0)
                vx_swap(middle, low, size);
        }
        vx_swap(base, middle, size);
        for (high += size;;) {
            do
                low += size;
            while (low < base + count * size && compare(low, base) < 0);
            do
                high -= size;
            while (compare(base, high) < 0);
            if (low >= high)
                break;
            vx_swap(low, high, size);
        }
        vx_swap(base, high, size);
        left = (size_t)(high - base) / size;
        if (left < count - left - 1) { /* recurse into the smaller part only */
            vx_sort(base, left, size, compare, depth);
            base = high + size;
            count -= left + 1;
        } else {
            vx_sort(high + size, count - left - 1, size, compare, depth);
            count = left;
        }
    }
    for (size_t i = 1; i < count; i++)
        for (char *p = base + i * size; p > base && compare(p - size, p) > 0; p -= size)
            vx_swap(p - size, p, size);
}

void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    int depth = 0;

    for (size_t n = count; n; n >>= 1)
        depth += 2;
    if (size)
        vx_sort(base, count, size, compare, depth);
}

void *bsearch(const void *key, const void *base, size_t count, size_t size,
              int (*compare)(const void *, const void *))
{
    const char *low = base;

    while (count) {
        const char *middle = low + count / 2 * size;
        int order = compare(key, middle);

        if (order == 0)
            return (void *)middle;
        if (order > 0) {
            low = middle + size;
            count -= count / 2 + 1;
        } else {
            count /= 2;
        }
    }
    return NULL;
}
