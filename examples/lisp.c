/*
 * lisp.c - an interpreter as a guest: a small Lisp with closures, tail calls, strings, 64-bit integers and a collector.
 *
 *   lisp                run the program on stdin
 *   lisp -e EXPRESSION  evaluate and print
 *   lisp -d NAME [N]    run a program from this file: fib, tak, queens, primes, sort
 *
 * Forms: quote if define set! lambda let let* letrec begin cond and or while, let with a name, and (define (f x) ...).
 * What is wrong with a program is said on stderr, and the exit code is 1.
 */
#include "lisp/values.c"
#include "lisp/read.c"
#include "lisp/print.c"
#include "lisp/eval.c"
#include "lisp/primitives.c"

static const char prelude[] =
    "(define (abs n) (if (< n 0) (- n) n))"
    "(define (min a b) (if (< a b) a b)) (define (max a b) (if (> a b) a b))"
    "(define (cadr l) (car (cdr l))) (define (cddr l) (cdr (cdr l)))"
    "(define (length l) (let next ((l l) (n 0)) (if (pair? l) (next (cdr l) (+ n 1)) n)))"
    "(define (reverse l) (let next ((l l) (r '())) (if (pair? l) (next (cdr l) (cons (car l) r)) r)))"
    "(define (append a b) (let next ((a (reverse a)) (r b)) (if (pair? a) (next (cdr a) (cons (car a) r)) r)))"
    "(define (map f l) (let next ((l l) (r '())) (if (pair? l) (next (cdr l) (cons (f (car l)) r)) (reverse r))))"
    "(define (for-each f l) (while (pair? l) (f (car l)) (set! l (cdr l))))"
    "(define (filter f l) (let next ((l l) (r '()))"
    "  (if (pair? l) (next (cdr l) (if (f (car l)) (cons (car l) r) r)) (reverse r))))"
    "(define (fold f start l) (if (pair? l) (fold f (f start (car l)) (cdr l)) start))"
    "(define (range a b) (let next ((i (- b 1)) (r '())) (if (< i a) r (next (- i 1) (cons i r)))))"
    "(define (list-ref l n) (if (= n 0) (car l) (list-ref (cdr l) (- n 1))))"
    "(define (assoc k l) (cond ((null? l) #f) ((equal? k (car (car l))) (car l)) (else (assoc k (cdr l)))))";

static const struct {
    const char *name, *program; /* the program's n is the number on the command line, or `n` */
    int64_t n;
} demos[] = {
    {"fib", "(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (display (fib n)) (newline)", 22},
    {"tak",
     "(define (tak x y z) (if (not (< y x)) z (tak (tak (- x 1) y z) (tak (- y 1) z x) (tak (- z 1) x y))))"
     "(display (tak (* 2 n) n 0)) (newline)", 6},
    {"queens",
     "(define (safe? q others d) (cond ((null? others) #t)"
     "  ((or (= q (car others)) (= d (abs (- q (car others))))) #f) (else (safe? q (cdr others) (+ d 1)))))"
     "(define (queens k placed) (if (= k 0) 1 (fold + 0 (map (lambda (q)"
     "  (if (safe? q placed 1) (queens (- k 1) (cons q placed)) 0)) (range 0 n)))))"
     "(display (queens n '())) (newline)", 6},
    {"primes",
     "(define (sieve l) (if (null? l) '() (cons (car l)"
     "  (sieve (filter (lambda (m) (not (= 0 (remainder m (car l))))) (cdr l))))))"
     "(define found (sieve (range 2 n))) (display (length found) \" primes, the last is \" (car (reverse found)))"
     "(newline)", 1000},
    {"sort",
     "(define (sort l) (if (null? l) '() (let ((pivot (car l)))"
     "  (append (sort (filter (lambda (x) (< x pivot)) (cdr l)))"
     "          (cons pivot (sort (filter (lambda (x) (not (< x pivot))) (cdr l))))))))"
     "(define (numbers n seed) (let next ((i 0) (s seed) (l '()))"
     "  (if (= i n) l (next (+ i 1) (modulo (+ (* s 1103515245) 12345) 2147483648) (cons s l)))))"
     "(define (checksum l) (fold (lambda (sum x) (modulo (+ (* sum 31) x) 1000000007)) 0 l))"
     "(display (checksum (sort (numbers n 42)))) (newline)", 1000},
};

static value run(const char *program, size_t length)
{
    value result = nil;

    at = program;
    end = program + length;
    for (skip_space(); at < end; skip_space())
        result = eval(read_value(), nil);
    return result;
}

static char *read_all(size_t *length)
{
    size_t room = 65536, n;
    char *program = malloc(room);

    for (*length = 0; program && (n = fread(program + *length, 1, room - *length, stdin)) > 0;) {
        *length += n;
        if (*length == room) {
            if ((room *= 2) > TEXT_MAX)
                fail("the program is too long");
            program = realloc(program, room);
        }
    }
    if (!program)
        fail("out of memory");
    return program;
}

static void start(void)
{
    const struct { value *place; const char *name; } forms[] = {
        {&s_quote, "quote"}, {&s_if, "if"}, {&s_define, "define"}, {&s_set, "set!"}, {&s_lambda, "lambda"},
        {&s_let, "let"}, {&s_let_star, "let*"}, {&s_letrec, "letrec"}, {&s_begin, "begin"}, {&s_cond, "cond"},
        {&s_else, "else"}, {&s_and, "and"}, {&s_or, "or"}, {&s_while, "while"},
    };

    roots = malloc(ROOTS_MAX * sizeof *roots);
    if (!roots)
        fail("out of memory");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        *forms[i].place = symbol(forms[i].name, strlen(forms[i].name));
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++) {
        value v = make(PRIMITIVE);

        v->u.primitive.name = primitives[i].name;
        v->u.primitive.run = primitives[i].run;
        v->u.primitive.least = primitives[i].least;
        v->u.primitive.most = primitives[i].most;
        symbol(primitives[i].name, strlen(primitives[i].name))->u.symbol.global = v;
    }
    run(prelude, sizeof prelude - 1);
}

int main(int argc, char **argv)
{
    if (setjmp(on_error))
        return 1;
    start();
    if (argc == 1) {
        size_t length;
        char *program = read_all(&length);

        run(program, length);
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "-e")) {
        print(run(argv[2], strlen(argv[2])), 1, 0);
        putchar('\n');
        return 0;
    }
    if (argc >= 3 && !strcmp(argv[1], "-d"))
        for (size_t i = 0; i < sizeof demos / sizeof *demos; i++)
            if (!strcmp(demos[i].name, argv[2])) {
                symbol("n", 1)->u.symbol.global = number(argc > 3 ? atoi(argv[3]) : demos[i].n);
                run(demos[i].program, strlen(demos[i].program));
                return 0;
            }
    fputs("usage: lisp [-e EXPRESSION | -d fib|tak|queens|primes|sort [N]] < PROGRAM\n", stderr);
    return 2;
}
