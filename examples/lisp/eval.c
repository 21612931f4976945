/* eval.c - forms, calls and scopes. */

static value s_quote, s_if, s_define, s_set, s_lambda, s_let, s_let_star, s_letrec, s_begin, s_cond, s_else, s_and;
static value s_or, s_while;
static int depth;

static value eval(value form, value scope);

static value part(value form, int n) /* the n-th part of a form; what follows parts is always a list */
{
    value v = form;

    while (n-- && is(v, PAIR))
        v = cdr(v);
    if (!is(v, PAIR))
        fail("a form is too short");
    return car(v);
}

static value rest(value form, int n)
{
    while (n-- && is(form, PAIR))
        form = cdr(form);
    return form;
}

static value *variable(value name, value scope)
{
    for (; is(scope, PAIR); scope = cdr(scope))
        if (car(car(scope)) == name)
            return &cdr(car(scope));
    if (!is(name, SYMBOL))
        fail("not a name");
    return &name->u.symbol.global;
}

static value closure(value names, value body, value scope)
{
    value v = make(CLOSURE);

    v->u.closure.names = names;
    v->u.closure.body = body;
    v->u.closure.scope = scope;
    return v;
}

static value bind(value name, value v, value scope)
{
    if (!is(name, SYMBOL))
        fail("not a name");
    return cons(cons(name, v), scope);
}

/* The closure's scope with its names bound to n arguments; a name in place of a list of names gets the rest. */
static value bind_all(value function, value *arguments, int n)
{
    value scope = function->u.closure.scope, names = function->u.closure.names;
    int i = 0;

    for (; is(names, PAIR); names = cdr(names), i++) {
        if (i == n)
            fail("too few arguments");
        scope = bind(car(names), arguments[i], scope);
    }
    if (names != nil) {
        value list = nil;

        for (int k = n; k-- > i;)
            list = cons(arguments[k], list);
        return bind(names, list, scope);
    }
    if (i < n)
        fail("too many arguments");
    return scope;
}

static value call_primitive(value function, value *arguments, int n)
{
    if (n < function->u.primitive.least || (function->u.primitive.most >= 0 && n > function->u.primitive.most))
        fail("%s: wrong number of arguments", function->u.primitive.name);
    return function->u.primitive.run(arguments, n);
}

static value define(value form, value scope)
{
    value name = part(form, 1), v;

    if (is(name, PAIR)) {
        v = closure(cdr(name), rest(form, 2), scope);
        name = car(name);
    } else {
        v = eval(part(form, 2), scope);
    }
    if (!is(name, SYMBOL))
        fail("define: not a name");
    if (is(scope, PAIR)) { /* in a function: a binding behind the newest one, which every closure made here sees */
        value after = cons(cons(name, v), cdr(scope));

        cdr(scope) = after;
    } else {
        name->u.symbol.global = v;
    }
    return name;
}

/* let, let*, letrec: the scope of the body. roots[base + 1] is the scope while it grows. */
static value let_scope(value kind, value bindings, value scope, size_t base)
{
    value inner = scope;

    if (kind == s_letrec)
        for (value b = bindings; is(b, PAIR); b = cdr(b))
            inner = bind(part(car(b), 0), nil, inner);
    for (value b = bindings; is(b, PAIR); b = cdr(b)) {
        value name = part(car(b), 0), v;

        roots[base + 1] = inner;
        v = eval(part(car(b), 1), kind == s_let ? scope : inner);
        if (kind == s_letrec)
            *variable(name, inner) = v;
        else
            inner = bind(name, v, inner);
    }
    return inner;
}

/*
 * The value of a form. The loop makes tail calls free. `form` and `scope` are kept in roots[base] and roots[base + 1],
 * what is evaluated for a call in the roots above.
 */
