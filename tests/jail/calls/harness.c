#include "harness.h"

static struct named *first;
const char *directory;

void add_named(struct named *one) {
    struct named **at = &first;
    while (*at)
        at = &(*at)->next;
    *at = one;
}

void say(const char *format, ...) {
    char line[2000];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2)
        length = sizeof line - 2;
    line[length] = '\n';
    if (write(1, line, length + 1) != length + 1)
        _exit(99);
}

const char *error_name(void) {
    const char *name = strerrorname_np(errno);
    return name ? name : "an unknown error";
}

void report(const char *call, long long result) {
    if (result == -1)
        say("%s = -1 %s", call, error_name());
    else
        say("%s = %lld", call, result);
}

const char *quoted(const void *bytes, int count) {
    static char text[1500];
    char *out = text;
    for (const unsigned char *in = bytes; count-- > 0 && out < text + sizeof text - 8; in++) {
        if (*in == '\n')
            out += sprintf(out, "\\n");
        else if (*in < ' ' || *in > '~')
            out += sprintf(out, "\\x%02x", *in);
        else
            *out++ = *in;
    }
    *out = 0;
    return text;
}

void make(const char *path, const char *content) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int length = strlen(content);
    if (fd < 0 || write(fd, content, length) != length) {
        say("cannot make %s: %s", path, error_name());
        exit(98);
    }
    close(fd);
}

void show(const char *path) {
    char content[1000];
    int fd = open(path, O_RDONLY);
    int length = fd < 0 ? -1 : read(fd, content, sizeof content);
    if (length < 0)
        say("%s: %s", path, error_name());
    else
        say("%s: \"%s\"", path, quoted(content, length));
    if (fd >= 0)
        close(fd);
}

void show_descriptor(int fd) {
    char content[1000];
    struct pollfd ready = {fd, POLLIN, 0};
    if (poll(&ready, 1, 0) != 1) {
        say("nothing to read");
        return;
    }
    int length = read(fd, content, sizeof content);
    if (length < 0)
        say("read: %s", error_name());
    else
        say("read \"%s\"", quoted(content, length));
}

void ended(int status) {
    if (WIFEXITED(status))
        say("exited with %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        say("killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
    else if (WIFSTOPPED(status))
        say("stopped by SIG%s", sigabbrev_np(WSTOPSIG(status)));
    else if (WIFCONTINUED(status))
        say("continued");
    else
        say("status %#x", status);
}

pid_t start(void (*run)(void)) {
    pid_t child = fork();
    if (child == 0) {
        run();
        _exit(0);
    }
    if (child < 0)
        say("fork: %s", error_name());
    return child;
}

void wait_for(pid_t child) {
    int status;
    pid_t got;
    while ((got = waitpid(child, &status, 0)) == -1 && errno == EINTR)
        ;
    if (got == -1)
        say("waitpid: %s", error_name());
    else
        ended(status);
}

void pause_ms(int milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) == -1 && errno == EINTR)
        ;
}

/* Whether /proc has it sleep. */
static int waits(const char *path) {
    char text[200] = "", *behind_name;
    int fd = open(path, O_RDONLY);
    if (fd == -1)
        say("%s: %s", path, error_name()), _exit(98);
    (void)!read(fd, text, sizeof text - 1);
    close(fd);
    return (behind_name = strrchr(text, ')')) && behind_name[2] == 'S';
}

void until_waiting(pid_t process) {
    char path[40];
    sprintf(path, "/proc/%d/stat", process);
    while (!waits(path))
        pause_ms(1);
}

void until_others_wait(void) {
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *one; (one = readdir(tasks));) {
        char path[300];
        sprintf(path, "/proc/self/task/%s/stat", one->d_name);
        if (one->d_name[0] != '.' && atoi(one->d_name) != (int)syscall(SYS_gettid))
            while (!waits(path))
                pause_ms(1);
    }
    closedir(tasks);
}

long long now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

char *edge(int count) {
    char *at = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(at + PAGE, PAGE, PROT_NONE);
    return at + PAGE - count;
}

char *read_only(void) {
    return mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

void same_stat(const char *what, const struct stat *a, const struct stat *b) {
    say("%s: same file %d, mode %d, links %d, size %d, owner %d, mtime %d, blocks %d", what,
        a->st_dev == b->st_dev && a->st_ino == b->st_ino, a->st_mode == b->st_mode, a->st_nlink == b->st_nlink,
        a->st_size == b->st_size, a->st_uid == b->st_uid && a->st_gid == b->st_gid,
        a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec,
        a->st_blocks == b->st_blocks);
}

/* The case's full name: its file's, without directories and .c, a colon, and its own. */
static const char *full_name(const struct named *one) {
    static char name[200];
    const char *file = strrchr(one->file, '/');
    file = file ? file + 1 : one->file;
    snprintf(name, sizeof name, "%.*s:%s", (int)strlen(file) - 2, file, one->name);
    return name;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (struct named *one = first; one; one = one->next)
            if (one->run)
                say("%s", full_name(one));
        return 0;
    }
    if (argc >= 2 && argv[1][0] == '@') {
        for (struct named *one = first; one; one = one->next)
            if (one->help && !strcmp(one->name, argv[1]))
                return one->help(argc, argv);
        return 97;
    }
    if (argc != 3 || chdir(directory = argv[1]))
        return 96;
    umask(022);
    for (struct named *one = first; one; one = one->next)
        if (one->run && !strcmp(full_name(one), argv[2])) {
            one->run();
            return 0;
        }
    return 95;
}
