/*
 * format.c - the printf family.
 *
 * Every function formats through one sink: a place to put bytes and a count of those that would have been put. Flags
 * - + space # 0, width, precision, the sizes hh h l ll j z t, and the conversions d i u o x X c s p f F e E g G %.
 * There is no %n, on purpose.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VX_LEFT 1u   /* - */
#define VX_PLUS 2u   /* + */
#define VX_SPACE 4u  /* space */
#define VX_ALT 8u    /* # */
#define VX_ZERO 16u  /* 0 */
#define VX_UPPER 32u /* a capital conversion letter */

struct vx_sink {
    FILE *file;  /* or, if NULL, */
    char *to;    /* the next byte of memory, */
    size_t left; /* and how many there are */
    size_t count;
};

/* decimal.c: the digits of a double, with `*exponent` digits before the point; returns how many digits there are. */
int vx_digits(double value, int places, int significant, char *digits, int *exponent);
#define VX_DIGITS_MAX 800 /* no double has more than 767 significant digits */

static void vx_put(struct vx_sink *sink, const char *from, size_t n)
{
    sink->count += n;
    if (sink->file) {
        fwrite(from, 1, n, sink->file);
    } else {
        n = n < sink->left ? n : sink->left;
        if (n)
            memcpy(sink->to, from, n);
        sink->to += n;
        sink->left -= n;
    }
}

static void vx_fill_with(struct vx_sink *sink, char c, int n)
{
    char run[16];

    memset(run, c, sizeof run);
    for (; n > 0; n -= (int)sizeof run)
        vx_put(sink, run, n < (int)sizeof run ? (size_t)n : sizeof run);
}

/* Sign or prefix, zeros, body, padded to the width: blanks before all of it or behind it, zeros after the prefix. */
static void vx_field(struct vx_sink *sink, unsigned flags, int width, const char *prefix, int zeros, const char *body,
                     int length)
{
    int blank = width - (int)strlen(prefix) - zeros - length;

    if (!(flags & (VX_LEFT | VX_ZERO)))
        vx_fill_with(sink, ' ', blank);
    vx_put(sink, prefix, strlen(prefix));
    if ((flags & VX_ZERO) && !(flags & VX_LEFT) && blank > 0)
        zeros += blank;
    vx_fill_with(sink, '0', zeros);
    vx_put(sink, body, (size_t)length);
    if (flags & VX_LEFT)
        vx_fill_with(sink, ' ', blank);
}

static const char *vx_sign(unsigned flags, int negative)
{
    return negative ? "-" : flags & VX_PLUS ? "+" : flags & VX_SPACE ? " " : "";
}

static void vx_integer(struct vx_sink *sink, unsigned flags, int width, int precision, unsigned long long n,
                       unsigned base, const char *prefix)
{
    char text[24], *p = text + sizeof text;
    const char *digits = flags & VX_UPPER ? "0123456789ABCDEF" : "0123456789abcdef";
    int length;

    while (n >> 32) {
        *--p = digits[n % base];
        n /= base;
    }
    for (uint32_t low = (uint32_t)n; low; low /= base)
        *--p = digits[low % base];
    length = (int)(text + sizeof text - p);
    if (base == 8 && flags & VX_ALT && precision <= length)
        precision = length + 1;
    if (precision >= 0)
        flags &= ~VX_ZERO;
    if (precision < 0)
        precision = 1; /* so that 0 is printed as one digit */
    vx_field(sink, flags, width, prefix, precision > length ? precision - length : 0, p, length);
}

