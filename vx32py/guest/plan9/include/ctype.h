/* ctype.h - kinds of ASCII characters, as in C. */
#include "../../include/ctype.h"
