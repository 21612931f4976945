/*
 * rc.c - what rc asks of the system. Most of it is 9base's, which is for Unix; here is what differs on Plan 9: the environment
 * is in files, whose words end with zero bytes; descriptors are in /fd; notes are the kernel's own.
 */
#include <u.h>

#define Fdprefix unix_Fdprefix
#define Rcmain unix_Rcmain
#define Builtin unix_Builtin
#define execrfork unix_execrfork
#define execulimit unix_execulimit
#define execumask unix_execumask
#define enval unix_enval
#define Vinit unix_Vinit
#define Xrdfn unix_Xrdfn
#define execfinit unix_execfinit
#define Waitfor unix_Waitfor
#define mkenv unix_mkenv
#define Updenv unix_Updenv
#define Execute unix_Execute
#define notifyf unix_notifyf
#define Trapinit unix_Trapinit
#define Read unix_Read
#define Exit unix_Exit
#define environ unix_environ
#define execve(file, argv, env) 0
#include "plan9ish.c"
#undef Fdprefix
#undef Rcmain
#undef Builtin
#undef execrfork
#undef execulimit
#undef execumask
#undef enval
#undef Vinit
#undef Xrdfn
#undef execfinit
#undef Waitfor
#undef mkenv
#undef Updenv
#undef Execute
#undef notifyf
#undef Trapinit
#undef Read
#undef Exit

char Fdprefix[] = "/fd/";
void _setvar(char *, word *, int);

static Dir *functions;
static int function, function_count;
static code reader[4];

/* $PATH is Unix's, and $path what counts here. */
void pathinit(void)
{
}

char *Rcmain(void)
{
	return "/rc/lib/rcmain";
}

void Updenv(void);

void Exit(char *status)
{
	Updenv();
	setstatus(status);
	exits(truestatus() ? "" : getstatus());
}

void Execute(word *arguments, word *path)
{
	char **argv = mkargv(arguments), file[1024];

	Updenv();
	for (; path; path = path->next) {
		char *slash = path->word[0] ? "/" : "";

		if (strlen(path->word) + strlen(argv[1]) + 2 > sizeof file) {
			werrstr("command name too long");
			continue;
		}
		snprint(file, sizeof file, "%s%s%s", path->word, slash, argv[1]);
		exec(file, argv + 1);
		rerrstr(file, sizeof file);
		if (strstr(file, "allocat") || strstr(file, "memory"))
			break; /* this is the program, and there is no room for it */
	}
	rerrstr(file, sizeof file);
	pfmt(err, "%s: %s\n", argv[1], file);
	efree((char *)argv);
}

/* -- the environment ------------------------------------------------------------------------------------------------- */

static word *words_of(char *at, char *end)
{
	word *rest;

	if (at >= end)
		return nil;
	rest = words_of(at + strlen(at) + 1, end);
	return newword(at, rest);
}

static void enter(char *name)
{
	char path[256], *content;
	int fd;
	long size, n;
	var *v;
	Dir *d;

	snprint(path, sizeof path, "/env/%s", name);
	fd = open(path, OREAD);
	if (fd < 0)
		return;
	d = dirfstat(fd);
	size = d ? d->length : 0;
	free(d);
	content = emalloc(size + 1);
	n = readn(fd, content, size);
	close(fd);
	if (n >= 0) {
		content[n] = 0;
		v = vlook(name);
		_setvar(name, words_of(content, content + n), 0);
		v->changed = 0;
	}
	efree(content);
}

void Vinit(void)
{
	int fd = open("/env", OREAD), i, n;
	Dir *entries;

	if (fd < 0) {
		pfmt(err, "rc: can't open /env: %r\n");
		return;
	}
	n = dirreadall(fd, &entries);
	close(fd);
	for (i = 0; i < n; i++)
		if (strncmp(entries[i].name, "fn#", 3) != 0)
			enter(entries[i].name);
	if (n > 0)
		free(entries);
}

/* Reads the definition of the next function; the interpreter comes back until there is none. */
void Xrdfn(void)
{
	char path[256];

	while (function < function_count) {
		char *name = functions[function++].name;
		int fd;

		if (strncmp(name, "fn#", 3) != 0)
			continue;
		snprint(path, sizeof path, "/env/%s", name);
		fd = open(path, OREAD);
		if (fd < 0)
			continue;
		execcmds(openfd(fd));
		return;
	}
	Xreturn();
}

void execfinit(void)
{
	int fd = open("/env", OREAD);

	function = 0;
	function_count = fd < 0 ? 0 : dirreadall(fd, &functions);
	if (fd >= 0)
		close(fd);
	reader[0].i = 1;
	reader[1].f = Xrdfn;
	reader[2].f = Xjump;
	reader[3].i = 1;
	Xpopm();
	start(reader, 1, runq->local);
}