/* %e, %f and %g. The body is put together in one buffer; a precision beyond it is met with zeros. */
static void vx_real(struct vx_sink *sink, unsigned flags, int width, int precision, double value, char kind)
{
    char digits[VX_DIGITS_MAX], *text, *p;
    int exponent, count, places, room;
    uint64_t bits;
    const char *sign;

    memcpy(&bits, &value, sizeof bits);
    sign = vx_sign(flags, (int)(bits >> 63));
    if ((bits >> 52 & 0x7ff) == 0x7ff) {
        const char *name = bits << 12 ? (flags & VX_UPPER ? "NAN" : "nan") : flags & VX_UPPER ? "INF" : "inf";

        vx_field(sink, flags & ~VX_ZERO, width, sign, 0, name, 3);
        return;
    }
    if (precision < 0)
        precision = 6;
    if (kind == 'g' && !precision)
        precision = 1;
    count = vx_digits(value, kind == 'f' ? precision : -1, kind == 'e' ? precision + 1 : precision, digits, &exponent);
    places = precision;
    if (kind == 'g') {
        kind = exponent > precision || exponent < -3 ? 'e' : 'f';
        places = kind == 'e' ? precision - 1 : precision - exponent;
        if (!(flags & VX_ALT)) { /* drop trailing zeros */
            int shown = kind == 'e' ? count - 1 : count - exponent;

            places = shown < 0 ? 0 : shown < places ? shown : places;
        }
    }
    room = (exponent > 0 ? exponent : 1) + 16;
    p = text = malloc((size_t)room + (size_t)places);
    if (!text)
        return;
    if (kind == 'e') {
        int power = count ? exponent - 1 : 0;

        *p++ = count ? digits[0] : '0';
        if (places || flags & VX_ALT)
            *p++ = '.';
        for (int i = 1; i <= places; i++)
            *p++ = i < count ? digits[i] : '0';
        *p++ = flags & VX_UPPER ? 'E' : 'e';
        *p++ = power < 0 ? '-' : '+';
        power = power < 0 ? -power : power;
        if (power >= 100)
            *p++ = (char)('0' + power / 100);
        *p++ = (char)('0' + power / 10 % 10);
        *p++ = (char)('0' + power % 10);
    } else {
        if (exponent <= 0)
            *p++ = '0';
        for (int i = 0; i < exponent; i++)
            *p++ = i < count ? digits[i] : '0';
        if (places || flags & VX_ALT)
            *p++ = '.';
        for (int i = exponent; i < exponent + places; i++)
            *p++ = i >= 0 && i < count ? digits[i] : '0';
    }
    vx_field(sink, flags, width, sign, 0, text, (int)(p - text));
    free(text);
}

/* An integer argument of the size that the letters between precision and conversion say. */
enum vx_size { VX_INT, VX_CHAR, VX_SHORT, VX_LONG_LONG };

static enum vx_size vx_parse_size(const char **format)
{
    enum vx_size size = VX_INT;

    for (;; ++*format) {
        switch (**format) {
        case 'h': size = size == VX_SHORT ? VX_CHAR : VX_SHORT; break;
        case 'l': size = (*format)[1] == 'l' || size == VX_LONG_LONG ? VX_LONG_LONG : VX_INT; break;
        case 'j': size = VX_LONG_LONG; break;
        case 'z': case 't': case 'L': break; /* as wide as int; long double is taken as double */
        default: return size;
        }
    }
}

