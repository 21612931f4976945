/* stdio.h - buffered streams and formatted output. There is no scanf. */
#ifndef VX_STDIO_H
#define VX_STDIO_H

#include <stdarg.h>
#include <stddef.h>

#define EOF (-1)
#define BUFSIZ 16384
#define FILENAME_MAX 4096
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2

typedef struct vx_file FILE;

extern FILE *const vx_stdin, *const vx_stdout, *const vx_stderr;
#define stdin vx_stdin
#define stdout vx_stdout /* flushed at exit, and before stdin is read from the host */
#define stderr vx_stderr /* never buffered between calls */

FILE *fopen(const char *restrict path, const char *restrict mode);
FILE *fdopen(int fd, const char *mode);
int fclose(FILE *f);
int fflush(FILE *f);
int fileno(FILE *f);
int feof(FILE *f);
int ferror(FILE *f);
void clearerr(FILE *f);
int fseek(FILE *f, long offset, int whence);
long ftell(FILE *f);
void rewind(FILE *f);

size_t fread(void *restrict to, size_t size, size_t count, FILE *restrict f);
size_t fwrite(const void *restrict from, size_t size, size_t count, FILE *restrict f);
int fgetc(FILE *f);
int getc(FILE *f);
int getchar(void);
int ungetc(int c, FILE *f); /* one character of push-back */
char *fgets(char *restrict to, int n, FILE *restrict f);
int fputc(int c, FILE *f);
int putc(int c, FILE *f);
int putchar(int c);
int fputs(const char *restrict s, FILE *restrict f);
int puts(const char *s);
void perror(const char *what);
int remove(const char *path);

#define VX_PRINTF(string, first) __attribute__((__format__(__printf__, string, first)))
int printf(const char *restrict format, ...) VX_PRINTF(1, 2);
int fprintf(FILE *restrict f, const char *restrict format, ...) VX_PRINTF(2, 3);
int sprintf(char *restrict to, const char *restrict format, ...) VX_PRINTF(2, 3);
int snprintf(char *restrict to, size_t n, const char *restrict format, ...) VX_PRINTF(3, 4);
int vprintf(const char *restrict format, va_list ap) VX_PRINTF(1, 0);
int vfprintf(FILE *restrict f, const char *restrict format, va_list ap) VX_PRINTF(2, 0);
int vsprintf(char *restrict to, const char *restrict format, va_list ap) VX_PRINTF(2, 0);
int vsnprintf(char *restrict to, size_t n, const char *restrict format, va_list ap) VX_PRINTF(3, 0);

#endif
