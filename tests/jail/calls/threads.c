/* Threads: pthreads, and what they are made of: clone, futex, thread areas, robust lists. */
#define _TIME_BITS 64
#include "harness.h"

CASE(barriers_are_registered_for) {
    enum { GLOBAL = 1, GLOBAL_EXPEDITED = 2, REGISTER_GLOBAL = 4, PRIVATE = 8, REGISTER_PRIVATE = 16, SYNC_CORE = 32, REGISTER_SYNC_CORE = 64 };
    T(syscall(SYS_membarrier, 0, 0, 0) & 0x7f);
    T(syscall(SYS_membarrier, 0, 1, 0));
    T(syscall(SYS_membarrier, GLOBAL_EXPEDITED, 0, 0));
    T(syscall(SYS_membarrier, REGISTER_GLOBAL, 0, 0));
    T(syscall(SYS_membarrier, PRIVATE, 0, 0));
    T(syscall(SYS_membarrier, SYNC_CORE, 0, 0));
    T(syscall(SYS_membarrier, REGISTER_PRIVATE, 0, 0));
    T(syscall(SYS_membarrier, PRIVATE, 0, 0));
    T(syscall(SYS_membarrier, SYNC_CORE, 0, 0));
    T(syscall(SYS_membarrier, REGISTER_SYNC_CORE, 0, 0));
    T(syscall(SYS_membarrier, SYNC_CORE, 0, 0));
    T(syscall(SYS_membarrier, PRIVATE, 1, 0));
    T(syscall(SYS_membarrier, PRIVATE | GLOBAL, 0, 0));
    T(syscall(SYS_membarrier, 1 << 20, 0, 0));
    pid_t child = fork();
    if (child == 0) {
        T(syscall(SYS_membarrier, PRIVATE, 0, 0));
        _exit(0);
    }
    wait_for(child);
    execl("./prog", "prog", "@barrier", NULL);
}

HELPER(barrier) {
    (void)argc, (void)argv;
    T(syscall(SYS_membarrier, 8, 0, 0));
    return 0;
}

#include <asm/ldt.h>
#include <linux/futex.h>

#define futex(address, operation, ...) syscall(SYS_futex, address, operation, __VA_ARGS__)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile int shared;
static __thread int own = 5;

static pthread_t begin(void *(*run)(void *), void *argument) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, argument);
    if (error)
        say("pthread_create: %s", strerrorname_np(error));
    return thread;
}

static long result_of(pthread_t thread) {
    void *result = NULL;
    int error = pthread_join(thread, &result);
    if (error)
        say("pthread_join: %s", strerrorname_np(error));
    return (long)result;
}

static void *doubles(void *argument) { return (void *)(2 * (long)argument); }

CASE(threads_return_what_they_are_asked) {
    T(result_of(begin(doubles, (void *)21)));
    pthread_t threads[8];
    for (long i = 0; i < 8; i++)
        threads[i] = begin(doubles, (void *)i);
    for (int i = 7; i >= 0; i--)
        say("%ld", result_of(threads[i]));
}

static void *tells_ids(void *argument) {
    pid_t *ids = argument;
    ids[0] = getpid(), ids[1] = syscall(SYS_gettid), ids[2] = getppid();
    return NULL;
}

CASE(threads_share_the_process) {
    pid_t ids[3];
    T(result_of(begin(tells_ids, ids)));
    say("%d %d %d", ids[0] == getpid(), ids[1] != getpid(), ids[2] == getppid());
    T(syscall(SYS_gettid) == getpid());
}

static void *uses_its_own(void *argument) {
    own += (long)argument;
    errno = 77;
    sched_yield();
    return (void *)(long)own;
}

CASE(thread_local_memory) {
    pthread_t threads[4];
    errno = 3;
    for (long i = 0; i < 4; i++)
        threads[i] = begin(uses_its_own, (void *)i);
    for (int i = 0; i < 4; i++)
        say("%ld", result_of(threads[i]));
    say("%d %d", own, errno);
}

