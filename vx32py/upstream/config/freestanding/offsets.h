/* offsets.h - fseek and ftell with the type of their own that POSIX gave them, which is the same in a guest. */
#ifdef __vx__
#define fseeko fseek
#define ftello ftell
#endif
