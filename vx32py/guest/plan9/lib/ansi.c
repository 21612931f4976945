/* ansi.c - what Plan 9's library has in common with C's, from the library of the other guests. */
#include <errno.h>

int errno;

#include "../../lib/ctype.c"
#include "../../lib/decimal.c"
#include "../../lib/int64.c"
#include "../../lib/setjmp.c"
#include "../../lib/sort.c"
#include "../../lib/string.c"

/* Processes may share memory: process.c has malloc and the others, with a lock. */
#define malloc malloc9
#define calloc calloc9
#define realloc realloc9
#define free free9
void *malloc9(size_t n);
void free9(void *payload);
#include "../../lib/malloc.c"
