/*
 * calls.h - included before anything else in a measured program and in its library: both make their system calls through
 * one function, which calls.S has twice, for guests and for Linux. So guest and native program are linked from the same
 * objects and lie at the same addresses, and differ in nothing else.
 */
#ifndef CALLS_H
#define CALLS_H
#ifndef __ASSEMBLER__

#include <vx.h>

int32_t measured_call(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e);

#define vx_syscall measured_call

#endif
#endif
