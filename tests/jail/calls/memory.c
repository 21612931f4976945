/* Memory: brk, anonymous and file mappings, protection, moving. */
#include "harness.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static siginfo_t seen;

static void caught(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    seen = *info;
    siglongjmp(back, 1);
}

/* What touching an address does: a letter, or the signal and its code. */
static void touch(const char *what, volatile char *at, int writing) {
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    if (sigsetjmp(back, 1)) {
        say("%s: SIG%s, code %d, there %d", what, sigabbrev_np(seen.si_signo), seen.si_code, seen.si_addr == at);
        return;
    }
    if (writing)
        *at = 'w';
    say("%s: \\x%02x", what, (unsigned char)*at);
}

CASE(brk_moves_the_end) {
    char *at = (char *)syscall(SYS_brk, 0);
    T((char *)syscall(SYS_brk, at + 10000) == at + 10000);
    at[9999] = 'x';
    T(at[5000]);
    T((char *)syscall(SYS_brk, at + 100) == at + 100);
    T((char *)syscall(SYS_brk, at + 10000) == at + 10000);
    T(at[9999]);
    T((char *)syscall(SYS_brk, 1) == at + 10000);
    T((char *)syscall(SYS_brk, -1) == at + 10000);
    T((char *)syscall(SYS_brk, at) == at);
}

CASE(anonymous_memory_is_zero) {
    char *at = mmap(0, 3 * PAGE, RW, ANONYMOUS, -1, 0);
    say("aligned %d", (uintptr_t)at % PAGE == 0);
    T(at[0] | at[3 * PAGE - 1]);
    memset(at, 'x', 3 * PAGE);
    T(munmap(at + PAGE, PAGE));
    touch("first", at, 0);
    touch("second", at + PAGE, 0);
    touch("third", at + 2 * PAGE, 1);
    T(munmap(at, 3 * PAGE));
    T(munmap(at, 3 * PAGE));
    touch("gone", at, 0);
}

CASE(mmap_refuses) {
    make("file", "content");
    int in = T(open("file", O_RDONLY)), out = T(open("file", O_WRONLY));
    T((long)mmap(0, 0, RW, ANONYMOUS, -1, 0));
    T((long)mmap(0, PAGE, RW, MAP_ANONYMOUS, -1, 0));
    T((long)mmap(0, PAGE, RW, MAP_PRIVATE, 99, 0));
    T((long)mmap(0, PAGE, RW, MAP_PRIVATE, -1, 0));
    T((long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, out, 0));
    T((long)mmap(0, PAGE, RW, MAP_SHARED, in, 0));
    T((long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, in, 100));
    T((long)mmap((void *)0x10000100, PAGE, RW, ANONYMOUS | MAP_FIXED, -1, 0));
    T((long)mmap(0, 0xfffff000, RW, ANONYMOUS, -1, 0));
    int dir = T(open(".", O_RDONLY)), ends[2];
    T((long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, dir, 0));
    T(pipe(ends));
    T((long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0));
    int path = T(open("file", O_PATH));
    T((long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, path, 0));
    T(munmap((void *)0x10000100, PAGE));
    T(munmap((void *)0x10000000, 0));
    T(syscall(SYS_mmap, NULL));
}

CASE(fixed_mappings_replace) {
    char *at = mmap(0, 4 * PAGE, RW, ANONYMOUS, -1, 0);
    memset(at, 'x', 4 * PAGE);
    T(mmap(at + PAGE, PAGE, RW, ANONYMOUS | MAP_FIXED, -1, 0) == at + PAGE);
    say("%d %d %d", at[PAGE - 1], at[PAGE], at[2 * PAGE]);
    T((long)mmap(at + PAGE, 2 * PAGE, RW, ANONYMOUS | 0x100000 /* MAP_FIXED_NOREPLACE */, -1, 0));
    T(munmap(at + PAGE, 2 * PAGE));
    T(mmap(at + PAGE, 2 * PAGE, RW, ANONYMOUS | 0x100000, -1, 0) == at + PAGE);
    T(munmap(at + PAGE, PAGE));
    T(mmap(at + PAGE, PAGE, RW, ANONYMOUS, -1, 0) == at + PAGE);
    T(mmap(at, PAGE, RW, ANONYMOUS, -1, 0) != at);
    say("%c", at[0]);
}

