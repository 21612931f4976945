/*
 * plugin.c - where a plug-in begins: the host calls this as a function, and then whatever it exports.
 *
 * Linked in place of start.c's entry by `vx32py cc --plugin`, and the only part of the library that tells a plug-in from a
 * program.
 */
#include <stddef.h>
#include <stdlib.h>

/* The functions marked `constructor`; the linker script collects them. */
extern void (*const __init_array_start[])(void);
extern void (*const __init_array_end[])(void);

__attribute__((used, aligned(1), section(".vx_plugin"))) static const char vx_plugin[] = "vxplugin 1";
__attribute__((used, section(".rodata.vx_abi"))) static const char vx_abi[] = "VX ABI 1";

__attribute__((used, visibility("default"))) void vx_plugin_start(void);

void vx_plugin_start(void)
{
    for (void (*const *f)(void) = __init_array_start; f != __init_array_end; f++)
        (*f)();
}
