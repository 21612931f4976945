/* Races: one thread or process changes what a call of another is just looking at. races NAME SECONDS OPENED REFUSED [PATH ..]
   tries for so long, and on until as many attempts had these ends as shall have, for PATIENCE at most; then it prints how often it
   tried, and "secret" for what it should never have got. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 40.0
#define ATTEMPTS 11

static char **argument;
static double until;
static long shall_open, shall_refuse;
static volatile int over;
static long tried, opened, refused;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int more(void)
{
    tried++;
    double late = now() - until;
    if (late < 0 || (late < PATIENCE && (tried < ATTEMPTS || opened < shall_open || refused < shall_refuse)))
        return 1;
    over = 1;
    return 0;
}

/* Prints what can be read. */
static void look(int fd)
{
    char found[64] = "";
    if (fd < 0) {
        refused++;
        return;
    }
    opened++;
    ssize_t n = read(fd, found, sizeof found - 1);
    if (n > 0 && strncmp(found, "what is in here", 15))
        printf("secret %s\n", found);
    close(fd);
}

/* Somebody else swaps a folder and a link: PATH */
static void open_while_swapped(void)
{
    while (more())
        look(open(argument[0], O_RDONLY));
}

static void create_while_swapped(void)
{
    while (more()) {
        int fd = open(argument[0], O_WRONLY | O_CREAT, 0600);
        fd < 0 ? refused++ : (opened++, (void)!write(fd, "what is in here", 15), close(fd));
    }
}

static void stat_while_swapped(void)
{
    struct stat s;
    while (more())
        if (stat(argument[0], &s) == 0) {
            opened++;
            if (s.st_size == 24)
                puts("secret size");
        } else
            refused++;
}

/* One that is held while it is moved: FOLDER UP */
static void climb_while_moved(void)
{
    int folder = open(argument[0], O_RDONLY | O_DIRECTORY);
    while (more()) {
        look(openat(folder, argument[1], O_RDONLY));
        if (fchdir(folder) == 0)
            look(open(argument[1], O_RDONLY));
    }
}

/* A guest's own process swaps: DIR LINK PATH */
static void swap_by_a_process(void)
{
    pid_t child = fork();
    if (!child)
        for (;;) {
            rename(argument[0], "/granted/aside") || rename(argument[1], argument[0]);
            sched_yield();
            rename(argument[0], argument[1]) || rename("/granted/aside", argument[0]);
            sched_yield();
        }
    while (more()) {
        look(open(argument[2], O_RDONLY));
        if (tried % 8 == 0)
            sched_yield();
    }
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
}

/* Threads change the arguments of each other's calls. */
static char path[256];
static char *buffer;
static struct iovec *vector;
static struct sockaddr_un *name;

static void *change_path(void *unused)
{
    while (!over) {
        strcpy(path, "/granted/file");
        strcpy(path, argument[0]);
    }
    return unused;
}

static void *change_vector(void *unused)
{
    while (!over) {
        vector->iov_base = (void *)0xfffffff0;
        vector->iov_len = 0x40;
        vector->iov_base = buffer;
        vector->iov_len = 8;
        vector->iov_len = 0xffffffff;
    }
    return unused;
}

static void *unmap_buffer(void *unused)
{
    while (!over) {
        munmap(buffer, 1 << 16);
        mmap(buffer, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        mprotect(buffer, 1 << 16, PROT_READ);
    }
    return unused;
}

static void *change_name(void *unused)
{
    while (!over) {
        strcpy(name->sun_path, "/granted/nothing");
        strcpy(name->sun_path, argument[0]);
    }
    return unused;
}

static void with(void *(*other)(void *), void (*attempt)(void))
{
    pthread_t thread;
    if (pthread_create(&thread, 0, other, 0))
        puts("no thread"), exit(3);
    while (more())
        attempt();
    pthread_join(thread, 0);
}

static void try_path(void) { look(open(path, O_RDONLY)); }
static void path_by_a_thread(void) { with(change_path, try_path); }

static void try_vector(void)
{
    static int zero = -1;
    if (zero < 0)
        zero = open(argument[0], O_RDONLY);
    lseek(zero, 0, SEEK_SET);
    readv(zero, vector, 1) < 0 ? refused++ : opened++;
    writev(2, vector, 1);
}
static void vector_by_a_thread(void) { with(change_vector, try_vector); }

static void try_buffer(void)
{
    static int file = -1;
    if (file < 0)
        file = open(argument[0], O_RDONLY);
    pread(file, buffer, 1 << 16, 0) < 0 ? refused++ : opened++;
    syscall(SYS_getcwd, buffer, 4096);  /* the library looks at it afterwards */
    syscall(SYS_stat64, argument[0], buffer + 4090);
}
static void buffer_by_a_thread(void) { with(unmap_buffer, try_buffer); }

static void try_name(void)
{
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)name, sizeof *name) == 0)
        puts("secret connection");
    else
        refused++;
    close(s);
}
static void name_by_a_thread(void) { with(change_name, try_name); }

static void *close_and_open(void *unused)
{
    while (!over) {
        close(20);
        dup2(0, 20);
        close(20);
        dup2(1, 20);
    }
    return unused;
}
static void try_descriptor(void)
{
    char one;
    lseek(20, 0, SEEK_CUR) < 0 ? refused++ : opened++;
    fcntl(20, F_GETFD);
    read(20, &one, 0);
    ftruncate(20, 0);
}
static void descriptor_by_a_thread(void) { with(close_and_open, try_descriptor); }

/* The path is in memory that another process has, too. */
static void path_in_shared_memory(void)
{
    char *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(shared, "/granted/file");
    pid_t child = fork();
    if (!child)
        for (;;) {
            strcpy(shared, argument[0]);
            strcpy(shared, "/granted/file");
        }
    while (more())
        look(open(shared, O_RDONLY));
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
}

/* The arguments of an exec. */
static char *words[4] = {"x", "y", 0, 0};
static void *change_words(void *unused)
{
    while (!over) {
        words[1] = (char *)0xfffffff0;
        words[2] = (char *)1;
        words[1] = "y";
        words[2] = 0;
    }
    return unused;
}
static void try_exec(void)
{
    static char *none[] = {0};
    syscall(SYS_execve, "/granted/file", words, none) < 0 ? refused++ : opened++;
}
static void words_by_a_thread(void) { with(change_words, try_exec); }

#define EACH(f) f(open_while_swapped) f(create_while_swapped) f(stat_while_swapped) f(climb_while_moved) f(swap_by_a_process) \
    f(path_by_a_thread) f(vector_by_a_thread) f(buffer_by_a_thread) f(name_by_a_thread) f(descriptor_by_a_thread) \
    f(path_in_shared_memory) f(words_by_a_thread)
#define ROW(name) {#name, name},

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } attempts[] = {EACH(ROW)};
    until = now() + atof(argv[2]);
    shall_open = atol(argv[3]), shall_refuse = atol(argv[4]);
    argument = argv + 5;
    buffer = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    vector = malloc(sizeof *vector);
    name = calloc(1, sizeof *name);
    name->sun_family = AF_UNIX;
    for (unsigned i = 0; i < sizeof attempts / sizeof *attempts; i++)
        if (!strcmp(argv[1], attempts[i].name)) {
            attempts[i].run();
            printf("tried %ld opened %ld refused %ld\n", tried, opened, refused);
            return 0;
        }
    return 99;
}
