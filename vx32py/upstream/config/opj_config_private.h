/* What OpenJPEG's build finds out about a system, for itself. */
#define OPJ_HAVE_INTTYPES_H 1
#define OPJ_PACKAGE_VERSION "2.5.0"
#ifndef __vx__ /* the guest library aligns all memory to 16 bytes */
#define OPJ_HAVE_POSIX_MEMALIGN 1
#endif
