/* pwd - the name of the current directory (pwd(1)). */
#include "sys9.h"

int p9main(int argc, char **argv)
{
	char name[4096];

	if (p9getwd(name, sizeof name) == nil) {
		fprint(2, "pwd: %r\n");
		exits("getwd");
	}
	print("%s\n", name);
	exits(nil);
}