CASE(a_private_mapping_of_a_file) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDONLY));
    char *at = mmap(0, PAGE, RW, MAP_PRIVATE, fd, 0);
    say("%s", quoted(at, 12));
    T(close(fd));
    at[0] = 'X';
    say("%s", quoted(at, 4));
    show("file");
    touch("the rest of the page", at + 4000, 1);
    show("file");
}

CASE(a_shared_mapping_of_a_file) {
    char bytes[20];
    make("file", "0123456789");
    int fd = T(open("file", O_RDWR));
    char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    char *again = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    at[2] = 'X';
    say("%s", quoted(again, 10));
    T(pread(fd, bytes, 10, 0));
    say("%s", quoted(bytes, 10));
    T(pwrite(fd, "YZ", 2, 5));
    say("%s", quoted(at, 10));
    T(msync(at, PAGE, MS_SYNC));
    at[20] = 'x';
    T(munmap(at, PAGE));
    show("file");
    T(msync(at, PAGE, MS_SYNC));
    T(msync(again + 1, PAGE, MS_SYNC));
    T(msync(again, PAGE, MS_SYNC | MS_ASYNC));
    T(msync(again, PAGE, 0x80));
}

CASE(a_mapping_at_an_offset_and_beyond_the_end) {
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(ftruncate(fd, 2 * PAGE + 10));
    T(pwrite(fd, "second", 6, PAGE));
    T(pwrite(fd, "third", 5, 2 * PAGE));
    char *at = mmap(0, 4 * PAGE, RW, MAP_SHARED, fd, PAGE);
    say("%s", quoted(at, 6));
    say("%s", quoted(at + PAGE, 5));
    touch("in the last page", at + PAGE + 100, 0);
    touch("beyond the end", at + 2 * PAGE, 0);
    touch("writing beyond the end", at + 3 * PAGE, 1);
    T(ftruncate(fd, 4 * PAGE));
    touch("after growing", at + 2 * PAGE, 0);
    T(ftruncate(fd, PAGE));
    touch("after shrinking", at, 0);
}

CASE(shared_memory_is_shared_by_fork) {
    char *shared = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *own = mmap(0, PAGE, RW, ANONYMOUS, -1, 0);
    strcpy(shared, "before"), strcpy(own, "before");
    pid_t child = fork();
    if (child == 0) {
        say("%s %s", shared, own);
        strcpy(shared, "changed"), strcpy(own, "changed");
        _exit(0);
    }
    wait_for(child);
    say("%s %s", shared, own);
    child = fork();
    if (child == 0) {
        while (*(volatile char *)shared != 'g')
            sched_yield();
        strcpy(shared, "received");
        _exit(0);
    }
    strcpy(shared, "go");
    wait_for(child);
    say("%s", shared);
}

CASE(a_file_mapping_is_shared_by_fork) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDWR));
    char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    pid_t child = fork();
    if (child == 0) {
        memcpy(at, "child", 5);
        _exit(0);
    }
    wait_for(child);
    say("%s", quoted(at, 10));
    show("file");
}

CASE(mprotect_protects) {
    char *at = mmap(0, 3 * PAGE, RW, ANONYMOUS, -1, 0);
    T(mprotect(at + PAGE, PAGE, PROT_READ));
    touch("read", at + PAGE, 0);
    touch("written", at + PAGE, 1);
    T(mprotect(at + PAGE, PAGE, PROT_NONE));
    touch("nothing allowed", at + PAGE, 0);
    T(mprotect(at + PAGE, PAGE, RW));
    touch("allowed again", at + PAGE, 1);
    T(mprotect(at + 1, PAGE, RW));
    T(mprotect(at, 0, RW));
    T(mprotect(at, PAGE, 0x100));
    T(munmap(at + PAGE, PAGE));
    T(mprotect(at, 3 * PAGE, PROT_READ));
    touch("before the hole", at, 1);
    make("file", "x");
    int fd = T(open("file", O_RDONLY));
    char *file = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    T(mprotect(file, PAGE, RW));
    touch("a page that was never there", (char *)16, 0);
}

