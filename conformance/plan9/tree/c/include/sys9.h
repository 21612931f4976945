/* sys9.h - the calls, as Plan 9's own libc.h declares them (section 2 of its manual). */
#ifndef SYS9_H
#define SYS9_H

#include <u.h>
#define NOPLAN9DEFINES
#include <libc.h>

#undef main

typedef struct Tos Tos;
struct Tos {
	struct { void *pp, *next, *last, *first; ulong pid, what; } prof;
	uvlong cyclefreq;
	vlong kcycles, pcycles;
	ulong pid, clock;
};
extern Tos *_tos;

enum { RFREND = 1 << 13 };

int	bind(char*, char*, int);
int	mount(int, int, char*, int, char*);
int	unmount(char*, char*);
int	dup(int, int);
long	alarm(ulong);
int	exec(char*, char**);
int	open(char*, int);
int	sleep(long);
int	rfork(int);
int	create(char*, int, ulong);
int	_brk(void*);
int	_seek(vlong*, int, vlong, int);
int	stat(char*, uchar*, int);
int	fstat(int, uchar*, int);
int	wstat(char*, uchar*, int);
int	fwstat(int, uchar*, int);
int	_nsec(vlong*);
vlong	seek(int, vlong, int);

#endif