static void vx_format(struct vx_sink *sink, const char *format, va_list ap)
{
    for (;;) {
        const char *text = format;
        unsigned flags = 0;
        int width = 0, precision = -1;
        enum vx_size size;
        unsigned long long n;
        char c;

        while (*format && *format != '%')
            format++;
        if (format > text)
            vx_put(sink, text, (size_t)(format - text));
        if (!*format++)
            return;
        for (;; format++) {
            if (*format == '-') flags |= VX_LEFT;
            else if (*format == '+') flags |= VX_PLUS;
            else if (*format == ' ') flags |= VX_SPACE;
            else if (*format == '#') flags |= VX_ALT;
            else if (*format == '0') flags |= VX_ZERO;
            else break;
        }
        if (*format == '*') {
            width = va_arg(ap, int);
            format++;
            if (width < 0) {
                flags |= VX_LEFT;
                width = -width;
            }
        } else {
            width = (int)strtol(format, (char **)&format, 10);
        }
        if (*format == '.') {
            if (*++format == '*') {
                precision = va_arg(ap, int);
                format++;
            } else {
                for (precision = 0; (unsigned)*format - '0' < 10; format++)
                    precision = precision * 10 + *format - '0';
            }
        }
        size = vx_parse_size(&format);
        c = *format++;
        if (c == 'X' || c == 'F' || c == 'E' || c == 'G')
            flags |= VX_UPPER;
        switch (c) {
        case 'd': case 'i': {
            long long s = size == VX_LONG_LONG ? va_arg(ap, long long) : va_arg(ap, int);

            s = size == VX_CHAR ? (signed char)s : size == VX_SHORT ? (short)s : s;
            n = s < 0 ? -(unsigned long long)s : (unsigned long long)s;
            vx_integer(sink, flags, width, precision, n, 10, vx_sign(flags, s < 0));
            break;
        }
        case 'u': case 'o': case 'x': case 'X':
            n = size == VX_LONG_LONG ? va_arg(ap, unsigned long long) : va_arg(ap, unsigned);
            n = size == VX_CHAR ? (unsigned char)n : size == VX_SHORT ? (unsigned short)n : n;
            vx_integer(sink, flags, width, precision, n, c == 'u' ? 10 : c == 'o' ? 8 : 16,
                       n && flags & VX_ALT && (c | 32) == 'x' ? (c == 'x' ? "0x" : "0X") : "");
            break;
        case 'p':
            vx_integer(sink, flags, width, precision, (uintptr_t)va_arg(ap, void *), 16, "0x");
            break;
        case 'c': {
            char one = (char)va_arg(ap, int);

            vx_field(sink, flags & ~VX_ZERO, width, "", 0, &one, 1);
            break;
        }
        case 's': {
            const char *s = va_arg(ap, const char *);

            s = s ? s : "(null)";
            vx_field(sink, flags & ~VX_ZERO, width, "", 0, s,
                     (int)strnlen(s, precision < 0 ? INT_MAX : (size_t)precision));
            break;
        }
        case 'f': case 'F': case 'e': case 'E': case 'g': case 'G':
            vx_real(sink, flags, width, precision, va_arg(ap, double), (char)(c | 32));
            break;
        case '%':
            vx_put(sink, "%", 1);
            break;
        default: /* show what is not understood */
            format -= c == 0;
            vx_put(sink, "%", 1);
            vx_put(sink, &c, c != 0);
        }
    }
}

int vfprintf(FILE *restrict f, const char *restrict format, va_list ap)
{
    char line[512]; /* an unbuffered stream gets each call in one piece where it fits */
    struct vx_sink sink = {.file = f};
    va_list again;

    if (f == stderr) {
        va_copy(again, ap);
        sink = (struct vx_sink){.to = line, .left = sizeof line};
        vx_format(&sink, format, again);
        va_end(again);
        if (sink.count <= sizeof line) {
            fwrite(line, 1, sink.count, f);
            return ferror(f) ? -1 : (int)sink.count;
        }
        sink = (struct vx_sink){.file = f};
    }
    vx_format(&sink, format, ap);
    return ferror(f) ? -1 : (int)sink.count;
}

int vsnprintf(char *restrict to, size_t n, const char *restrict format, va_list ap)
{
    struct vx_sink sink = {.to = to, .left = n ? n - 1 : 0};

    vx_format(&sink, format, ap);
    if (n)
        *sink.to = 0;
    return (int)sink.count;
}

int vsprintf(char *restrict to, const char *restrict format, va_list ap)
{
    return vsnprintf(to, INT_MAX, format, ap);
}

int vprintf(const char *restrict format, va_list ap)
{
    return vfprintf(stdout, format, ap);
}

int printf(const char *restrict format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vfprintf(stdout, format, ap);
    va_end(ap);
    return n;
}

int fprintf(FILE *restrict f, const char *restrict format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vfprintf(f, format, ap);
    va_end(ap);
    return n;
}

int snprintf(char *restrict to, size_t n, const char *restrict format, ...)
{
    va_list ap;
    int count;

    va_start(ap, format);
    count = vsnprintf(to, n, format, ap);
    va_end(ap);
    return count;
}

int sprintf(char *restrict to, const char *restrict format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsprintf(to, format, ap);
    va_end(ap);
    return n;
}
