/* What programs of the tests have of Plan 9's C library. */
typedef unsigned int uint;
typedef unsigned long ulong;
typedef unsigned char uchar;
typedef long long vlong;
typedef unsigned long long uvlong;
#define nil ((void*)0)
#define nelem(x) (sizeof(x)/sizeof((x)[0]))
enum { ERRMAX = 128, OREAD = 0, OWRITE, ORDWR, OEXEC, OTRUNC = 16, OCEXEC = 32, ORCLOSE = 64, OEXCL = 0x1000 };
enum { MREPL = 0, MBEFORE, MAFTER, MCREATE = 4, MCACHE = 16 };
enum { NCONT, NDFLT, NSAVE, NRSTR };
enum {
	RFNAMEG = 1, RFENVG = 2, RFFDG = 4, RFNOTEG = 8, RFPROC = 16, RFMEM = 32, RFNOWAIT = 64,
	RFCNAMEG = 1024, RFCENVG = 2048, RFCFDG = 4096, RFREND = 8192, RFNOMNT = 16384
};
typedef struct Ureg Ureg;
struct Ureg { ulong di, si, bp, nsp, bx, dx, cx, ax, gs, fs, es, ds, trap, ecode, pc, cs, flags, sp, ss; };
typedef struct Tos Tos;
struct Tos {
	struct { void *pp, *next, *last, *first; ulong pid, what; } prof;
	uvlong cyclefreq; vlong kcycles, pcycles; ulong pid, clock;
};
extern Tos *_tos;
#define brk_ _brk
extern char end[], edata[], etext[];
#define TOP ((char*)((ulong)end + 4095 & ~4095))	/* where the bss ends at the beginning */
int sysr1(void), _errstr(char*), bind(char*, char*, int), chdir(char*), close(int), dup(int, int), alarm(ulong);
int exec(char*, char**), segbrk(void*, void*), _fsession(int, char*, uint), _fstat(int, uchar*), _stat(char*, uchar*),
_mount(int, char*, int, char*), _read(int, void*, long), _write(int, void*, long), oseek(int, long, int), _wstat(char*, uchar*), _fwstat(int, uchar*), open(char*, int), sleep(long), rfork(int), pipe(int*);
void _exits(char*) __attribute__((noreturn));
void exits(char *s) { _exits(s); }
int create(char*, int, ulong), fd2path(int, char*, int), _brk(void*), remove(char*), notify(void (*)(void*, char*));
int noted(int), segdetach(void*), segfree(void*, ulong), segflush(void*, ulong), unmount(char*, char*), _wait(void*);
void *segattach(int, char*, void*, ulong), *rendezvous(void*, void*);
int semacquire(long*, int), semrelease(long*, long), _seek(vlong*, int, vlong, int), fversion(int, int, char*, int);
int errstr(char*, uint), stat(char*, uchar*, int), fstat(int, uchar*, int), wstat(char*, uchar*, int);
int fwstat(int, uchar*, int), mount(int, int, char*, int, char*), await(char*, int), tsemacquire(long*, ulong);
__asm__(".globl nosuchcall; nosuchcall: mov $99, %eax; int $0x40; ret");
int pread(int, void*, long, vlong), pwrite(int, void*, long, vlong), _nsec(vlong*), nosuchcall(void), fauth(int, char*);

static inline long read(int fd, void *buf, long n) { return pread(fd, buf, n, -1); }
static inline long write(int fd, void *buf, long n) { return pwrite(fd, buf, n, -1); }
static inline vlong seek(int fd, vlong n, int how) { vlong r; return _seek(&r, fd, n, how) < 0 ? -1 : r; }
static inline vlong nsec(void) { vlong r; return _nsec(&r) < 0 ? -1 : r; }
static inline int fork(void) { return rfork(RFPROC|RFFDG|RFREND); }

void *memset(void *p, int c, ulong n) { char *q = p; while(n--) *q++ = c; return p; }
void *memcpy(void *p, const void *s, ulong n) { char *q = p; const char *r = s; while(n--) *q++ = *r++; return p; }
void *memmove(void *p, const void *s, ulong n) { char *q = p; const char *r = s; if(q < r) return memcpy(p, s, n); while(n--) q[n] = r[n]; return p; }
static inline ulong strlen(const char *s) { ulong n = 0; while(s[n]) n++; return n; }
static inline int strcmp(const char *a, const char *b) { while(*a && *a == *b) a++, b++; return (uchar)*a - (uchar)*b; }
static inline int strncmp(const char *a, const char *b, ulong n) { while(n && *a && *a == *b) a++, b++, n--; return n ? (uchar)*a - (uchar)*b : 0; }
static inline char *strcpy(char *a, const char *b) { char *r = a; while((*a++ = *b++)); return r; }

