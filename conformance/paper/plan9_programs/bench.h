/* Programs of the Plan 9 table: the same source for Plan 9's calls, and for a 32-bit Linux process. */
#ifdef __plan9__

#include <u.h>
#include <libc.h>
#define check(x) do{ if(!(x)) sysfatal("%d: %s: %r", __LINE__, #x); }while(0)
static inline void yield(void) { sleep(0); }
static inline void together(void) { }
static inline int wait_child(void) { return waitpid(); }
static inline void run(char *program, char **argv) { exec(program, argv); }
/* A new process in the same memory, which runs f and ends. */
static inline void spawn(void (*f)(void))
{
	if(rfork(RFPROC|RFMEM|RFFDG) == 0){ f(); _exits(nil); }
}
static inline void *pages(long n)
{
	char *p = sbrk((n+1)<<12);
	return (char*)(((ulong)p + 4095) & ~4095);
}

/* Directories: the next entries, each with what du wants to know of it. */
typedef struct { char name[256]; int is_directory; uvlong length; } Entry;
typedef struct { int fd; int at, have; uchar data[8192]; } Directory;
static inline int next_entry(Directory *d, Entry *e)
{
	Dir dir;
	char names[2048];
	uint n;
	if(d->at >= d->have){
		d->have = read(d->fd, d->data, sizeof d->data);
		d->at = 0;
		if(d->have <= 0) return 0;
	}
	n = d->data[d->at] | d->data[d->at+1]<<8;
	check(n+2 <= sizeof names && convM2D(d->data+d->at, n+2, &dir, names) > 0);
	d->at += n+2;
	e->is_directory = (dir.mode & DMDIR) != 0;
	e->length = dir.length;
	strcpy(e->name, dir.name);
	return 1;
}
static inline int is_there(char *path) { uchar buf[512]; return stat(path, buf, sizeof buf) > 0; }

/* A semaphore in memory that is shared. */
static inline void acquire(long *s) { semacquire(s, 1); }
static inline void release(long *s) { semrelease(s, 1); }

#else

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define nil ((void*)0)
#define nelem(x) (sizeof(x)/sizeof((x)[0]))
#define print printf
#define OREAD O_RDONLY
#define OWRITE O_WRONLY
#define ORDWR O_RDWR
typedef unsigned int uint;
typedef unsigned char uchar;
typedef unsigned long long uvlong;
static inline void *pages(long n)
{
	return mmap(nil, (n+1)<<12, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
}
static inline void exits(char *status) { fflush(stdout); _exit(status && *status); }
static inline void yield(void) { sched_yield(); }
/* On one processor, as the guest is: else to yield would be to go on. */
static inline void together(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof one, &one);
}
static inline int wait_child(void) { int status; return wait(&status); }
static inline int create(char *name, int mode, uint perm) { return open(name, mode|O_CREAT|O_TRUNC, perm); }
static inline void run(char *program, char **argv) { execv(program, argv); }
static void (*_spawned)(void);
static int _begin(void *nothing) { (void)nothing; _spawned(); _exit(0); }
static inline void spawn(void (*f)(void))
{
	_spawned = f;
	char *stack = malloc(1<<20);
	if(clone(_begin, stack + (1<<20), CLONE_VM|SIGCHLD, nil) < 0) abort();
}
typedef struct { char name[256]; int is_directory; uvlong length; } Entry;
typedef struct { int fd; int at, have; char data[8192]; } Directory;
struct _dirent64 { uvlong ino, off; unsigned short reclen; uchar type; char name[]; };
static inline int next_entry(Directory *d, Entry *e)
{
	struct _dirent64 *p;
	struct stat64 found;
	do {
		if(d->at >= d->have){
			d->have = syscall(SYS_getdents64, d->fd, d->data, sizeof d->data);
			d->at = 0;
			if(d->have <= 0) return 0;
		}
		p = (void*)(d->data + d->at);
		d->at += p->reclen;
	} while(strcmp(p->name, ".") == 0 || strcmp(p->name, "..") == 0);
	if(fstatat64(d->fd, p->name, &found, AT_SYMLINK_NOFOLLOW) < 0) abort();
	e->is_directory = S_ISDIR(found.st_mode);
	e->length = e->is_directory ? 0 : found.st_size;
	strcpy(e->name, p->name);
	return 1;
}
static inline int is_there(char *path) { struct stat64 found; return stat64(path, &found) == 0; }
static inline void acquire(long *s)
{
	for(;;){
		long v = __atomic_load_n(s, __ATOMIC_SEQ_CST);
		if(v > 0){
			if(__atomic_compare_exchange_n(s, &v, v-1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return;
		} else
			syscall(SYS_futex, s, FUTEX_WAIT, v, nil, nil, 0);
	}
}
static inline void release(long *s)
{
	__atomic_add_fetch(s, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, s, FUTEX_WAKE, 1, nil, nil, 0);
}
#define check(x) do{ if(!(x)){ fprintf(stderr, "%d: %s\n", __LINE__, #x); _exit(1); } }while(0)

#endif

/* The number that argument i is; 0 where there is none. */
static inline long number(int argc, char **argv, int i)
{
	long n = 0;
	char *p;
	if(i < argc) for(p = argv[i]; *p >= '0' && *p <= '9'; p++) n = 10*n + *p - '0';
	return n;
}
