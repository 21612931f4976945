/* swtch N: two processes let each other run, N times each. */
#include "bench.h"

int main(int argc, char **argv)
{
	long n = number(argc, argv, 1), i;
	int child;

	together();
	child = fork() == 0;
	for(i = 0; i < n; i++)
		yield();
	if(child) exits(nil);
	wait_child();
	print("%d switches\n", (int)(2*n));
	exits(nil);
}
