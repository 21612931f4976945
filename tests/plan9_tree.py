"""A tree for tests of ``vx32py plan9``: a stand-in for a shell, and programs that say what they find."""

from __future__ import annotations

from pathlib import Path

from plan9_programs import compiled, main

#: In place of a shell: says how it was started; with -c it executes the words of the command, else lines until "exit".
SHELL = r"""
char *slot(char *s, char **words, int most) {
	int n = 0;
	for(;;){
		while(*s == ' ') s++;
		if(!*s || n == most - 1) break;
		words[n++] = s;
		while(*s && *s != ' ') s++;
		if(*s) *s++ = 0;
	}
	words[n] = nil;
	return words[0];
}
char *env(char *name, char *to, int size) {
	char path[64]; int fd, n;
	sprint(path, "/env/%s", name);
	if((fd = open(path, OREAD)) < 0) return "?";
	n = read(fd, to, size - 1); close(fd); to[n < 0 ? 0 : n] = 0;
	return to;
}
int main(int argc, char **argv) {
	char b[512], b2[64], *words[16]; int i, n, fd;
	for(i = 0; i < argc; i++) print("%s%s", i ? " " : "", argv[i]);
	fd = open(".", OREAD); fd2path(fd, b, sizeof b); close(fd);
	print(";%s;%s\n", b, env("home", b2, sizeof b2));
	for(i = 1; i < argc; i++) if(argv[i][0] == '-' && argv[i][1] == 'c') {
		slot(argv[i+1], words, 16);
		sprint(b, "/bin/%s", words[0]);
		exec(b, words); print("%s: %r\n", words[0]); exits("exec");
	}
	while((n = read(0, b, sizeof b)) > 0){
		b[n-1] = 0;
		if(strcmp(b, "exit") == 0) exits("said so");
		print("<%s>\n", b);
	}
	return 0;
}
"""
#: Waits for notes and says which came; ends at the end of its input. A child does the same.
LISTENER = r"""
char *who = "parent";
void handler(void *u, char *note) { char b[64]; sprint(b, "%s has %s.", who, note); write(1, b, strlen(b)); noted(NCONT); }
int main(int argc, char **argv) {
	char c; int n;
	notify(handler);
	if(fork() == 0){ who = "child"; print("ready"); for(;;) sleep(60000); }
	for(;;){ n = read(0, &c, 1); if(n == 0) exits(nil); if(n < 0) print("{%r}"); }
}
"""
#: Asks for keys as they are pressed and says their numbers, until "q"; what follows "c" it reads as lines.
KEYS = r"""
int main(int argc, char **argv) {
	char c, b[64]; int n, fd = open("/dev/consctl", OWRITE);
	if(fd < 0 || write(fd, "rawon", 5) != 5) exits("rawon");
	print("ready");
	while(read(0, &c, 1) == 1 && c != 'q'){
		print("[%d]", c);
		if(c == 'c'){
			if(argc > 1) close(fd); else write(fd, "rawoff", 6);
			print("cooked"); n = read(0, b, sizeof b); b[n < 0 ? 0 : n] = 0; print("(%s)", b);
			if(argc > 1) exits(nil);
			write(fd, "rawon", 5); print("again");
		}
	}
	return 0;
}
"""


def install(path: Path, content: bytes) -> None:
    """A program where it can be executed."""
    path.write_bytes(content)
    path.chmod(0o755)


def make_tree(root: Path) -> Path:
    """A root with a shell and some programs."""
    programs = {
        "rc": SHELL, "listener": LISTENER, "keys": KEYS,
        "status": main("exits(argv[1]);"),
        "cat": main('char b[64]; int n, fd = argc > 1 ? open(argv[1], OREAD) : 0; if(fd < 0){ print("%r"); exits("open"); } while((n = read(fd, b, sizeof b)) > 0) write(1, b, n);'),
        "both": main('write(1, "out", 3); write(2, "err", 3);'),
        "spin": main('write(1, "ready", 5); for(;;);'),
        "fault": main("*(int*)8 = 1;"),
        "create": main('int fd = create(argv[1], OWRITE, 0644); if(fd < 0){ print("%r"); exits("create"); } write(fd, "made", 4);'),
        "where": main('char b[64]; int i; for(i = 0; i < 3; i++){ fd2path(i, b, sizeof b); print("%s ", b); }'),
        "yes": main('for(;;) write(1, "y\\n", 2);'),
        "forks": main('for(;;){ int pid = fork(); if(pid < 0) exits("no more"); if(pid == 0) for(;;) sleep(60000); }'),
    }  # fmt: skip
    binaries = root / "386" / "bin"
    binaries.mkdir(parents=True)
    for name, source in programs.items():
        install(binaries / name, compiled(source))
    (root / "rc" / "lib").mkdir(parents=True)
    (root / "rc" / "lib" / "rcmain").write_text("nothing of this is read by this shell\n")
    (root / "usr" / "glenda" / "lib").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "lib" / "file").write_text("in the tree\n")
    return root
