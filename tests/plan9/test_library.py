"""The C library for Plan 9's programs, and the a.out files that are made with it, by both compilers."""

from __future__ import annotations

import functools
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from conformance.plan9.kernels import put
from vx32py import _compile
from vx32py._compile import CompileError, CompilerName, compile_guest
from vx32py._errors import BadImage
from vx32py.plan9.aout import Program, parse_header
from vx32py.plan9.kernel import Kernel, Result
from vx32py.plan9.linking import aout_of

pytestmark = pytest.mark.compiler

HEADERS = (
    "#include <u.h>\n#include <libc.h>\n#include <bio.h>\n#include <ctype.h>\n#include <ureg.h>\n#include <tos.h>\n"
)


@pytest.fixture(params=["gcc", "zig"])
def compiler(request: pytest.FixtureRequest) -> CompilerName:
    name: CompilerName = request.param
    if name not in _compile.compilers():
        pytest.skip(f"{name} cannot build guests here")
    return name


@functools.cache
def made(compiler: CompilerName, source: str, optimise: str = "-O2") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "program.c")
        file.write_text(HEADERS + source)
        flags = ["-Wall", "-Wextra", "-Werror"]
        return compile_guest(
            [file], Path(folder, "8.out"), compiler=compiler, libc="plan9", optimise=optimise, flags=flags
        ).read_bytes()


def run(compiler: CompilerName, source: str, *arguments: str, stdin: bytes = b"", engine: str = "auto") -> Result:
    with Kernel(engine=engine, timeout=60, memory="32M") as kernel:
        put(kernel, "test", made(compiler, source))
        return kernel.run(["test", *arguments], stdin=stdin)


def main(body: str) -> str:
    return f"void main(int argc, char **argv)\n{{\n(void)argc; (void)argv;\n{body}\nexits(nil);\n}}\n"


#: A format of print's, the arguments in C, and what comes out.
PRINTED = [
    ("%d|%5d|%-5d|%05d|%+d|% d", "1, -2, 3, -4, 5, 6", "1|   -2|3    |-0004|+5| 6"),
    ("%x|%X|%#x|%#8x|%08x|%o|%#o", "255, 255, 255, 255, 255, 8, 8", "ff|FF|0xff|    0xff|000000ff|10|010"),
    ("%ud|%lud|%u|%lux|%b", "-1, -1L, 7, 0xabcUL, 5", "4294967295|4294967295|7|abc|101"),
    ("%lld|%llud|%llux", "-(1LL<<62), ~0ULL, ~0ULL", f"{-1 << 62}|{2**64 - 1}|{2**64 - 1:x}"),
    ("%hd|%hud|%hhd|%hhud", "70000, 70000, 300, 300", "4464|4464|44|44"),
    ("%,d|%,lld|%.5d|%8.3d|", "1234567, -1234567890123LL, 42, 7", "1,234,567|-1,234,567,890,123|00042|     007|"),
    ("%s|%6s|%-6s|%.2s|%*s|%s", '"a", "b", "c", "abcdef", 4, "d", (char*)0', "a|     b|c     |ab|   d|<nil>"),
    ("%c%C%C|%5C|", "'x', 0x20AC, 0x1F600, 0xE9", "x€😀|    é|"),
    ("%4s|%-4s|%.1s|", '"é", "é", "éa"', "   é|é   |é|"),
    ("%q %q %q %q", '"plain", "two words", "it\'s", ""', "plain 'two words' 'it''s' ''"),
    ("%f|%.2f|%e|%g|%g|%g", "3.14159, 2.345, 12345.678, 0.0001, 1e20, 100.0",
     f"{3.14159:f}|{2.345:.2f}|{12345.678:e}|{0.0001:g}|{1e20:g}|{100.0:g}"),
    ("%g %g %5.1f%%", "1.0/zero, -1.0/zero, 99.5", "Inf -Inf  99.5%"),
]  # fmt: skip


