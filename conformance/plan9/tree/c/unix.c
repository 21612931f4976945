/* unix.c - functions of Unix and of C that sources call, made of what Plan 9 has. */
#include "sys9.h"
#include <stdio.h>
#include <time.h>

extern void (*vx_flush_all)(void) __attribute__((weak));

/* Streams of C call these. */
int vx_lseek(int fd, int offset, int whence)
{
	return seek(fd, offset, whence);
}

int vx_open(const char *path, int flags, int mode)
{
	int fd = -1, how = flags & 3;

	if (flags & 0x80) /* O_TRUNC */
		return create((char *)path, how, mode);
	fd = open((char *)path, how);
	if (fd < 0 && flags & 0x10) /* O_CREAT */
		fd = create((char *)path, how, mode);
	if (fd >= 0 && flags & 0x100) /* O_APPEND */
		seek(fd, 0, 2);
	return fd;
}

int unlink(const char *path)
{
	return remove((char *)path);
}

int access(const char *path, int mode)
{
	static char how[] = {OREAD, OEXEC, OWRITE, ORDWR, OREAD, OEXEC, ORDWR, ORDWR};
	int fd;
	Dir *d;

	if (mode == 0 || (d = dirstat((char *)path)) == nil || d->mode & DMDIR) {
		d = dirstat((char *)path);
		free(d);
		return d ? 0 : -1;
	}
	free(d);
	fd = open((char *)path, how[mode & 7]);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* A file with the process's number in place of the Xs, and a letter if there is one already. */
int mkstemp(char *name)
{
	char *x = name + strlen(name), letter = 'a';
	int n = getpid(), fd;

	while (x > name + 1 && x[-1] == 'X') {
		*--x = '0' + n % 10;
		n /= 10;
	}
	while ((fd = create(name, ORDWR | OEXCL, 0600)) < 0 && letter <= 'z')
		*x = letter++;
	return fd;
}

int opentemp(char *name, int mode)
{
	int fd = mkstemp(name), other;

	if (fd < 0)
		return -1;
	other = open(name, mode);
	close(fd);
	return other;
}

long lseek(int fd, long offset, int whence)
{
	return seek(fd, offset, whence);
}

void *memccpy(void *to, const void *from, int c, ulong n)
{
	uchar *d = to;
	const uchar *s = from;

	while (n--)
		if ((*d++ = *s++) == (uchar)c)
			return d;
	return nil;
}

double atof(const char *s)
{
	return fmtstrtod(s, nil);
}

double strtod(const char *s, char **end)
{
	return fmtstrtod(s, end);
}

void vx_assert_failed(const char *condition, const char *file, int line)
{
	sysfatal("%s:%d: %s does not hold", file, line, condition);
}

/* UTF-8 and nothing else. */
int mbtowc(int *to, const char *s, ulong n)
{
	Rune r;
	int length;

	if (s == nil || n == 0 || *s == 0)
		return 0;
	if (!fullrune((char *)s, n))
		return -1;
	length = chartorune(&r, (char *)s);
	if (to)
		*to = r;
	return length;
}

int mblen(const char *s, ulong n)
{
	return mbtowc(nil, s, n);
}

int wctomb(char *to, int c)
{
	Rune r = c;

	return to ? runetochar(to, &r) : 0;
}

/* -- processes ------------------------------------------------------------------------------------------------------- */

/* A shell with a command; one end of a pipe is its standard input or output (ours is `mine`), or there is none. */
static int shell(const char *command, int *mine, int theirs)
{
	char *argv[] = {"rc", "-c", (char *)command, nil};
	int ends[2], pid;

	if (&vx_flush_all && vx_flush_all)
		vx_flush_all();
	if (mine && pipe(ends) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (mine) {
			dup(ends[1], theirs);
			close(ends[0]);
			close(ends[1]);
		}
		exec("/bin/rc", argv);
		_exits("can't exec");
	}
	if (mine) {
		close(ends[1]);
		*mine = ends[0];
	}
	return pid;
}

/* Unix's form of how a child has ended; children that nobody asks for are forgotten. */
static int ended(int pid)
{
	Waitmsg *w;
	int code = -1;

	while (code < 0 && (w = p9wait()) != nil) {
		if (w->pid == pid) {
			char *number = strrchr(w->msg, ' ');

			code = w->msg[0] ? strtol(number ? number + 1 : w->msg, nil, 10) & 255 : 0;
			if (w->msg[0] && code == 0)
				code = 1;
		}
		free(w);
	}
	return code << 8;
}

int system(const char *command)
{
	int pid = shell(command, nil, 0);

	return pid < 0 ? -1 : ended(pid);
}

enum { SHELLS = 32 };
static struct { FILE *stream; int pid; } shells[SHELLS];

FILE *popen(const char *command, const char *mode)
{
	int fd, i, pid;

	for (i = 0; i < SHELLS && shells[i].stream; i++)
		;
	if (i == SHELLS || (pid = shell(command, &fd, *mode == 'r')) < 0)
		return nil;
	shells[i].pid = pid;
	return shells[i].stream = fdopen(fd, mode);
}

int pclose(FILE *stream)
{
	int i;

	for (i = 0; i < SHELLS; i++)
		if (shells[i].stream == stream) {
			shells[i].stream = nil;
			fclose(stream);
			return ended(shells[i].pid);
		}
	return -1;
}

int execvp(char *name, char **argv)
{
	char path[128];

	snprint(path, sizeof path, "%s%s", *name == '/' ? "" : "/bin/", name);
	return exec(path, argv);
}

int execlp(char *name, ...)
{
	return execvp(name, &name + 1);
}

struct tm *unix_localtime(long *at)
{
	static struct tm result;
	Tm *t = p9localtime(*at);

	result = (struct tm){t->sec, t->min, t->hour, t->mday, t->mon, t->year, t->wday, t->yday, 0};
	return &result;
}

char *getcwd(char *to, ulong size)
{
	return p9getwd(to, size);
}

char *getenv(const char *name)
{
	return p9getenv((char *)name);
}
