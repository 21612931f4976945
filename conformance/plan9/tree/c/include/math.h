/* math.h - what programs call of it; math.c computes most of it on the x87, as Plan 9's library does. */
#ifndef MATH_H
#define MATH_H

#define HUGE_VAL __builtin_huge_val()
#define M_PI 3.14159265358979323846
#define M_PI_2 1.57079632679489661923

double acos(double), asin(double), atan(double), atan2(double, double), ceil(double), cos(double), cosh(double);
double exp(double), fabs(double), floor(double), fmod(double, double), frexp(double, int*), hypot(double, double);
double ldexp(double, int), log(double), log10(double), modf(double, double*), pow(double, double), sin(double);
double sinh(double), sqrt(double), tan(double), tanh(double);

#endif
