/* string.h - that of the other guests, and what it lacks. */
#ifndef STRING9_H
#define STRING9_H

#include_next <string.h>

void *memccpy(void *to, const void *from, int c, unsigned long n);

#endif
