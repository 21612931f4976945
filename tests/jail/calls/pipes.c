/* Pipes. */
#include "harness.h"

CASE(a_pipe_carries_bytes) {
    int ends[2];
    char bytes[20];
    T(pipe(ends));
    T(write(ends[1], "hello", 5));
    T(write(ends[1], " world", 6));
    T(read(ends[0], bytes, 3));
    T(read(ends[0], bytes, 20));
    say("%s", quoted(bytes, 8));
    close(ends[1]);
    T(read(ends[0], bytes, 20));
}

CASE(pipe2_takes_flags) {
    int ends[2];
    char byte;
    T(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    T(fcntl(ends[0], F_GETFD));
    T(fcntl(ends[1], F_GETFL));
    T(fcntl(ends[0], F_GETFL));
    T(read(ends[0], &byte, 1));
    T(pipe2(ends, 0x1));
    T(syscall(SYS_pipe, NULL));
    T(syscall(SYS_pipe2, NOWHERE, 0));
    T(dup(0));
}

CASE(a_full_pipe) {
    int ends[2];
    static char bytes[100000];
    T(pipe2(ends, O_NONBLOCK));
    T(write(ends[1], bytes, sizeof bytes));
    T(write(ends[1], bytes, 1));
    T(read(ends[0], bytes, 4096));
    T(write(ends[1], bytes, 4096));
    T(write(ends[1], bytes, 1));
    T(fcntl(ends[0], F_GETPIPE_SZ));
}

CASE(the_size_of_a_pipe) {
    int ends[2];
    T(pipe(ends));
    T(fcntl(ends[1], F_SETPIPE_SZ, 4096));
    T(fcntl(ends[0], F_GETPIPE_SZ));
    T(fcntl(ends[1], F_SETPIPE_SZ, 5000));
}

CASE(a_large_write_waits_for_the_reader) {
    int ends[2];
    static char bytes[300000];
    T(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(write(ends[1], bytes, sizeof bytes) != sizeof bytes);
    }
    close(ends[1]);
    long sum = 0, length;
    while ((length = read(ends[0], bytes, 7000)) > 0)
        sum += length;
    say("%ld", sum);
    wait_for(child);
}

CASE(a_pipeline_of_processes) {
    int input[2], output[2];
    T(pipe(input));
    T(pipe(output));
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(input[1]), close(output[0]);
        while (read(input[0], &byte, 1) == 1) {
            byte ^= 0x20;
            if (write(output[1], &byte, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    close(input[0]), close(output[1]);
    T(write(input[1], "Hello", 5));
    close(input[1]);
    wait_for(child);
    show_descriptor(output[0]);
}

CASE(a_pipe_through_exec) {
    int ends[2];
    T(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        execl("./prog", "prog", "@hello", NULL);
    }
    close(ends[1]);
    wait_for(child);
    show_descriptor(ends[0]);
    show_descriptor(ends[0]);
}

HELPER(hello) {
    (void)argc, (void)argv;
    say("hello from the other program");
    return 0;
}

CASE(reading_to_bad_addresses_loses_nothing) {
    int ends[2];
    T(pipe(ends));
    T(write(ends[1], "data", 4));
    T(syscall(SYS_read, ends[0], NOWHERE, 4));
    T(syscall(SYS_write, ends[1], NOWHERE, 4));
    T(syscall(SYS_read, ends[0], NULL, 0));
    show_descriptor(ends[0]);
}

CASE(standard_input_is_empty) {
    char byte;
    T(read(0, &byte, 1));
    T(read(0, &byte, 1));
    T(write(2, "to stderr\n", 10));
}
