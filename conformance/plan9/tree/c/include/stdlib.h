/* stdlib.h - that of the other guests, and what it lacks. */
#ifndef STDLIB9_H
#define STDLIB9_H

#include_next <stdlib.h>

#define MB_CUR_MAX 3
double atof(const char *s);
double strtod(const char *restrict s, char **restrict end);
int mblen(const char *s, unsigned long n);
int mbtowc(int *to, const char *s, unsigned long n);
int wctomb(char *to, int c);
int system(const char *command);

#endif
