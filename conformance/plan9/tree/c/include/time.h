/* time.h - the little that programs with C's library ask for. */
#ifndef TIME_H
#define TIME_H

typedef long time_t;
struct tm {
	int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday, tm_isdst;
};
long time(long *to);
struct tm *unix_localtime(long *at);
#ifndef localtime
#define localtime unix_localtime
#endif

#endif
