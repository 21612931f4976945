/*
 * malloc.c - blocks with boundary tags, free ones in lists by size.
 *
 * A block is a header of 16 bytes and its payload; both sizes are multiples of 16, so payloads are aligned for SSE. The
 * header has the block's size and that of the block before it, so that free blocks merge with both neighbours at once.
 * Free blocks hang in one list for each power of two. The heap grows upwards by sbrk; a used header of size 0 ends it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VX_UNIT 16u
#define VX_USED 1u

struct vx_block {
    uint32_t size;   /* of header and payload; bit 0: in use */
    uint32_t before; /* the size of the block before this one, 0 for the first */
    struct vx_block *next, *previous; /* in its list, while the block is free */
};

static struct vx_block vx_lists[32];
static struct vx_block *vx_end; /* the header that ends the heap */

static uint32_t vx_size(const struct vx_block *b)
{
    return b->size & ~VX_USED;
}

static struct vx_block *vx_at(struct vx_block *b, ptrdiff_t offset)
{
    return (struct vx_block *)((char *)b + offset);
}

static struct vx_block *vx_list_of(uint32_t size)
{
    struct vx_block *list = &vx_lists[31 - __builtin_clz(size)];

    if (!list->next)
        list->next = list->previous = list;
    return list;
}

static void vx_unlink(struct vx_block *b)
{
    b->next->previous = b->previous;
    b->previous->next = b->next;
}

/* Give the block its size, tell its successor, and merge it with free neighbours into one listed free block. */
static void vx_release(struct vx_block *b, uint32_t size)
{
    struct vx_block *after = vx_at(b, size), *list;

    if (!(after->size & VX_USED)) {
        vx_unlink(after);
        size += after->size;
    }
    if (b->before && !(vx_at(b, -(ptrdiff_t)b->before)->size & VX_USED)) {
        b = vx_at(b, -(ptrdiff_t)b->before);
        vx_unlink(b);
        size += b->size;
    }
    b->size = size;
    vx_at(b, size)->before = size;
    list = vx_list_of(size);
    b->next = list->next;
    b->previous = list;
    b->next->previous = list->next = b;
}

/* Use the first `size` bytes of a block of `total` bytes and free the rest if it can hold anything. */
static void *vx_carve(struct vx_block *b, uint32_t total, uint32_t size)
{
    if (total - size >= 2 * VX_UNIT) {
        struct vx_block *rest = vx_at(b, size);

        b->size = size | VX_USED;
        rest->before = size;
        vx_release(rest, total - size);
    } else {
        b->size = total | VX_USED;
        vx_at(b, total)->before = total;
    }
    return (char *)b + VX_UNIT;
}

/* Ask the host for room for a block of this many bytes; the old end header becomes the new block. */
static int vx_grow(uint32_t size)
{
    uint32_t step = (size + VX_UNIT + 0xffffu) & ~0xffffu; /* 64 KiB at least */
    char *memory;
    struct vx_block *b;

    if (!vx_end) {
        memory = sbrk(0);
        if (sbrk((intptr_t)(-(uintptr_t)memory & (VX_UNIT - 1))) == (void *)-1)
            return -1;
    }
    if (step < size || step > INT32_MAX || (memory = sbrk((intptr_t)step)) == (void *)-1)
        return -1;
    if (vx_end && memory == (char *)vx_end + VX_UNIT) {
        b = vx_end;
    } else { /* the first block, or somebody else has moved the break */
        b = (struct vx_block *)memory;
        b->before = 0;
        step -= VX_UNIT;
    }
    vx_end = vx_at(b, step);
    vx_end->size = VX_USED;
    vx_release(b, step);
    return 0;
}

void *malloc(size_t n)
{
    uint32_t size = (n + 2 * VX_UNIT - 1) & ~(VX_UNIT - 1);
    struct vx_block *list, *b;

    if (n > INT32_MAX - 2 * VX_UNIT) {
        errno = ENOMEM;
        return NULL;
    }
    if (size < 2 * VX_UNIT)
        size = 2 * VX_UNIT;
    do {
        for (list = vx_list_of(size); list < vx_lists + 32; list++)
            for (b = list->next; b && b != list; b = b->next)
                if (b->size >= size) {
                    vx_unlink(b);
                    return vx_carve(b, b->size, size);
                }
    } while (!vx_grow(size));
    errno = ENOMEM;
    return NULL;
}

void free(void *payload)
{
    struct vx_block *b = vx_at(payload, -(ptrdiff_t)VX_UNIT);

    if (!payload)
        return;
    if (!(b->size & VX_USED) || vx_at(b, vx_size(b))->before != vx_size(b))
        abort(); /* freed twice, or not from here, or overrun */
    vx_release(b, vx_size(b));
}

void *calloc(size_t count, size_t size)
{
    uint32_t n;
    void *block;

    if (__builtin_mul_overflow(count, size, &n)) {
        errno = ENOMEM;
        return NULL;
    }
    block = malloc(n);
    return block ? memset(block, 0, n) : NULL;
}

void *realloc(void *old, size_t n)
{
    struct vx_block *b = vx_at(old, -(ptrdiff_t)VX_UNIT), *after;
    uint32_t have, size = (n + 2 * VX_UNIT - 1) & ~(VX_UNIT - 1);
    void *block;

    if (!old)
        return malloc(n);
    if (n > INT32_MAX - 2 * VX_UNIT) {
        errno = ENOMEM;
        return NULL;
    }
    have = vx_size(b);
    after = vx_at(b, have);
    if (size > have && !(after->size & VX_USED) && have + after->size >= size) {
        vx_unlink(after);
        have += after->size;
    }
    if (size <= have)
        return vx_carve(b, have, size < 2 * VX_UNIT ? 2 * VX_UNIT : size);
    block = malloc(n);
    if (block) {
        memcpy(block, old, have - VX_UNIT);
        free(old);
    }
    return block;
}
