/*
 * stdio.c - buffered streams.
 *
 * A stream's buffer holds either input, buffer[position .. end), or output, buffer[0 .. position); `writing` says
 * which. Buffers are allocated at the first use, and freed with the stream.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct vx_file {
    int fd;
    unsigned char unbuffered, writing, at_end, failed;
    unsigned char *buffer;
    size_t position, end;
    struct vx_file *next; /* in the list of all streams, for exit */
};

static struct vx_file vx_streams[3] = {
    {.fd = 0, .next = &vx_streams[1]},
    {.fd = 1, .next = &vx_streams[2]},
    {.fd = 2, .unbuffered = 1},
};
static struct vx_file *vx_open_streams = vx_streams;

FILE *const vx_stdin = &vx_streams[0], *const vx_stdout = &vx_streams[1], *const vx_stderr = &vx_streams[2];

extern void (*vx_flush_all)(void), (*vx_begin_again)(void);

static void vx_flush_streams(void)
{
    fflush(NULL);
}

/* Standard streams are another file's from now on. */
static void vx_forget_streams(void)
{
    for (struct vx_file *f = vx_streams; f != vx_streams + 3; f++) {
        f->writing = f->at_end = f->failed = 0;
        f->position = f->end = 0;
    }
}

static int vx_write_all(struct vx_file *f, const unsigned char *from, size_t n)
{
    while (n) {
        ssize_t written = write(f->fd, from, n);

        if (written < 0) {
            if (errno == EINTR)
                continue;
            f->failed = 1;
            return EOF;
        }
        from += written;
        n -= (size_t)written;
    }
    return 0;
}

static int vx_prepare(struct vx_file *f)
{
    if (!f->unbuffered && !f->buffer && !(f->buffer = malloc(BUFSIZ))) {
        f->failed = 1;
        return EOF;
    }
    vx_flush_all = vx_flush_streams;
    vx_begin_again = vx_forget_streams;
    return 0;
}

/* Get ready to write: give back what was read ahead. */
static int vx_to_write(struct vx_file *f)
{
    if (f->writing)
        return 0;
    if (f->position < f->end)
        lseek(f->fd, (off_t)(f->position - f->end), SEEK_CUR);
    if (vx_prepare(f) == EOF)
        return EOF;
    f->position = f->end = 0;
    f->writing = 1;
    return 0;
}

/* Get ready to read, with an empty buffer or what is left in it. */
static int vx_to_read(struct vx_file *f)
{
    if (f->writing && fflush(f) == EOF)
        return EOF;
    f->writing = 0;
    return vx_prepare(f);
}

/* Read from the host; 0 at the end or after an error. */
static size_t vx_read_some(struct vx_file *f, void *to, size_t n)
{
    ssize_t got;

    if (f == stdin && stdout->writing)
        fflush(stdout); /* a prompt should be seen before its answer is waited for */
    do
        got = read(f->fd, to, n);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return (size_t)got;
    if (got < 0)
        f->failed = 1;
    else
        f->at_end = 1;
    return 0;
}

static int vx_fill(struct vx_file *f)
{
    if (vx_to_read(f) == EOF)
        return EOF;
    f->position = 0;
    f->end = vx_read_some(f, f->buffer, BUFSIZ);
    return f->end ? 0 : EOF;
}

int fflush(FILE *f)
{
    int result = 0;

    if (!f) {
        for (f = vx_open_streams; f; f = f->next)
            if (f->writing && fflush(f) == EOF)
                result = EOF;
        return result;
    }
    if (f->writing) {
        result = vx_write_all(f, f->buffer, f->position);
        f->position = 0;
    }
    return result;
}

size_t fwrite(const void *restrict from, size_t size, size_t count, FILE *restrict f)
{
    size_t n = size * count;

    if (!n || vx_to_write(f) == EOF)
        return 0;
    if (f->unbuffered || n >= BUFSIZ) {
        if (fflush(f) == EOF || vx_write_all(f, from, n) == EOF)
            return 0;
        return count;
    }
    if (n > BUFSIZ - f->position && fflush(f) == EOF)
        return 0;
    memcpy(f->buffer + f->position, from, n);
    f->position += n;
    return count;
}