static void *adds(void *argument) {
    (void)argument;
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        shared = shared + 1;
        pthread_mutex_unlock(&mutex);
        if (i % 500 == 0)
            sched_yield();
    }
    return NULL;
}

CASE(a_mutex_excludes) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = begin(adds, NULL);
    for (int i = 0; i < 4; i++)
        result_of(threads[i]);
    say("%d", shared);
}

static void *waits_for_turns(void *argument) {
    pthread_mutex_lock(&mutex);
    while (shared != (long)argument)
        pthread_cond_wait(&condition, &mutex);
    say("turn of %d", shared);
    shared++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

CASE(condition_variables) {
    pthread_t threads[5];
    for (long i = 5; i >= 1; i--)
        threads[i - 1] = begin(waits_for_turns, (void *)i);
    pthread_mutex_lock(&mutex);
    shared = 1;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 5; i++)
        result_of(threads[i]);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    pthread_mutex_lock(&mutex);
    T(pthread_cond_timedwait(&condition, &mutex, &soon) == ETIMEDOUT);
}

static pthread_barrier_t barrier;

static void *meets(void *argument) {
    (void)argument;
    __atomic_add_fetch(&shared, 1, __ATOMIC_SEQ_CST);
    int serial = pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    return (void *)(long)(shared == 4 ? 10 + serial : 0);
}

CASE(barriers) {
    pthread_t threads[4];
    long sum = 0;
    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 4; i++)
        threads[i] = begin(meets, NULL);
    for (int i = 0; i < 4; i++)
        sum += result_of(threads[i]);
    say("%ld", sum);
}

static void cleans(void *argument) { say("cleanup of %s", (char *)argument); }

static void *sleeps_for_ever(void *argument) {
    pthread_cleanup_push(cleans, argument);
    shared = 1;
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return NULL;
}

CASE(threads_can_be_cancelled) {
    pthread_t thread = begin(sleeps_for_ever, "the sleeper");
    while (!shared)
        sched_yield();
    pause_ms(5);
    int error = pthread_cancel(thread);
    T(result_of(thread) == (long)PTHREAD_CANCELED);
    say("%d", error);
}

static pthread_key_t key;

static void *has_specifics(void *argument) {
    pthread_setspecific(key, argument);
    pthread_exit("by pthread_exit");
}

CASE(keys_are_destroyed_at_the_end) {
    T(pthread_key_create(&key, cleans));
    say("%s", (char *)result_of(begin(has_specifics, "a key")));
}

static void *exits_the_process(void *argument) {
    exit((int)(long)argument);
    return NULL;
}

CASE(exit_from_a_thread_ends_all) {
    begin(exits_the_process, (void *)9);
    for (;;)
        pause();
}

static void *outlives_main(void *argument) {
    (void)argument;
    pause_ms(10);
    say("the last thread");
    return NULL;
}

CASE(the_first_thread_may_end_first) {
    begin(outlives_main, NULL);
    pthread_exit(NULL);
}

static void *executes(void *argument) {
    execl("./prog", "prog", "@after", (char *)argument, NULL);
    return NULL;
}

HELPER(after) {
    (void)argc;
    say("the same process %d, its first thread %d", atoi(argv[2]) == getpid(), syscall(SYS_gettid) == getpid());
    return 4;
}

CASE(exec_from_a_thread_replaces_all) {
    char pid[20];
    sprintf(pid, "%d", getpid());
    begin(sleeps_for_ever, NULL);
    begin(executes, pid);
    for (;;)
        pause();
}

static void *forks(void *argument) {
    (void)argument;
    pid_t child = fork();
    if (child == 0) {
        say("child: alone %d", syscall(SYS_gettid) == getpid());
        _exit(5);
    }
    int status;
    T(waitpid(child, &status, 0) == child);
    return (void *)(long)WEXITSTATUS(status);
}

