/* memory.h - an old name for a part of string.h. */
#include <string.h>
