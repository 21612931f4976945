/* chmod mode file ... - change modes: octal, or [ugoa]+rwxalt and [ugoa]-rwxalt (chmod(1)). */
#include "sys9.h"

static int parse(char *s, ulong *clear, ulong *set)
{
	ulong who = 0, what = 0, bits = 0;
	char *end, sign;

	*set = strtoul(s, &end, 8);
	*clear = 0777;
	if (*end == 0 && end != s)
		return 1;
	for (; *s && strchr("ugoa", *s); s++)
		who |= *s == 'u' ? 0700 : *s == 'g' ? 070 : *s == 'o' ? 07 : 0777;
	sign = *s;
	if (sign == 0 || strchr("+-=", sign) == nil)
		return 0;
	for (s++; *s; s++)
		switch (*s) {
		case 'r': what |= 0444; break;
		case 'w': what |= 0222; break;
		case 'x': what |= 0111; break;
		case 'a': bits |= DMAPPEND; break;
		case 'l': bits |= DMEXCL; break;
		case 't': bits |= DMTMP; break;
		default: return 0;
		}
	who = who ? who : 0777;
	*set = sign == '-' ? 0 : (what & who) | bits;
	*clear = sign == '+' ? 0 : sign == '-' ? (what & who) | bits : who;
	return 1;
}

int p9main(int argc, char **argv)
{
	ulong clear, set;
	char *failed = nil;
	Dir *d, change;
	int i;

	if (argc < 3 || !parse(argv[1], &clear, &set)) {
		fprint(2, "usage: chmod 0777 file ... or chmod [who]op[rwxalt] file ...\n");
		exits("usage");
	}
	for (i = 2; i < argc; i++) {
		nulldir(&change);
		d = dirstat(argv[i]);
		if (d)
			change.mode = (d->mode & ~clear) | set;
		if (d == nil || dirwstat(argv[i], &change) < 0) {
			fprint(2, "chmod: %s: %r\n", argv[i]);
			failed = "errors";
		}
	}
	exits(failed);
}
