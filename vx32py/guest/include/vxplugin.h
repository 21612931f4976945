/*
 * vxplugin.h - what a plug-in says to its host: a guest whose functions the host calls by name.
 *
 *     #include <vxplugin.h>
 *
 *     VX_IMPORT(u32, progress, "u32", uint32_t percent);      // a function of the host's
 *
 *     vx_bytes digest(vx_bytes data) { ... }
 *     VX_EXPORT(digest, "bytes -> bytes");
 *
 * Built with `vx32py cc --plugin`. There is no main: constructors run when the host instantiates the plug-in. Calls are
 * those of the System V ABI for i386, so that any compiler makes them. docs/plugins.md has all of it.
 *
 * Types of a signature:  i32 u32 i64 u64 f64  numbers
 *                        bytes                vx_bytes, by value
 *                        pointer              any pointer, into the plug-in's own memory
 *                        none                 no result; no arguments
 */
#ifndef VXPLUGIN_H
#define VXPLUGIN_H

#include <stdint.h>
#include <vx.h>

/*
 * A byte string. One that is an argument, or the result of an import, lies in memory of the host's and is good until the
 * exported function returns. One that an export returns must stay until the next call.
 */
typedef struct {
    uint8_t *data;
    uint32_t size;
} vx_bytes;

/* Tells the host of a function with C linkage, behind its declaration or definition. */
#define VX_EXPORT(name, signature)                                                                                     \
    static const char vx_export_##name[] __attribute__((used, aligned(1), section(".vx_plugin"))) =                    \
        "export " #name " " signature;                                                                                 \
    static void (*const vx_keep_##name)(void) __attribute__((used, section(".rodata.vx_plugin"))) =                    \
        (void (*)(void))name

/*
 * Declares a function of the host's with this result and these parameters in C; `parameters` are the same for the host.
 * Several files may declare the same one. Only those that are used must be there.
 */
#define VX_IMPORT(result, name, parameters, ...)                                                                       \
    VX_C_##result name(__VA_ARGS__);                                                                                   \
    __asm__(".pushsection .vx_plugin." #name ", \"a\", @progbits\n"                                                    \
            "7701: .asciz \"import " #name " " parameters " -> " #result "\"\n"                                        \
            ".popsection\n"                                                                                            \
            ".pushsection .text." #name ", \"ax\", @progbits\n"                                                        \
            ".weak " #name "\n"                                                                                        \
            ".type " #name ", @function\n" #name ":\n"                                                                 \
            "    leal 4(%esp), %ecx\n"                                                                                 \
            "    movl $7701b, %edx\n"                                                                                  \
            "    int $0x71\n" VX_RETURN_##result                                                                       \
            ".size " #name ", . - " #name "\n"                                                                         \
            ".popsection\n")

#define VX_C_none void
#define VX_C_i32 int32_t
#define VX_C_u32 uint32_t
#define VX_C_i64 int64_t
#define VX_C_u64 uint64_t
#define VX_C_f64 double
#define VX_C_bytes vx_bytes
#define VX_C_pointer void *

/* How an import's stub returns what the host has left in EAX and EDX. */
#define VX_RETURN_none "    ret\n"
#define VX_RETURN_i32 "    ret\n"
#define VX_RETURN_u32 "    ret\n"
#define VX_RETURN_i64 "    ret\n"
#define VX_RETURN_u64 "    ret\n"
#define VX_RETURN_pointer "    ret\n"
/* The place of a struct is the first argument, which the function takes off the stack. */
#define VX_RETURN_bytes "    ret $4\n"
#define VX_RETURN_f64 "    pushl %edx\n    pushl %eax\n    fldl (%esp)\n    addl $8, %esp\n    ret\n"

#endif
