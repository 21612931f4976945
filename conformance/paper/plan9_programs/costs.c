/* costs WHAT N ...: one thing, N times. */
#include "bench.h"

static char buf[1<<16];
static long ping, pong, n;

static void answer(void)
{
	long i;
	for(i = 0; i < n; i++){
		acquire(&ping);
		release(&pong);
	}
}

int main(int argc, char **argv)
{
	char *what = argc > 1 ? argv[1] : "", *name = argc > 3 ? argv[3] : "", *again[] = {argv[0], "end", nil}, *p;
	long i, k, size;
	int fd;

	n = number(argc, argv, 2);
	if(strcmp(what, "nothing") == 0){
		for(i = 0; i < n; i++)
			close(-1);
	}else if(strcmp(what, "semaphore") == 0){	/* there and back between two processes in one memory */
		together();
		spawn(answer);
		for(i = 0; i < n; i++){
			release(&ping);
			acquire(&pong);
		}
		wait_child();
	}else if(strcmp(what, "stat") == 0){
		for(i = 0; i < n; i++)
			check(is_there(name));
	}else if(strcmp(what, "open") == 0){
		for(i = 0; i < n; i++){
			check((fd = open(name, OREAD)) >= 0);
			close(fd);
		}
	}else if(strcmp(what, "read") == 0){	/* ... FILE SIZE: pieces of a file */
		size = number(argc, argv, 4);
		check((fd = open(name, OREAD)) >= 0);
		for(i = 0; i < n; ){
			while(i < n && (k = read(fd, buf, size)) == size)
				i++;
			close(fd);
			check((fd = open(name, OREAD)) >= 0);
		}
	}else if(strcmp(what, "write") == 0){	/* ... FILE SIZE */
		size = number(argc, argv, 4);
		check((fd = create(name, OWRITE, 0666)) >= 0);
		for(i = 0; i < n; i++)
			check(write(fd, buf, size) == size);
	}else if(strcmp(what, "fork") == 0){
		for(i = 0; i < n; i++){
			if(fork() == 0) exits(nil);
			wait_child();
		}
	}else if(strcmp(what, "exec") == 0){	/* ... PROGRAM */
		again[0] = name;
		for(i = 0; i < n; i++){
			if(fork() == 0){
				run(name, again);
				exits("exec");
			}
			wait_child();
		}
	}else if(strcmp(what, "touch") == 0){	/* n pages that nobody has touched */
		p = pages(n);
		for(i = 0; i < n; i++)
			p[i<<12] = 1;
	}else
		check(strcmp(what, "end") == 0);
	print("%s\n", what);
	exits(nil);
}
