/*
 * math.h - the functions of musl that decoders call, for guests: the guest library has no mathematics.
 *
 * What SSE2 does in one instruction is that instruction, and nothing here or there uses the x87: the results are the same
 * on every host.
 */
#ifndef VX_MATH_H
#define VX_MATH_H

#include <emmintrin.h>

typedef float float_t;
typedef double double_t;

#define HUGE_VAL __builtin_huge_val()
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define M_PI 3.14159265358979323846
#define M_LN2 0.69314718055994530942
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)

/* Names of their own: compilers know the usual ones, and call those by the usual convention, which returns in the x87. */
#define acos vx_acos
#define atan vx_atan
#define ceil vx_ceil
#define cos vx_cos
#define exp vx_exp
#define floor vx_floor
#define frexp vx_frexp
#define hypot vx_hypot
#define ldexp vx_ldexp
#define log vx_log
#define log10 vx_log10
#define pow vx_pow
#define rint vx_rint
#define scalbn vx_scalbn
#define sin vx_sin
#define ceilf vx_ceilf
#define floorf vx_floorf

double acos(double x);
double atan(double x);
double ceil(double x);
double cos(double x);
double exp(double x);
double floor(double x);
double frexp(double x, int *exponent);
double hypot(double x, double y);
double ldexp(double x, int exponent);
double log(double x);
double log10(double x);
double pow(double x, double y);
double rint(double x);
double scalbn(double x, int exponent);
double sin(double x);
float ceilf(float x);
float floorf(float x);

static inline __attribute__((always_inline)) double vx_sqrt(double x)
{
    return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_set_sd(x), _mm_set_sd(x)));
}

static inline __attribute__((always_inline)) long vx_lrint(double x)
{
    return _mm_cvtsd_si32(_mm_set_sd(x));
}

static inline __attribute__((always_inline)) long vx_lrintf(float x)
{
    return _mm_cvtss_si32(_mm_set_ss(x));
}

#define fabs(x) __builtin_fabs(x)
#define fabsf(x) __builtin_fabsf(x)
#define sqrt(x) vx_sqrt(x)
#define lrint(x) vx_lrint(x)
#define lrintf(x) vx_lrintf(x)

#endif
