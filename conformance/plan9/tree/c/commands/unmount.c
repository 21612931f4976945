/* unmount [new] old - take back a bind or mount (bind(1)). */
#include "sys9.h"

int p9main(int argc, char **argv)
{
	if (argc != 2 && argc != 3) {
		fprint(2, "usage: unmount [new] old\n");
		exits("usage");
	}
	if (unmount(argc == 3 ? argv[1] : nil, argv[argc - 1]) < 0) {
		fprint(2, "unmount %s: %r\n", argv[argc - 1]);
		exits("unmount");
	}
	exits(nil);
}
