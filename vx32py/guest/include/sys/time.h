/* sys/time.h - the clock on the wall. */
#ifndef VX_SYS_TIME_H
#define VX_SYS_TIME_H

#include <sys/types.h>

struct timeval {
    time_t tv_sec;
    suseconds_t tv_usec;
};

int gettimeofday(struct timeval *restrict tv, void *restrict zone);

#endif
