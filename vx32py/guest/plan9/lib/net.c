/* net.c - calls to other machines and from them (dial(2)), by the files of /net. */

enum { Netpath = NETPATHLEN, Cspath = 256 };

/* The directory of the network and the rest of an address: "/net.alt/tcp!host!port" or "tcp!host!port". */
static char *rest9(char *address, char *net)
{
    char *slash = strrchr(address, '/');

    if (slash && slash < strchr(address, '!') && slash - address < 40) {
        memmove(net, address, slash - address);
        net[slash - address] = 0;
        return slash + 1;
    }
    strcpy(net, "/net");
    return address;
}

/* Open a conversation by its clone file, and say something to its ctl file, which is the result; `dir` becomes its directory. */
static int converse9(char *clone, char *what, char *address, char *local, char *dir)
{
    char number[32];
    int fd = open(clone, ORDWR), n;

    if (fd < 0)
        return -1;
    n = read(fd, number, sizeof number - 1);
    if (n <= 0 || (local ? fprint(fd, "%s %s %s", what, address, local) : fprint(fd, "%s %s", what, address)) < 0) {
        close(fd);
        return -1;
    }
    number[n] = 0;
    snprint(dir, Netpath, "%.*s/%d", (int)(strrchr(clone, '/') - clone), clone, atoi(number));
    return fd;
}

/* Try what the connection server makes of an address, one after the other; without one the address as it is. The result is the
   data file, and `*ctl` the ctl file; or without `ctl` the ctl file alone. */
static int each9(char *address, char *what, char *local, char *dir, int *ctl)
{
    char net[48], text[Cspath], *rest = rest9(address, net), *fields[2], *bang, path[Cspath];
    int cs, fd = -1, n;

    snprint(path, sizeof path, "%s/cs", net);
    cs = open(path, ORDWR);
    if (cs >= 0 && fprint(cs, "%s", rest) < 0) {
        close(cs);
        return -1;
    }
    if (cs >= 0)
        seek(cs, 0, 0);
    for (;;) {
        if (cs >= 0) {
            n = read(cs, text, sizeof text - 1);
            if (n <= 0)
                break;
            text[n] = 0;
            if (tokenize(text, fields, 2) != 2)
                continue;
        } else {
            strecpy(text, text + sizeof text, rest);
            bang = strchr(text, '!');
            if (!bang) {
                werrstr("bad address");
                break;
            }
            *bang++ = 0;
            snprint(path, sizeof path, "%s/%s/clone", net, text);
            fields[0] = path;
            fields[1] = bang;
        }
        fd = converse9(fields[0], what, fields[1], local, dir);
        if (fd >= 0 && ctl) {
            *ctl = fd;
            snprint(path, sizeof path, "%s/data", dir);
            fd = open(path, ORDWR);
            if (fd < 0)
                close(*ctl);
        }
        if (fd >= 0 || cs < 0)
            break;
    }
    if (cs >= 0)
        close(cs);
    return fd;
}

int dial(char *address, char *local, char *dir, int *ctl)
{
    char own[Netpath];
    int control, fd = each9(address, "connect", local, own, &control);

    if (fd < 0)
        return -1;
    if (dir)
        strcpy(dir, own);
    if (ctl)
        *ctl = control;
    else
        close(control);
    return fd;
}

int announce(char *address, char *dir) { return each9(address, "announce", nil, dir, nil); }

int listen(char *dir, char *newdir)
{
    char path[Cspath], number[32];
    int fd, n;

    snprint(path, sizeof path, "%s/listen", dir);
    fd = open(path, ORDWR);
    if (fd < 0)
        return -1;
    n = read(fd, number, sizeof number - 1);
    if (n <= 0) {
        close(fd);
        return -1;
    }
    number[n] = 0;
    snprint(newdir, Netpath, "%.*s/%d", (int)(strrchr(dir, '/') - dir), dir, atoi(number));
    return fd;
}

int accept(int ctl, char *dir)
{
    char path[Cspath];

    fprint(ctl, "accept %s", strrchr(dir, '/') + 1);
    snprint(path, sizeof path, "%s/data", dir);
    return open(path, ORDWR);
}

int reject(int ctl, char *dir, char *why)
{
    return fprint(ctl, "reject %s %q", strrchr(dir, '/') + 1, why) < 0 ? -1 : 0;
}

int hangup(int ctl) { return fprint(ctl, "hangup") < 0 ? -1 : 0; }
