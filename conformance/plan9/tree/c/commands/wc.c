/* wc [-lwrbc] [file ...] - count lines, words, runes, wrong codes and characters (wc(1)). */
#include "sys9.h"
#include <bio.h>

enum { LINES, WORDS, RUNES, WRONG, CHARACTERS, COUNTS };
static char letters[] = "lwrbc";
static int shown[COUNTS];
static char *failed;

static void report(vlong *counts, char *name)
{
	int i;

	for (i = 0; i < COUNTS; i++)
		if (shown[i])
			print(" %7lld", counts[i]);
	print(name ? " %s\n" : "\n", name);
}

static void count(int fd, char *name, vlong *total)
{
	static uchar buf[65536];
	vlong counts[COUNTS] = {0};
	int inside = 0, expected = 0, i;
	long n = 0, at;

	while (fd >= 0 && (n = read(fd, buf, sizeof buf)) > 0) {
		counts[CHARACTERS] += n;
		for (at = 0; at < n; at++) {
			uchar c = buf[at];

			counts[LINES] += c == '\n';
			if (c == ' ' || c == '\t' || c == '\n')
				inside = 0;
			else if (!inside)
				counts[WORDS] += inside = 1;
			if ((c & 0xc0) == 0x80) {
				if (expected > 0)
					expected--;
				else
					counts[WRONG]++;
				continue;
			}
			counts[WRONG] += expected > 0;
			expected = c < 0x80 ? 0 : c < 0xe0 ? 1 : 2;
			counts[RUNES]++;
		}
	}
	if (fd < 0 || n < 0) {
		fprint(2, "wc: %s: %r\n", name ? name : "standard input");
		failed = "errors";
		return;
	}
	report(counts, name);
	for (i = 0; i < COUNTS; i++)
		total[i] += counts[i];
}

int p9main(int argc, char **argv)
{
	vlong total[COUNTS] = {0};
	char *letter;
	int i, any = 0;

	ARGBEGIN {
	default:
		letter = strchr(letters, ARGC());
		if (letter == nil) {
			fprint(2, "usage: wc [-lwrbc] [file ...]\n");
			exits("usage");
		}
		shown[letter - letters] = any = 1;
	} ARGEND
	if (!any)
		shown[LINES] = shown[WORDS] = shown[CHARACTERS] = 1;
	if (argc == 0)
		count(0, nil, total);
	for (i = 0; i < argc; i++) {
		int fd = open(argv[i], OREAD);

		count(fd, argv[i], total);
		close(fd);
	}
	if (argc > 1)
		report(total, "total");
	exits(failed);
}
