/* rm [-fr] file ... - remove files; with -r directories and all that is in them (rm(1)). */
#include "sys9.h"

static int quiet, deep;
static char *failed;

static void complain(char *name)
{
	if (!quiet)
		fprint(2, "rm: %s: %r\n", name);
	failed = "errors";
}

static void rm(char *name)
{
	int fd, i, n;
	Dir *d, *entries;

	if (remove(name) >= 0)
		return;
	d = deep ? dirstat(name) : nil;
	if (d == nil || !(d->mode & DMDIR)) {
		complain(name);
		free(d);
		return;
	}
	free(d);
	fd = open(name, OREAD);
	n = fd < 0 ? -1 : dirreadall(fd, &entries);
	close(fd);
	for (i = 0; i < n; i++) {
		char *below = smprint("%s/%s", name, entries[i].name);

		rm(below);
		free(below);
	}
	if (n > 0)
		free(entries);
	if (remove(name) < 0)
		complain(name);
}

int p9main(int argc, char **argv)
{
	ARGBEGIN {
	case 'f': quiet = 1; break;
	case 'r': deep = 1; break;
	default:
		fprint(2, "usage: rm [-fr] file ...\n");
		exits("usage");
	} ARGEND
	for (; *argv; argv++)
		rm(*argv);
	exits(quiet ? nil : failed);
}
