/* features.h - musl asks for it; what it would define are options here. */
#ifndef __vx__
#include_next <features.h>
#endif
