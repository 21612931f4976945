"""What the library and the programs are made of: files of 9base's sources, and of ours (``@``)."""

from __future__ import annotations

from typing import Final

from reference.records import dataclass, field


def _in(folder: str, names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}.c" for name in names.split())


@dataclass(frozen=True)
class Recipe:
    """A program. ``files`` are C files and grammars for yacc; ``flags`` go to the compiler, ``some`` for single files of it.
    ``edits`` are texts in files, and what they become: mistakes that Debian corrects, too."""

    name: str
    files: tuple[str, ...]
    flags: tuple[str, ...] = ()
    some: dict[str, tuple[str, ...]] = field(default_factory=dict)
    edits: dict[str, tuple[str, str]] = field(default_factory=dict)


#: Of 9base's library what does not depend on the system.
LIBRARY: Final = (
    *_in(
        "lib9",
        "cistrcmp cistrncmp cistrstr cleanname convM2D ctime dirmodefmt encodefmt execl fmtlock2 getfields lnrand lrand"
        " mallocz nan needsrcquote nrand nulldir quote rand readn strdup strecpy sysfatal tm2sec tokenize u16 u32 u64 wait"
        " waitpid zoneinfo atnotify atoi atol atoll",
    ),
    *_in(
        "lib9/fmt",
        "charstod pow10 dofmt fltfmt fmt fmtfd fmtfdflush fmtlocale fmtnull fmtprint fmtquote fmtrune fmtstr fmtvprint"
        " fprint nan64 print runefmtstr runeseprint runesmprint runesnprint runesprint runevseprint runevsmprint"
        " runevsnprint seprint smprint snprint sprint strtod vfprint vseprint vsmprint vsnprint",
    ),
    *_in(
        "lib9/utf",
        "rune runestrcat runestrchr runestrcmp runestrcpy runestrdup runestrecpy runestrlen runestrncat runestrncmp"
        " runestrncpy runestrrchr runestrstr runetype utfecpy utflen utfnlen utfrrune utfrune utfutf",
    ),
    *_in(
        "lib9/bio",
        "bbuffered bfildes bflush bgetc bgetd bgetrune binit boffset bprint bputc bputrune brdline brdstr bread bseek"
        " bvprint bwrite",
    ),
    *_in("lib9/regex", "regcomp regerror regexec regsub regaux rregexec rregsub"),
    *_in("lib9/sec", "md5 md5block md5pickle sha1 sha1block sha1pickle"),
    *_in("@", "start files processes math scan unix"),
)
#: Of the library of the other guests what Plan 9's has in common with C's.
SHARED: Final = ("ctype", "decimal", "format", "int64", "malloc", "setjmp", "sort", "stdio", "stdlib", "string")
#: Functions of it that have other arguments or other tasks here.
SHARED_FLAGS: Final = (
    "-Dopen=vx_open", "-Dlseek=vx_lseek", "-Dexit=vx_exit", "-D_exit=vx__exit", "-Dabort=vx_abort", "-Datexit=vx_atexit",
    "-Dgetenv=vx_getenv", "-Dvx_assert_failed=vx_unused",
)  # fmt: skip
#: Names that plan9port has for functions of Plan 9's, so that they are not taken for Unix's: they are the calls themselves.
ALIASES: Final = {
    "p9chdir": "chdir", "p9dup": "dup", "p9alarm": "alarm", "p9exec": "exec", "p9open": "open", "p9sleep": "sleep",
    "p9rfork": "rfork", "p9pipe": "pipe", "p9create": "create", "sigsetjmp": "setjmp", "p9longjmp": "longjmp",
}  # fmt: skip


def _simple(names: str, folder: str = "") -> tuple[Recipe, ...]:
    """Programs of one file each, in folders of their own or in one."""
    return tuple(Recipe(name, (f"{folder or name}/{name}.c",)) for name in names.split())


_TROFF: Final = (
    "-DUNICODE", '-DTMACDIR="/tmac/tmac."', '-DTDEVNAME="utf"', '-DFONTDIR="/font"', '-DNTERMDIR="/term/tab."',
    '-DTEXHYPHENS="/hyphen.tex"', '-DALTHYPHENS="/hyphen.tex"', '-DDWBHOME="/sys/lib/troff/"',
)  # fmt: skip

PROGRAMS: Final = {
    recipe.name: recipe
    for recipe in (
        *_simple(
            "ascii basename cal cat cleanname cmp date dc dd du echo factor fmt fortune freq getflags join look ls mkdir mtime pbd"
            " primes read sed seq sleep split strings tail tee test touch tr unicode uniq unutf yacc"
        ),
        # Ours: what one needs in a tree, and 9base leaves to Unix.
        *_simple("bind chmod cp mount mv pwd rm unmount wc", "@/commands"),
        Recipe(
            "awk", ("awk/awkgram.y", *_in("awk", "re lex main parse proctab tran lib run"))
        ),
        # Debian's patch 0010: the library's u is a conversion.
        Recipe("sha1sum", ("sha1sum/sha1sum.c",), edits={"sha1sum/sha1sum.c": ("%.2ux", "%.2x")}),
        # Their temporary files are in Plan 9's directory.
        Recipe("ed", ("ed/ed.c",), edits={"ed/ed.c": ("/var/tmp/", "/tmp/")}),  # noqa: S108
        Recipe("sort", ("sort/sort.c",), edits={"sort/sort.c": ("/var/tmp", "/tmp")}),  # noqa: S108
        Recipe("bc", ("bc/bc.y",)),
        Recipe("diff", _in("diff", "diffdir diffio diffreg main")),
        Recipe("grep", ("grep/grep.y", *_in("grep", "main comp sub"))),
        Recipe("hoc", ("hoc/hoc.y", *_in("hoc", "init code math symbol"))),
        Recipe(
            "mk",
            (
                *_in(
                    "mk",
                    "arc archive bufblock env file graph job lex main match mk parse recipe rc rule run sh shell shprint symtab"
                    " var varsub word",
                ),
                "@/mk.c",
            ),
            some={"mk/shell.c": ("-Dshshell=rcshell",)},  # its shell is rc
        ),
        Recipe(
            "rc",
            (
                "rc/syn.y",
                *_in("rc", "code exec getflags glob here io lex pcmd pfnc simple subr trap tree havefork var"),
                "@/rc.c",
            ),
            some={"rc/var.c": ("-Dpathinit=unix_pathinit",)},
        ),
        Recipe(
            "sam",
            (
                *_in(
                    "sam",
                    "sam address buff cmd disk error file io list mesg moveto multi rasp regexp shell string sys plan9 util xec",
                ),
                "@/sam.c",
            ),
            ("-fshort-wchar", "-Dgetuser=samgetuser"),
        ),
        Recipe(
            "troff", _in("troff", "n1 n2 n3 n4 n5 t6 n6 n7 n8 n9 t10 n10 t11 ni hytab suftab dwbinit mbwc"), _TROFF
        ),
    )
}  # fmt: skip