CASE(code_can_be_made_and_changed) {
    unsigned char *at = mmap(0, PAGE, RW | PROT_EXEC, ANONYMOUS, -1, 0);
    int (*function)(void) = (int (*)(void))at;
    memcpy(at, "\xb8\x07\0\0\0\xc3", 6);
    T(function());
    at[1] = 8;
    T(function());
    T(mprotect(at, PAGE, PROT_READ | PROT_EXEC));
    T(function());
}

CASE(mremap_grows_and_moves) {
    char *at = mmap(0, 8 * PAGE, RW, ANONYMOUS, -1, 0);
    at[0] = 'a', at[PAGE] = 'b';
    T(munmap(at + 4 * PAGE, 4 * PAGE));
    T(mremap(at, 4 * PAGE, 2 * PAGE, 0) == at);
    touch("cut off", at + 2 * PAGE, 0);
    T(mremap(at, 2 * PAGE, 4 * PAGE, 0) == at);
    touch("grown", at + 3 * PAGE, 0);
    T(mmap(at + 4 * PAGE, PAGE, RW, ANONYMOUS | MAP_FIXED, -1, 0) == at + 4 * PAGE);
    T((long)mremap(at, 4 * PAGE, 9 * PAGE, 0) == -1 ? -1 : 0);
    char *moved = mremap(at, 4 * PAGE, 9 * PAGE, MREMAP_MAYMOVE);
    say("moved %d: %c%c", moved != at, moved[0], moved[PAGE]);
    touch("left behind", at, 0);
    char *target = mmap(0, 16 * PAGE, RW, ANONYMOUS, -1, 0);
    T(mremap(moved, 9 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    say("%c%c", target[0], target[PAGE]);
    T((long)mremap(target, PAGE, 0, 0));
    T((long)mremap(target + 1, PAGE, PAGE, 0));
    T((long)mremap(target, PAGE, PAGE, 8));
    T((long)mremap(target, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE));
    T((long)mremap(target, PAGE, PAGE, MREMAP_FIXED, target + 4 * PAGE));
    T((long)mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
}

CASE(mremap_of_a_shared_file_keeps_it_shared) {
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(ftruncate(fd, 4 * PAGE));
    char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    at = mremap(at, PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    strcpy(at + 3 * PAGE, "far");
    char bytes[4];
    T(pread(fd, bytes, 4, 3 * PAGE));
    say("%s", bytes);
}

CASE(madvise_advises) {
    char *at = mmap(0, 3 * PAGE, RW, ANONYMOUS, -1, 0);
    memset(at, 'x', 3 * PAGE);
    T(madvise(at, PAGE, MADV_DONTNEED));
    say("%d %c", at[0], at[PAGE]);
    T(madvise(at, PAGE, MADV_WILLNEED));
    T(madvise(at, PAGE, MADV_NORMAL));
    T(madvise(at, PAGE, MADV_SEQUENTIAL));
    T(madvise(at + 1, PAGE, MADV_NORMAL));
    T(madvise(at, 0, MADV_NORMAL));
    T(madvise(at, PAGE, 9999));
    T(madvise(at, PAGE, MADV_REMOVE));
    T(munmap(at + PAGE, PAGE));
    T(madvise(at, 3 * PAGE, MADV_DONTNEED));
    make("file", "content");
    char *file = mmap(0, PAGE, RW, MAP_PRIVATE, open("file", O_RDONLY), 0);
    file[0] = 'C';
    T(madvise(file, PAGE, MADV_DONTNEED));
    say("%s", quoted(file, 7));
    char *shared = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[0] = 'k';
    T(madvise(shared, PAGE, MADV_DONTNEED));
    say("%d", shared[0]);
}

CASE(mincore_and_mlock) {
    unsigned char pages[4];
    char *at = mmap(0, 2 * PAGE, RW, ANONYMOUS, -1, 0);
    at[0] = 'x';
    T(mincore(at, PAGE, pages));
    say("%d", pages[0] & 1);
    T(mincore(at + 1, PAGE, pages));
    T(syscall(SYS_mincore, at, PAGE, NULL));
    T(mlock(at, PAGE));
    T(munlock(at, PAGE));
    T(munmap(at, 2 * PAGE));
    T(mincore(at, PAGE, pages));
    T(mlock(at, PAGE));
    T(munlockall());
}

CASE(calls_write_into_mapped_files) {
    make("in", "0123456789");
    int fd = T(open("file", O_RDWR | O_CREAT, 0600)), in = T(open("in", O_RDONLY));
    T(ftruncate(fd, PAGE));
    char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    T(read(in, at + 2, 5));
    show("file");
    T(pwrite(fd, at + 2, 5, 8));
    say("%s", quoted(at, 16));
}

CASE(memory_after_exec_is_new) {
    char *at = mmap((void *)0x0c000000, PAGE, RW, ANONYMOUS | MAP_FIXED, -1, 0);
    at[0] = 'x';
    execl("./prog", "prog", "@untouched", NULL);
    say("execl: %s", error_name());
}

HELPER(untouched) {
    touch("the address of before", (char *)0x0c000000, 0);
    return 0;
}

CASE(a_stack_grows) {
    volatile char large[1 << 20];
    large[0] = 'x';
    for (int i = 0; i < 1 << 20; i += PAGE)
        large[i] = 'y';
    say("%c", large[1 << 19]);
}

CASE(memfd_is_shared_memory) {
    int fd = T(memfd_create("shared", 0));
    T(ftruncate(fd, PAGE));
    char *a = mmap(0, PAGE, RW, MAP_SHARED, fd, 0), *b = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    strcpy(a, "seen");
    say("%s", b);
    char *own = mmap(0, PAGE, RW, MAP_PRIVATE, fd, 0);
    strcpy(own, "own");
    say("%s %s", b, own);
}

CASE(files_that_are_mapped_change_size) {
    char bytes[8] = "";
    make("file", "0123456789");
    int before = T(open("file", O_RDONLY)), fd = T(open("file", O_RDWR));
    T(read(before, bytes, 2));
    char *at = mmap(0, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    at[3] = 'X', at[20] = 'y';
    T(read(before, bytes, 3));
    say("%s", quoted(bytes, 3));
    pid_t child = fork();
    if (child == 0) {
        touch("beyond the end in a child", at + PAGE, 0);
        T(pwrite(fd, "far", 3, PAGE + 10));
        _exit(0);
    }
    wait_for(child);
    say("%s", quoted(at + PAGE + 9, 5));
    say("%s", quoted(at, 10));
    T(close(open("file", O_WRONLY | O_TRUNC)));
    touch("after cutting it off", at, 0);
    int append = T(open("file", O_WRONLY | O_APPEND));
    T(write(append, "abc", 3));
    T(write(append, "def", 3));
    say("%s", quoted(at, 8));
    touch("the second page", at + PAGE, 1);
    T(mprotect(at, 2 * PAGE, PROT_READ));
    T(ftruncate(fd, 2 * PAGE));
    touch("grown, but not to be written", at + PAGE, 1);
    T(mprotect(at, 2 * PAGE, RW));
    touch("written", at + PAGE, 1);
    T(pread(fd, bytes, 1, PAGE));
    say("%s", quoted(bytes, 1));
    T(truncate("file", 2));
    T(mprotect(at, 2 * PAGE, RW));
    touch("the second page again", at + PAGE, 0);
    T(lseek(before, 0, SEEK_SET));
    T(read(before, at + PAGE, 1));
    say("%s", quoted(at, 4));
}

CASE(a_descriptor_is_closed_and_its_mapping_stays) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDWR));
    char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    T(close(fd));
    T(unlink("file"));
    at[0] = 'X';
    make("file", "another");
    fd = T(open("file", O_RDONLY));
    char *other = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    say("%s %s", quoted(at, 10), quoted(other, 7));
    T(mprotect(other, PAGE, RW));
    int out = T(open("file", O_RDWR));
    char *writable = mmap(0, PAGE, RW, MAP_SHARED, out, 0);
    writable[0] = 'A';
    T(mprotect(other, PAGE, RW));
    show("file");
    T(mprotect(writable, PAGE, PROT_READ));
    T(mprotect(writable, PAGE, RW));
    T((long)mmap(0, PAGE, RW, MAP_SHARED, out, 0x7ffff000) == -1);
}

CASE(sealed_memory_stays_as_it_is) {
    int fd = T(memfd_create("sealed", MFD_ALLOW_SEALING));
    T(write(fd, "content", 7));
    char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    T(munmap(at, PAGE));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW));
    T(write(fd, "more", 4));
    T(pwrite(fd, "more", 4, 0));
    T(ftruncate(fd, 100));
    T((long)mmap(0, PAGE, RW, MAP_SHARED, fd, 0));
    at = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    say("%s", quoted(at, 7));
    T(mprotect(at, PAGE, RW));
    T(ftruncate(fd, 3));
    say("%s", quoted(at, 4));
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    T(fcntl(fd, F_GET_SEALS));
    T(fcntl(fd, F_ADD_SEALS, 0x1000));
    int file = T(open("file", O_RDWR | O_CREAT, 0600));
    T(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK));
}

