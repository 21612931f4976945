/* Makes the system calls that its arguments say, one after the other, whatever they answer, and prints the answers.

   A call is a number, its arguments, and ";". An argument is
     iN      the number N
     sTEXT   a pointer to TEXT
     hHEX    a pointer to these bytes
     oN      a pointer to N zero bytes, which are printed after the call
     rK      the result of call K, counted from 0
     aK      the address of buffer K: those of h, o and { are counted from 0
     { .. }  a pointer to words, which are arguments themselves
   "fork" instead of a number makes a child that makes the rest of the calls, and waits for it.
   Nothing of a C library is in here, so that natively and in the jail the same calls are made, and no others. */

typedef unsigned char u8;
typedef unsigned long word;

__asm__(".globl _start\n_start: mov %esp, %eax\n and $-16, %esp\n sub $12, %esp\n push %eax\n call begin\n"
        ".globl make\nmake: push %ebp; push %edi; push %esi; push %ebx\n mov 20(%esp), %eax\n"
        "mov 4(%eax), %ebx; mov 8(%eax), %ecx; mov 12(%eax), %edx; mov 16(%eax), %esi; mov 20(%eax), %edi\n"
        "mov 24(%eax), %ebp; mov (%eax), %eax; int $0x80\n pop %ebx; pop %esi; pop %edi; pop %ebp; ret\n"
        ".section .note.GNU-stack,\"\",@progbits\n.text\n");

long make(const word *number_and_arguments);

static u8 arena[1 << 20];
static word used;
static long results[512];
static int calls;
static u8 *buffers[512];
static int buffered;
static struct { u8 *at; word size; } outs[64];
static int out;
static char line[1 << 17];

static long call(word number, word a, word b, word c)
{
    word words[7] = {number, a, b, c, 0, 0, 0};
    return make(words);
}

static word number(const char *text)
{
    word value = 0, minus = *text == '-';
    for (text += minus; *text; text++)
        value = value * 10 + (*text - '0');
    return minus ? -value : value;
}

static u8 *room(word size)
{
    u8 *at = arena + used;
    used += (size + 15) & ~15ul;
    return at;
}

static word digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static word argument(char ***next)
{
    char *text = *(*next)++;
    switch (*text++) {
    case 'i':
        return number(text);
    case 's':
        return (word)text;
    case 'h': {
        u8 *at = room(0), *to = at;
        for (; *text; text += 2)
            *to++ = digit(text[0]) << 4 | digit(text[1]);
        room(to - at + 1);
        return (word)(buffers[buffered++] = at);
    }
    case 'o': {
        word size = number(text);
        u8 *at = room(size + 1);
        outs[out].at = at;
        outs[out++].size = size;
        return (word)(buffers[buffered++] = at);
    }
    case 'r':
        return results[number(text)];
    case 'a':
        return (word)buffers[number(text)];
    case '{': {
        word *at = (word *)room(64 * sizeof(word)), *to = at;
        buffers[buffered++] = (u8 *)at;
        while (**next && ***next != '}')
            *to++ = argument(next);
        ++*next;
        return (word)at;
    }
    }
    call(1, 99, 0, 0);
    return 0;
}

static void tell(char kind, const char *text, word size)
{
    word n = 0;
    line[n++] = kind;
    line[n++] = ' ';
    while (size--)
        line[n++] = *text++;
    line[n++] = '\n';
    call(4, 1, (word)line, n);
}

static void tell_number(long value)
{
    char digits[12], *to = digits + sizeof digits;
    word rest = value < 0 ? -(word)value : (word)value;
    do
        *--to = '0' + rest % 10;
    while (rest /= 10);
    if (value < 0)
        *--to = '-';
    tell('R', to, digits + sizeof digits - to);
}

static char hex[1 << 17];

static void tell_bytes(const u8 *at, word size)
{
    for (word i = 0; i < size; i++) {
        hex[2 * i] = "0123456789abcdef"[at[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[at[i] & 15];
    }
    tell('B', hex, 2 * size);
}

void begin(word *stack)
{
    char **next = (char **)stack + 2;
    while (*next) {
        word words[7] = {0};
        int n = 1;
        if (**next == 'f') { /* fork */
            long child = call(2, 0, 0, 0);
            if (child)
                call(7, child, 0, 0), call(1, 0, 0, 0);
            next += 2;
            continue;
        }
        words[0] = number(*next++);
        out = 0;
        while (**next != ';')
            words[n++] = argument(&next);
        next++;
        long result = make(words);
        results[calls++] = result;
        tell_number(result);
        for (int i = 0; i < out; i++)
            tell_bytes(outs[i].at, outs[i].size);
    }
    call(252, 0, 0, 0);
}
