/* utime.h - what a header names that is never used. */
#ifdef __vx__
struct utimbuf {
    int actime, modtime;
};
#else /* the same program for a host, which has its own */
#include_next <utime.h>
#endif
