/* u.h - the types that Plan 9's C programs are written with, on a 386. */
#ifndef PLAN9_U_H
#define PLAN9_U_H

#define nil ((void *)0)

typedef signed char schar;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef long long vlong;
typedef unsigned long long uvlong;
typedef unsigned long uintptr;
typedef long intptr;
typedef unsigned long usize;
typedef uint Rune;

typedef signed char s8int;
typedef unsigned char u8int;
typedef short s16int;
typedef unsigned short u16int;
typedef int s32int;
typedef unsigned int u32int;
typedef long long s64int;
typedef unsigned long long u64int;

typedef __builtin_va_list va_list;
#define va_start(list, last) __builtin_va_start(list, last)
#define va_arg(list, type) __builtin_va_arg(list, type)
#define va_end(list) __builtin_va_end(list)
#define va_copy(to, from) __builtin_va_copy(to, from)

/* EBX, ESI, EDI, EBP, ESP, EIP; programs that were written for jmp_buf[JMPBUFSP] look elsewhere. */
typedef unsigned jmp_buf[6];

#define USED(x) ((void)(x))
#define SET(x) ((x) = 0)

#endif