CASE(fork_from_a_thread) {
    T(result_of(begin(forks, NULL)));
}

static void *waits_for_another_s_child(void *argument) {
    int status;
    T(waitpid((pid_t)(long)argument, &status, 0) == (pid_t)(long)argument);
    return (void *)(long)WEXITSTATUS(status);
}

CASE(a_thread_waits_for_a_child_of_another) {
    pid_t child = fork();
    if (child == 0)
        _exit(6);
    T(result_of(begin(waits_for_another_s_child, (void *)(long)child)));
}

static pthread_t handled_by;

static void notes_thread(int number) {
    (void)number;
    handled_by = pthread_self();
    shared = 2;
}

static void *takes_a_signal(void *argument) {
    (void)argument;
    shared = 1;
    while (shared != 2)
        pause_ms(1);
    return NULL;
}

CASE(pthread_kill_chooses_the_thread) {
    signal(SIGUSR1, notes_thread);
    pthread_t thread = begin(takes_a_signal, NULL);
    while (!shared)
        sched_yield();
    T(pthread_kill(thread, SIGUSR1));
    result_of(thread);
    say("%d", pthread_equal(handled_by, thread));
    T(pthread_kill(pthread_self(), 0));
}

static volatile int stop;

static void *blocks_all(void *argument) {
    sigset_t set, pending;
    sigfillset(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    shared = 1;
    while (!stop)
        pause_ms(1);
    sigpending(&pending);
    (void)argument;
    return (void *)(long)sigismember(&pending, SIGUSR1);
}

CASE(a_signal_to_the_process_finds_a_thread) {
    signal(SIGUSR1, notes_thread);
    pthread_t thread = begin(blocks_all, NULL);
    while (!shared)
        sched_yield();
    T(kill(getpid(), SIGUSR1));
    say("%d", pthread_equal(handled_by, pthread_self()));
    stop = 1;
    T(result_of(thread));
}

CASE(masks_belong_to_threads) {
    sigset_t set;
    stop = 1;
    result_of(begin(blocks_all, NULL));
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    say("%d", sigismember(&set, SIGUSR1));
}

static void *faults(void *argument) {
    (void)argument;
    *(volatile int *)8 = 1;
    return NULL;
}

CASE(a_fault_in_a_thread_ends_all) {
    begin(faults, NULL);
    for (;;)
        pause();
}

CASE(futex_refuses) {
    int word = 5;
    struct timespec none = {0, 0}, bad = {0, 1000000000};
    T(futex(&word, FUTEX_WAIT, 6, NULL));
    T(syscall(SYS_futex_time64, &word, FUTEX_WAIT, 5, &none));
    T(syscall(SYS_futex_time64, &word, FUTEX_WAIT, 5, &bad));
    long soon[2] = {0, 1000000};
    T(futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 5, soon));
    T(futex(&word, FUTEX_WAKE, 1));
    T(futex((char *)&word + 1, FUTEX_WAIT, 5, NULL));
    T(futex((char *)&word + 1, FUTEX_WAKE, 1));
    T(futex(NOWHERE, FUTEX_WAIT, 5, NULL));
    T(futex(NULL, FUTEX_WAIT, 5, NULL));
    T(futex(&word, 99, 0));
    T(futex(&word, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0));
    T(futex(&word, FUTEX_WAKE_BITSET, 5, NULL, NULL, 0));
    T(syscall(SYS_futex_time64, &word, FUTEX_WAIT_BITSET, 5, &none, NULL, -1));
    T(syscall(SYS_futex_time64, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &none, NULL, -1));
    T(futex(&word, FUTEX_CMP_REQUEUE, 1, 1, &word, 6));
    T(syscall(SYS_futex_time64, &word, FUTEX_WAIT, 5, NOWHERE));
}

static int words[2];

