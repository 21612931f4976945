/* pipe-bulk N: N pieces of 8 KiB through a pipe to another process. */
#include "bench.h"

static char buf[8192];

int main(int argc, char **argv)
{
	long n = number(argc, argv, 1), i, k;
	uvlong total = 0;
	int p[2];

	together();
	check(pipe(p) == 0);
	if(fork() == 0){
		close(p[0]);
		for(i = 0; i < n; i++)
			check(write(p[1], buf, sizeof buf) == sizeof buf);
		exits(nil);
	}
	close(p[1]);
	while((k = read(p[0], buf, sizeof buf)) > 0)
		total += k;
	wait_child();
	check(total == (uvlong)n*sizeof buf);
	print("%d pieces\n", (int)n);
	exits(nil);
}
