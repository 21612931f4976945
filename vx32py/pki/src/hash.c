/*
 * hash.c - a hash function of LibTomCrypt as a plug-in: -DHASH=md5_desc -DNAME="MD5" chooses it.
 *
 * digest does it at once; init, update (any number of them) and final do it in pieces. A plug-in holds one state; update
 * and final without an init before them are a mistake of the host's, and a trap.
 */
#include <stdlib.h>
#include <tomcrypt.h>
#include <vxplugin.h>

static hash_state state;
static int begun;
static unsigned char result[MAXBLOCKSIZE];

static void check(int good)
{
    if (!good)
        abort();
}

void init(void)
{
    check(HASH.init(&state) == CRYPT_OK);
    begun = 1;
}
VX_EXPORT(init, "-> none");

void update(vx_bytes data)
{
    check(begun);
    if (data.size) /* the library takes no null pointer */
        check(HASH.process(&state, data.data, data.size) == CRYPT_OK);
}
VX_EXPORT(update, "bytes data -> none");

vx_bytes final(void)
{
    check(begun);
    begun = 0;
    check(HASH.done(&state, result) == CRYPT_OK);
    return (vx_bytes){ result, HASH.hashsize };
}
VX_EXPORT(final, "-> bytes");

vx_bytes digest(vx_bytes data)
{
    init();
    update(data);
    return final();
}
VX_EXPORT(digest, "bytes data -> bytes");

vx_bytes scheme(void)
{
    static unsigned char name[] = NAME;

    return (vx_bytes){ name, sizeof name - 1 };
}
VX_EXPORT(scheme, "-> bytes");
