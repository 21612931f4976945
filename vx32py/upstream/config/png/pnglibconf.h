/* pnglibconf.h - libpng as its authors configure it, without floating point and what a decoder never asks for. */
#include "scripts/pnglibconf.h.prebuilt"

#undef PNG_FLOATING_POINT_SUPPORTED
#undef PNG_FLOATING_ARITHMETIC_SUPPORTED
#undef PNG_STDIO_SUPPORTED
#undef PNG_CONSOLE_IO_SUPPORTED
#undef PNG_SIMPLIFIED_READ_SUPPORTED
#undef PNG_SIMPLIFIED_WRITE_SUPPORTED
#undef PNG_CONVERT_tIME_SUPPORTED
#undef PNG_TIME_RFC1123_SUPPORTED
#undef PNG_ERROR_NUMBERS_SUPPORTED
