/* bio.c - buffered input and output (bio(2)). What is open for writing is written at the end of the program, too. */
#include <bio.h>

static Biobuf *open9;

static void flushall9(void)
{
    Biobuf *b;

    for (b = open9; b; b = b->link)
        Bflush(b);
}

/* Where bytes begin: before that is room for those that are put back. */
static uchar *start9(Biobuf *b) { return b->buffer + Bungetsize; }

int Binit(Biobuf *b, int fd, int mode)
{
    static int registered;

    b->fd = fd;
    b->mode = mode & 3;
    b->opened = b->ended = b->runes = 0;
    b->offset = b->length = 0;
    b->next = b->end = start9(b);
    b->link = nil;
    if (b->mode == OWRITE) {
        b->end = b->buffer + Bungetsize + Bsize;
        b->link = open9;
        open9 = b;
        if (!registered++)
            atexit(flushall9);
    } else if (b->mode != OREAD) {
        werrstr("Binit: unknown mode %d", mode);
        return Beof;
    }
    return 0;
}

Biobuf *Bopen(char *name, int mode)
{
    int fd = (mode & 3) == OWRITE ? create(name, mode, 0666) : open(name, mode);
    Biobuf *b = fd < 0 ? nil : malloc(sizeof *b);

    if (b && Binit(b, fd, mode) == 0) {
        b->opened = 1;
        return b;
    }
    free(b);
    if (fd >= 0)
        close(fd);
    return nil;
}

int Bflush(Biobuf *b)
{
    long n = b->next - start9(b);

    if (b->mode == OREAD) { /* forget what has been read ahead */
        b->next = b->end = start9(b);
        return 0;
    }
    b->next = start9(b);
    if (n && write(b->fd, start9(b), n) != n)
        return Beof;
    b->offset += n;
    return 0;
}

int Bterm(Biobuf *b)
{
    Biobuf **link;
    int result = Bflush(b);

    for (link = &open9; *link; link = &(*link)->link)
        if (*link == b) {
            *link = b->link;
            break;
        }
    if (b->opened) {
        close(b->fd);
        free(b);
    }
    return result;
}

int Bfildes(Biobuf *b) { return b->fd; }
int Blinelen(Biobuf *b) { return b->length; }
int Bbuffered(Biobuf *b) { return b->mode == OREAD ? b->end - b->next : b->next - start9(b); }
vlong Boffset(Biobuf *b) { return b->mode == OREAD ? b->offset - (b->end - b->next) : b->offset + (b->next - start9(b)); }

vlong Bseek(Biobuf *b, vlong offset, int whence)
{
    if (whence == 1) {
        offset += Boffset(b);
        whence = 0;
    }
    if (Bflush(b) < 0)
        return -1;
    b->ended = 0;
    return b->offset = seek(b->fd, offset, whence);
}

/* -- reading ----------------------------------------------------------------------------------------------------- */

/* More into the buffer, behind what is there, which moves to its start; whether there was any. */
static int fill9(Biobuf *b)
{
    long there = b->end - b->next, n;

    if (b->ended || b->mode != OREAD || there >= Bsize)
        return 0;
    if (there)
        memmove(start9(b), b->next, there);
    else if (b->end - start9(b) >= UTFmax) /* what was read last can be put back */
        memmove(start9(b) - UTFmax, b->end - UTFmax, UTFmax);
    b->next = start9(b);
    b->end = b->next + there;
    n = read(b->fd, b->end, Bsize - there);
    if (n <= 0) {
        b->ended = 1;
        return 0;
    }
    b->end += n;
    b->offset += n;
    return 1;
}

int Bgetc(Biobuf *b)
{
    if (b->next == b->end && !fill9(b)) {
        b->ended = 0; /* a terminal may have more */
        return Beof;
    }
    return *b->next++;
}

int Bungetc(Biobuf *b)
{
    if (b->mode != OREAD || b->next == b->buffer)
        return Beof;
    b->next--;
    return 1;
}

long Bgetrune(Biobuf *b)
{
    Rune rune;
    int c = Bgetc(b), n;

    b->runes = 0;
    if (c < 0)
        return c;
    b->next--;
    while (!fullrune((char *)b->next, b->end - b->next) && fill9(b))
        ;
    *b->end = 0; /* what is cut off there is no rune */
    n = chartorune(&rune, (char *)b->next);
    b->next += n;
    b->runes = n;
    return rune;
}

int Bungetrune(Biobuf *b)
{
    if (!b->runes)
        return Beof;
    b->next -= b->runes;
    b->runes = 0;
    return 1;
}

long Bread(Biobuf *b, void *to, long wanted)
{
    long have = 0, n;

    while (have < wanted) {
        if (b->next == b->end && !fill9(b))
            break;
        n = b->end - b->next;
        n = n < wanted - have ? n : wanted - have;
        memmove((char *)to + have, b->next, n);
        b->next += n;
        have += n;
    }
    if (!have)
        b->ended = 0;
    return have;
}

/* A line up to its delimiter, in the buffer; nil at the end, and where it does not fit: then Blinelen is not 0. */
void *Brdline(Biobuf *b, int delimiter)
{
    uchar *line, *found;
    long from = 0;

    for (;;) {
        found = memchr(b->next + from, delimiter, b->end - b->next - from);
        if (found)
            break;
        from = b->end - b->next;
        if (!fill9(b)) {
            b->length = b->end - b->next;
            if (!b->length)
                b->ended = 0;
            return nil;
        }
    }
    line = b->next;
    b->next = found + 1;
    b->length = b->next - line;
    return line;
}

/* A line of any length as a string of its own, without its delimiter if `drop`; nil at the end. */
char *Brdstr(Biobuf *b, int delimiter, int drop)
{
    char *s = nil, *larger;
    long n = 0, size = 0;
    int c;

    while ((c = Bgetc(b)) >= 0) {
        if (n + 2 > size) {
            size = 2 * size + 128;
            larger = realloc(s, size);
            if (!larger) {
                free(s);
                return nil;
            }
            s = larger;
        }
        s[n++] = c;
        if (c == delimiter)
            break;
    }
    if (!n)
        return nil;
    if (c == delimiter && drop)
        n--;
    s[n] = 0;
    b->length = n;
    return s;
}

/* -- writing ----------------------------------------------------------------------------------------------------- */

long Bwrite(Biobuf *b, void *from, long wanted)
{
    long done = 0, n;

    if (b->mode != OWRITE)
        return Beof;
    while (done < wanted) {
        if (b->next == b->end && Bflush(b) < 0)
            return Beof;
        n = b->end - b->next;
        n = n < wanted - done ? n : wanted - done;
        memmove(b->next, (char *)from + done, n);
        b->next += n;
        done += n;
    }
    return done;
}

int Bputc(Biobuf *b, int c)
{
    uchar byte = c;

    return Bwrite(b, &byte, 1) == 1 ? 0 : Beof;
}

int Bputrune(Biobuf *b, long c)
{
    Rune rune = c;
    char s[UTFmax];
    int n = runetochar(s, &rune);

    return Bwrite(b, s, n) == n ? n : Beof;
}

int Bvprint(Biobuf *b, char *f, va_list args)
{
    char *s = vsmprint(f, args);
    long n = s ? (long)strlen(s) : -1;

    if (n > 0)
        n = Bwrite(b, s, n);
    free(s);
    return n;
}

int Bprint(Biobuf *b, char *f, ...) VARIADIC(int, n, Bvprint(b, f, args))
