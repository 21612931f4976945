/* primitives.c - the functions that are not written in Lisp: each gets n arguments, which are safe in the roots. */

static int64_t integer(value v)
{
    if (!is(v, NUMBER))
        fail("not a number");
    return v->u.number;
}

static value pair(value v)
{
    if (!is(v, PAIR))
        fail("not a pair");
    return v;
}

static value text(value v)
{
    if (!is(v, STRING))
        fail("not a string");
    return v;
}

static value p_add(value *a, int n)
{
    int64_t sum = 0;

    for (int i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, integer(a[i]), &sum))
            fail("+: overflow");
    return number(sum);
}

static value p_subtract(value *a, int n)
{
    int64_t difference = n == 1 ? 0 : integer(a[0]);

    for (int i = n > 1; i < n; i++)
        if (__builtin_sub_overflow(difference, integer(a[i]), &difference))
            fail("-: overflow");
    return number(difference);
}

/* By magnitudes: the compilers' checked 64-bit multiplication calls a helper on 32-bit x86. */
static value p_multiply(value *a, int n)
{
    uint64_t product = 1;
    int negative = 0;

    for (int i = 0; i < n; i++) {
        int64_t factor = integer(a[i]);
        uint64_t magnitude = factor < 0 ? -(uint64_t)factor : (uint64_t)factor;

        negative ^= factor < 0;
        if (magnitude && product > (uint64_t)INT64_MAX / magnitude)
            fail("*: overflow");
        product *= magnitude;
    }
    return number(negative ? -(int64_t)product : (int64_t)product);
}

static int64_t divide(value *a, int want_rest)
{
    int64_t x = integer(a[0]), y = integer(a[1]);

    if (y == 0)
        fail("division by zero");
    if (y == -1) { /* the one quotient that overflows */
        if (x == INT64_MIN && !want_rest)
            fail("quotient: overflow");
        return want_rest ? 0 : -x;
    }
    if (x == (int32_t)x && y == (int32_t)y)
        return want_rest ? (int32_t)x % (int32_t)y : (int32_t)x / (int32_t)y;
    return want_rest ? x % y : x / y;
}

static value p_quotient(value *a, int n) { (void)n; return number(divide(a, 0)); }
static value p_remainder(value *a, int n) { (void)n; return number(divide(a, 1)); }

static value p_modulo(value *a, int n)
{
    int64_t r = divide(a, 1), y = integer(a[1]);

    (void)n;
    return number(r && (r < 0) != (y < 0) ? r + y : r);
}

#define COMPARISON(name, operator)                           \
    static value name(value *a, int n)                       \
    {                                                        \
        for (int i = 1; i < n; i++)                          \
            if (!(integer(a[i - 1]) operator integer(a[i]))) \
                return truth(0);                             \
        return truth(1);                                     \
    }
COMPARISON(p_equal_numbers, ==)
COMPARISON(p_less, <)
COMPARISON(p_greater, >)
COMPARISON(p_at_most, <=)
COMPARISON(p_at_least, >=)

static int same(value a, value b)
{
    if (a == b)
        return 1;
    if (a->type != b->type)
        return 0;
    if (is(a, NUMBER))
        return a->u.number == b->u.number;
    if (is(a, STRING))
        return a->u.string.length == b->u.string.length &&
               !memcmp(a->u.string.text, b->u.string.text, a->u.string.length);
    return 0;
}

static int equal(value a, value b, int level)
{
    if (level > DEPTH_MAX)
        fail("equal?: too deep");
    for (; is(a, PAIR) && is(b, PAIR); a = cdr(a), b = cdr(b))
        if (!equal(car(a), car(b), level + 1))
            return 0;
    return same(a, b);
}

static value p_eq(value *a, int n) { (void)n; return truth(same(a[0], a[1])); }
static value p_equal(value *a, int n) { (void)n; return truth(equal(a[0], a[1], 0)); }
static value p_not(value *a, int n) { (void)n; return truth(is(a[0], FALSE)); }
static value p_cons(value *a, int n) { (void)n; return cons(a[0], a[1]); }
static value p_car(value *a, int n) { (void)n; return car(pair(a[0])); }
static value p_cdr(value *a, int n) { (void)n; return cdr(pair(a[0])); }
static value p_set_car(value *a, int n) { (void)n; return car(pair(a[0])) = a[1]; }
static value p_set_cdr(value *a, int n) { (void)n; return cdr(pair(a[0])) = a[1]; }
static value p_is_null(value *a, int n) { (void)n; return truth(a[0] == nil); }
static value p_is_pair(value *a, int n) { (void)n; return truth(is(a[0], PAIR)); }
static value p_is_number(value *a, int n) { (void)n; return truth(is(a[0], NUMBER)); }
static value p_is_string(value *a, int n) { (void)n; return truth(is(a[0], STRING)); }
static value p_is_symbol(value *a, int n) { (void)n; return truth(is(a[0], SYMBOL)); }
static value p_is_procedure(value *a, int n) { (void)n; return truth(is(a[0], CLOSURE) || is(a[0], PRIMITIVE)); }

