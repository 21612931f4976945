/* cp from to | cp from ... directory - copy files (cp(1)). */
#include "sys9.h"

static char *failed;

static void copy(char *from, char *to)
{
	static char buf[32768];
	int in = open(from, OREAD), out;
	long n = 0;
	Dir *d = in < 0 ? nil : dirfstat(in);

	if (d == nil || d->mode & DMDIR) {
		fprint(2, d ? "cp: %s is a directory\n" : "cp: can't open %s: %r\n", from);
		failed = "errors";
	} else if ((out = create(to, OWRITE, d->mode & 0777)) < 0) {
		fprint(2, "cp: can't create %s: %r\n", to);
		failed = "errors";
	} else {
		while ((n = read(in, buf, sizeof buf)) > 0 && write(out, buf, n) == n)
			;
		if (n != 0) {
			fprint(2, "cp: copying %s to %s: %r\n", from, to);
			failed = "errors";
		}
		close(out);
	}
	free(d);
	close(in);
}

int p9main(int argc, char **argv)
{
	Dir *d;
	int i;

	if (argc < 3) {
		fprint(2, "usage: cp from to\n       cp from ... directory\n");
		exits("usage");
	}
	d = dirstat(argv[argc - 1]);
	if (d && d->mode & DMDIR)
		for (i = 1; i < argc - 1; i++) {
			char *last = strrchr(argv[i], '/'), *to = smprint("%s/%s", argv[argc - 1], last ? last + 1 : argv[i]);

			copy(argv[i], to);
			free(to);
		}
	else if (argc == 3)
		copy(argv[1], argv[2]);
	else {
		fprint(2, "cp: %s is not a directory\n", argv[argc - 1]);
		failed = "usage";
	}
	exits(failed);
}
