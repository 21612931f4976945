/* text.c - UTF-8, numbers, words. */

int chartorune(Rune *rune, char *s)
{
    uchar *p = (uchar *)s;
    int more = *p < 0x80 ? 0 : *p < 0xC2 ? -1 : *p < 0xE0 ? 1 : *p < 0xF0 ? 2 : *p < 0xF5 ? 3 : -1;
    Rune c = more > 0 ? *p & (0x3F >> more) : *p;
    int i;

    for (i = 1; i <= more; i++) {
        if ((p[i] & 0xC0) != 0x80)
            break;
        c = c << 6 | (p[i] & 0x3F);
    }
    if (more < 0 || i <= more || (more == 2 && c < 0x800) || (more == 3 && c < 0x10000) || c > Runemax ||
        (c >= 0xD800 && c < 0xE000)) {
        *rune = Runeerror;
        return 1;
    }
    *rune = c;
    return more + 1;
}

int runetochar(char *s, Rune *rune)
{
    Rune c = *rune;

    if (c > Runemax || (c >= 0xD800 && c < 0xE000))
        c = Runeerror;
    if (c < 0x80) {
        s[0] = c;
        return 1;
    }
    if (c < 0x800) {
        s[0] = 0xC0 | c >> 6;
        s[1] = 0x80 | (c & 0x3F);
        return 2;
    }
    if (c < 0x10000) {
        s[0] = 0xE0 | c >> 12;
        s[1] = 0x80 | (c >> 6 & 0x3F);
        s[2] = 0x80 | (c & 0x3F);
        return 3;
    }
    s[0] = 0xF0 | c >> 18;
    s[1] = 0x80 | (c >> 12 & 0x3F);
    s[2] = 0x80 | (c >> 6 & 0x3F);
    s[3] = 0x80 | (c & 0x3F);
    return 4;
}

int runelen(long c)
{
    Rune rune = c;
    char s[UTFmax];

    return runetochar(s, &rune);
}

int fullrune(char *s, int n)
{
    uchar c = *s;

    return n > 0 && n > (c < 0xC2 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : c < 0xF5 ? 3 : 0);
}

int utfnlen(char *s, long n)
{
    char *end = s + n;
    Rune rune;
    int count = 0;

    for (; s < end && *s && fullrune(s, end - s); count++)
        s += chartorune(&rune, s);
    return count;
}

int utflen(char *s)
{
    return utfnlen(s, strlen(s));
}

char *utfrune(char *s, long wanted)
{
    Rune rune;
    int n;

    for (;; s += n) {
        n = chartorune(&rune, s);
        if (rune == (Rune)wanted)
            return s;
        if (!*s)
            return nil;
    }
}

/* A number of at most 64 bits and its sign; more than fits is the most that does. */
static uvlong number9(char *s, char **rest, int base, uvlong most, int *negative)
{
    uvlong n = 0;
    char *start = s, *digits;
    int overflow = 0;

    while (*s == ' ' || (*s >= '\t' && *s <= '\r'))
        s++;
    *negative = *s == '-';
    if (*s == '-' || *s == '+')
        s++;
    if ((base == 0 || base == 16) && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    } else if (base == 0) {
        base = *s == '0' ? 8 : 10;
    }
    for (digits = s;; s++) {
        int c = *s, d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;

        if (d >= base)
            break;
        if (n > (most - d) / base)
            overflow = 1;
        n = n * base + d;
    }
    if (rest)
        *rest = s == digits ? start : s;
    return overflow ? most : n;
}

static vlong signed9(char *s, char **rest, int base, uvlong most)
{
    int negative;
    uvlong n = number9(s, rest, base, most + 1, &negative);

    if (negative)
        return -n;
    return n > most ? most : n;
}

vlong strtoll(char *s, char **rest, int base) { return signed9(s, rest, base, ~0ULL >> 1); }
long strtol(char *s, char **rest, int base) { return signed9(s, rest, base, 0x7FFFFFFF); }

uvlong strtoull(char *s, char **rest, int base)
{
    int negative;
    uvlong n = number9(s, rest, base, ~0ULL, &negative);

    return negative ? -n : n;
}

ulong strtoul(char *s, char **rest, int base)
{
    int negative;
    ulong n = number9(s, rest, base, 0xFFFFFFFF, &negative);

    return negative ? -n : n;
}

int atoi(char *s) { return strtol(s, nil, 0); }
long atol(char *s) { return strtol(s, nil, 0); }
vlong atoll(char *s) { return strtoll(s, nil, 0); }
int abs(int n) { return n < 0 ? -n : n; }
long labs(long n) { return n < 0 ? -n : n; }

static int lower9(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

int cistrncmp(char *a, char *b, int n)
{
    for (; n > 0; a++, b++, n--) {
        int difference = lower9((uchar)*a) - lower9((uchar)*b);

        if (difference || !*a)
            return difference;
    }
    return 0;
}

int cistrcmp(char *a, char *b) { return cistrncmp(a, b, 0x7FFFFFFF); }

void *memccpy(void *to, void *from, int c, ulong n)
{
    char *a = to, *b = from;

    while (n--)
        if ((*a++ = *b++) == (char)c)
            return a;
    return nil;
}

char *strecpy(char *to, char *end, char *from)
{
    if (to >= end)
        return to;
    while (to < end - 1 && *from)
        *to++ = *from++;
    *to = 0;
    return to;
}

int getfields(char *s, char **fields, int most, int mflag, char *set)
{
    int count = 0;

    while (count < most) {
        if (mflag)
            while (*s && strchr(set, *s))
                s++;
        if (!*s && (mflag || !count))
            break;
        fields[count++] = s;
        while (*s && !strchr(set, *s))
            s++;
        if (!*s || count == most)
            break;
        *s++ = 0;
    }
    return count;
}

int tokenize(char *s, char **fields, int most)
{
    int count = 0;

    while (count < most) {
        char *to;
        int quoted = 0;

        while (*s && strchr(" \t\r\n", *s))
            s++;
        if (!*s)
            break;
        fields[count++] = to = s;
        for (; *s && (quoted || !strchr(" \t\r\n", *s)); s++) {
            if (*s != '\'')
                *to++ = *s;
            else if (quoted && s[1] == '\'')
                *to++ = *s++;
            else
                quoted = !quoted;
        }
        if (*s)
            s++;
        *to = 0;
    }
    return count;
}

/* -- numbers that look random: xorshift64* (Vigna) ---------------------------------------------------------------- */

static uvlong random9 = 0x9E3779B97F4A7C15ULL;

void srand(long seed)
{
    random9 = ((uvlong)(ulong)seed << 1 | 1) * 0x9E3779B97F4A7C15ULL; /* never 0 */
}

long lrand(void)
{
    random9 ^= random9 >> 12;
    random9 ^= random9 << 25;
    random9 ^= random9 >> 27;
    return (random9 * 0x2545F4914F6CDD1DULL) >> 33;
}

int rand(void) { return lrand() & 0x7FFF; }
double frand(void) { return lrand() / 2147483648.0; }

int nrand(int n)
{
    long r, most;

    if (n < 1)
        return n;
    most = 0x7FFFFFFF - 0x7FFFFFFF % n;
    while ((r = lrand()) >= most)
        ;
    return r % n;
}

long lnrand(long n) { return nrand(n); }
