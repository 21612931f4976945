/* processes.c - processes, notes, the environment, time, locks, error strings. */
#include "sys9.h"

int fork(void)
{
	return rfork(RFPROC | RFFDG | RFREND);
}

/* A number in the first line of a file of the console's. */
static vlong number(char *name)
{
	char buf[64];
	int fd = open(name, OREAD | OCEXEC), n;

	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof buf - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	return strtoll(buf, nil, 10);
}

int getpid(void)
{
	return number("#c/pid");
}

int getppid(void)
{
	return number("#c/ppid");
}

/* The contents of a small file; a text in memory of its own. */
static char *text(char *name, long *size)
{
	int fd = open(name, OREAD | OCEXEC);
	char *content;
	long n, room;
	vlong length;

	if (fd < 0)
		return nil;
	length = seek(fd, 0, 2);
	seek(fd, 0, 0);
	room = length > 0 ? length : 128;
	content = malloc(room + 1);
	n = content ? readn(fd, content, room) : -1;
	close(fd);
	if (n < 0) {
		free(content);
		return nil;
	}
	content[n] = 0;
	if (size)
		*size = n;
	return content;
}

char *p9getenv(char *name)
{
	char path[128], *value;
	long i, n;

	if (*name == 0 || strchr(name, '/') || strlen(name) > 100)
		return nil;
	snprint(path, sizeof path, "/env/%s", name);
	value = text(path, &n);
	for (i = 0; value && i < n - 1; i++) /* the words of a list */
		if (value[i] == 0)
			value[i] = ' ';
	return value;
}

int p9putenv(char *name, char *value)
{
	char path[128];
	int fd, n = strlen(value), done;

	snprint(path, sizeof path, "/env/%s", name);
	fd = create(path, OWRITE, 0644);
	if (fd < 0)
		return -1;
	done = write(fd, value, n);
	close(fd);
	return done == n ? 0 : -1;
}

char *getuser(void)
{
	static char user[64];
	char *found = text("/dev/user", nil);

	strecpy(user, user + sizeof user, found ? found : "none");
	free(found);
	return user;
}

char *sysname(void)
{
	static char name[64];
	char *found = text("#c/sysname", nil);

	strecpy(name, name + sizeof name, found ? found : "gnot");
	free(found);
	return name;
}

int postnote(int who, int pid, char *note)
{
	char name[64];
	int fd, n;

	snprint(name, sizeof name, "/proc/%d/%s", pid, who == PNGROUP ? "notepg" : "note");
	fd = open(name, OWRITE);
	if (fd < 0)
		return -1;
	n = write(fd, note, strlen(note));
	close(fd);
	return n == (int)strlen(note) ? 0 : -1;
}

/* struct Ureg of the 386, in the order in which PUSHAL and a trap leave it on the kernel's stack. */
struct Ureg {
	ulong di, si, bp, nsp, bx, dx, cx, ax, gs, fs, es, ds, trap, ecode, pc, cs, flags, sp, ss;
};

/* As longjmp, out of a handler: the registers that setjmp.c has kept are those that the process goes on with. */
void p9notejmp(void *registers, p9jmp_buf where, int value)
{
	struct Ureg *u = registers;
	ulong *kept = (ulong *)where;

	u->bx = kept[0];
	u->si = kept[1];
	u->di = kept[2];
	u->bp = kept[3];
	u->sp = kept[4];
	u->pc = kept[5];
	u->ax = value ? value : 1;
	noted(NCONT);
}

/* -- time ------------------------------------------------------------------------------------------------------------ */

vlong p9nsec(void)
{
	uchar b[8];
	int fd = open("/dev/bintime", OREAD | OCEXEC), i;
	uvlong t = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, b, sizeof b, 0) == sizeof b)
		for (i = 0; i < 8; i++)
			t = t << 8 | b[i];
	close(fd);
	return t;
}

long p9time(long *to)
{
	long t = p9nsec() / 1000000000;

	if (to)
		*to = t;
	return t;
}

long time(long *to)
{
	return p9time(to);
}

long p9times(long *to)
{
	char buf[256], *p = buf;
	int fd = open("/dev/cputime", OREAD | OCEXEC), n, i;
	long t[4] = {0};

	n = fd < 0 ? 0 : read(fd, buf, sizeof buf - 1);
	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	for (i = 0; i < 4; i++)
		t[i] = strtol(p, &p, 10);
	if (to)
		memmove(to, t, sizeof t);
	return p9nsec() / 1000000;
}

double p9cputime(void)
{
	long t[4];

	p9times(t);
	return (t[0] + t[1] + t[2] + t[3]) / 1000.0;
}

/* -- memory, locks --------------------------------------------------------------------------------------------------- */

extern char end[];

void *sbrk(intptr_t increment)
{
	static char *top;
	char *old;

	if (top == nil)
		top = (char *)(((uintptr)end + 7) & ~7);
	old = top;
	if (increment && _brk(top + increment) < 0)
		return (void *)-1;
	top += increment;
	return old;
}

void *p9malloc(ulong n)
{
	return (malloc)(n);
}

void *p9calloc(ulong n, ulong size)
{
	return (calloc)(n, size);
}

void *p9realloc(void *old, ulong n)
{
	return (realloc)(old, n ? n : 1);
}

void p9free(void *block)
{
	(free)(block);
}

void setmalloctag(void *block, ulong tag)
{
}

void setrealloctag(void *block, ulong tag)
{
}

/* Programs are single processes as far as these are concerned. */
void lock(Lock *l)
{
	l->held = 1;
}

void unlock(Lock *l)
{
	l->held = 0;
}

/* -- error strings --------------------------------------------------------------------------------------------------- */

void rerrstr(char *to, uint size)
{
	char text[ERRMAX];

	text[0] = 0;
	errstr(text, sizeof text);
	strecpy(to, to + size, text);
	errstr(text, sizeof text);
}

int __errfmt(Fmt *f)
{
	char text[ERRMAX];

	rerrstr(text, sizeof text);
	return fmtstrcpy(f, text);
}

void werrstr(char *format, ...)
{
	va_list arguments;
	char text[ERRMAX];

	va_start(arguments, format);
	vseprint(text, text + sizeof text, format, arguments);
	va_end(arguments);
	errstr(text, sizeof text);
}

/* -- where plan9port would look for files of Plan 9's on Unix --------------------------------------------------------- */

char *unsharp(char *name)
{
	if (strcmp(name, "#9") == 0)
		return "/";
	if (strncmp(name, "#9/bin/", 7) == 0)
		return name + 2;
	return strncmp(name, "#9/", 3) == 0 ? smprint("/sys/lib%s", strrchr(name, '/')) : name;
}
