/* assert.h - no include guard: NDEBUG may change between two inclusions. */
#undef assert
#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
#define assert(condition) ((condition) ? (void)0 : vx_assert_failed(#condition, __FILE__, __LINE__))
#endif
#ifndef VX_ASSERT_H
#define VX_ASSERT_H
_Noreturn void vx_assert_failed(const char *condition, const char *file, int line);
#endif
#if !defined(__cplusplus) && !defined(static_assert)
#define static_assert _Static_assert
#endif
