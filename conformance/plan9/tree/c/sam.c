/* sam.c - what sam's own file for Plan 9 lacks in 9base. */
#include "sam.h"

/* A file for what is edited, which goes away with its descriptor. */
int tempdisk(void)
{
	char name[64];
	int fd, i;

	for (i = 'A'; i <= 'Z'; i++) {
		snprint(name, sizeof name, "/tmp/%c%d.%.4ssam", i, getpid(), getuser());
		if (access(name, 0) == 0)
			continue;
		fd = create(name, ORDWR | OCEXEC | ORCLOSE | OEXCL, 0600);
		if (fd >= 0)
			return fd;
	}
	return -1;
}
