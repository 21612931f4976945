/* bind [-abcC] new old - let a file or directory be found elsewhere, too (bind(1)). */
#include "sys9.h"

int p9main(int argc, char **argv)
{
	int flag = MREPL, quiet = 0;

	ARGBEGIN {
	case 'a': flag |= MAFTER; break;
	case 'b': flag |= MBEFORE; break;
	case 'c': flag |= MCREATE; break;
	case 'C': flag |= MCACHE; break;
	case 'q': quiet = 1; break;
	default: argc = 0;
	} ARGEND
	if (argc != 2 || (flag & MAFTER && flag & MBEFORE)) {
		fprint(2, "usage: bind [-q] [-b|-a|-c|-bc|-ac] new old\n");
		exits("usage");
	}
	if (bind(argv[0], argv[1], flag) < 0) {
		if (!quiet)
			fprint(2, "bind %s %s: %r\n", argv[0], argv[1]);
		exits("bind");
	}
	exits(nil);
}