/* print: %d %u %x %s %p %q(error string) */
static inline char *_number(char *p, uvlong n, int base, int negative)
{
	char buf[32]; int i = 0;
	do { uint d = (uint)n % base; if(base == 10){ uvlong q = 0, r = 0; int b; for(b = 63; b >= 0; b--){ r = r<<1 | (n>>b & 1); if(r >= 10){ r -= 10; q |= 1ULL<<b; } } d = (uint)r; n = q; } else { d = n & 15; n >>= 4; } buf[i++] = "0123456789abcdef"[d]; } while(n);
	if(negative) *p++ = '-';
	while(i) *p++ = buf[--i];
	return p;
}
static inline int _vsprint(char *p, const char *f, __builtin_va_list a)
{
	char *start = p, err[ERRMAX], *s; long d;
	for(; *f; f++){
		if(*f != '%'){ *p++ = *f; continue; }
		switch(*++f){
		case 'd': d = __builtin_va_arg(a, long); p = _number(p, d < 0 ? -(uvlong)d : d, 10, d < 0); break;
		case 'u': p = _number(p, __builtin_va_arg(a, ulong), 10, 0); break;
		case 'V': { vlong v = __builtin_va_arg(a, vlong); p = _number(p, v < 0 ? -v : v, 10, v < 0); break; }
		case 'x': p = _number(p, __builtin_va_arg(a, ulong), 16, 0); break;
		case 's': s = __builtin_va_arg(a, char*); if(!s) s = "<nil>"; while(*s) *p++ = *s++; break;
		case 'r': err[0] = 0; errstr(err, sizeof err); for(s = err; *s; ) *p++ = *s++; errstr(err, sizeof err); break;
		default: *p++ = *f;
		}
	}
	*p = 0;
	return p - start;
}
static inline int sprint(char *p, const char *f, ...) { __builtin_va_list a; __builtin_va_start(a, f); return _vsprint(p, f, a); }
static inline int print(const char *f, ...)
{
	char buf[1024]; __builtin_va_list a; __builtin_va_start(a, f);
	int n = _vsprint(buf, f, a);
	return write(1, buf, n);
}

/* End with what does not hold, unless it does. */
#define check(x) do{ if(!(x)){ char b_[256]; sprint(b_, "%d: %s: %r", __LINE__, #x); b_[120] = 0; exits(b_); } }while(0)
static inline int failed(int result, char *error)	/* whether a call has failed with this text */
{
	char buf[ERRMAX];
	buf[0] = 0;
	errstr(buf, sizeof buf);
	return result == -1 && strcmp(buf, error) == 0;
}
/* Whether a process is in this state, as its status has it: the name of the call that waits, such as "Sleep" or "Pread". */
static inline int is(int pid, char *state)
{
	char path[32], text[80]; int fd, n;
	sprint(path, "#p/%d/status", pid);
	check((fd = open(path, OREAD)) >= 0);
	n = read(fd, text, sizeof text);
	close(fd);
	return n == sizeof text && strncmp(text + 56, state, strlen(state)) == 0;
}
static inline void until(int pid, char *state) { while(!is(pid, state)) sleep(1); }
static inline void post(int pid, char *note)
{
	char path[32]; int fd;
	sprint(path, "#p/%d/note", pid);
	check((fd = open(path, OWRITE)) >= 0 && write(fd, note, strlen(note)) > 0);
	close(fd);
}
/* Somebody sends this process a note as soon as it waits in that call: an alarm could come before. */
static inline void interrupt(char *state)
{
	int me = _tos->pid;
	if(rfork(RFPROC|RFFDG|RFNOWAIT) == 0){ until(me, state); post(me, "interrupt"); exits(nil); }
}
static char _waited[512];
static inline char *wait(void)	/* what the next child said: "" or its status, without program and number; nil for none */
{
	char *p; int n, k = 0;
	n = await(_waited, sizeof _waited - 1);
	if(n < 0) return nil;
	_waited[n] = 0;
	for(p = _waited; *p && k < 4; p++) if(*p == ' ') k++;
	if(*p == '\''){ p++; if(*p != '\'') _waited[n-1] = 0; else return ""; }
	while(*p && *p != ':') p++;
	return *p ? p + 2 : "";
}
