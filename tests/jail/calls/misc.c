/* What fits nowhere else: random numbers, calls that are not there, attributes. */
#include "harness.h"

CASE(random_numbers) {
    unsigned char a[64] = {0}, b[64] = {0};
    T(getrandom(a, sizeof a, 0));
    T(getrandom(b, sizeof b, GRND_NONBLOCK));
    say("differ %d", memcmp(a, b, sizeof a) != 0);
    T(getrandom(a, 0, 0));
    T(getrandom(a, 10, 0x80));
    T(getrandom(a, 10, GRND_RANDOM | GRND_INSECURE));
    T(syscall(SYS_getrandom, NULL, 10, 0));
    T(syscall(SYS_getrandom, NOWHERE, 10, 0));
    T(getrandom(a, 1, GRND_RANDOM));
}

CASE(calls_that_do_not_exist) {
    T(syscall(9999));
    T(syscall(-1));
    T(syscall(17));
    T(syscall(0x40000001));
}

static void says_its_umask(void) { T(umask(0)); }

CASE(the_umask_is_inherited) {
    T(umask(0123));
    wait_for(start(says_its_umask));
    T(umask(022));
}

CASE(personality_is_plain) {
    T(syscall(SYS_personality, 0xffffffff));
    T(syscall(SYS_personality, 0));
}

CASE(registers_are_kept_over_calls) {
    unsigned ebx = 0x11111111, esi = 0x22222222, edi = 0x33333333, ecx = 0x44444444, edx = 0x55555555, flags;
    long result = SYS_getpid;
    asm volatile("stc; int $0x80; pushf; pop %5"
                 : "+a"(result), "+b"(ebx), "+c"(ecx), "+d"(edx), "+S"(esi), "=r"(flags), "+D"(edi)
                 :
                 : "memory", "cc");
    say("%d %x %x %x %x %x carry %d", result == getpid(), ebx, ecx, edx, esi, edi, flags & 1);
}

CASE(a_result_that_looks_like_an_error) {
    long result;
    asm volatile("int $0x80" : "=a"(result) : "a"(SYS_close), "b"(77) : "memory");
    say("%ld", result);
    asm volatile("int $0x80" : "=a"(result) : "a"(20000) : "memory");
    say("%ld", result);
    asm volatile("int $0x80" : "=a"(result) : "a"(0xffffffff) : "memory");
    say("%ld", result);
}

CASE(membarrier_refuses) {
    T(syscall(SYS_membarrier, -1, 0, 0));
}
