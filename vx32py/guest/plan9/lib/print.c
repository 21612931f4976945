/* print.c - print(2). Everything is formatted through one sink: a buffer, and what becomes of it when it is full. */

typedef struct Sink Sink;
struct Sink {
    char *start, *to, *stop;
    int fd;    /* where a full buffer is written to; -1: what does not fit is dropped, */
    int grows; /* or the buffer grows */
    long count;
    int failed;
};

enum { Left = 1, Plus = 2, Space = 4, Sharp = 8, Zero = 16, Comma = 32, Unsigned = 64, Upper = 128 };
enum { Digitsmax = 800 };

/* decimal.c of the other guests: the digits of a double. */
int vx_digits(double value, int places, int significant, char *digits, int *exponent);

static void flush9(Sink *sink)
{
    long n = sink->to - sink->start;

    if (n && write(sink->fd, sink->start, n) != n)
        sink->failed = 1;
    sink->to = sink->start;
}

static void grow9(Sink *sink)
{
    long n = sink->to - sink->start, size = 2 * (sink->stop - sink->start);
    char *larger = realloc(sink->start, size);

    if (!larger) {
        sink->failed = 1;
        return;
    }
    sink->start = larger;
    sink->to = larger + n;
    sink->stop = larger + size;
}

static void put9(Sink *sink, char *from, long n)
{
    for (; n > 0; n--) {
        if (sink->to == sink->stop) {
            if (sink->grows)
                grow9(sink);
            else if (sink->fd >= 0)
                flush9(sink);
        }
        if (sink->to == sink->stop)
            return;
        *sink->to++ = *from++;
        sink->count++;
    }
}

static void pad9(Sink *sink, int c, int n)
{
    char pad = c;

    while (n-- > 0)
        put9(sink, &pad, 1);
}

/* Sign or prefix, zeros, body, padded to the width in characters. */
static void field9(Sink *sink, int flags, int width, char *prefix, int zeros, char *body, int bytes, int runes)
{
    int blank = width - (int)strlen(prefix) - zeros - runes;

    if (flags & Zero && !(flags & Left) && blank > 0) {
        zeros += blank;
        blank = 0;
    }
    if (!(flags & Left))
        pad9(sink, ' ', blank);
    put9(sink, prefix, strlen(prefix));
    pad9(sink, '0', zeros);
    put9(sink, body, bytes);
    if (flags & Left)
        pad9(sink, ' ', blank);
}

static void string9(Sink *sink, int flags, int width, int precision, char *s)
{
    Rune rune;
    char *end;
    int runes = 0;

    if (!s)
        s = "<nil>";
    for (end = s; *end && (precision < 0 || runes < precision); runes++)
        end += chartorune(&rune, end);
    field9(sink, flags & ~Zero, width, "", 0, s, end - s, runes);
}

static void integer9(Sink *sink, int flags, int width, int precision, uvlong n, int base, int negative)
{
    char text[96], prefix[4], *p = text + sizeof text;
    char *digits = flags & Upper ? "0123456789ABCDEF" : "0123456789abcdef";
    int length, i = 0, count = 0;

    if (negative)
        prefix[i++] = '-';
    else if (flags & Plus)
        prefix[i++] = '+';
    else if (flags & Space)
        prefix[i++] = ' ';
    if (flags & Sharp && n && base == 16) {
        prefix[i++] = '0';
        prefix[i++] = flags & Upper ? 'X' : 'x';
    }
    if (flags & Sharp && n && base == 8)
        prefix[i++] = '0';
    prefix[i] = 0;
    for (; n || !count; n /= base) {
        if (flags & Comma && base == 10 && count && count % 3 == 0)
            *--p = ',';
        *--p = digits[n % base];
        count++;
    }
    length = text + sizeof text - p;
    if (precision >= 0)
        flags &= ~Zero;
    field9(sink, flags, width, prefix, precision > length ? precision - length : 0, p, length, length);
}

static void real9(Sink *sink, int flags, int width, int precision, double value, int kind)
{
    char digits[Digitsmax], text[Digitsmax + 400], *p = text, *sign;
    union { double value; uvlong bits; } whole = { value };
    int exponent, count, places, upper = kind == 'E' || kind == 'G', i;

    kind = lower9(kind);
    sign = whole.bits >> 63 ? "-" : flags & Plus ? "+" : flags & Space ? " " : "";
    if ((whole.bits >> 52 & 0x7FF) == 0x7FF) {
        char *name = whole.bits << 12 ? "NaN" : "Inf";

        field9(sink, flags & ~Zero, width, whole.bits << 12 ? "" : sign, 0, name, 3, 3);
        return;
    }
    if (precision < 0)
        precision = 6;
    if (precision > 300)
        precision = 300;
    if (kind == 'g' && !precision)
        precision = 1;
    count = vx_digits(value, kind == 'f' ? precision : -1, kind == 'e' ? precision + 1 : precision, digits, &exponent);
    places = precision;
    if (kind == 'g') {
        int shown;

        kind = exponent > precision || exponent < -3 ? 'e' : 'f';
        places = kind == 'e' ? precision - 1 : precision - exponent;
        shown = kind == 'e' ? count - 1 : count - exponent;
        if (!(flags & Sharp))
            places = shown < 0 ? 0 : shown < places ? shown : places;
    }
    if (kind == 'e') {
        int power = count ? exponent - 1 : 0;

        *p++ = count ? digits[0] : '0';
        if (places || flags & Sharp)
            *p++ = '.';
        for (i = 1; i <= places; i++)
            *p++ = i < count ? digits[i] : '0';
        *p++ = upper ? 'E' : 'e';
        *p++ = power < 0 ? '-' : '+';
        power = abs(power);
        if (power >= 100)
            *p++ = '0' + power / 100;
        *p++ = '0' + power / 10 % 10;
        *p++ = '0' + power % 10;
    } else {
        if (exponent <= 0)
            *p++ = '0';
        for (i = 0; i < exponent; i++)
            *p++ = i < count ? digits[i] : '0';
        if (places || flags & Sharp)
            *p++ = '.';
        for (i = exponent; i < exponent + places; i++)
            *p++ = i >= 0 && i < count ? digits[i] : '0';
    }
    field9(sink, flags, width, sign, 0, text, p - text, p - text);
}

