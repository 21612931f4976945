/* start.c - from the kernel to main, and from exits to the kernel. */
#include "sys9.h"

enum { HANDLERS = 33 };

int errno;
char *argv0;
char **environ; /* Unix's has nothing in it: the environment is in /env */
int _p9usepwlibrary;
static struct { void (*function)(void); int pid; } handlers[HANDLERS];

/* Set by streams of C that have something to write. */
extern void (*vx_flush_all)(void) __attribute__((weak));

int p9main(int argc, char **argv);

static char *nothing;

/* calls.S calls it. */
int main(int argc, char **argv)
{
	environ = &nothing;
	exit(p9main(argc, argv));
}

void __fixargv0(void)
{
}

int p9atexit(void (*function)(void))
{
	int i;

	for (i = 0; i < HANDLERS; i++)
		if (handlers[i].function == nil) {
			handlers[i].function = function;
			handlers[i].pid = getpid();
			return 1;
		}
	return 0;
}

void p9atexitdont(void (*function)(void))
{
	int i;

	for (i = 0; i < HANDLERS; i++)
		if (handlers[i].function == function && handlers[i].pid == getpid())
			handlers[i].function = nil;
}

void exits(char *status)
{
	int i;

	for (i = HANDLERS - 1; i >= 0; i--) {
		void (*function)(void) = handlers[i].function;

		if (function && handlers[i].pid == getpid()) {
			handlers[i].function = nil;
			function();
		}
	}
	if (&vx_flush_all && vx_flush_all)
		vx_flush_all();
	_exits(status);
}

void exit(int code)
{
	char text[16];

	snprint(text, sizeof text, "%d", code);
	exits(code ? text : nil);
	for (;;)
		;
}

void _exit(int code)
{
	_exits(code ? "error" : nil);
	for (;;)
		;
}

void abort(void)
{
	for (;;)
		*(volatile int *)0 = 0;
}