size_t fread(void *restrict to, size_t size, size_t count, FILE *restrict f)
{
    unsigned char *p = to;
    size_t wanted = size * count, left = wanted;

    if (!wanted || vx_to_read(f) == EOF)
        return 0;
    while (left) {
        size_t n = f->end - f->position;

        if (n) {
            n = n < left ? n : left;
            memcpy(p, f->buffer + f->position, n);
            f->position += n;
        } else if (left >= BUFSIZ) { /* straight into place */
            if (!(n = vx_read_some(f, p, left)))
                break;
        } else if (vx_fill(f) == EOF) {
            break;
        }
        p += n;
        left -= n;
    }
    return (wanted - left) / size;
}

int fgetc(FILE *f)
{
    if ((f->writing || f->position == f->end) && vx_fill(f) == EOF)
        return EOF;
    return f->buffer[f->position++];
}

int ungetc(int c, FILE *f)
{
    if (c == EOF || vx_to_read(f) == EOF)
        return EOF;
    if (f->position == 0) {
        if (f->end == BUFSIZ)
            return EOF;
        memmove(f->buffer + 1, f->buffer, f->end++);
        f->position = 1;
    }
    f->buffer[--f->position] = (unsigned char)c;
    f->at_end = 0;
    return (unsigned char)c;
}

int fputc(int c, FILE *f)
{
    unsigned char byte = (unsigned char)c;

    if (f->writing && !f->unbuffered && f->position < BUFSIZ) {
        f->buffer[f->position++] = byte;
        return byte;
    }
    return fwrite(&byte, 1, 1, f) == 1 ? byte : EOF;
}

int getc(FILE *f) { return fgetc(f); }
int getchar(void) { return fgetc(stdin); }
int putc(int c, FILE *f) { return fputc(c, f); }
int putchar(int c) { return fputc(c, stdout); }

char *fgets(char *restrict to, int n, FILE *restrict f)
{
    int i = 0, c = 0;

    while (i < n - 1 && c != '\n' && (c = fgetc(f)) != EOF)
        to[i++] = (char)c;
    if (!i)
        return NULL;
    to[i] = 0;
    return to;
}

int fputs(const char *restrict s, FILE *restrict f)
{
    size_t n = strlen(s);

    return n && fwrite(s, n, 1, f) != 1 ? EOF : 0;
}

int puts(const char *s)
{
    return fputs(s, stdout) == EOF ? EOF : putchar('\n');
}

void perror(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
}

FILE *fdopen(int fd, const char *mode)
{
    FILE *f = calloc(1, sizeof *f);

    (void)mode; /* the host knows what the descriptor may do */
    if (f) {
        f->fd = fd;
        f->next = vx_open_streams;
        vx_open_streams = f;
    }
    return f;
}

FILE *fopen(const char *restrict path, const char *restrict mode)
{
    int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
    int fd;
    FILE *f;

    if (*mode == 'w')
        flags |= O_CREAT | O_TRUNC;
    else if (*mode == 'a')
        flags |= O_CREAT | O_APPEND;
    else if (*mode != 'r') {
        errno = EINVAL;
        return NULL;
    }
    fd = open(path, flags, 0666);
    if (fd < 0)
        return NULL;
    f = fdopen(fd, mode);
    if (!f)
        close(fd);
    return f;
}

int fclose(FILE *f)
{
    int result = fflush(f);
    FILE **p = &vx_open_streams;

    if (close(f->fd) < 0)
        result = EOF;
    while (*p && *p != f)
        p = &(*p)->next;
    if (*p)
        *p = f->next;
    free(f->buffer);
    if (f < vx_streams || f >= vx_streams + 3)
        free(f);
    return result;
}

int fseek(FILE *f, long offset, int whence)
{
    if (fflush(f) == EOF)
        return -1;
    if (!f->writing && whence == SEEK_CUR)
        offset -= (long)(f->end - f->position);
    f->position = f->end = 0;
    f->at_end = 0;
    return lseek(f->fd, (off_t)offset, whence) < 0 ? -1 : 0;
}

long ftell(FILE *f)
{
    off_t at = lseek(f->fd, 0, SEEK_CUR);

    if (at < 0)
        return -1;
    return f->writing ? at + (long)f->position : at - (long)(f->end - f->position);
}

void rewind(FILE *f)
{
    fseek(f, 0, SEEK_SET);
    clearerr(f);
}

int fileno(FILE *f) { return f->fd; }
int feof(FILE *f) { return f->at_end; }
int ferror(FILE *f) { return f->failed; }
void clearerr(FILE *f) { f->at_end = f->failed = 0; }
