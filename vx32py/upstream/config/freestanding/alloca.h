/* alloca.h - memory that ends with the function. */
#ifdef __vx__
#define alloca(n) __builtin_alloca(n)
#else /* the same program for a host, which has its own */
#include_next <alloca.h>
#endif
