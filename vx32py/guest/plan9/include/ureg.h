/* ureg.h - the registers that a handler of notes finds. */
#ifndef PLAN9_UREG_H
#define PLAN9_UREG_H

typedef struct Ureg Ureg;
struct Ureg {
    unsigned long di, si, bp, nsp, bx, dx, cx, ax, gs, fs, es, ds, trap, ecode, pc, cs, flags;
    union { unsigned long usp, sp; };
    unsigned long ss;
};

#endif