static void *waits_on_a_word(void *argument) {
    (void)argument;
    __atomic_add_fetch(&shared, 1, __ATOMIC_SEQ_CST);
    long result = futex(&words[0], FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL);
    __atomic_add_fetch(&shared, 100, __ATOMIC_SEQ_CST);
    return (void *)result;
}

CASE(futex_wakes_and_requeues) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = begin(waits_on_a_word, NULL);
    while (shared < 3)
        sched_yield();
    until_others_wait();
    T(futex(&words[0], FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, 1, &words[1], 0));
    T(futex(&words[1], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10));
    T(futex(&words[1], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10));
    T(futex(&words[0], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10));
    for (int i = 0; i < 3; i++)
        T(result_of(threads[i]));
    say("%d", shared);
}

static void *waits_with_bits(void *argument) {
    __atomic_add_fetch(&shared, 1, __ATOMIC_SEQ_CST);
    return (void *)futex(&words[0], FUTEX_WAIT_BITSET, 0, NULL, NULL, (int)(long)argument);
}

CASE(futex_wakes_by_bits) {
    pthread_t one = begin(waits_with_bits, (void *)1), two = begin(waits_with_bits, (void *)2);
    while (shared < 2)
        sched_yield();
    until_others_wait();
    T(futex(&words[0], FUTEX_WAKE_BITSET, 10, NULL, NULL, 4));
    T(futex(&words[0], FUTEX_WAKE_BITSET, 10, NULL, NULL, 2));
    T(result_of(two));
    T(futex(&words[0], FUTEX_WAKE_BITSET, 10, NULL, NULL, 3));
    T(result_of(one));
}

CASE(futex_wake_op_changes_the_word) {
    words[1] = 5;
    T(futex(&words[0], FUTEX_WAKE_OP, 1, 1, &words[1], FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)));
    say("%d", words[1]);
    T(futex(&words[0], FUTEX_WAKE_OP, 1, 1, &words[1], FUTEX_OP(FUTEX_OP_SET, 9, FUTEX_OP_CMP_GT, 5)));
    say("%d", words[1]);
}

CASE(futexes_between_processes) {
    int *word = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        while (*(volatile int *)word == 0)
            if (futex(word, FUTEX_WAIT, 0, NULL) == -1 && errno != EAGAIN && errno != EINTR)
                _exit(1);
        _exit(7);
    }
    pause_ms(10);
    *word = 1;
    futex(word, FUTEX_WAKE, 1);
    wait_for(child);
}

CASE(process_shared_semaphores) {
    struct { pthread_mutex_t mutex; pthread_cond_t condition; int value; } *at;
    at = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_condattr_t of_condition;
    pthread_mutexattr_init(&attributes), pthread_condattr_init(&of_condition);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setpshared(&of_condition, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&at->mutex, &attributes), pthread_cond_init(&at->condition, &of_condition);
    pid_t child = fork();
    if (child == 0) {
        pthread_mutex_lock(&at->mutex);
        at->value = 42;
        pthread_cond_signal(&at->condition);
        pthread_mutex_unlock(&at->mutex);
        _exit(0);
    }
    pthread_mutex_lock(&at->mutex);
    while (!at->value)
        pthread_cond_wait(&at->condition, &at->mutex);
    pthread_mutex_unlock(&at->mutex);
    say("%d", at->value);
    wait_for(child);
}

static pthread_mutex_t robust;

static void *dies_with_a_lock(void *argument) {
    (void)argument;
    pthread_mutex_lock(&robust);
    return NULL;
}

CASE(robust_locks_tell_of_the_dead) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attributes);
    result_of(begin(dies_with_a_lock, NULL));
    say("%s", strerrorname_np(pthread_mutex_lock(&robust)));
    T(pthread_mutex_consistent(&robust));
    T(pthread_mutex_unlock(&robust));
    T(pthread_mutex_lock(&robust));
    T(syscall(SYS_set_robust_list, NULL, 5));
    void *head = NULL;
    size_t length = 0;
    T(syscall(SYS_get_robust_list, 0, &head, &length));
    say("%d %d", head != NULL, (int)length);
    T(syscall(SYS_get_robust_list, 0x7fffffff, &head, &length));
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

