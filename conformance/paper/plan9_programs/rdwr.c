/* rdwr N SIZE: from /dev/zero to /dev/null, N times, 8 KiB or so many bytes at a time. */
#include "bench.h"

static char buf[1<<20];

int main(int argc, char **argv)
{
	long n = number(argc, argv, 1), size = argc > 2 ? number(argc, argv, 2) : 8192, i;
	int from = open("/dev/zero", OREAD), to = open("/dev/null", OWRITE);

	check(from >= 0 && to >= 0 && size <= (long)sizeof buf);
	for(i = 0; i < n; i++){
		check(read(from, buf, size) == size);
		check(write(to, buf, size) == size);
	}
	print("%d times\n", (int)n);
	exits(nil);
}
