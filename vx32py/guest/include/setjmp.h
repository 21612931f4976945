/* setjmp.h - leave several functions at once. */
#ifndef VX_SETJMP_H
#define VX_SETJMP_H

typedef unsigned jmp_buf[6]; /* EBX, ESI, EDI, EBP, ESP, EIP */

int setjmp(jmp_buf where) __attribute__((returns_twice));
_Noreturn void longjmp(jmp_buf where, int value);

#endif