def test_print_formats_as_the_manual_says(compiler: CompilerName) -> None:
    lines = "".join(f'print("{form}\\n", {arguments});\n' for form, arguments, _ in PRINTED)
    result = run(compiler, main(f"volatile double zero = 0;\n{lines}"))
    assert result.status == ""
    assert result.stdout.decode().splitlines() == [expected for _, _, expected in PRINTED]


def test_verbs_of_ones_own(compiler: CompilerName) -> None:
    source = """
    typedef struct Point { int x, y; } Point;
    static int pointfmt(Fmt *f) {
        Point *p = va_arg(f->args, Point *); char s[64];
        if(f->flags & FmtSharp) return fmtprint(f, "Point(%d, %d)", p->x, p->y);
        snprint(s, sizeof s, "[%d %d]%s", p->x, p->y, f->flags & FmtLong ? "l" : ""); return fmtstrcpy(f, s);
    }
    static int runes(Fmt *f) { int n = va_arg(f->args, int); while(n-- > 0) fmtrune(f, 0x20AC); return 0; }
    """ + main(r"""
    Point p = { 1, -2 }; char *s;
    fmtinstall('P', pointfmt); fmtinstall('z', runes); quotefmtinstall();
    print("%P|%#P|%10P|%-10P|%.2P|%lP|%d\n", &p, &p, &p, &p, &p, &p, 5);
    s = smprint("%d%z%d", 1, 100, 2); print("%d %s\n", utflen(s), s + 298);
    print("%d\n", fmtinstall(0x20AC, runes));
    """)
    assert run(compiler, source).stdout.decode().splitlines() == [
        "[1 -2]|Point(1, -2)|    [1 -2]|[1 -2]    |[1|[1 -2]l|5", "102 €2", "-1",
    ]  # fmt: skip


def test_strings_go_where_there_is_room_for_them(compiler: CompilerName) -> None:
    body = """
    char b[8], *p; int n;
    memset(b, 'z', sizeof b);
    n = snprint(b, 5, "%s", "abcdefgh"); print("%d %s %c\\n", n, b, b[5]);
    p = seprint(b, b+3, "%d", 12345); print("%ld %s\\n", p-b, b);
    p = smprint("%s%d", "a long string, which needs more room than there was in the beginning, and again more: ", 7);
    print("%s\\n", p);
    """
    assert run(compiler, main(body)).stdout.decode().splitlines() == [
        "4 abcd z", "2 12", "a long string, which needs more room than there was in the beginning, and again more: 7",
    ]  # fmt: skip


def test_options_are_taken_apart(compiler: CompilerName) -> None:
    body = """
    char *o = "none"; int v = 0;
    ARGBEGIN{
    case 'v': v++; break;
    case 'o': o = EARGF(exits("usage")); break;
    default: sysfatal("bad option %C", ARGC());
    }ARGEND
    print("%d %s %d %s\\n", v, o, argc, argc ? argv[0] : "");
    """
    assert run(compiler, main(body), "-vv", "-oout", "--", "-x").stdout == b"2 out 1 -x\n"
    assert run(compiler, main(body), "-v", "-o", "out", "file", "-v").stdout == b"1 out 2 file\n"
    assert run(compiler, main(body), "-o").status == "usage"
    bad = run(compiler, main(body), "-é")
    assert (bad.status, bad.stderr.decode()) == ("bad option é", "test: bad option é\n")


def test_numbers_words_and_characters_are_read(compiler: CompilerName) -> None:
    body = r"""
    char *f[5], *rest, a[] = " one 'two words' it''s  'a''b'", b[] = "x::y:z", c[] = "\xe2\x82\xac\xff\xc0\x80"; int n, i; Rune r;
    print("%d %ld %ld %lux %lld\n", atoi("-42"), strtol("0x1fz", &rest, 0), strtol("-777777777777", nil, 10), strtoul("ffffffff", nil, 16),
        strtoll("-9223372036854775808", nil, 10));
    print("%s|", rest);
    n = tokenize(a, f, 5); for(i = 0; i < n; i++) print("<%s>", f[i]);
    n = getfields(b, f, 5, 0, ":"); for(i = 0; i < n; i++) print("[%s]", f[i]);
    for(rest = c; *rest; ) { rest += chartorune(&r, rest); print(" %ux", r); }
    print(" %d\n", utflen(c));
    """
    assert run(compiler, main(body)).stdout.decode().splitlines() == [
        "-42 31 -2147483648 ffffffff -9223372036854775808",
        "z|<one><two words><its><a'b>[x][][y][z] 20ac fffd fffd fffd 4",
    ]


