/* files.c - reading and writing, names, entries of directories. */
#include "sys9.h"
#include <fcall.h>

long read(int fd, void *to, long n)
{
	return pread(fd, to, n, -1);
}

long write(int fd, const void *from, long n)
{
	return pwrite(fd, from, n, -1);
}

long p9write(int fd, void *from, long n)
{
	return pwrite(fd, from, n, -1);
}

vlong seek(int fd, vlong offset, int whence)
{
	vlong result;

	return _seek(&result, fd, offset, whence) < 0 ? -1 : result;
}

vlong p9seek(int fd, vlong offset, int whence)
{
	return seek(fd, offset, whence);
}

int isatty(int fd)
{
	char name[64];
	int n;

	if (fd2path(fd, name, sizeof name) < 0)
		return 0;
	n = strlen(name);
	return n >= 9 && strcmp(name + n - 9, "/dev/cons") == 0;
}

char *p9getwd(char *to, int size)
{
	int fd = open(".", OREAD), failed;

	if (fd < 0)
		return nil;
	failed = fd2path(fd, to, size) < 0;
	close(fd);
	return failed ? nil : to;
}

/* -- entries of directories ------------------------------------------------------------------------------------------ */

static Dir *unpacked(uchar *buf, long n)
{
	Dir *d = malloc(sizeof(Dir) + n);

	if (d && convM2D(buf, n, d, (char *)&d[1]) != n) {
		free(d);
		werrstr("bad entry of a directory");
		return nil;
	}
	return d;
}

Dir *dirstat(char *name)
{
	uchar buf[2048];
	int n = stat(name, buf, sizeof buf);

	return n < 0 ? nil : unpacked(buf, n);
}

Dir *dirfstat(int fd)
{
	uchar buf[2048];
	int n = fstat(fd, buf, sizeof buf);

	return n < 0 ? nil : unpacked(buf, n);
}

/* What is to be changed, as the kernel wants to have it. 9base's convD2M is not among what 9base builds. */
static uint packed(Dir *d, uchar *buf, uint room)
{
	char *strings[] = {d->name, d->uid, d->gid, d->muid};
	uint size = STATFIXLEN, i, n;
	uchar *p = buf + STATFIXLEN - 4 * BIT16SZ;

	for (i = 0; i < 4; i++)
		size += strlen(strings[i]);
	if (size > room)
		return 0;
	PBIT16(buf, size - BIT16SZ);
	PBIT16(buf + 2, d->type);
	PBIT32(buf + 4, d->dev);
	PBIT8(buf + 8, d->qid.type);
	PBIT32(buf + 9, d->qid.vers);
	PBIT64(buf + 13, d->qid.path);
	PBIT32(buf + 21, d->mode);
	PBIT32(buf + 25, d->atime);
	PBIT32(buf + 29, d->mtime);
	PBIT64(buf + 33, d->length);
	for (i = 0; i < 4; i++, p += n) {
		n = strlen(strings[i]);
		PBIT16(p, n);
		p += BIT16SZ;
		memmove(p, strings[i], n);
	}
	return size;
}

int dirwstat(char *name, Dir *d)
{
	uchar buf[2048];
	uint n = packed(d, buf, sizeof buf);

	return wstat(name, buf, n) < 0 ? -1 : 0;
}

int dirfwstat(int fd, Dir *d)
{
	uchar buf[2048];
	uint n = packed(d, buf, sizeof buf);

	return fwstat(fd, buf, n) < 0 ? -1 : 0;
}

/* The entries in the n bytes at buf, in one block. */
static long package(uchar *buf, long n, Dir **result)
{
	long at, size, count = 0;
	char *strings;
	Dir *d;

	for (at = 0; at < n; at += size, count++) {
		size = at + BIT16SZ <= n ? BIT16SZ + GBIT16(buf + at) : 0;
		if (size == 0 || at + size > n || statcheck(buf + at, size) < 0) {
			werrstr("malformed directory contents");
			return -1;
		}
	}
	*result = d = malloc(count * sizeof(Dir) + n);
	if (d == nil)
		return -1;
	strings = (char *)&d[count];
	for (at = 0; at < n; at += size, d++, strings += size) {
		size = BIT16SZ + GBIT16(buf + at);
		convM2D(buf + at, size, d, strings);
	}
	return count;
}

long dirread(int fd, Dir **result)
{
	uchar buf[8192];
	long n = read(fd, buf, sizeof buf);

	*result = nil;
	return n <= 0 ? n : package(buf, n, result);
}

long dirreadall(int fd, Dir **result)
{
	uchar *buf = nil, *larger;
	long n, have = 0, room = 0;

	*result = nil;
	for (;;) {
		if (room - have < 8192) {
			room = room ? 2 * room : 16384;
			larger = realloc(buf, room);
			if (larger == nil) {
				free(buf);
				return -1;
			}
			buf = larger;
		}
		n = read(fd, buf + have, room - have);
		if (n <= 0)
			break;
		have += n;
	}
	if (have)
		n = package(buf, have, result);
	free(buf);
	return n;
}
