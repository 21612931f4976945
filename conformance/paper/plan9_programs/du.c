/* du DIRECTORY N: how many bytes the files in a tree have, N times. */
#include "bench.h"

static uvlong total;
static long files;
static char path[4096];

static void du(int end)
{
	Directory *d;
	Entry e;
	int n;
	static Directory levels[16];
	static int level;

	check(level < (int)nelem(levels));
	d = &levels[level++];
	d->at = d->have = 0;
	check((d->fd = open(path, OREAD)) >= 0);
	while(next_entry(d, &e)){
		total += e.length;
		files++;
		if(e.is_directory){
			n = strlen(e.name);
			check(end + n + 2 < (int)sizeof path);
			path[end] = '/';
			strcpy(path+end+1, e.name);
			du(end + 1 + n);
			path[end] = 0;
		}
	}
	close(d->fd);
	level--;
}

int main(int argc, char **argv)
{
	long n = number(argc, argv, 2), i;

	check(argc > 1);
	strcpy(path, argv[1]);
	for(i = 0; i < n; i++)
		du(strlen(path));
	print("%d files, %d bytes\n", (int)files, (int)total);
	exits(nil);
}
