/* execve: arguments, environment, what is kept and what is not, scripts, and what cannot be executed. */
#include "harness.h"

extern char **environ;

HELPER(arguments) {
    for (int i = 0; i < argc; i++)
        say("%d: \"%s\"", i, argv[i]);
    for (char **at = environ; *at; at++)
        say("%s", *at);
    return 11;
}

HELPER(descriptors) {
    (void)argc, (void)argv;
    for (int fd = 3; fd < 8; fd++)
        say("%d: %s", fd, fcntl(fd, F_GETFD) < 0 ? "closed" : "open");
    return 0;
}

HELPER(signals) {
    (void)argc, (void)argv;
    sigset_t mask, pending;
    struct sigaction usr1, usr2, chld;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigpending(&pending);
    sigaction(SIGUSR1, NULL, &usr1), sigaction(SIGUSR2, NULL, &usr2), sigaction(SIGCHLD, NULL, &chld);
    say("SIGUSR1: default %d", usr1.sa_handler == SIG_DFL);
    say("SIGUSR2: ignored %d", usr2.sa_handler == SIG_IGN);
    say("blocked: %d %d", sigismember(&mask, SIGTERM), sigismember(&mask, SIGHUP));
    say("pending: %d", sigismember(&pending, SIGTERM));
    stack_t stack;
    sigaltstack(NULL, &stack);
    say("alternate stack off: %d", stack.ss_flags == SS_DISABLE);
    return 0;
}

HELPER(self) {
    if (argc < 3)
        return 1;
    say("the same process %d, parent %d", atoi(argv[2]) == getpid(), atoi(argv[3]) == getppid());
    say("umask %o", umask(0));
    char name[20] = "";
    prctl(PR_GET_NAME, name);
    say("name %s", name);
    return 0;
}

static void exec_with_arguments(void) {
    char *argv[] = {"any name", "@arguments", "", "two words", NULL}, *env[] = {"A=1", "B=", NULL};
    T(execve("./prog", argv, env));
}

CASE(arguments_and_environment) {
    wait_for(start(exec_with_arguments));
}

static void exec_without_environment(void) {
    char *argv[] = {"./prog", "@arguments", NULL};
    T(syscall(SYS_execve, "./prog", argv, NULL));
}

CASE(no_environment) {
    wait_for(start(exec_without_environment));
}

CASE(exec_keeps_the_process) {
    char pid[20], parent[20];
    sprintf(pid, "%d", getpid()), sprintf(parent, "%d", getppid());
    T(umask(027));
    prctl(PR_SET_NAME, "before");
    execl("./prog", "prog", "@self", pid, parent, NULL);
}

CASE(close_on_exec) {
    make("file", "");
    for (int i = 0; i < 4; i++)
        open("file", O_RDONLY | (i & 1 ? O_CLOEXEC : 0));
    T(execl("./prog", "prog", "@descriptors", NULL));
}

static void handler(int number) { (void)number; }

CASE(signals_over_exec) {
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    raise(SIGTERM);
    stack_t stack = {malloc(SIGSTKSZ), 0, SIGSTKSZ};
    T(sigaltstack(&stack, NULL));
    T(execl("./prog", "prog", "@signals", NULL));
}

CASE(exec_of_what_cannot_be_executed) {
    make("text", "just some text");
    make("empty", "");
    make("plain", "#!/bin/sh\n");
    T(chmod("text", 0755));
    T(chmod("empty", 0755));
    T(mkdir("dir", 0755));
    T(symlink("loop", "loop"));
    char *argv[] = {"x", NULL};
    T(execve("text", argv, environ));
    T(execve("empty", argv, environ));
    T(execve("plain", argv, environ));
    T(execve("dir", argv, environ));
    T(execve("missing", argv, environ));
    T(execve("text/x", argv, environ));
    T(execve("loop", argv, environ));
    T(execve("", argv, environ));
    T(execve("prog/", argv, environ));
    T(syscall(SYS_execve, NULL, argv, NULL));
    T(syscall(SYS_execve, "./prog", NOWHERE, NULL));
    T(syscall(SYS_execve, "./prog", argv, NOWHERE));
    char *bad[] = {"x", NOWHERE, NULL};
    T(syscall(SYS_execve, "./prog", bad, NULL));
    char *long_argument = malloc(200000);
    memset(long_argument, 'a', 200000);
    long_argument[199999] = 0;
    char *large[] = {"x", long_argument, NULL};
    T(syscall(SYS_execve, "./prog", large, NULL));
}

