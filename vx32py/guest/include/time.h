/* time.h - seconds since 1970 and processor time. */
#ifndef VX_TIME_H
#define VX_TIME_H

#include <sys/types.h>

typedef int32_t clock_t;

#define CLOCKS_PER_SEC 1000000

clock_t clock(void);
time_t time(time_t *t);

#endif
