/* mv from to - give a file another name, in the same directory or in another one (cp(1)). */
#include "sys9.h"

static void fail(char *what, char *name)
{
	fprint(2, "mv: can't %s %s: %r\n", what, name);
	exits("errors");
}

static void copy(char *from, char *to, ulong mode)
{
	static char buf[32768];
	int in = open(from, OREAD), out;
	long n;

	if (in < 0)
		fail("open", from);
	out = create(to, OWRITE, mode & 0777);
	if (out < 0)
		fail("create", to);
	while ((n = read(in, buf, sizeof buf)) > 0)
		if (write(out, buf, n) != n)
			fail("write", to);
	close(in);
	close(out);
	if (n < 0)
		fail("read", from);
	if (remove(from) < 0)
		fail("remove", from);
}

int p9main(int argc, char **argv)
{
	char *from, *to, *a, *b;
	Dir *d, *target, change;

	if (argc != 3) {
		fprint(2, "usage: mv from to\n");
		exits("usage");
	}
	from = cleanname(strdup(argv[1]));
	to = cleanname(strdup(argv[2]));
	if ((d = dirstat(from)) == nil)
		fail("stat", from);
	a = strrchr(from, '/');
	target = dirstat(to);
	if (target && target->mode & DMDIR) {
		to = cleanname(smprint("%s/%s", to, a ? a + 1 : from));
		target = dirstat(to);
	}
	b = strrchr(to, '/');
	if (strcmp(from, to) == 0)
		exits(nil);
	if ((a ? a - from : -1) == (b ? b - to : -1) && (a == nil || strncmp(from, to, a - from) == 0)) {
		nulldir(&change);
		change.name = b ? b + 1 : to;
		if (target)
			remove(to);
		if (dirwstat(from, &change) < 0)
			fail("rename", from);
	} else if (d->mode & DMDIR) {
		werrstr("it is a directory, and the other name is in another one");
		fail("move", from);
	} else
		copy(from, to, d->mode);
	exits(nil);
}