static void *reads_locked(void *argument) {
    (void)argument;
    pthread_rwlock_rdlock(&rwlock);
    long value = shared;
    pthread_rwlock_unlock(&rwlock);
    return (void *)value;
}

CASE(read_write_locks) {
    pthread_rwlock_wrlock(&rwlock);
    pthread_t one = begin(reads_locked, NULL), two = begin(reads_locked, NULL);
    pause_ms(5);
    shared = 12;
    pthread_rwlock_unlock(&rwlock);
    T(result_of(one));
    T(result_of(two));
}

static volatile int tid_cell = -1;

static int raw_thread(void *argument) {
    *(volatile int *)argument = 1 + (getpid() != (pid_t)syscall(SYS_gettid));
    syscall(SYS_exit, 0);
    return 0;
}

CASE(clone_makes_a_thread) {
    volatile int value = 0;
    char *stack = malloc(65536);
    pid_t tid = clone(raw_thread, stack + 65536,
                      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                          CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
                      (void *)&value, &tid_cell, NULL, &tid_cell);
    say("%d", tid > 0);
    int seen;
    while ((seen = tid_cell) != 0)
        futex(&tid_cell, FUTEX_WAIT, seen, NULL);
    say("%d", value);
    T(waitpid(tid, NULL, __WALL));
    while (syscall(SYS_tgkill, getpid(), tid, 0) == 0)  /* Linux clears the cell a little before the thread is gone */
        sched_yield();
    say("%s", strerrorname_np(errno));
}

CASE(thread_areas) {
    struct user_desc area = {.entry_number = -1, .base_addr = (unsigned)words, .limit = 0xfffff, .seg_32bit = 1,
                             .limit_in_pages = 1, .useable = 1};
    T(syscall(SYS_set_thread_area, &area));
    int entry = area.entry_number;
    say("%d", entry > 0);
    words[0] = 1234;
    int got;
    unsigned short old;
    asm volatile("mov %%gs, %1; mov %2, %%gs; mov %%gs:0, %0; mov %1, %%gs"
                 : "=&r"(got), "=&r"(old)
                 : "r"(entry * 8 + 3)
                 : "memory");
    say("%d", got);
    struct user_desc read_back = {.entry_number = entry};
    T(syscall(SYS_get_thread_area, &read_back));
    say("%d %x %d", read_back.base_addr == (unsigned)words, read_back.limit, read_back.limit_in_pages);
    read_back.entry_number = 99;
    T(syscall(SYS_get_thread_area, &read_back));
    area.entry_number = 2;
    T(syscall(SYS_set_thread_area, &area));
    T(syscall(SYS_set_thread_area, NOWHERE));
}

static void *reads_a_pipe(void *argument) {
    char byte;
    return (void *)(long)(read((int)(long)argument, &byte, 1) + byte);
}

CASE(one_thread_blocks_and_others_run) {
    int ends[2];
    T(pipe(ends));
    pthread_t thread = begin(reads_a_pipe, (void *)(long)ends[0]);
    pause_ms(5);
    T(write(ends[1], "A", 1));
    T(result_of(thread));
}

static void *spins(void *argument) {
    (void)argument;
    while (!shared)
        ;
    return NULL;
}

CASE(a_spinning_thread_is_preempted) {
    pthread_t thread = begin(spins, NULL);
    pause_ms(10);
    shared = 1;
    T(result_of(thread));
}

CASE(many_threads) {
    long sum = 0;
    for (int round = 0; round < 5; round++) {
        pthread_t threads[10];
        for (long i = 0; i < 10; i++)
            threads[i] = begin(doubles, (void *)i);
        for (int i = 0; i < 10; i++)
            sum += result_of(threads[i]);
    }
    say("%ld", sum);
}