/* %q: a string in quotes where rc would want them. */
static void quoted9(Sink *sink, int flags, int width, char *s)
{
    char *p, *quoted, *to;

    if (!s || (*s && !s[strcspn(s, " \t\n'#;&|^$=`{}()<>\\*?[]~@!\"")])) {
        string9(sink, flags, width, -1, s);
        return;
    }
    to = quoted = malloc(2 * strlen(s) + 3);
    if (!quoted)
        return;
    *to++ = '\'';
    for (p = s; *p; *to++ = *p++)
        if (*p == '\'')
            *to++ = '\'';
    *to++ = '\'';
    *to = 0;
    string9(sink, flags, width, -1, quoted);
    free(quoted);
}

/* Verbs of the program's. */
static int (*verbs9[128])(Fmt *);

int fmtinstall(int verb, int (*function)(Fmt *))
{
    if (verb <= 0 || verb >= (int)nelem(verbs9))
        return -1;
    verbs9[verb] = function;
    return 0;
}

static void verb9(Sink *sink, int verb, int flags, int longs, int shorts, int width, int precision, va_list *args)
{
    Fmt fmt;

    fmt.farg = sink;
    va_copy(fmt.args, *args);
    fmt.r = verb;
    fmt.width = width;
    fmt.prec = precision < 0 ? 0 : precision;
    fmt.flags = (width ? FmtWidth : 0) | (precision >= 0 ? FmtPrec : 0) | (flags & Left ? FmtLeft : 0) |
                (flags & Sharp ? FmtSharp : 0) | (flags & Space ? FmtSpace : 0) | (flags & Plus ? FmtSign : 0) |
                (flags & Zero ? FmtZero : 0) | (flags & Unsigned ? FmtUnsigned : 0) | (flags & Comma ? FmtComma : 0) |
                (shorts > 1 ? FmtByte : shorts ? FmtShort : 0) | (longs > 1 ? FmtVLong : longs ? FmtLong : 0);
    if (verbs9[verb](&fmt) < 0)
        sink->failed = 1;
    va_end(*args);
    va_copy(*args, fmt.args);
}

