/* mount [-abcC] service old [spec] - let the files of a server be found somewhere (bind(1)). */
#include "sys9.h"

int p9main(int argc, char **argv)
{
	int flag = MREPL, fd;

	ARGBEGIN {
	case 'a': flag |= MAFTER; break;
	case 'b': flag |= MBEFORE; break;
	case 'c': flag |= MCREATE; break;
	case 'C': flag |= MCACHE; break;
	default: argc = 0;
	} ARGEND
	if (argc != 2 && argc != 3) {
		fprint(2, "usage: mount [-b|-a|-c|-bc|-ac] service old [spec]\n");
		exits("usage");
	}
	fd = open(argv[0], ORDWR);
	if (fd < 0) {
		fprint(2, "mount: %s: %r\n", argv[0]);
		exits("open");
	}
	if (mount(fd, -1, argv[1], flag, argc == 3 ? argv[2] : "") < 0) {
		fprint(2, "mount %s %s: %r\n", argv[0], argv[1]);
		exits("mount");
	}
	exits(nil);
}