CASE(shared_memory_grows_and_moves) {
    char *at = mmap(0, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    at[PAGE] = 'k';
    char *target = mmap(0, 4 * PAGE, RW, ANONYMOUS, -1, 0);
    char *moved = mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    say("%c", moved[PAGE]);
    pid_t child = fork();
    if (child == 0) {
        moved[PAGE] = 'c';
        T(munmap(moved, 4 * PAGE));
        _exit(0);
    }
    wait_for(child);
    say("%c", moved[PAGE]);
    T(munmap(moved, PAGE));
    T(munmap(moved + 2 * PAGE, 2 * PAGE));
    say("%c", moved[PAGE]);
    T(madvise(moved + PAGE, PAGE, MADV_DONTNEED));
    say("%c", moved[PAGE]);
}

CASE(what_was_stored_is_in_the_file_whoever_ends) {
    make("file", "0123456789");
    pid_t child = fork();
    if (child == 0) {
        int fd = T(open("file", O_RDWR));
        char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
        at[0] = 'e';
        execl("./prog", "prog", "@untouched", NULL);
    }
    wait_for(child);
    child = fork();
    if (child == 0) {
        int fd = T(open("file", O_RDWR));
        char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
        at[1] = 'r';
        at = mmap(at, PAGE, RW, ANONYMOUS | MAP_FIXED, -1, 0);
        at[2] = 'x';
        _exit(0);
    }
    wait_for(child);
    child = fork();
    if (child == 0) {
        int fd = T(open("file", O_RDWR));
        char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
        at[3] = 'k';
        kill(getpid(), SIGKILL);
    }
    wait_for(child);
    show("file");
}

CASE(a_file_that_may_not_be_opened_again_is_mapped) {
    int fd = T(open("file", O_RDWR | O_CREAT | O_APPEND, 0));
    T(write(fd, "0123456789", 10));
    char *at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    at[2] = 'X';
    char bytes[12];
    T(pread(fd, bytes, 12, 0));
    say("%s", quoted(bytes, 10));
    T(write(fd, "abc", 3));
    say("%s", quoted(at, 14));
    at[11] = 'B';
    T(munmap(at, PAGE));
    T(lseek(fd, 0, SEEK_END));
    T(chmod("file", 0600));
    show("file");
}
