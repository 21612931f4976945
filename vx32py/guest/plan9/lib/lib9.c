/* lib9.c - Plan 9's own part of the library as one translation unit; the linker drops what a program does not use. */
#include <u.h>
#include <libc.h>
#include <tos.h>

#include "text.c"
#include "print.c"
#include "process.c"
#include "files.c"
#include "bio.c"
#include "net.c"
