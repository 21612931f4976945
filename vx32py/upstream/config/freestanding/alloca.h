/* alloca.h - memory that ends with the function. */
#define alloca(n) __builtin_alloca(n)
