/* utime.h - what a header names that is never used. */
struct utimbuf {
    int actime, modtime;
};