static void export(var *v)
{
	char path[256];
	word *w;
	io *f;
	int fd;

	if (v->changed) {
		v->changed = 0;
		snprint(path, sizeof path, "/env/%s", v->name);
		fd = Creat(path);
		if (fd < 0)
			pfmt(err, "rc: can't open %s: %r\n", path);
		else {
			f = openfd(fd);
			for (w = v->val; w; w = w->next) {
				pstr(f, w->word);
				pchr(f, 0);
			}
			flush(f);
			closeio(f);
		}
	}
	if (v->fnchanged) {
		v->fnchanged = 0;
		snprint(path, sizeof path, "/env/fn#%s", v->name);
		if (v->fn == nil) {
			remove(path);
			return;
		}
		fd = Creat(path);
		if (fd < 0)
			pfmt(err, "rc: can't open %s: %r\n", path);
		else {
			f = openfd(fd);
			pfmt(f, "fn %q %s\n", v->name, v->fn[v->pc - 1].s);
			flush(f);
			closeio(f);
		}
	}
}

static void export_locals(var *v)
{
	if (v) {
		export_locals(v->next);
		export(v);
	}
}

void Updenv(void)
{
	var **h, *v;

	for (h = gvar; h != &gvar[NVAR]; h++)
		for (v = *h; v; v = v->next)
			export(v);
	if (runq)
		export_locals(runq->local);
}

/* -- processes and notes --------------------------------------------------------------------------------------------- */

/* Waits for a child; -1 where a note has come in between. */
int Waitfor(int pid, int unused)
{
	thread *p;
	Waitmsg *w;
	char error[ERRMAX];

	if (pid >= 0 && !havewaitpid(pid))
		return 0;
	while ((w = wait()) != nil) {
		delwaitpid(w->pid);
		if (w->pid == pid) {
			setstatus(w->msg);
			free(w);
			return 0;
		}
		for (p = runq->ret; p; p = p->ret)
			if (p->pid == w->pid) {
				p->pid = -1;
				strcpy(p->status, w->msg);
			}
		free(w);
	}
	rerrstr(error, sizeof error);
	return strcmp(error, "interrupted") == 0 ? -1 : 0;
}

static void notifyf(void *registers, char *note)
{
	int i;

	for (i = 0; syssigname[i]; i++)
		if (strncmp(note, syssigname[i], strlen(syssigname[i])) == 0) {
			if (strncmp(note, "sys: ", 5) != 0)
				interrupted = 1;
			if (strcmp(note, "interrupt") != 0 || trap[i] == 0) {
				trap[i]++;
				ntrap++;
			}
			if (ntrap >= 32) {
				pfmt(err, "rc: Too many traps (trap %s), aborting\n", note);
				abort();
			}
			noted(NCONT);
		}
	if (strcmp(note, "sys: write on closed pipe") != 0)
		pfmt(err, "rc: note: %s\n", note);
	noted(NDFLT);
}

void Trapinit(void)
{
	notify(notifyf);
}

long Read(int fd, char *buf, long n)
{
	long got = read(fd, buf, n);

	if (ntrap)
		dotrap();
	return got;
}

/* -- what is built in ------------------------------------------------------------------------------------------------ */

void execrfork(void)
{
	static struct { char letter; int flag; } flags[] = {
		{'n', RFNAMEG}, {'N', RFCNAMEG}, {'e', RFENVG}, {'E', RFCENVG}, {'s', RFNOTEG}, {'f', RFFDG}, {'F', RFCFDG},
	};
	int i, wanted = RFENVG | RFNOTEG | RFNAMEG;
	word *w = runq->argv->words->next;
	char *s;

	if (w) {
		wanted = 0;
		for (s = w->word; *s; s++) {
			for (i = 0; i < nelem(flags) && flags[i].letter != *s; i++)
				;
			if (i == nelem(flags) || w->next) {
				pfmt(err, "Usage: rfork [nNeEsfF]\n");
				setstatus("rfork usage");
				poplist();
				return;
			}
			wanted |= flags[i].flag;
		}
	}
	setstatus(rfork(wanted) < 0 ? "rfork failed" : "");
	if (!truestatus())
		pfmt(err, "rc: rfork: %r\n");
	poplist();
}

builtin Builtin[] = {
	{"cd", execcd}, {"whatis", execwhatis}, {"eval", execeval}, {"exec", execexec}, {"exit", execexit}, {"shift", execshift},
	{"wait", execwait}, {".", execdot}, {"finit", execfinit}, {"flag", execflag}, {"rfork", execrfork}, {0},
};
