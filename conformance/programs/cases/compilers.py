"""Compilers, make, and what they compile."""

from __future__ import annotations

from typing import Final

from conformance.programs.case import Case

_HELLO: Final = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(int argc, char **argv)
{
    int numbers[] = { 5, 3, 9, 1 };
    qsort(numbers, 4, sizeof numbers[0], compare);
    printf("hello from %d arguments, %d %d %.6f %zu\\n", argc, numbers[0], numbers[3], sqrt(2.0), strlen(argv[0]) > 0);
    char *text = malloc(100000);
    memset(text, 'x', 99999);
    text[99999] = 0;
    printf("%zu\\n", strlen(text));
    free(text);
    return 42;
}
"""
_THREADS: Final = """\
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t semaphore;
static long counter;
static int turn, destroyed, made;
static __thread int local;
static void make(void) { made++; }
static void destroy(void *value) { __sync_fetch_and_add(&destroyed, 1); (void)value; }
static void *work(void *argument)
{
    long id = (long)argument;
    pthread_once(&once, make);
    pthread_setspecific(key, (void *)(id + 1));
    local = (int)id;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    while (turn != id)
        pthread_cond_wait(&changed, &lock);
    printf("thread %ld has %d\\n", id, local);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_rwlock_rdlock(&rwlock);
    pthread_rwlock_unlock(&rwlock);
    sem_post(&semaphore);
    return (void *)(id * id);
}
static void *forever(void *argument) { for (;;) pause(); return argument; }
static void *spin(void *argument) { volatile int *stop = argument; while (!*stop) ; return 0; }
static volatile int signalled;
static void on_signal(int signal) { signalled = signal; }
int main(void)
{
    pthread_t threads[8], sleeper, spinner;
    pthread_key_create(&key, destroy);
    pthread_barrier_init(&barrier, 0, 8);
    sem_init(&semaphore, 0, 0);
    long sum = 0;
    for (long i = 0; i < 8; i++)
        if (pthread_create(&threads[i], 0, work, (void *)i))
            return 1;
    for (int i = 0; i < 8; i++)
        sem_wait(&semaphore);
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("%ld %ld %d %d\\n", counter, sum, destroyed, made);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 10000000;
    if (until.tv_nsec >= 1000000000) { until.tv_sec++; until.tv_nsec -= 1000000000; }
    pthread_mutex_lock(&lock);
    printf("timed wait %d\\n", pthread_cond_timedwait(&changed, &lock, &until));
    pthread_mutex_unlock(&lock);
    static volatile int stop;
    pthread_create(&spinner, 0, spin, (void *)&stop);
    usleep(10000);
    stop = 1;
    pthread_join(spinner, 0);
    signal(SIGUSR1, on_signal);
    pthread_create(&sleeper, 0, forever, 0);
    usleep(10000);
    pthread_kill(sleeper, SIGUSR1);
    usleep(50000);
    void *result;
    pthread_cancel(sleeper);
    pthread_join(sleeper, &result);
    printf("cancelled %d signal %d\\n", result == PTHREAD_CANCELED, signalled);
    fflush(stdout);
    pid_t child = fork();
    if (!child)
        _exit(7);
    int status;
    waitpid(child, &status, 0);
    printf("child %d\\n", WEXITSTATUS(status));
    return 0;
}
"""
_MAKEFILE: Final = """\
CC = tcc
objects = main.o square.o
program: $(objects)
\t$(CC) -o $@ $^
%.o: %.c square.h
\t$(CC) -c -o $@ $<
generated.txt: $(wildcard *.c)
\tcat $^ | wc -l > $@
.PHONY: all clean check
all: program generated.txt sub
\t@echo built for $(shell echo $$((6 * 7))) $(words $(objects)) $(patsubst %.o,%.c,$(objects))
sub:
\t$(MAKE) -C sub
check: program
\t./program
clean:
\trm -f program *.o generated.txt
fail:
\tfalse
"""
_TREE: Final = {
    "Makefile": _MAKEFILE,
    "main.c": '#include <stdio.h>\n#include "square.h"\nint main(void) { printf("%d\\n", square(12)); return 0; }\n',
    "square.c": '#include "square.h"\nint square(int x) { return x * x; }\n',
    "square.h": "int square(int);\n",
    "sub/Makefile": "all: a b c\na b c:\n\t@echo making $@; sleep 0.01; touch $@\n",
}
_GRAMMAR: Final = {
    "calc.y": "%{\n#include <stdio.h>\nint yylex(void); void yyerror(const char *m) { puts(m); }\n%}\n%token NUMBER\n%left '+'\n%left '*'\n%%\nlines: | lines expr '\\n' { printf(\"%d\\n\", $2); } | lines error '\\n' { yyerrok; };\nexpr: NUMBER | expr '+' expr { $$ = $1 + $3; } | expr '*' expr { $$ = $1 * $3; } | '(' expr ')' { $$ = $2; };\n%%\nint main(void) { return yyparse(); }\n",
    "lex.l": '%{\n#include "calc.tab.h"\n#include <stdlib.h>\nextern int yylval;\n%}\n%option noyywrap nounput noinput\n%%\n[0-9]+ { yylval = atoi(yytext); return NUMBER; }\n[ \\t] ;\n.|\\n return *yytext;\n%%\n',
}
_OBJECTS: Final = r"\.o$|^program$|^hello|^threads|\.tab\.|lex\.yy|^calc$"
_CXX: Final = '#include <iostream>\n#include <map>\n#include <string>\n#include <thread>\n#include <vector>\n#include <atomic>\n#include <stdexcept>\nint main() { std::map<std::string, int> m{{"b", 2}, {"a", 1}}; for (auto &[k, v] : m) std::cout << k << v << std::endl; std::atomic<int> n{0}; std::vector<std::thread> t; for (int i = 0; i < 4; i++) t.emplace_back([&] { for (int j = 0; j < 1000; j++) n++; }); for (auto &x : t) x.join(); std::cout << n << std::endl; try { throw std::runtime_error("thrown"); } catch (std::exception &e) { std::cout << e.what() << std::endl; } return 5; }\n'
_RUST: Final = 'use std::collections::HashMap;use std::sync::mpsc;use std::thread;fn main(){let(tx,rx)=mpsc::channel();for i in 0..4{let tx=tx.clone();thread::spawn(move||tx.send(i*i).unwrap());}drop(tx);let s:i32=rx.iter().sum();let mut m=HashMap::new();m.insert("k",s);println!("{} {:?}",s,m);let r=std::panic::catch_unwind(||{panic!("x")});println!("{}",r.is_err());std::process::exit(3)}\n'

CASES: Final[tuple[Case, ...]] = (
    Case("make", "make", script="make all; make all; touch square.h; make -j2 program; make check; make -n clean; make fail; echo $?; make clean; ls; make -s -j3 -C sub -B | sort; make nonesuch; echo $?; echo 'x := $(shell seq 3)\n$(info $(foreach i,$(x),<$(i)>) $(MAKE_VERSION))\nall:;@:' | make -f -", files=_TREE, ignore=_OBJECTS, scrub=(r"/work/[^']*",)),
    Case("tcc", "tcc", script="tcc -o hello hello.c -lm && ./hello a b; echo $?; tcc -lm -run hello.c x; echo $?; tcc -c hello.c && tcc -static -o hello-static hello.o -lm && ./hello-static; echo $?; tcc -E -P hello.c | tail -n 3; echo 'int main(void) { return x; }' | tcc -o no -; echo $?; tcc -shared -o hello-lib.so square.c; echo $?", files={"hello.c": _HELLO, "square.c": "int square(int x) { return x * x; }\n"}, ignore=_OBJECTS),
    Case("pthreads", "tcc", script="sed 's/static __thread/static/' threads.c > threads2.c; tcc -o threads threads2.c -lpthread && ./threads | sed 's/ has.*//'; echo $?", files={"threads.c": _THREADS}, ignore=_OBJECTS),
    Case("bison-flex", "bison", script="bison -d calc.y && flex lex.l && tcc -o calc calc.tab.c lex.yy.c && printf '1 + 2 * 3\\n(4 + 5) * 6\\n1 +\\n7\\n' | ./calc; echo $?; bison --version | head -n 1; flex --version", files=_GRAMMAR, ignore=_OBJECTS),
    Case("gcc", "gcc", root="gcc", script="gcc -O2 -o hello hello.c -lm && ./hello a; echo $?; gcc -O2 -static -o hello-s hello.c -lm && ./hello-s; echo $?; gcc -fPIE -static-pie -o hello-sp hello.c -lm && ./hello-sp; echo $?; gcc -O2 -pthread -o threads threads.c && ./threads; gcc -O2 -S -o - -x c - <<< 'int f(int x) { return x * 3; }' | grep -c imul; gcc -Wall -c bad.c; echo $?; objdump -d hello | grep -c main; nm hello | grep ' main'; strip hello; ./hello; echo $?; ar rcs libx.a threads.c; ar t libx.a; size hello | tail -n 1 | cut -f 1", interpreter="/bin/bash", files={"hello.c": _HELLO, "threads.c": _THREADS, "bad.c": "int f(void) { return 1 +; }\n"}, ignore=_OBJECTS + r"|libx", memory="192M", default=False, timeout=120, scrub=(r" main",)),
    Case("gcc-c++", "g++", root="gcc", script="g++ -O2 -std=c++17 -pthread -o hello hello.cc && ./hello; echo $?", files={"hello.cc": _CXX}, ignore=_OBJECTS, memory="256M", default=False, timeout=120),
    Case("rustc", "rustc", root="rust", script="rustc -O -o hello hello.rs && ./hello; echo $?", files={"hello.rs": _RUST}, ignore=_OBJECTS, memory="768M", default=False, timeout=300, stderr=False),
    Case("strace-version", "strace", root="debug", argv=("/usr/bin/strace", "-V"), default=False),
    Case("gdb-version", "gdb", root="debug", argv=("/usr/bin/gdb", "-batch", "-nx", "-ex", "print 6 * 7", "/usr/bin/gdb"), memory="512M", default=False),
)  # fmt: skip
