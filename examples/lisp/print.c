/* print.c - from values to text. What a program puts together may be deep or circular, so both are bounded. */

static void print(value v, int quoted, int depth)
{
    if (depth > 1000) {
        fputs("...", stdout);
        return;
    }
    switch (v->type) {
    case NIL: fputs("()", stdout); break;
    case TRUE: fputs("#t", stdout); break;
    case FALSE: fputs("#f", stdout); break;
    case NUMBER: printf("%lld", (long long)v->u.number); break;
    case SYMBOL: fputs(v->u.symbol.name, stdout); break;
    case CLOSURE: fputs("#<procedure>", stdout); break;
    case PRIMITIVE: printf("#<%s>", v->u.primitive.name); break;
    case STRING:
        if (!quoted) {
            fwrite(v->u.string.text, 1, v->u.string.length, stdout);
            break;
        }
        putchar('"');
        for (size_t i = 0; i < v->u.string.length; i++) {
            char c = v->u.string.text[i];

            if (c == '"' || c == '\\' || c == '\n')
                putchar('\\');
            putchar(c == '\n' ? 'n' : c);
        }
        putchar('"');
        break;
    default:
        putchar('(');
        for (int i = 0;; i++) {
            print(car(v), quoted, depth + 1);
            v = cdr(v);
            if (!is(v, PAIR))
                break;
            putchar(' ');
            if (i > 1000000) {
                fputs("...", stdout);
                v = nil;
                break;
            }
        }
        if (v != nil) {
            fputs(" . ", stdout);
            print(v, quoted, depth + 1);
        }
        putchar(')');
    }
}