def test_files_directories_and_their_entries(compiler: CompilerName) -> None:
    body = """
    Dir *d, nd; long n; int fd, i;
    if((fd = create("/tmp/dir", OREAD, DMDIR|0775)) < 0) sysfatal("%r");
    close(fd);
    for(i = 0; i < 40; i++){ char s[64]; sprint(s, "/tmp/dir/file%d", i); if((fd = create(s, OWRITE, 0640)) < 0) sysfatal("%r"); fprint(fd, "%*d", i, i); close(fd); }
    fd = open("/tmp/dir", OREAD); n = dirreadall(fd, &d); close(fd);
    print("%ld", n); for(i = 0; i < n; i++) if(strcmp(d[i].name, "file30") == 0) print(" %s %lld %luo %s", d[i].name, d[i].length, d[i].mode, d[i].uid);
    free(d);
    nulldir(&nd); nd.name = "renamed"; nd.mode = 0600;
    if(dirwstat("/tmp/dir/file7", &nd) < 0) sysfatal("%r");
    d = dirstat("/tmp/dir/renamed"); print(" %s %luo", d->name, d->mode);
    if(dirstat("/tmp/dir/file7") != nil) sysfatal("still there");
    print(" %d %d", access("/tmp/dir", AEXIST), access("/tmp/other", AREAD));
    fd = open("/tmp/dir/file9", ORDWR); seek(fd, 0, 2); fprint(fd, "end"); seek(fd, -5, 1); char b[8]; n = readn(fd, b, 8); b[n] = 0; print(" <%s>", b);
    """
    result = run(compiler, main(body))
    assert (result.status, result.stdout) == ("", b"40 file30 30 640 glenda renamed 600 0 -1 < 9end>")


def test_buffered_files(compiler: CompilerName) -> None:
    body = r"""
    static Biobuf in, out; Biobuf *b; char *s; long c; int i, n = 0, runes = 0;
    Binit(&out, 1, OWRITE); Binit(&in, 0, OREAD);
    s = Brdline(&in, '\n'); Bprint(&out, "%.*s|%d|%lld\n", Blinelen(&in) - 1, s, Blinelen(&in), Boffset(&in));
    s = Brdstr(&in, '\n', 1); Bprint(&out, "%ld %c\n", strlen(s), s[9999]); free(s);
    while((c = Bgetrune(&in)) >= 0 && c != '\n') { runes++; if(c == 0x20AC && n++ == 0) { Bungetrune(&in); runes--; } }
    Bprint(&out, "%d %d\n", runes, n);
    c = Bgetc(&in); Bungetc(&in); Bputc(&out, c); Bputc(&out, Bgetc(&in)); Bputrune(&out, 0x20AC); Bputc(&out, '\n');
    s = Brdline(&in, '\n'); Bprint(&out, "%s %d\n", s ? "line" : "nil", Blinelen(&in)); Bprint(&out, "%d %d\n", Bgetc(&in), isupper('A') && !isdigit('x'));
    b = Bopen("/tmp/f", OWRITE); for(i = 0; i < 5000; i++) Bprint(b, "%d\n", i); Bterm(b);
    b = Bopen("/tmp/f", OREAD); n = 0; while((s = Brdline(b, '\n'))) n += atoi(s); Bprint(&out, "%d ", n);
    Bseek(b, 10, 0); s = Brdline(b, '\n'); Bprint(&out, "%.1s %lld\n", s, Boffset(b)); Bterm(b);
    if(Bopen("/nosuch", OREAD)) Bprint(&out, "?");
    """
    line = "é€😀" * 5000
    stdin = f"first line\n{'x' * 9999}y\n{line}\nabthe rest".encode()
    result = run(compiler, main(body), stdin=stdin)
    assert result.status == ""
    assert result.stdout.decode().splitlines() == [
        "first line|11|11", "10000 y", "15000 5001", "aa€", "nil 9", "98 1", f"{sum(range(5000))} 5 12",
    ]  # fmt: skip