static void format9(Sink *sink, char *f, va_list *args)
{
    for (;;) {
        char *start = f, text[ERRMAX];
        int flags = 0, width = 0, precision = -1, longs = 0, shorts = 0, more, base, negative;
        uvlong n;
        Rune rune;

        while (*f && *f != '%')
            f++;
        put9(sink, start, f - start);
        if (!*f++)
            return;
        for (more = 1; more;) {
            switch (*f) {
            case '-': flags |= Left; break;
            case '+': flags |= Plus; break;
            case ' ': flags |= Space; break;
            case '#': flags |= Sharp; break;
            case '0': flags |= Zero; break;
            case ',': flags |= Comma; break;
            case 'u': flags |= Unsigned; break;
            case 'l': longs++; break;
            case 'h': shorts++; break;
            case '1' ... '9':
                width = strtol(f, &f, 10);
                f--;
                break;
            case '*':
                width = va_arg(*args, int);
                if (width < 0) {
                    flags |= Left;
                    width = -width;
                }
                break;
            case '.':
                precision = 0;
                if (f[1] == '*') {
                    f++;
                    precision = va_arg(*args, int);
                } else if (f[1] >= '0' && f[1] <= '9') {
                    precision = strtol(f + 1, &f, 10);
                    f--;
                }
                break;
            default: more = 0; continue;
            }
            f++;
        }
        base = 10;
        if (*f > 0 && verbs9[(int)*f]) {
            verb9(sink, *f, flags, longs, shorts, width, precision, args);
            f++;
            continue;
        }
        switch (*f++) {
        case 0:
            if (flags & Unsigned) { /* "%u" at the very end */
                integer9(sink, flags, width, precision, va_arg(*args, uint), 10, 0);
            } else {
                put9(sink, "%", 1);
            }
            return;
        case 'x': base = 16; goto integer;
        case 'X': base = 16; flags |= Upper; goto integer;
        case 'o': base = 8; goto integer;
        case 'b': base = 2; goto integer;
        case 'p':
            integer9(sink, flags | Sharp, width, precision, va_arg(*args, uint), 16, 0);
            break;
        case 'd':
        case 'i':
        integer:
            negative = 0;
            if (longs > 1)
                n = va_arg(*args, uvlong);
            else if (flags & Unsigned || base != 10)
                n = va_arg(*args, uint);
            else
                n = (vlong)va_arg(*args, int);
            if (shorts && longs < 2) {
                n = flags & Unsigned || base != 10 ? (shorts > 1 ? (uchar)n : (ushort)n)
                    : shorts > 1 ? (uvlong)(vlong)(schar)n : (uvlong)(vlong)(short)n;
            }
            if (base == 10 && !(flags & Unsigned) && (vlong)n < 0) {
                n = -n;
                negative = 1;
            }
            integer9(sink, flags, width, precision, n, base, negative);
            break;
        case 'e': case 'E': case 'f': case 'F': case 'g': case 'G':
            real9(sink, flags, width, precision, va_arg(*args, double), f[-1]);
            break;
        case 'c': case 'C':
            rune = f[-1] == 'c' ? (uchar)va_arg(*args, int) : va_arg(*args, Rune);
            text[runetochar(text, &rune)] = 0;
            field9(sink, flags & ~Zero, width, "", 0, text, runelen(rune), 1);
            break;
        case 's': string9(sink, flags, width, precision, va_arg(*args, char *)); break;
        case 'q': quoted9(sink, flags, width, va_arg(*args, char *)); break;
        case 'r':
            rerrstr(text, sizeof text);
            string9(sink, flags, width, precision, text);
            break;
        case '%': put9(sink, "%", 1); break;
        default: /* %u alone, or nothing that is known */
            f--;
            if (flags & Unsigned)
                integer9(sink, flags, width, precision, longs > 1 ? va_arg(*args, uvlong) : va_arg(*args, uint), 10, 0);
            else
                put9(sink, "%", 1);
        }
    }
}

int fmtvprint(Fmt *fmt, char *f, va_list args)
{
    va_list copy;

    va_copy(copy, args);
    format9(fmt->farg, f, &copy);
    return ((Sink *)fmt->farg)->failed ? -1 : 0;
}

int fmtstrcpy(Fmt *fmt, char *s)
{
    int flags = fmt->flags & FmtLeft ? Left : 0;

    string9(fmt->farg, flags, fmt->width, fmt->flags & FmtPrec ? fmt->prec : -1, s);
    return 0;
}

int fmtrune(Fmt *fmt, int c)
{
    Rune rune = c;
    char s[UTFmax];

    put9(fmt->farg, s, runetochar(s, &rune));
    return 0;
}

void quotefmtinstall(void) {}

int vfprint(int fd, char *f, va_list args)
{
    char buffer[512];
    Sink sink = { buffer, buffer, buffer + sizeof buffer, fd, 0, 0, 0 };
    va_list copy;

    va_copy(copy, args);
    format9(&sink, f, &copy);
    flush9(&sink);
    return sink.failed ? -1 : sink.count;
}

char *vseprint(char *to, char *end, char *f, va_list args)
{
    Sink sink = { to, to, end - 1, -1, 0, 0, 0 };
    va_list copy;

    if (to >= end)
        return to;
    va_copy(copy, args);
    format9(&sink, f, &copy);
    *sink.to = 0;
    return sink.to;
}

char *vsmprint(char *f, va_list args)
{
    char *start = malloc(64);
    Sink sink = { start, start, start + 64, -1, 1, 0, 0 };
    va_list copy;

    if (!start)
        return nil;
    va_copy(copy, args);
    format9(&sink, f, &copy);
    put9(&sink, "", 1);
    if (sink.failed) {
        free(sink.start);
        return nil;
    }
    return sink.start;
}

int vsnprint(char *to, int size, char *f, va_list args)
{
    return size > 0 ? vseprint(to, to + size, f, args) - to : 0;
}

#define VARIADIC(type, result, call)                                                                                   \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        type result;                                                                                                   \
        va_start(args, f);                                                                                             \
        result = call;                                                                                                 \
        va_end(args);                                                                                                  \
        return result;                                                                                                 \
    }

int fmtprint(Fmt *fmt, char *f, ...) VARIADIC(int, n, fmtvprint(fmt, f, args))
int print(char *f, ...) VARIADIC(int, n, vfprint(1, f, args))
int fprint(int fd, char *f, ...) VARIADIC(int, n, vfprint(fd, f, args))
int sprint(char *to, char *f, ...) VARIADIC(int, n, vseprint(to, to + 65536, f, args) - to)
int snprint(char *to, int size, char *f, ...) VARIADIC(int, n, vsnprint(to, size, f, args))
char *seprint(char *to, char *end, char *f, ...) VARIADIC(char *, p, vseprint(to, end, f, args))
char *smprint(char *f, ...) VARIADIC(char *, p, vsmprint(f, args))
