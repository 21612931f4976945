/* digest.c - a hash function of LibTomCrypt over standard input: -DHASH=md5_desc chooses it. */
#include <stdio.h>
#include <tomcrypt.h>
#include <unistd.h>

int main(void)
{
    static unsigned char buffer[65536], result[MAXBLOCKSIZE];
    hash_state state;
    ssize_t n;

    HASH.init(&state);
    while ((n = read(0, buffer, sizeof buffer)) > 0)
        HASH.process(&state, buffer, (unsigned long)n);
    HASH.done(&state, result);
    for (unsigned long i = 0; i < HASH.hashsize; i++)
        printf("%02x", result[i]);
    printf("\n");
    return n < 0;
}
