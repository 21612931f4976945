/*
 * ed25519.c - Ed25519 (RFC 8032), verified by libsodium's portable code.
 *
 * Strict, as libsodium is: S below the group's order; R and the key canonical and not of small order; no cofactor. So
 * nobody can make another signature out of one, and no key has signatures that fit every message.
 */
#include <string.h>
#include <vxplugin.h>

#include "crypto_hash_sha512.h"
#include "crypto_sign_ed25519.h"
#include "sign_ed25519_ref10.h"
#include "utils.h"

/* What the library's files want of the rest of it. Nothing here is secret, and plain code will do. */
void sodium_memzero(void *const memory, const size_t size)
{
    memset(memory, 0, size);
}

int sodium_memcmp(const void *const a, const void *const b, size_t size)
{
    return memcmp(a, b, size) ? -1 : 0;
}

int sodium_is_zero(const unsigned char *n, const size_t size)
{
    unsigned char all = 0;

    for (size_t i = 0; i < size; i++)
        all |= n[i];
    return all == 0;
}

void _crypto_sign_ed25519_ref10_hinit(crypto_hash_sha512_state *state, int prehashed)
{
    if (prehashed)
        __builtin_trap();
    crypto_hash_sha512_init(state);
}

uint32_t verify(vx_bytes key, vx_bytes message, vx_bytes signature)
{
    if (key.size != crypto_sign_ed25519_PUBLICKEYBYTES || signature.size != crypto_sign_ed25519_BYTES)
        return 0;
    return crypto_sign_ed25519_verify_detached(signature.data, message.data, message.size, key.data) == 0;
}
VX_EXPORT(verify, "bytes key, bytes message, bytes signature -> u32");

vx_bytes scheme(void)
{
    static uint8_t name[] = "Ed25519";

    return (vx_bytes){ name, sizeof name - 1 };
}
VX_EXPORT(scheme, "-> bytes");