def test_numbers_that_look_random(compiler: CompilerName) -> None:
    body = """
    int i, counts[10] = { 0 }; srand(5); long first = lrand(); srand(5); if(lrand() != first) sysfatal("not the same");
    for(i = 0; i < 10000; i++) counts[nrand(10)]++;
    for(i = 0; i < 10; i++) if(counts[i] < 850 || counts[i] > 1150) sysfatal("%d: %d", i, counts[i]);
    for(i = 0; i < 100; i++) if(frand() < 0 || frand() >= 1 || rand() > 32767) sysfatal("range");
    """
    assert run(compiler, main(body)).status == ""


def test_calls_by_the_network_and_calls_from_it(compiler: CompilerName) -> None:
    """A server in the same program, and one of the host's."""
    body = """
    char dir[NETPATHLEN], newdir[NETPATHLEN], b[64]; int fd, ctl, call, n;
    fd = dial(argv[1], nil, dir, &ctl); if(fd < 0) sysfatal("dial: %r");
    fprint(fd, "hello"); n = read(fd, b, sizeof b); print("%.*s %d\\n", n, b, strncmp(dir, "/net/tcp/", 9)); hangup(ctl);
    if((ctl = announce("tcp!127.0.0.1!0", dir)) < 0) sysfatal("announce: %r");
    sprint(b, "%s/local", dir); fd = open(b, OREAD); n = read(fd, b, sizeof b); b[n - 1] = 0; *strchr(b, '!') = 0;
    char *port = b + strlen(b) + 1;
    if(fork() == 0){
        char to[64]; sprint(to, "tcp!127.0.0.1!%d", atoi(port));
        if((fd = dial(to, nil, nil, nil)) < 0) exits("dial");
        fprint(fd, "from a child"); exits(nil);
    }
    if((call = listen(dir, newdir)) < 0) sysfatal("listen: %r");
    if((fd = accept(call, newdir)) < 0) sysfatal("accept: %r");
    n = read(fd, b, sizeof b); print("%.*s", n, b); waitpid();
    if(dial("tcp!127.0.0.1!1", nil, nil, nil) >= 0) sysfatal("dialed");
    if(dial("nonsense", nil, nil, nil) >= 0) sysfatal("dialed");
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100) + b" yourself")

        thread = threading.Thread(target=answer)
        thread.start()
        rules = ["127.0.0.1:*", "listen:127.0.0.1:0"]
        with Kernel(timeout=60, memory="32M", net=rules) as kernel:
            put(kernel, "test", made(compiler, main(body)))
            result = kernel.run(["test", f"tcp!127.0.0.1!{port}"])
        thread.join()
    assert (result.status, result.stdout) == ("", b"hello yourself 0\nfrom a child")


def test_children_the_environment_and_notes(compiler: CompilerName) -> None:
    source = """
    static int caught;
    static void handler(void *u, char *note) {
        volatile double a[4] = { 1, 2, 3, 4 };
        a[0] += a[3]; caught += ((Ureg*)u)->pc != 0 && strncmp(note, "hello", 5) == 0 && a[0] == 5; noted(NCONT);
    }
    """ + main(r"""
    Waitmsg *w; int pid = 0, fds[2]; char b[8];
    putenv("x", "a value");
    if(argc == 1 && (pid = fork()) == 0) { char *args[] = { "test", "again", nil }; exec("/bin/test", args); }
    if(argc > 1) { print("child %s %d\n", getenv("x"), _tos->pid == (ulong)getpid()); exits("my status"); }
    w = wait(); print("%d %d %s\n", w->pid == pid, w->msg[0] == 't', strchr(w->msg, ':'));
    notify(handler); postnote(PNPROC, getpid(), "hello"); print("%d\n", caught);
    pipe(fds); if(fork() == 0) { write(fds[1], "abc", 3); exits(nil); }
    close(fds[1]); print("%ld ", readn(fds[0], b, 3)); print("%d ", waitpid() > 0); print("%d\n", waitpid());
    print("%s %d", getenv("nosuch") ? "?" : "nil", strcmp(getuser(), "glenda"));
    """)
    result = run(compiler, source)
    assert result.status == ""
    assert result.stdout.decode().splitlines() == ["child a value 1", "1 1 : my status", "1", "3 1 -1", "nil 0"]


def test_vectors_of_a_note_handler_are_where_they_may_be_wherever_the_stack_was(compiler: CompilerName) -> None:
    source = """
    typedef int Vector __attribute__((vector_size(16)));
    static int good;
    static void twice(Vector *p) { volatile Vector x = *p; x += x; *p = x; }
    static void handler(void *u, char *note) {
        volatile Vector a = { 1, 2, 3, 4 }; Vector b = a;
        (void)u; (void)note; twice(&b); good += b[3] == 8; noted(NCONT);
    }
    static void deeper(int n) { char room[n]; memset(room, 1, n); postnote(PNPROC, getpid(), "x"); good += room[n-1] - 1; }
    """ + main('notify(handler); for(int i = 1; i < 33; i++) deeper(i); print("%d", good);')
    result = run(compiler, source, engine="reference")
    assert (result.status, result.stdout) == ("", b"32")


def test_processes_that_share_memory_allocate_at_the_same_time(compiler: CompilerName) -> None:
    body = """
    static Lock l; static int total; int i, j, *p[8];
    for(i = 0; i < 4; i++)
        if(rfork(RFPROC|RFMEM) == 0){
            for(j = 0; j < 400; j++){
                int k = j % 8;
                if(j >= 8){ if(*p[k] != i * 1000 + k) exits("damaged"); free(p[k]); }
                p[k] = malloc(16 + 8 * k); *p[k] = i * 1000 + k;
            }
            lock(&l); total++; unlock(&l);
            exits(nil);
        }
    for(i = 0; i < 4; i++) { Waitmsg *w = wait(); if(w->msg[0]) sysfatal("%s", w->msg); }
    print("%d", total);
    """
    result = run(compiler, main(body))
    assert (result.status, result.stdout) == ("", b"4")


def test_functions_have_names_and_unused_ones_are_not_there(compiler: CompilerName) -> None:
    data = made(
        compiler,
        "int shown = 5; static int hidden(int n) { return n * shown; }\n"
        + main("exits(hidden(argc) ? nil : argv[0]);"),
        "-O0",
    )
    program = Program.from_aout(data)
    header = parse_header(data)
    assert header.entry == program.symbols["_main"].address
    assert {"main", "shown", "hidden", "exits"} <= set(program.symbols)
    assert not {"dirread", "smprint", "qsort"} & set(program.symbols)
    assert len(data) == 32 + header.text + header.data + header.symbols


def test_programs_are_the_same_on_the_engine_that_is_the_specification(compiler: CompilerName) -> None:
    result = run(compiler, main('print("%g %s\\n", 1.5 * argc, argv[1]);'), "x", engine="reference")
    assert (result.status, result.stdout) == ("", b"3 x\n")


def test_what_is_no_program_for_plan_9_is_refused() -> None:
    with pytest.raises(BadImage, match="not an ELF program"):
        aout_of(b"x" * 100)
    with pytest.raises(BadImage, match="not an ELF program"):
        aout_of(b"")
    with pytest.raises(BadImage, match="not linked for Plan 9"):
        aout_of(Path("/bin/true").read_bytes())


def test_a_mistake_in_a_program_is_one_line(compiler: CompilerName, tmp_path: Path) -> None:
    file = tmp_path / "bad.c"
    file.write_text(HEADERS + main("nosuch();"))
    with pytest.raises(CompileError, match=r"bad\.c:.*nosuch"):
        compile_guest([file], tmp_path / "8.out", compiler=compiler, libc="plan9", flags=["-Werror"])