static value p_list(value *a, int n)
{
    value list = nil;

    while (n--)
        list = cons(a[n], list);
    return list;
}

static value p_apply(value *a, int n)
{
    value result, function = a[0];
    size_t base = root_count;
    int count = n - 2;

    for (int i = 1; i < n - 1; i++)
        protect(a[i]);
    for (value each = a[n - 1]; is(each, PAIR); each = cdr(each), count++)
        protect(car(each));
    result = apply(function, roots + base, count);
    root_count = base;
    return result;
}

static value p_display(value *a, int n)
{
    for (int i = 0; i < n; i++)
        print(a[i], 0, 0);
    return nil;
}

static value p_write(value *a, int n)
{
    (void)n;
    print(a[0], 1, 0);
    return nil;
}

static value p_newline(value *a, int n)
{
    (void)a, (void)n;
    putchar('\n');
    return nil;
}

static value p_string_length(value *a, int n) { (void)n; return number((int64_t)text(a[0])->u.string.length); }

static value p_string_append(value *a, int n)
{
    size_t length = 0;
    char *p;
    value v;

    for (int i = 0; i < n; i++)
        if ((length += text(a[i])->u.string.length) >= TEXT_MAX)
            fail("string-append: too long");
    v = string(NULL, 0);
    p = malloc(length + 1);
    if (!p)
        fail("out of memory for strings");
    free(v->u.string.text);
    v->u.string.text = p;
    v->u.string.length = length;
    for (int i = 0; i < n; i++) {
        memcpy(p, a[i]->u.string.text, a[i]->u.string.length);
        p += a[i]->u.string.length;
    }
    *p = 0;
    return v;
}

static value p_substring(value *a, int n)
{
    int64_t from = integer(a[1]), to = n > 2 ? integer(a[2]) : (int64_t)text(a[0])->u.string.length;

    if (from < 0 || to < from || (uint64_t)to > text(a[0])->u.string.length)
        fail("substring: out of range");
    return string(a[0]->u.string.text + from, (size_t)(to - from));
}

static value p_number_to_string(value *a, int n)
{
    char digits[24];

    (void)n;
    return string(digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)integer(a[0])));
}

static value p_string_to_number(value *a, int n)
{
    char *rest_of_it;
    int64_t v = strtoll(text(a[0])->u.string.text, &rest_of_it, 10);

    (void)n;
    return *rest_of_it || !a[0]->u.string.length ? truth(0) : number(v);
}

static value p_symbol_to_string(value *a, int n)
{
    (void)n;
    if (!is(a[0], SYMBOL))
        fail("not a symbol");
    return string(a[0]->u.symbol.name, strlen(a[0]->u.symbol.name));
}

static value p_string_to_symbol(value *a, int n)
{
    (void)n;
    return symbol(text(a[0])->u.string.text, strlen(a[0]->u.string.text));
}

static value p_error(value *a, int n)
{
    fflush(stdout);
    for (int i = 0; i < n; i++)
        print(a[i], 0, 0);
    putchar('\n');
    fail("the program called error");
}

static value p_exit(value *a, int n)
{
    exit(n ? (int)integer(a[0]) : 0);
}

static const struct {
    const char *name;
    value (*run)(value *, int);
    int least, most; /* most: -1 for any number */
} primitives[] = {
    {"+", p_add, 0, -1}, {"-", p_subtract, 1, -1}, {"*", p_multiply, 0, -1}, {"quotient", p_quotient, 2, 2},
    {"remainder", p_remainder, 2, 2}, {"modulo", p_modulo, 2, 2}, {"=", p_equal_numbers, 1, -1}, {"<", p_less, 1, -1},
    {">", p_greater, 1, -1}, {"<=", p_at_most, 1, -1}, {">=", p_at_least, 1, -1}, {"eq?", p_eq, 2, 2},
    {"equal?", p_equal, 2, 2}, {"not", p_not, 1, 1}, {"cons", p_cons, 2, 2}, {"car", p_car, 1, 1}, {"cdr", p_cdr, 1, 1},
    {"set-car!", p_set_car, 2, 2}, {"set-cdr!", p_set_cdr, 2, 2},
    {"null?", p_is_null, 1, 1}, {"pair?", p_is_pair, 1, 1},
    {"number?", p_is_number, 1, 1}, {"string?", p_is_string, 1, 1}, {"symbol?", p_is_symbol, 1, 1},
    {"procedure?", p_is_procedure, 1, 1}, {"list", p_list, 0, -1}, {"apply", p_apply, 2, -1},
    {"display", p_display, 0, -1}, {"write", p_write, 1, 1}, {"newline", p_newline, 0, 0},
    {"string-length", p_string_length, 1, 1}, {"string-append", p_string_append, 0, -1}, {"string=?", p_equal, 2, 2},
    {"substring", p_substring, 2, 3}, {"number->string", p_number_to_string, 1, 1},
    {"string->number", p_string_to_number, 1, 1}, {"symbol->string", p_symbol_to_string, 1, 1},
    {"string->symbol", p_string_to_symbol, 1, 1}, {"error", p_error, 0, -1}, {"exit", p_exit, 0, 1},
};
