/*
 * decimal.c - a double as decimal digits, exactly, in integers alone: no rounding mode, no x87, the same on every host.
 *
 * A double is m * 2^e. If e >= 0 that is an integer. If not, m * 2^e = (m * 5^-e) / 10^-e: an integer too, with the
 * point -e digits from its end. Either way one long multiplication gives every digit there is, 767 at most.
 */
#include <stdint.h>
#include <string.h>

#define VX_LIMB 1000000000u /* nine digits a limb, the lowest first */
#define VX_LIMBS 88

int vx_digits(double value, int places, int significant, char *digits, int *exponent);

static void vx_multiply(uint32_t *limbs, int *count, uint32_t factor)
{
    uint64_t carry = 0;

    for (int i = 0; i < *count; i++) {
        carry += (uint64_t)limbs[i] * factor;
        limbs[i] = (uint32_t)(carry % VX_LIMB);
        carry /= VX_LIMB;
    }
    for (; carry; carry /= VX_LIMB)
        limbs[(*count)++] = (uint32_t)(carry % VX_LIMB);
}

/*
 * The digits of |value| = 0.d1d2d3... * 10^exponent, rounded half to even: to `places` digits after the point if that
 * is not negative, else to `significant` digits. Trailing zeros are left out. Returns how many digits there are: none
 * for 0, whose exponent is 1. `digits` must have room for 800.
 */
int vx_digits(double value, int places, int significant, char *digits, int *exponent)
{
    uint32_t limbs[VX_LIMBS];
    uint64_t bits, m;
    int e, limb_count = 0, count = 0, keep;

    memcpy(&bits, &value, sizeof bits);
    e = (int)(bits >> 52 & 0x7ff);
    m = bits & 0xfffffffffffffull;
    if (e)
        m |= 1ull << 52;
    else
        e = 1;
    e -= 1075;
    *exponent = 1;
    if (!m)
        return 0;
    for (; e < 0 && !(m & 1); e++)
        m >>= 1;
    for (; m; m /= VX_LIMB)
        limbs[limb_count++] = (uint32_t)(m % VX_LIMB);
    for (int left = e; left > 0; left -= 29)
        vx_multiply(limbs, &limb_count, 1u << (left < 29 ? left : 29));
    for (int left = -e; left > 0; left -= 13) {
        uint32_t power = 1;

        for (int i = left < 13 ? left : 13; i; i--)
            power *= 5;
        vx_multiply(limbs, &limb_count, power);
    }
    for (int i = limb_count - 1; i >= 0; i--)
        for (uint32_t limb = limbs[i], unit = VX_LIMB / 10; unit; limb %= unit, unit /= 10)
            if (count || limb / unit)
                digits[count++] = (char)('0' + limb / unit);
    *exponent = count + (e < 0 ? e : 0);

    keep = places >= 0 ? *exponent + places : significant;
    if (keep < 0)
        count = 0;
    if (keep < count) {
        int up = digits[keep] > '5' || (digits[keep] == '5' && keep && (digits[keep - 1] & 1));

        for (int i = keep + 1; digits[keep] == '5' && !up && i < count; i++)
            up = digits[i] != '0';
        count = keep;
        while (up && count && digits[count - 1] == '9')
            count--;
        if (up && count) {
            digits[count - 1]++;
        } else if (up) {
            digits[count++] = '1';
            ++*exponent;
        }
    }
    while (count && digits[count - 1] == '0')
        count--;
    if (!count)
        *exponent = 1;
    return count;
}
