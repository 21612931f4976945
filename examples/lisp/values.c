/* values.c - what Lisp values are, and the memory they live in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 6000       /* of evaluation: deeper than that, a program is stopped before the C stack ends */
#define ROOTS_MAX 200000     /* values that C code holds while others are made */
#define CHUNK 8192           /* cells that are allocated at a time */
#define TEXT_MAX (1 << 24)   /* bytes in a program or a string */

enum type { FREE, NIL, TRUE, FALSE, NUMBER, STRING, SYMBOL, PAIR, CLOSURE, PRIMITIVE };

typedef struct cell *value;

struct cell {
    unsigned char type, marked;
    union {
        int64_t number;
        struct { char *text; size_t length; } string;
        struct { char *name; value global; value next; } symbol;                 /* global: NULL if unbound */
        struct { value car, cdr; } pair;
        struct { value names, body, scope; } closure;                            /* scope: ((name . value) ...) */
        struct { const char *name; value (*run)(value *, int); int least, most; } primitive;
        value next_free;
    } u;
};

static struct cell nil_cell = {.type = NIL}, true_cell = {.type = TRUE}, false_cell = {.type = FALSE};
#define nil (&nil_cell)
#define truth(condition) ((condition) ? &true_cell : &false_cell)

#define car(v) ((v)->u.pair.car)
#define cdr(v) ((v)->u.pair.cdr)
#define is(v, t) ((v)->type == (t))

static jmp_buf on_error;

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void fail(const char *format, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("lisp: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    longjmp(on_error, 1);
}

/* ---- Memory: mark and sweep. Cells come from chunks, which stay; only `collect` starts a collection. ---- */

struct chunk {
    struct chunk *next;
    struct cell cells[CHUNK];
};

static struct chunk *chunks;
static value free_cells;
static size_t used, threshold = 4 * CHUNK;
static value *roots; /* a stack: whoever holds a value while others are made keeps it here */
static size_t root_count;
static value symbols; /* all of them, which also keeps the globals */

static void protect(value v)
{
    if (root_count == ROOTS_MAX)
        fail("too many values in use at once");
    roots[root_count++] = v;
}

static value make(enum type type)
{
    value v = free_cells;

    if (!v) {
        struct chunk *chunk = calloc(1, sizeof *chunk);

        if (!chunk)
            fail("out of memory");
        chunk->next = chunks;
        chunks = chunk;
        for (int i = 0; i < CHUNK; i++) {
            chunk->cells[i].u.next_free = free_cells;
            free_cells = &chunk->cells[i];
        }
        v = free_cells;
    }
    free_cells = v->u.next_free;
    v->type = (unsigned char)type;
    used++;
    return v;
}

/* Values that are reached but not looked into yet: not the C stack, which a long chain would overflow. */
static value *pending;
static size_t pending_count, pending_room;

static void reach(value v)
{
    if (!v || v->marked)
        return;
    v->marked = 1;
    if (pending_count == pending_room) {
        value *more = realloc(pending, (pending_room = pending_room * 2 + 1024) * sizeof *more);

        if (!more)
            fail("out of memory");
        pending = more;
    }
    pending[pending_count++] = v;
}

static void mark(value v)
{
    for (reach(v); pending_count;) {
        v = pending[--pending_count];
        switch (v->type) {
        case PAIR: reach(car(v)); reach(cdr(v)); break;
        case SYMBOL: reach(v->u.symbol.global); reach(v->u.symbol.next); break;
        case CLOSURE: reach(v->u.closure.names); reach(v->u.closure.body); reach(v->u.closure.scope); break;
        default: break;
        }
    }
}

static void collect(void)
{
    if (used < threshold)
        return;
    mark(symbols);
    for (size_t i = 0; i < root_count; i++)
        mark(roots[i]);
    used = 0;
    free_cells = NULL;
    for (struct chunk *chunk = chunks; chunk; chunk = chunk->next)
        for (int i = 0; i < CHUNK; i++) {
            value v = &chunk->cells[i];

            if (v->marked) {
                v->marked = 0;
                used++;
                continue;
            }
            if (v->type == STRING)
                free(v->u.string.text);
            v->type = FREE;
            v->u.next_free = free_cells;
            free_cells = v;
        }
    nil->marked = true_cell.marked = false_cell.marked = 0;
    threshold = used * 2 < 4 * CHUNK ? 4 * CHUNK : used * 2;
}

static value number(int64_t n)
{
    value v = make(NUMBER);

    v->u.number = n;
    return v;
}

static value cons(value first, value rest)
{
    value v = make(PAIR);

    car(v) = first;
    cdr(v) = rest;
    return v;
}

static value string(const char *text, size_t length)
{
    char *copy = length < TEXT_MAX ? malloc(length + 1) : NULL;
    value v;

    if (!copy)
        fail("out of memory for strings");
    if (length)
        memcpy(copy, text, length);
    copy[length] = 0;
    v = make(STRING);
    v->u.string.text = copy;
    v->u.string.length = length;
    return v;
}

static value symbol(const char *name, size_t length)
{
    value v;
    char *copy;

    for (v = symbols; v; v = v->u.symbol.next)
        if (!strncmp(v->u.symbol.name, name, length) && !v->u.symbol.name[length])
            return v;
    copy = malloc(length + 1);
    if (!copy)
        fail("out of memory for symbols");
    memcpy(copy, name, length);
    copy[length] = 0;
    v = make(SYMBOL);
    v->u.symbol.name = copy;
    v->u.symbol.global = NULL;
    v->u.symbol.next = symbols;
    return symbols = v;
}
