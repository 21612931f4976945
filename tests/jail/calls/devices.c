/* /dev and /proc, as far as a jail has them. */
#include "harness.h"

#include <sys/sysmacros.h>

CASE(dev_null) {
    char byte;
    struct stat st;
    int fd = T(open("/dev/null", O_RDWR));
    T(write(fd, "gone", 4));
    T(read(fd, &byte, 1));
    T(lseek(fd, 10, SEEK_SET));
    T(fstat(fd, &st));
    say("%o %d %d", st.st_mode & S_IFMT, major(st.st_rdev), minor(st.st_rdev));
    T(ftruncate(fd, 0));
    T(close(open("/dev/null", O_WRONLY | O_TRUNC | O_CREAT, 0600)));
    T(fsync(fd));
    T(isatty(fd));
    T(open("/dev/null", O_RDONLY | O_DIRECTORY));
    T(open("/dev/null/x", O_RDONLY));
}

CASE(dev_zero_and_full) {
    char bytes[4] = "abc";
    int zero = T(open("/dev/zero", O_RDWR)), full = T(open("/dev/full", O_RDWR));
    T(read(zero, bytes, 4));
    say("%s", quoted(bytes, 4));
    T(write(zero, bytes, 4));
    T(read(full, bytes, 4));
    T(write(full, bytes, 4));
    char *at = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    T(at != MAP_FAILED);
    if (at != MAP_FAILED)
        T(at[0]);
    T(access("/dev/zero", R_OK | W_OK));
}

CASE(dev_zero_can_be_mapped) {
    int zero = T(open("/dev/zero", O_RDWR)), in = T(open("/dev/zero", O_RDONLY)), out = T(open("/dev/zero", O_WRONLY));
    char *private = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, in, PAGE);
    T(private != MAP_FAILED);
    char *one = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
    T(one != MAP_FAILED);
    char *other = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
    T(other != MAP_FAILED);
    T(close(zero));
    pid_t child = fork();
    if (child == 0) {
        private[PAGE] = one[PAGE] = 'x';
        _exit(0);
    }
    wait_for(child);
    say("%d %d %d", private[PAGE], one[PAGE], other[PAGE]);
    private[2 * PAGE] = one[2 * PAGE] = 'y';
    T(madvise(private, 3 * PAGE, MADV_DONTNEED));
    T(madvise(one, 3 * PAGE, MADV_DONTNEED));
    say("%d %d %d", private[2 * PAGE], one[2 * PAGE], other[2 * PAGE]);
    T(msync(one, PAGE, MS_SYNC));
    one = mremap(one, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE);
    T(one != MAP_FAILED);
    say("%d", one[PAGE]);
    T(munmap(one, 5 * PAGE));
    char bytes[4] = "abc";
    T(pread(in, bytes, 3, 0));
    say("%s", quoted(bytes, 4));

    T(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, in, 0) == MAP_FAILED && errno == EACCES);
    char *fixed = mmap(0, PAGE, PROT_READ, MAP_SHARED, in, 0);
    T(fixed != MAP_FAILED);
    say("%d", fixed[0]);
    T(mprotect(fixed, PAGE, PROT_READ | PROT_WRITE));
    T(mmap(0, PAGE, PROT_READ, MAP_SHARED, out, 0) == MAP_FAILED && errno == EACCES);
    T(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, out, 0) == MAP_FAILED && errno == EACCES);
    T(mmap(0, 0, PROT_READ, MAP_PRIVATE, in, 0) == MAP_FAILED && errno == EINVAL);
    char *there = mmap(private, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, in, 0);
    T(there == private);
    T(private[0]);
}

CASE(other_devices_cannot_be_mapped) {
    static const char *const paths[] = {"/dev/null", "/dev/full", "/dev/urandom"};
    for (int i = 0; i < 3; i++) {
        int fd = T(open(paths[i], O_RDWR));
        T(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == ENODEV);
        T(mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
        T(close(fd));
        fd = T(open(paths[i], O_WRONLY));
        T(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EACCES);
    }
    int ends[2];
    T(pipe(ends));
    T(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0) == MAP_FAILED && errno == ENODEV);
    T(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, ends[1], 0) == MAP_FAILED && errno == EACCES);
}

CASE(dev_random_takes_bytes) {
    static const char *const paths[] = {"/dev/random", "/dev/urandom"};
    for (int i = 0; i < 2; i++) {
        char bytes[8] = "";
        struct iovec two[2] = {{bytes, 3}, {bytes, 4}};
        int fd = T(open(paths[i], O_RDWR));
        T(write(fd, "abc", 3));
        T(writev(fd, two, 2));
        T(pwrite(fd, "abc", 3, 10));
        T(read(fd, bytes, 8));
        T(write(open(paths[i], O_WRONLY | O_APPEND), "abc", 3));
        T(write(open(paths[i], O_RDONLY), "abc", 3));
        T(read(open(paths[i], O_WRONLY), bytes, 3));
    }
}

