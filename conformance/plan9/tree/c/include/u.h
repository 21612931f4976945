/*
 * u.h - types, and the headers of C that sources of plan9port expect behind it. The functions that they have under names of
 * Plan 9's are in their libc.h; here is what that takes from Unix.
 */
#ifndef U_H
#define U_H

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdarg.h>
#include <string.h>
#include <stdlib.h>
#include <setjmp.h>
#include <ctype.h>
#include <math.h>
#include <unistd.h>

typedef signed char schar;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef long long vlong;
typedef unsigned long long uvlong;
typedef int8_t s8int;
typedef uint8_t u8int;
typedef int16_t s16int;
typedef uint16_t u16int;
typedef int32_t s32int;
typedef uint32_t u32int;
typedef int64_t s64int;
typedef uint64_t u64int;
typedef intptr_t intptr;
typedef uintptr_t uintptr;

#define AUTOLIB(name)
#define AUTOFRAMEWORK(name)

typedef long p9jmp_buf[sizeof(jmp_buf) / sizeof(long)];
int sigsetjmp(void *where, int mask) __attribute__((returns_twice));

#endif
