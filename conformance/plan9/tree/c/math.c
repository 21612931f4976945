/* math.c - mathematics on the x87, with 64 bits of precision inside. */
#include <math.h>
#include <errno.h>
#include <stdint.h>

typedef long double extended;

#define UNARY(name, instruction) \
	double name(double x) \
	{ \
		extended result; \
		__asm__(instruction : "=t"(result) : "0"((extended)x)); \
		return result; \
	}

UNARY(sqrt, "fsqrt")
UNARY(sin, "fsin")
UNARY(cos, "fcos")
UNARY(fabs, "fabs")

static extended arctangent(extended y, extended x)
{
	extended result;

	__asm__("fpatan" : "=t"(result) : "0"(x), "u"(y) : "st(1)");
	return result;
}

static extended root(extended x)
{
	__asm__("fsqrt" : "+t"(x));
	return x;
}

double atan2(double y, double x) { return arctangent(y, x); }
double atan(double x) { return arctangent(x, 1); }
double asin(double x) { return arctangent(x, root((extended)1 - (extended)x * x)); }
double acos(double x) { return arctangent(root((extended)1 - (extended)x * x), x); }
double hypot(double x, double y) { return root((extended)x * x + (extended)y * y); }

double tan(double x)
{
	extended result, one;

	__asm__("fptan" : "=t"(one), "=u"(result) : "0"((extended)x));
	return result;
}

/* factor * log2(x) */
static extended logarithm(extended factor, extended x)
{
	extended result;

	__asm__("fyl2x" : "=t"(result) : "0"(x), "u"(factor) : "st(1)");
	return result;
}

#define LN2 0.693147180559945309417232121458176568L
#define LG2 0.301029995663981195213738894724493027L
#define LOG2E 1.442695040888963407359924681001892137L

static double checked_log(extended factor, double x)
{
	if (x < 0)
		errno = EDOM;
	else if (x == 0)
		errno = ERANGE;
	return logarithm(factor, x);
}

double log(double x) { return checked_log(LN2, x); }
double log10(double x) { return checked_log(LG2, x); }

static extended rounded(extended x)
{
	__asm__("frndint" : "+t"(x));
	return x;
}

static extended scaled(extended x, extended by)
{
	__asm__("fscale" : "+t"(x) : "u"(by));
	return x;
}

/* 2 to the power of x. */
static extended power_of_two(extended x)
{
	extended whole = rounded(x), fraction = x - whole;

	__asm__("f2xm1" : "+t"(fraction));
	return scaled(fraction + 1, whole);
}

static double in_range(extended x)
{
	double result = x;

	if (result == HUGE_VAL || result == -HUGE_VAL)
		errno = ERANGE;
	return result;
}

double exp(double x)
{
	/* x * log2(e) in two parts: one product would lose the last bits of a large x. */
	extended whole = rounded(x * LOG2E), rest = x - whole * 0.693147180559890330187045037746429443L
		- whole * 5.497923018708371155e-14L;

	if (x > 20000 || x < -20000)
		return x > 0 ? in_range(HUGE_VAL) : 0;
	return in_range(scaled(power_of_two(rest * LOG2E), whole));
}

static extended whole_power(extended x, uint32_t n)
{
	extended result = 1;

	for (; n; n >>= 1, x *= x)
		if (n & 1)
			result *= x;
	return result;
}

double pow(double x, double y)
{
	extended magnitude = x < 0 ? -(extended)x : x, result;
	int odd = 0;

	if (y == 0)
		return 1;
	if (y == rounded(y) && y > -65536 && y < 65536) {
		result = whole_power(x, y < 0 ? -y : y);
		return in_range(y < 0 ? 1 / result : result);
	}
	if (x == 0)
		return y > 0 ? 0 : in_range(HUGE_VAL);
	if (x < 0) {
		if (y != rounded(y)) {
			errno = EDOM;
			return __builtin_nan("");
		}
		odd = rounded(y / 2) * 2 != y;
	}
	result = power_of_two(y * logarithm(1, magnitude));
	return in_range(odd ? -result : result);
}

double floor(double x)
{
	extended r = rounded(x);

	return r > x ? r - 1 : r;
}

double ceil(double x)
{
	extended r = rounded(x);

	return r < x ? r + 1 : r;
}

double fmod(double x, double y)
{
	extended result = x;
	uint16_t status;

	do
		__asm__("fprem\n\tfnstsw %%ax" : "+t"(result), "=a"(status) : "u"((extended)y));
	while (status & 0x400);
	return result;
}

double modf(double x, double *whole)
{
	*whole = x < 0 ? ceil(x) : floor(x);
	return x - *whole;
}

double ldexp(double x, int n)
{
	return in_range(scaled(x, n));
}

double frexp(double x, int *exponent)
{
	union { double value; uint64_t bits; } u = {x};
	int biased;

	*exponent = 0;
	if (x == 0)
		return x;
	biased = u.bits >> 52 & 0x7ff;
	if (biased == 0x7ff)
		return x;
	if (biased == 0) {
		u.value = x * 18014398509481984.0; /* 2 to the power of 54 */
		biased = (u.bits >> 52 & 0x7ff) - 54;
	}
	*exponent = biased - 1022;
	u.bits = (u.bits & ~(0x7ffull << 52)) | 1022ull << 52;
	return u.value;
}

double sinh(double x)
{
	if (x > -0.5 && x < 0.5) { /* the difference of powers would lose digits */
		extended square = (extended)x * x, term = x, sum = x;
		int n;

		for (n = 2; n < 24; n += 2)
			sum += term *= square / (n * (n + 1));
		return sum;
	}
	return (exp(x) - exp(-x)) / 2;
}

double cosh(double x) { return (exp(x) + exp(-x)) / 2; }

double tanh(double x)
{
	return x > 30 ? 1 : x < -30 ? -1 : sinh(x) / cosh(x);
}