static value eval(value form, value scope)
{
    size_t base = root_count;
    value result = nil;

    if (++depth > DEPTH_MAX)
        fail("recursion is too deep");
    protect(form);
    protect(scope);
    protect(scope); /* stays, for let: the outer scope */
    for (;;) {
        value head, body = NULL;

        roots[base] = form;
        roots[base + 1] = roots[base + 2] = scope;
        collect();
        if (is(form, SYMBOL)) {
            result = *variable(form, scope);
            if (!result)
                fail("no such variable: %s", form->u.symbol.name);
            break;
        }
        if (!is(form, PAIR)) {
            result = form;
            break;
        }
        head = car(form);
        if (head == s_quote) {
            result = part(form, 1);
            break;
        }
        if (head == s_if) {
            if (!is(eval(part(form, 1), scope), FALSE)) {
                form = part(form, 2);
            } else if (is(rest(form, 3), PAIR)) {
                form = part(form, 3);
            } else {
                result = nil;
                break;
            }
            continue;
        }
        if (head == s_define) {
            result = define(form, scope);
            break;
        }
        if (head == s_set) {
            value name = part(form, 1), v = eval(part(form, 2), scope), *place = variable(name, scope);

            if (!*place)
                fail("set!: no such variable: %s", name->u.symbol.name);
            result = *place = v;
            break;
        }
        if (head == s_lambda) {
            result = closure(part(form, 1), rest(form, 2), scope);
            break;
        }
        if (head == s_and || head == s_or) {
            value each = cdr(form);

            result = truth(head == s_and);
            for (; is(each, PAIR) && is(cdr(each), PAIR); each = cdr(each)) {
                result = eval(car(each), scope);
                if (is(result, FALSE) == (head == s_and))
                    break;
            }
            if (!is(each, PAIR) || is(cdr(each), PAIR))
                break;
            form = car(each);
            continue;
        }
        if (head == s_while) {
            while (!is(eval(part(form, 1), scope), FALSE))
                for (value each = rest(form, 2); is(each, PAIR); each = cdr(each))
                    eval(car(each), scope);
            result = nil;
            break;
        }
        if (head == s_cond) {
            value clause = cdr(form);

            for (; is(clause, PAIR); clause = cdr(clause)) {
                value test = part(car(clause), 0);

                result = test == s_else ? truth(1) : eval(test, scope);
                if (!is(result, FALSE))
                    break;
            }
            if (!is(clause, PAIR)) {
                result = nil;
                break;
            }
            body = cdr(car(clause));
            if (body == nil)
                break; /* (cond (test)): the test's value */
        } else if (head == s_begin) {
            body = cdr(form);
        } else if (head == s_let && is(part(form, 1), SYMBOL)) { /* a loop: a function that its body can call */
            value names = nil, name = part(form, 1), bindings = part(form, 2), loop, *arguments;
            int n = 0;

            for (value b = bindings; is(b, PAIR); b = cdr(b), n++)
                protect(eval(part(car(b), 1), scope));
            for (value b = bindings; is(b, PAIR); b = cdr(b))
                names = cons(part(car(b), 0), names);
            for (value b = names, list = nil, next; is(b, PAIR); b = next) { /* reversed in place */
                next = cdr(b);
                cdr(b) = list;
                names = list = b;
            }
            loop = closure(names, rest(form, 3), bind(name, nil, scope));
            cdr(car(loop->u.closure.scope)) = loop;
            arguments = roots + root_count - n;
            scope = bind_all(loop, arguments, n);
            body = loop->u.closure.body;
        } else if (head == s_let || head == s_let_star || head == s_letrec) {
            scope = let_scope(head, part(form, 1), scope, base);
            body = rest(form, 2);
        } else { /* a call */
            value function = eval(head, scope), *arguments;
            int n = 0;

            protect(function);
            for (value each = cdr(form); is(each, PAIR); each = cdr(each), n++)
                protect(eval(car(each), scope));
            arguments = roots + root_count - n;
            if (is(function, PRIMITIVE)) {
                result = call_primitive(function, arguments, n);
                break;
            }
            if (!is(function, CLOSURE))
                fail("not a function");
            scope = bind_all(function, arguments, n);
            body = function->u.closure.body;
        }
        /* A body: all but the last form here, the last one in the next turn of the loop. */
        roots[base] = body;
        roots[base + 1] = scope;
        root_count = base + 3;
        if (!is(body, PAIR)) {
            result = nil;
            break;
        }
        for (; is(cdr(body), PAIR); body = cdr(body))
            eval(car(body), scope);
        form = car(body);
    }
    root_count = base;
    depth--;
    return result;
}

static value apply(value function, value *arguments, int n)
{
    value result = nil, scope;
    size_t base = root_count;

    if (is(function, PRIMITIVE))
        return call_primitive(function, arguments, n);
    if (!is(function, CLOSURE))
        fail("not a function");
    scope = bind_all(function, arguments, n);
    protect(function);
    protect(scope);
    for (value body = function->u.closure.body; is(body, PAIR); body = cdr(body))
        result = eval(car(body), scope);
    root_count = base;
    return result;
}
