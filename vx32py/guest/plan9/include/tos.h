/* tos.h - what the kernel leaves at the top of a process's stack. */
#ifndef PLAN9_TOS_H
#define PLAN9_TOS_H

typedef struct Tos Tos;
struct Tos {
    struct {
        void *pp, *next, *last, *first;
        unsigned long pid, what;
    } prof;
    unsigned long long cyclefreq;
    long long kcycles, pcycles;
    unsigned long pid, clock;
};

extern Tos *_tos;

#endif
