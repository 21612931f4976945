/*
 * hashes.c - hashes NAME MEBIBYTES: the digest of zeros, by LibTomCrypt.
 */
#include "driver.h"

#include <tomcrypt.h>

/* The library's tables of all algorithms would link all of them. */
void crypt_argchk(const char *v, const char *s, int d)
{
    (void)s, (void)d;
    fail(v);
}

int main(int argc, char **argv)
{
    static const struct ltc_hash_descriptor *const all[] = {
        &md5_desc, &sha1_desc, &sha512_desc, &rmd160_desc, &whirlpool_desc,
    };
    static unsigned char zeros[1 << 16];

    for (size_t i = 0; argc == 3 && i < sizeof all / sizeof *all; i++)
        if (!strcmp(argv[1], all[i]->name)) {
            unsigned char digest[MAXBLOCKSIZE];
            hash_state state;

            all[i]->init(&state);
            for (unsigned long left = strtoul(argv[2], NULL, 10) * 16; left; left--)
                all[i]->process(&state, zeros, sizeof zeros);
            all[i]->done(&state, digest);
            for (unsigned long k = 0; k < all[i]->hashsize; k++)
                printf("%02x", digest[k]);
            putchar('\n');
            return 0;
        }
    fputs("usage: hashes md5|sha1|sha512|rmd160|whirlpool MEBIBYTES\n", stderr);
    return 2;
}
