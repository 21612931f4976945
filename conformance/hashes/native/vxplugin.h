/* vxplugin.h - for plug-ins that are compiled as part of a native program, which calls them itself. */
#ifndef VXPLUGIN_H
#define VXPLUGIN_H

#include <stdint.h>

typedef struct {
    uint8_t *data;
    uint32_t size;
} vx_bytes;

#define VX_EXPORT(name, signature) extern __typeof__(name) name

#endif