CASE(exec_of_broken_programs) {
    int fd = open("prog", O_RDONLY);
    char header[64];
    T(read(fd, header, 52));
    int cut = T(open("cut", O_WRONLY | O_CREAT, 0755));
    T(write(cut, header, 52));
    close(cut);
    header[4] = 9;
    int class = T(open("class", O_WRONLY | O_CREAT, 0755));
    T(write(class, header, 52));
    close(class);
    char *argv[] = {"x", NULL};
    T(execve("class", argv, environ));
    make("magic", "\177ELF");
    T(chmod("magic", 0755));
    T(execve("magic", argv, environ));
}

static const char *script;

static void exec_script(void) {
    char *argv[] = {"the script", "argument", NULL}, *env[] = {NULL};
    T(execve(script, argv, env));
}

static void run_script(const char *name, const char *content) {
    make(name, content);
    chmod(name, 0755);
    script = name;
    wait_for(start(exec_script));
}

CASE(scripts) {
    run_script("plain", "#!./prog @arguments\n");
    run_script("spaces", "#!  ./prog   @arguments  \nrest");
    run_script("no_newline", "#!./prog @arguments");
    run_script("two", "#!./prog @arguments and more\n");
    run_script("missing", "#!/no/such/interpreter\n");
    run_script("nothing", "#!\n");
    run_script("blank", "#!   \n");
    run_script("itself", "#!./itself\n");
    run_script("nested", "#!./plain x\n");
    run_script("./below", "#!./prog @arguments\n");
}

CASE(vfork_and_exec) {
    pid_t child = vfork();
    if (child == 0) {
        execl("./prog", "prog", "@arguments", "by vfork", NULL);
        _exit(1);
    }
    wait_for(child);
    child = vfork();
    if (child == 0) {
        execl("./missing", "missing", NULL);
        _exit(errno == ENOENT ? 33 : 34);
    }
    wait_for(child);
}

CASE(execveat_by_descriptor) {
    char *argv[] = {"x", "@arguments", NULL}, *env[] = {NULL};
    T(mkdir("dir", 0755));
    int dir = T(open("dir", O_RDONLY)), fd = T(open("prog", O_RDONLY | O_CLOEXEC));
    T(syscall(SYS_execveat, dir, "missing", argv, env, 0));
    T(syscall(SYS_execveat, dir, "", argv, env, 0));
    T(syscall(SYS_execveat, 99, "prog", argv, env, 0));
    T(syscall(SYS_execveat, AT_FDCWD, "prog", argv, env, 0x8));
    T(symlink("prog", "link"));
    T(syscall(SYS_execveat, AT_FDCWD, "link", argv, env, AT_SYMLINK_NOFOLLOW));
    pid_t child = fork();
    if (child == 0)
        _exit(syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH));
    wait_for(child);
    T(syscall(SYS_execveat, dir, "../prog", argv, env, 0));
}

CASE(many_arguments) {
    char **argv = calloc(2003, sizeof *argv);
    argv[0] = "x", argv[1] = "@count";
    for (int i = 2; i < 2002; i++)
        argv[i] = "argument";
    T(execve("./prog", argv, environ));
}

HELPER(count) {
    int length = 0;
    for (int i = 0; i < argc; i++)
        length += strlen(argv[i]);
    say("%d arguments, %d bytes", argc, length);
    return 0;
}

#include <sys/auxv.h>
#include <elf.h>

CASE(the_auxiliary_vector) {
    say("page %lu, clock %lu", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK));
    say("uid %d %d %d %d", getauxval(AT_UID) == getuid(), getauxval(AT_EUID) == geteuid(), getauxval(AT_GID) == getgid(),
        getauxval(AT_EGID) == getegid());
    say("secure %lu, entry %d, header %d of %lu", getauxval(AT_SECURE), getauxval(AT_ENTRY) != 0,
        getauxval(AT_PHDR) != 0, getauxval(AT_PHENT));
    say("name %s", (char *)getauxval(AT_EXECFN));
    say("random %d", getauxval(AT_RANDOM) != 0);
    say("platform %c86", ((char *)getauxval(AT_PLATFORM))[0]);
}