CASE(dev_random) {
    unsigned char a[32] = {0}, b[32] = {0};
    int fd = T(open("/dev/urandom", O_RDONLY));
    T(read(fd, a, 32));
    T(read(fd, b, 32));
    say("%d", memcmp(a, b, 32) != 0);
    T(read(open("/dev/random", O_RDONLY), a, 1));
    T(pread(fd, a, 4, 100));
}

CASE(proc_self) {
    char text[5000], own[40];
    int length = readlink("/proc/self", text, sizeof text);
    if (T(length > 0) == 0)
        return;
    text[length] = 0;
    sprintf(own, "%d", getpid());
    say("%d", !strcmp(text, own));
    length = readlink("/proc/self/exe", text, sizeof text);
    say("%.5s", length > 5 ? text + length - 5 : "");
    length = readlink("/proc/self/cwd", text, sizeof text);
    say("%d", length == (int)strlen(directory) && !memcmp(text, directory, length));
    struct stat a, b;
    T(stat("/proc/self/exe", &a));
    T(stat("prog", &b));
    say("%d", a.st_ino == b.st_ino && a.st_size == b.st_size);
    T(open("/proc/self/missing", O_RDONLY));
    T(open("/proc/99999999/stat", O_RDONLY));
}

CASE(proc_self_fd) {
    char name[40], text[5000];
    make("file", "0123456789");
    int fd = T(open("file", O_RDONLY));
    T(lseek(fd, 3, SEEK_SET));
    sprintf(name, "/proc/self/fd/%d", fd);
    int length = readlink(name, text, sizeof text);
    say("%d", length == (int)strlen(directory) + 5 && !memcmp(text + length - 5, "/file", 5));
    int again = T(open(name, O_RDONLY));
    T(lseek(again, 0, SEEK_CUR));
    T(open("/proc/self/fd/99", O_RDONLY));
    T(readlink("/proc/self/fd/99", text, sizeof text));
    int ends[2];
    T(pipe(ends));
    sprintf(name, "/proc/self/fd/%d", ends[0]);
    length = readlink(name, text, sizeof text);
    say("%.6s", text);
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir)
        while (readdir(dir))
            count++;
    say("%d", count);
    T(access("/dev/fd/0", F_OK));
    T(access("/dev/stdin", F_OK));
}

static int line_of(const char *path, const char *start, char *line) {
    FILE *file = fopen(path, "r");
    int found = 0;
    while (file && !found && fgets(line, 500, file))
        found = !strncmp(line, start, strlen(start));
    if (file)
        fclose(file);
    return found;
}

CASE(proc_self_status_and_stat) {
    char line[500], name[100];
    int pid = -1;
    say("Name: %d", line_of("/proc/self/status", "Name:", line));
    say("%s", quoted(line, strlen(line)));
    say("Pid: %d", line_of("/proc/self/status", "Pid:", line) && sscanf(line, "Pid: %d", &pid) == 1 && pid == getpid());
    say("PPid: %d", line_of("/proc/self/status", "PPid:", line) && sscanf(line, "PPid: %d", &pid) == 1 && pid == getppid());
    say("Uid: %d", line_of("/proc/self/status", "Uid:", line) && sscanf(line, "Uid: %d", &pid) == 1 && pid == (int)getuid());
    FILE *file = fopen("/proc/self/stat", "r");
    char state = 0;
    say("%d", file && fscanf(file, "%d %99s %c", &pid, name, &state) == 3 && pid == getpid());
    say("%s %c", name, state);
    sprintf(name, "/proc/%d/status", getpid());
    T(access(name, R_OK));
    sprintf(name, "/proc/%d/status", getppid());
    say("MemTotal: %d", line_of("/proc/meminfo", "MemTotal:", line));
    say("processor %d", line_of("/proc/cpuinfo", "processor", line));
}

CASE(proc_self_cmdline_and_maps) {
    char text[500], line[500];
    int fd = T(open("/proc/self/cmdline", O_RDONLY));
    int length = read(fd, text, sizeof text);
    say("%s %d", text, length > 10);
    fd = T(open("/proc/self/comm", O_RDONLY));
    show_descriptor(fd);
    say(" %d", line_of("/proc/self/maps", "", line));
    unsigned start = 0, end = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    int found = 0;
    while (file && fgets(line, sizeof line, file))
        found |= sscanf(line, "%x-%x", &start, &end) == 2 && (unsigned)&found >= start && (unsigned)&found < end;
    say("the stack is there: %d", found);
}
