/* stdio.h - that of the other guests, and what it lacks. */
#ifndef STDIO9_H
#define STDIO9_H

#include_next <stdio.h>

int fscanf(FILE *file, const char *format, ...);
int sscanf(const char *text, const char *format, ...);
int pclose(FILE *stream);

#endif
