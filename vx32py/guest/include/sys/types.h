/* sys/types.h - the types of system-call arguments. */
#ifndef VX_SYS_TYPES_H
#define VX_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t ssize_t;
typedef int32_t off_t;
typedef int32_t pid_t;
typedef uint32_t mode_t;
typedef uint32_t uid_t;
typedef uint32_t gid_t;
typedef int32_t time_t;
typedef int32_t suseconds_t;

#endif
