/* pipe-byte N: a byte goes to another process and back, N times. */
#include "bench.h"

int main(int argc, char **argv)
{
	long n = number(argc, argv, 1), i;
	int there[2], back[2];
	char c = 0;

	together();
	check(pipe(there) == 0 && pipe(back) == 0);
	if(fork() == 0){
		close(there[1]), close(back[0]);
		while(read(there[0], &c, 1) == 1){
			c++;
			check(write(back[1], &c, 1) == 1);
		}
		exits(nil);
	}
	close(there[0]), close(back[1]);
	for(i = 0; i < n; i++){
		check(write(there[1], &c, 1) == 1);
		check(read(back[0], &c, 1) == 1);
	}
	close(there[1]);
	wait_child();
	print("%d\n", (uchar)c);
	exits(nil);
}
