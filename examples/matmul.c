/*
 * matmul.c - floating point in vectors: the product of two matrices of argv[1] rows and columns (64 if absent), argv[2]
 * times (once if absent).
 *
 * Two doubles at a time, which compilers turn into SSE2 on x86 and into whatever other processors have. The elements are
 * small integers, so that the result is exact and prints as one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef double pair __attribute__((vector_size(16), aligned(8)));

#define BLOCK 4 /* rows of the left matrix at a time */

static void multiply(const double *a, const double *b, double *c, size_t n)
{
    for (size_t i = 0; i < n; i += BLOCK)
        for (size_t j = 0; j < n; j += 2) {
            pair sums[BLOCK] = {{0}};

            for (size_t k = 0; k < n; k++) {
                pair right = *(const pair *)&b[k * n + j];

                for (size_t r = 0; r < BLOCK; r++) {
                    double left = a[(i + r) * n + k];

                    sums[r] += (pair){left, left} * right;
                }
            }
            for (size_t r = 0; r < BLOCK; r++)
                *(pair *)&c[(i + r) * n + j] = sums[r];
        }
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
    unsigned long times = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    double *a, *b, *c, trace = 0;

    n = (n + BLOCK - 1) / BLOCK * BLOCK;
    a = malloc(sizeof *a * n * n), b = malloc(sizeof *b * n * n), c = malloc(sizeof *c * n * n);
    if (!n || n > 4096 || !a || !b || !c) {
        fputs("usage: matmul [ROWS [TIMES]]\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < n * n; i++)
        a[i] = (double)(i % 7), b[i] = (double)(i % 11) - 5, c[i] = 0;
    for (; times; times--) {
        multiply(a, b, c, n);
        a[times % (n * n)] += 1;
    }
    for (size_t i = 0; i < n; i++)
        trace += c[i * n + i];
    printf("%ld\n", (long)trace);
    free(a), free(b), free(c);
    return 0;
}
