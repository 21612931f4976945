/* primes.c - loops over memory: counts the primes below argv[1] (1,000,000 if absent) with a sieve. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t limit = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    unsigned char *composite;
    size_t count = 0, last = 0;

    if (limit > 1u << 30) {
        fprintf(stderr, "primes: the limit is 2^30\n");
        return 1;
    }
    composite = calloc(limit + 1, 1);
    if (!composite) {
        fprintf(stderr, "primes: out of memory\n");
        return 1;
    }
    for (size_t i = 2; i < limit; i++) {
        if (composite[i])
            continue;
        count++;
        last = i;
        if (i <= 32768)
            for (size_t j = i * i; j < limit; j += i)
                composite[j] = 1;
    }
    printf("%lu primes below %lu, the last is %lu\n", (unsigned long)count, (unsigned long)limit,
           (unsigned long)last);
    free(composite);
    return 0;
}
