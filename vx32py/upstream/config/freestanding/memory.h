/* memory.h - an old name for a part of string.h. */
#ifdef __vx__
#include <string.h>
#else /* the same program for a host, which has its own */
#include_next <memory.h>
#endif
