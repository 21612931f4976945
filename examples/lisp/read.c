/* read.c - from text to values. */
#include <ctype.h>

static const char *at, *end;
static int reading_depth;

static void skip_space(void)
{
    while (at < end && (isspace((unsigned char)*at) || *at == ';'))
        if (*at++ == ';')
            while (at < end && *at != '\n')
                at++;
}

static value read_string(void)
{
    char *text = malloc((size_t)(end - at) + 1), *p = text;
    value v;

    if (!text)
        fail("out of memory");
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end) {
            at++;
            *p++ = *at == 'n' ? '\n' : *at == 't' ? '\t' : *at;
        } else {
            *p++ = *at;
        }
    }
    if (at == end) {
        free(text);
        fail("a string does not end");
    }
    at++;
    v = string(text, (size_t)(p - text));
    free(text);
    return v;
}

static value read_value(void);

static value read_list(void)
{
    value first = nil, last = nil;

    if (++reading_depth > DEPTH_MAX / 2)
        fail("too many parentheses");
    for (;;) {
        value item;

        skip_space();
        if (at == end)
            fail("a parenthesis is not closed");
        if (*at == ')') {
            at++;
            reading_depth--;
            return first;
        }
        if (*at == '.' && at + 1 < end && isspace((unsigned char)at[1]) && last != nil) {
            at++;
            cdr(last) = read_value();
            skip_space();
            if (at == end || *at++ != ')')
                fail("more than one value after a dot");
            reading_depth--;
            return first;
        }
        item = cons(read_value(), nil); /* nothing is collected while a program is read */
        if (last == nil)
            first = item;
        else
            cdr(last) = item;
        last = item;
    }
}

static value read_value(void)
{
    const char *start;
    char digits[24], *rest;
    size_t length;

    skip_space();
    if (at == end)
        fail("the program ends in the middle of an expression");
    if (*at == '(') {
        at++;
        return read_list();
    }
    if (*at == ')')
        fail("a parenthesis too many");
    if (*at == '"')
        return read_string();
    if (*at == '\'') {
        value quoted;

        at++;
        if (++reading_depth > DEPTH_MAX / 2)
            fail("too many quotes");
        quoted = cons(read_value(), nil);
        reading_depth--;
        return cons(symbol("quote", 5), quoted);
    }
    for (start = at; at < end && !isspace((unsigned char)*at) && !strchr("()\"';", *at);)
        at++;
    length = (size_t)(at - start);
    if (length == 0) /* a NUL byte: strchr finds it */
        fail("a byte that is not text");
    if (length == 2 && start[0] == '#' && (start[1] == 't' || start[1] == 'f'))
        return truth(start[1] == 't');
    if (isdigit((unsigned char)start[length > 1 && (*start == '-' || *start == '+')])) {
        int64_t n;

        if (length >= sizeof digits)
            fail("a number is too long");
        memcpy(digits, start, length);
        digits[length] = 0;
        n = strtoll(digits, &rest, 10);
        if (*rest)
            fail("not a number: %s", digits);
        return number(n);
    }
    return symbol(start, length);
}
