/*
 * transfers.c - indirect transfers as programs make them, in portable C: transfers NAME COUNT.
 *
 *   switch    a bytecode interpreter with one switch
 *   goto      the same interpreter, each operation of which jumps to the next one (computed goto)
 *   virtual   calls through tables of functions, of objects of eight kinds
 *   qsort     sorting with a comparison function: COUNT numbers
 *   chase     a walk through a list in random order, larger than a cache
 *   deep      recursion a thousand calls deep, through 64 places to return to
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t random_state = 1;

static uint32_t random_number(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* -- an interpreter, twice --------------------------------------------------------------------------------------- */

enum { PUSH, ADD, XOR, SHIFT, DUPLICATE, SWAP, DROP, LOOP, OPERATIONS };

/* A loop body of every operation, in an order in which none follows the same one always. */
static const unsigned char program[] = {
    DUPLICATE, SHIFT, XOR, PUSH, ADD, DUPLICATE, PUSH, ADD, SWAP, DROP, PUSH, XOR, DUPLICATE, ADD, PUSH, SWAP, XOR,
    DUPLICATE, SHIFT, ADD, PUSH, DUPLICATE, XOR, ADD, LOOP,
};

#define TOP stack[at - 1]
#define SECOND stack[at - 2]

static uint32_t by_switch(uint32_t count)
{
    uint32_t stack[16] = {1}, at = 1, held;
    const unsigned char *next = program;

    for (;;)
        switch (*next++) {
        case PUSH: stack[at++] = count; break;
        case ADD: SECOND += TOP, at--; break;
        case XOR: SECOND ^= TOP, at--; break;
        case SHIFT: TOP = TOP << 7 | TOP >> 25; break;
        case DUPLICATE: stack[at] = TOP, at++; break;
        case SWAP: held = TOP, TOP = SECOND, SECOND = held; break;
        case DROP: at--; break;
        case LOOP:
            if (!--count)
                return TOP;
            next = program;
        }
}

static uint32_t by_goto(uint32_t count)
{
    static const void *const operations[OPERATIONS] = {
        &&push, &&add, &&xor, &&shift, &&duplicate, &&swap, &&drop, &&loop,
    };
    uint32_t stack[16] = {1}, at = 1, held;
    const unsigned char *next = program;

#define NEXT goto *operations[*next++]
    NEXT;
push: stack[at++] = count; NEXT;
add: SECOND += TOP, at--; NEXT;
xor: SECOND ^= TOP, at--; NEXT;
shift: TOP = TOP << 7 | TOP >> 25; NEXT;
duplicate: stack[at] = TOP, at++; NEXT;
swap: held = TOP, TOP = SECOND, SECOND = held; NEXT;
drop: at--; NEXT;
loop:
    if (!--count)
        return TOP;
    next = program;
    NEXT;
}

/* -- objects ----------------------------------------------------------------------------------------------------- */

struct object;
struct kind { uint32_t (*turn)(struct object *self, uint32_t with); };
struct object { const struct kind *kind; uint32_t state; };

#define KIND(n) \
    static uint32_t turn##n(struct object *self, uint32_t with) { return self->state += with * (2 * n + 1) ^ n; } \
    static const struct kind kind##n = {turn##n};

KIND(0) KIND(1) KIND(2) KIND(3) KIND(4) KIND(5) KIND(6) KIND(7)

static uint32_t by_objects(uint32_t count)
{
    static const struct kind *const kinds[8] = {&kind0, &kind1, &kind2, &kind3, &kind4, &kind5, &kind6, &kind7};
    struct object objects[256];
    uint32_t value = 1;

    for (int i = 0; i < 256; i++)
        objects[i].kind = kinds[random_number() & 7], objects[i].state = (uint32_t)i;
    for (uint32_t i = 0; i < count; i++)
        value = objects[i & 255].kind->turn(&objects[i & 255], value);
    return value;
}

/* -- the library calls back -------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t by_sorting(uint32_t count)
{
    uint32_t *numbers = malloc(sizeof *numbers * (count + 1)), value = 0;

    for (uint32_t i = 0; i < count; i++)
        numbers[i] = random_number();
    qsort(numbers, count, sizeof *numbers, compare);
    for (uint32_t i = 0; i < count; i++)
        value = value * 31 + numbers[i];
    free(numbers);
    return value;
}

/* -- a list ------------------------------------------------------------------------------------------------------- */

#define NODES (1u << 20)

static uint32_t by_chasing(uint32_t count)
{
    uint32_t *next = malloc(sizeof *next * NODES), at = 0;

    for (uint32_t i = 0; i < NODES; i++)
        next[i] = i;
    for (uint32_t i = NODES - 1; i; i--) { /* Sattolo: one cycle through all */
        uint32_t other = random_number() % i, held = next[i];

        next[i] = next[other], next[other] = held;
    }
    while (count--)
        at = next[at];
    free(next);
    return at;
}

/* -- recursion ---------------------------------------------------------------------------------------------------- */

#define DEPTH 1024

static uint32_t (*const descents[64])(uint32_t depth);

#define DESCENT(n) \
    static uint32_t descent##n(uint32_t depth) \
    { \
        return depth ? descents[(n * 5 + depth) & 63](depth - 1) * 3 + n : 1; \
    }
#define EIGHT(f, n) f(n##0) f(n##1) f(n##2) f(n##3) f(n##4) f(n##5) f(n##6) f(n##7)
#define ALL(f) EIGHT(f, 0) EIGHT(f, 01) EIGHT(f, 02) EIGHT(f, 03) EIGHT(f, 04) EIGHT(f, 05) EIGHT(f, 06) EIGHT(f, 07)
#define NAME(n) descent##n,

ALL(DESCENT)
static uint32_t (*const descents[64])(uint32_t depth) = {ALL(NAME)};

static uint32_t by_recursion(uint32_t count)
{
    uint32_t value = 0;

    for (uint32_t i = 0; i < count / DEPTH; i++)
        value = value * 31 + descents[i & 63](DEPTH);
    return value;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; uint32_t (*run)(uint32_t count); } all[] = {
        {"switch", by_switch}, {"goto", by_goto}, {"virtual", by_objects},
        {"qsort", by_sorting}, {"chase", by_chasing}, {"deep", by_recursion},
    };
    uint32_t count = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;

    for (size_t i = 0; argc == 3 && i < sizeof all / sizeof *all; i++)
        if (!strcmp(argv[1], all[i].name)) {
            printf("%lu\n", count ? (unsigned long)all[i].run(count) : 0);
            return 0;
        }
    fputs("usage: transfers switch|goto|virtual|qsort|chase|deep COUNT\n", stderr);
    return 2;
}
