/* mk.c - what mk asks of the system: the environment in /env, rc as its shell, wait messages, notes. */
#include "mk.h"

char *shell = "/bin/rc";
char *shellname = "rc";

static void fail(char *what)
{
	fprint(2, "mk: %s: %r\n", what);
	Exit();
}

static Word *words_of(char *at, char *end)
{
	Word *w;

	if (at >= end)
		return nil;
	w = newword(at);
	w->next = words_of(at + strlen(at) + 1, end);
	return w;
}

void readenv(void)
{
	char path[256], *content;
	int fd = open("/env", OREAD), file, i, n, size;
	Dir *entries;

	if (fd < 0)
		return;
	n = dirreadall(fd, &entries);
	close(fd);
	for (i = 0; i < n; i++) {
		char *name = entries[i].name;

		snprint(path, sizeof path, "/env/%s", name);
		if (strncmp(name, "fn#", 3) == 0 || symlook(name, S_INTERNAL, 0) || (file = open(path, OREAD)) < 0)
			continue;
		content = Malloc(entries[i].length + 1);
		size = readn(file, content, entries[i].length);
		close(file);
		if (size < 0)
			size = 0;
		content[size] = 0;
		name = strdup(name);
		setvar(name, size ? words_of(content, content + size) : newword(""));
		symlook(name, S_EXPORTED, (void *)"")->u.ptr = "";
	}
}

/* In a child with an environment of its own. */
static void export(Envy *e)
{
	char path[256];
	int fd;
	Word *w;
	Biobuf b;

	for (; e->name; e++) {
		snprint(path, sizeof path, "/env/%s", e->name);
		fd = create(path, OWRITE, 0666);
		if (fd < 0) {
			fprint(2, "mk: %s: %r\n", path);
			continue;
		}
		Binit(&b, fd, OWRITE);
		for (w = e->values; w; w = w->next)
			if (w->s) {
				Bprint(&b, "%s", w->s);
				Bputc(&b, 0);
			}
		Bterm(&b);
	}
}

int waitfor(char *message)
{
	Waitmsg *w = wait();
	int pid;

	*message = 0;
	if (w == nil)
		return -1;
	strecpy(message, message + ERRMAX, w->msg);
	pid = w->pid;
	free(w);
	return pid;
}

void expunge(int pid, char *message)
{
	postnote(PNPROC, pid, message);
}

int shargv(Word *command, int extra, char ***result)
{
	int n = 0;
	Word *w;

	for (w = command; w; w = w->next)
		n++;
	*result = Malloc((n + extra + 1) * sizeof(char *));
	for (n = 0, w = command; w; w = w->next)
		(*result)[n++] = w->s;
	(*result)[n] = nil;
	return n;
}

static void run_shell(char **argv)
{
	char path[256];

	snprint(path, sizeof path, "%s%s", argv[0][0] == '/' ? "" : "/bin/", argv[0]);
	exec(path, argv);
	fprint(2, "mk: %s: %r\n", path);
	_exits("exec");
}

/* A shell that reads `command` from a pipe; what it writes goes to `buf` where there is one. */
int execsh(char *arguments, char *command, Bufblock *buf, Envy *e, Shell *sh, Word *shellcmd)
{
	int in[2], out[2], n, pid;
	char **argv, *end = command + strlen(command);

	if (buf && pipe(out) < 0)
		fail("pipe");
	pid = rfork(RFPROC | RFFDG | RFENVG);
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		if (buf)
			close(out[0]);
		if (pipe(in) < 0)
			fail("pipe");
		switch (fork()) {
		case -1:
			fail("fork");
		case 0:
			close(in[0]);
			if (buf)
				close(out[1]);
			while (command < end && (n = write(in[1], command, end - command)) > 0)
				command += n;
			_exits(nil);
		}
		dup(in[0], 0);
		if (buf) {
			dup(out[1], 1);
			close(out[1]);
		}
		close(in[0]);
		close(in[1]);
		if (e)
			export(e);
		n = shargv(shellcmd, 2, &argv);
		argv[n++] = "-I";
		argv[n] = arguments;
		argv[n + 1] = nil;
		run_shell(argv);
	}
	if (buf) {
		close(out[1]);
		for (;;) {
			if (buf->current >= buf->end)
				growbuf(buf);
			n = read(out[0], buf->current, buf->end - buf->current);
			if (n <= 0)
				break;
			buf->current += n;
		}
		if (buf->current > buf->start && buf->current[-1] == '\n')
			buf->current--;
		close(out[0]);
	}
	return pid;
}

/* A shell with a command, whose output can be read from *fd. */
int pipecmd(char *command, Envy *e, int *fd, Shell *sh, Word *shellcmd)
{
	int ends[2], n, pid;
	char **argv;

	if (fd && pipe(ends) < 0)
		fail("pipe");
	pid = rfork(RFPROC | RFFDG | RFENVG);
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		if (fd) {
			close(ends[0]);
			dup(ends[1], 1);
			close(ends[1]);
		}
		if (e)
			export(e);
		n = shargv(shellcmd, 2, &argv);
		argv[n++] = "-c";
		argv[n++] = command;
		argv[n] = nil;
		run_shell(argv);
	}
	if (fd) {
		close(ends[1]);
		*fd = ends[0];
	}
	return pid;
}

void Exit(void)
{
	while (waitpid() >= 0)
		;
	exits("error");
}

static int notified(void *registers, char *note)
{
	static char *ending[] = {"interrupt", "hangup", "alarm", nil};
	int i;

	for (i = 0; ending[i]; i++)
		if (strcmp(note, ending[i]) == 0) {
			killchildren(note);
			return -1;
		}
	return 0;
}

void catchnotes(void)
{
	atnotify(notified, 1);
}

char *maketmp(int *fd)
{
	static char name[32];

	strcpy(name, "/tmp/mkargXXXXXX");
	*fd = mkstemp(name);
	return *fd < 0 ? nil : name;
}

int chgtime(char *name)
{
	Dir d;

	if (access(name, 0) < 0)
		return close(create(name, OWRITE, 0666));
	nulldir(&d);
	d.mtime = time(nil);
	return dirwstat(name, &d);
}

/* What the parts of a regular expression have matched, each as a string of its own. */
void rcopy(char **to, Resub *match, int n)
{
	int i;

	to[0] = match[0].s.sp; /* the whole is the target */
	for (i = 1; i < n; i++) {
		to[i] = nil;
		if (match[i].s.sp && match[i].e.ep)
			to[i] = smprint("%.*s", (int)(match[i].e.ep - match[i].s.sp), match[i].s.sp);
	}
}

unsigned long mkmtime(char *name)
{
	Dir *d = dirstat(name);
	ulong result = d ? d->mtime : 0;

	free(d);
	return result;
}
