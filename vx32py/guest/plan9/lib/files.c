/* files.c - reading, writing, and what files are: the entries of stat(5), little-endian and without gaps. */

extern int _seek(vlong *, int, vlong, int);

long read(int fd, void *to, long n) { return pread(fd, to, n, -1); }
long write(int fd, void *from, long n) { return pwrite(fd, from, n, -1); }

vlong seek(int fd, vlong offset, int whence)
{
    vlong now;

    return _seek(&now, fd, offset, whence) < 0 ? -1 : now;
}

long readn(int fd, void *to, long wanted)
{
    long have = 0, n;

    while (have < wanted) {
        n = read(fd, (char *)to + have, wanted - have);
        if (n <= 0)
            return n < 0 && !have ? -1 : have;
        have += n;
    }
    return have;
}

int iounit(int fd)
{
    USED(fd);
    return 0;
}

int access(char *name, int mode)
{
    static char modes[8] = { OREAD, OEXEC, OWRITE, ORDWR, OREAD, OEXEC, ORDWR, ORDWR };
    uchar buffer[STATFIXLEN + 512];
    int fd;

    if (mode == AEXIST)
        return stat(name, buffer, sizeof buffer) < 0 ? -1 : 0;
    fd = open(name, modes[mode & 7]);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

char *getwd(char *to, int size)
{
    int fd = open(".", OREAD), n;

    if (fd < 0)
        return nil;
    n = fd2path(fd, to, size);
    close(fd);
    return n < 0 ? nil : to;
}

/* -- entries ----------------------------------------------------------------------------------------------------- */

static uvlong get9(uchar **p, int bytes)
{
    uvlong n = 0;
    int i;

    for (i = 0; i < bytes; i++)
        n |= (uvlong)(*p)[i] << 8 * i;
    *p += bytes;
    return n;
}

static void set9(uchar **p, uvlong n, int bytes)
{
    for (; bytes > 0; bytes--, n >>= 8)
        *(*p)++ = n;
}

int statcheck(uchar *from, uint size)
{
    uchar *p = from, *end = from + size;
    int i;

    if (size < STATFIXLEN || get9(&p, 2) + 2 != size)
        return -1;
    p = from + STATFIXLEN - 8;
    for (i = 0; i < 4; i++) {
        if (p + 2 > end)
            return -1;
        p += get9(&p, 2);
    }
    return p == end ? 0 : -1;
}

uint convM2D(uchar *from, uint size, Dir *d, char *strings)
{
    char **texts[4];
    uchar *p = from, *start = from;
    uint n;
    int i;

    texts[0] = &d->name, texts[1] = &d->uid, texts[2] = &d->gid, texts[3] = &d->muid;
    if (size < STATFIXLEN || (n = get9(&p, 2) + 2) > size || statcheck(from, n) < 0)
        return 0;
    d->type = get9(&p, 2);
    d->dev = get9(&p, 4);
    d->qid.type = get9(&p, 1);
    d->qid.vers = get9(&p, 4);
    d->qid.path = get9(&p, 8);
    d->mode = get9(&p, 4);
    d->atime = get9(&p, 4);
    d->mtime = get9(&p, 4);
    d->length = get9(&p, 8);
    for (i = 0; i < 4; i++) {
        uint length = get9(&p, 2);

        *texts[i] = strings ? strings : "";
        if (strings) {
            memmove(strings, p, length);
            strings[length] = 0;
            strings += length + 1;
        }
        p += length;
    }
    return p - start;
}

uint sizeD2M(Dir *d)
{
    return STATFIXLEN + strlen(d->name ? d->name : "") + strlen(d->uid ? d->uid : "") +
           strlen(d->gid ? d->gid : "") + strlen(d->muid ? d->muid : "");
}

uint convD2M(Dir *d, uchar *to, uint size)
{
    char *texts[4] = { d->name, d->uid, d->gid, d->muid };
    uint n = sizeD2M(d);
    uchar *p = to;
    int i;

    if (n > size)
        return 0;
    set9(&p, n - 2, 2);
    set9(&p, d->type, 2);
    set9(&p, d->dev, 4);
    set9(&p, d->qid.type, 1);
    set9(&p, d->qid.vers, 4);
    set9(&p, d->qid.path, 8);
    set9(&p, d->mode, 4);
    set9(&p, d->atime, 4);
    set9(&p, d->mtime, 4);
    set9(&p, d->length, 8);
    for (i = 0; i < 4; i++) {
        uint length = texts[i] ? strlen(texts[i]) : 0;

        set9(&p, length, 2);
        if (length)
            memmove(p, texts[i], length);
        p += length;
    }
    return n;
}

void nulldir(Dir *d)
{
    memset(d, ~0, sizeof *d);
    d->name = d->uid = d->gid = d->muid = "";
}

/* Several entries as Dirs, followed by their strings. */
static long dirs9(uchar *from, long size, Dir **result)
{
    long count = 0, strings = 0, at, n;
    Dir *d, *all;
    char *text;
    uchar *p;

    for (at = 0; at < size; at += n, count++) {
        p = from + at;
        n = size - at < STATFIXLEN ? 0 : get9(&p, 2) + 2;
        if (n < STATFIXLEN || n > size - at || statcheck(from + at, n) < 0) {
            werrstr("bad directory entry");
            return -1;
        }
        strings += n - STATFIXLEN + 4;
    }
    *result = all = malloc(count * sizeof *all + strings);
    if (!all)
        return -1;
    text = (char *)(all + count);
    for (at = 0, d = all; at < size; d++) {
        at += convM2D(from + at, size - at, d, text);
        text = d->muid + strlen(d->muid) + 1;
    }
    return count;
}

static Dir *whole9(char *name, int fd)
{
    uint size = STATFIXLEN + 256;
    uchar *buffer = nil, *p;
    Dir *d = nil;
    int n, tries;

    for (tries = 0; tries < 3; tries++) {
        free(buffer);
        buffer = malloc(size);
        if (!buffer)
            return nil;
        n = name ? stat(name, buffer, size) : fstat(fd, buffer, size);
        p = buffer;
        if (n != 2) { /* two bytes: that is how much there is */
            if (n > 0 && dirs9(buffer, n, &d) != 1)
                d = nil;
            break;
        }
        size = get9(&p, 2) + 2;
    }
    free(buffer);
    return d;
}

Dir *dirstat(char *name) { return whole9(name, -1); }
Dir *dirfstat(int fd) { return whole9(nil, fd); }

static int wstat9(char *name, int fd, Dir *d)
{
    uint size = sizeD2M(d);
    uchar *buffer = malloc(size);
    int result;

    if (!buffer)
        return -1;
    convD2M(d, buffer, size);
    result = name ? wstat(name, buffer, size) : fwstat(fd, buffer, size);
    free(buffer);
    return result;
}

int dirwstat(char *name, Dir *d) { return wstat9(name, -1, d); }
int dirfwstat(int fd, Dir *d) { return wstat9(nil, fd, d); }

long dirread(int fd, Dir **result)
{
    uchar *buffer = malloc(STATMAX);
    long n;

    *result = nil;
    if (!buffer)
        return -1;
    n = read(fd, buffer, STATMAX);
    if (n > 0)
        n = dirs9(buffer, n, result);
    free(buffer);
    return n;
}

long dirreadall(int fd, Dir **result)
{
    uchar *buffer = nil, *larger;
    long have = 0, n;

    *result = nil;
    for (;;) {
        larger = realloc(buffer, have + STATMAX);
        n = larger ? read(fd, larger + have, STATMAX) : -1;
        buffer = larger ? larger : buffer;
        if (n <= 0)
            break;
        have += n;
    }
    if (have > 0)
        n = dirs9(buffer, have, result);
    free(buffer);
    return n;
}
