"""The core utilities and what works on lines of text."""

from __future__ import annotations

from typing import Final

from conformance.programs.case import Case

_EVERYWHERE: Final = ("jit", "reference")
_WORDS: Final = "".join(f"{(i * 7919) % 1009} word{i % 37} {chr(97 + i % 26) * (i % 11 + 1)}\n" for i in range(5000))
_FILES: Final = {"words": _WORDS, "short": "one\ntwo\nthree\n", "old": "a\nb\nc\nd\n", "new": "a\nB\nc\nd\ne\n"}


def _case(name: str, package: str, script: str, **rest: object) -> Case:
    return Case(name, package, script=script, files=_FILES, **rest)  # type: ignore[arg-type]


CASES: Final[tuple[Case, ...]] = (
    Case("true", "coreutils", argv=("/bin/true",), engines=_EVERYWHERE),
    Case("echo", "coreutils", argv=("/bin/echo", "dynamic", "loader"), engines=_EVERYWHERE),
    Case("cat", "coreutils", argv=("/bin/cat",), stdin=b"from stdin\n" * 1000, engines=_EVERYWHERE),
    _case("coreutils-files", "coreutils", """\
mkdir -p d/e/f; cp words d/e; cp -r d copy; cp -a copy again; mv again/e/words again/w; rm -r copy
ln short hard; ln -s short soft; ln -s /nowhere broken; readlink soft; readlink -f d/../soft; realpath d/e
ls; ls -1F; ls -R d; ls -ln --time-style=+ short | cut -c 1-10; stat -c '%n %s %F %a %h' short soft d
chmod 600 words; chmod u+x,g-w,o= short; stat -c %a words short; touch -d @1000000000 short; stat -c %Y short; ls -l --time-style=+%F short
install -m 755 old bin; test bin -ot old; du -b words; du --apparent-size -sb d; df . >/dev/null; sync; truncate -s 12345 big; wc -c big
P=/tmp/pipe$$; mkfifo $P; (echo into > $P) & cat $P; wait; rm $P; mktemp -u XXXXXX | wc -c; t=$(mktemp); echo x > $t; cat $t; rm $t
rmdir d 2>&1; rmdir again/e/f; rm -rf d again; test -e d; echo $?; dd if=words of=part bs=100 skip=2 count=3 2>/dev/null; cat part
shred -u -n 1 part; link old linked; unlink linked; pathchk ok; split -l 2000 words x; ls x*; cat xa? | cmp - words; csplit -q old /c/; cat xx00
rm -f x*; tee a b < old; cat a b | md5sum; cp --reflink=auto words w2; cp --sparse=always big b2; mv w2 words; ls -i >/dev/null; dir; vdir >/dev/null
"""),
    _case("coreutils-text", "coreutils", """\
sort words | md5sum; sort -n words | tail -n 2; sort -k2,2 -u words | wc -l; sort -R words | sort -c 2>/dev/null; echo $?
sort words | uniq -c | sort -rn | head -n 3; cut -d ' ' -f 2 words | sort -u | paste -s -d ,; tr a-z A-Z < short; tr -d aeiou < short
head -n 2 short; tail -n 1 short; tac short; nl short; wc words; fold -w 20 words | tail -n 2; fmt -w 30 words | tail -n 2; expand short; pr -t -2 short
join old new; comm old new; paste old new; seq 1 0.5 3; seq -w 8 11; factor 123456789 97; numfmt --to=iec 123456789; od -A d -t x1z short; base64 short; base32 short; basenc --z85 -d /dev/null
md5sum words; sha1sum words; sha224sum words; sha256sum words; sha384sum words; sha512sum words; b2sum words; cksum words; sum words; sha256sum words > s; sha256sum -c s
expr 12 '*' 12; expr abc : 'a\\(.\\)c'; printf '%05.2f|%x|%s|%b\\n' 3.14159 255 text 'a\\tb'; test 3 -gt 2 && echo yes; [ -f short ]; echo $?; shuf -n 3 --random-source=words words; ptx old | head -n 2; tsort old
echo a b c | tr ' ' '\\n' | rev 2>/dev/null; yes no | head -n 2; dircolors | head -n 1 >/dev/null; sleep 0.01; printenv TZ; env -i A=1 env; echo | tee; unexpand -a short; stdbuf -oL echo line
"""),
    _case("coreutils-system", "coreutils", """\
id -u; id -un; whoami; groups; pwd; uname -s; uname -m; uname -o; date -u -d @0; date -d 2020-02-29 +%j; nice -n 5 nice; nohup echo hup 2>/dev/null; tty < /dev/null; arch; hostid >/dev/null; logname 2>/dev/null
timeout 0.2 sleep 5; echo $?; timeout -s KILL 0.2 sleep 5; echo $?; timeout 5 echo ok; sleep 5 & kill $!; wait $!; echo $?; kill -l 15; nproc >/dev/null; users; basename a/b.c .c; dirname a/b
echo $(stat -f -c %l /) >/dev/null; env printf 'x\\n'; (trap '' PIPE; yes 2>/dev/null | head -n 1); mknod /tmp/p$$ p; stat -c %F /tmp/p$$; rm /tmp/p$$; true; false; echo $?
"""),
    _case("coreutils-large", "coreutils", "seq 200000 | sort -R --random-source=words | sort -n | tail -n 1; seq 300000 | sha256sum; seq 300000 | wc; seq 100000 | shuf --random-source=words | sort -n --parallel=2 -S 1M | md5sum; head -c 20000000 /dev/zero | sha1sum", default=False),
    _case("grep", "grep", """\
grep -c word1 words; grep -n '^1.*word3 ' words | head -n 3; grep -E '(a|b){4,}' words | wc -l; grep -v word words | wc -l; grep -o 'word[0-9]*' words | sort -u | wc -l; grep -i ONE short
grep -w two short; grep -q three short; echo $?; grep nothing short; echo $?; grep -r one . | sort; grep -F -f short short; grep -P '\\bt(?=h)' short; grep -A 1 -B 1 two short; grep -l one *; zgrep 2>&1 | head -n 1; egrep 'x|e$' short 2>/dev/null; grep -z one short | tr '\\0' '%'; grep x nofile; echo $?
"""),
    _case("sed", "sed", """\
sed -n 2p short; sed 's/\\(.\\)\\(.\\)/\\2\\1/' short; sed -E 's/(o)(n|u)?/<\\1>/g' short; sed '/two/d;$a end' short; sed -n '/one/,/two/p' short; sed = short; sed 'N;P;D' short; sed -i.bak 's/o/0/' short; cat short short.bak
sed 'y/abc/xyz/;s/.*/\\U&/' old; sed -n '$=' words; sed ':a;N;$!ba;s/\\n/,/g' old; sed 's/[0-9]*/[&]/2' words | md5sum; sed -e '1!G;h;$!d' old; sed -n 'l' old; sed w\\ out short > /dev/null; cat ' out' 2>/dev/null; sed '1e echo executed' old; sed q5 old; echo $?
"""),
    _case("gawk", "gawk", """\
gawk '{ n[$2]++; s += $1 } END { for (w in n) print w, n[w] | "sort"; close("sort"); print s, NR }' words; gawk 'BEGIN { printf "%.10f %d %s %c\\n", atan2(0, -1), 2^31, sqrt(2), 65; print substr("hello", 2, 3), index("abc", "c"), toupper("x"), length("four") }'
gawk -F: '{ print $1 }' /etc/passwd; gawk 'BEGIN { "echo from pipe" | getline x; print x; while (("cat short" | getline line) > 0) print "<" line ">" ; print ENVIRON["TZ"]; print strftime("%Y-%m-%d", 0, 1) }'
gawk '{ gsub(/o/, "0"); print; match($0, /t(.)/, m); print m[1] }' short; gawk 'BEGIN { n = split("c b a", x); asort(x); print x[1], n; print gensub(/(a)(b)/, "\\\\2\\\\1", "g", "abab"); exit 3 }'; echo $?; gawk 'BEGIN { system("echo by system; exit 4") ; print length(sprintf("%1000s", "")) }'; gawk -M 'BEGIN { print 2^100 }'
gawk 'function f(n) { return n < 2 ? n : f(n-1) + f(n-2) } BEGIN { print f(20) }'; gawk 'BEGIN { srand(1); for (i = 0; i < 100000; i++) s += rand(); print (s > 49000 && s < 51000) }'; gawk 'BEGIN { cmd = "cat"; print "two ways" |& cmd; close(cmd, "to"); cmd |& getline r; print r }'
"""),
    _case("mawk", "mawk", "mawk '{ c[$2] += $1 } END { for (k in c) print k, c[k] }' words | sort | md5sum; mawk 'BEGIN { while (i++ < 300000) s += i; print s; print length(), sin(1) }'; mawk -W version 2>&1 | head -n 1; mawk '{ print $1 | \"sort -n | tail -n 1\" }' words"),
    _case("findutils", "findutils", """\
mkdir -p t/a t/b/c; touch t/1 t/a/2 t/b/c/3.txt; ln -s 1 t/link; find t | sort; find t -type f -name '*.txt'; find t -type d -empty; find t -newer words -type f | wc -l; find t -printf '%y %P %d\\n' | sort; find t -type f -exec echo got {} + | tr ' ' '\\n' | sort; find t -type f -exec basename {} ';' | sort
find t -type f -print0 | sort -z | xargs -0 -n 1 echo; seq 10 | xargs -n 3 echo; seq 4 | xargs -P 2 -I @ sh -c 'exit 0'; echo $?; seq 3 | xargs -I{} echo '<{}>'; echo a | xargs false; echo $?; find t -size +1k; find t -maxdepth 1 -mindepth 1 | sort; find t -lname 1; find t -delete; test -e t; echo $?; find nowhere; echo $?; find . -regex '.*/[so].*' | sort; find /usr/bin -name 'z*' -type f | sort | tail -n 3
find /usr/lib/python3* -name '*.py' | wc -l; find /usr -type f -size +1000k | sort | md5sum
"""),
    _case("diffutils", "diffutils", "diff old new; diff -u old new | tail -n +3; diff -y -W 40 old new; cmp old new; echo $?; diff -q words words; echo $?; sdiff -w 40 old new; diff3 old new short; mkdir a b; cp old a/x; cp new b/x; diff -r a b; diff -c old new | tail -n +3"),
    _case("patch", "patch", "touch -d @0 old new; diff -u old new > p; patch old < p; cmp old new && echo same; patch -R old < p; cat old; patch -p0 --dry-run old < p; printf 'x\\n' > old; patch -f old < p; echo $?; ls", ignore=r"\.rej$"),
    _case("ed", "ed", "printf '1,$p\\n2s/two/2/\\n$a\\nfour\\n.\\nw\\nq\\n' | ed -s short; cat short; printf 'g/e/s//E/g\\n,p\\nQ\\n' | ed short; printf '!echo shell\\nq\\n' | ed"),
    _case("m4", "m4", "printf 'define(`square'\"'\"', `eval($1*$1)'\"'\"')square(12) len(hello) esyscmd(echo shell)ifelse(1,1,yes)\\ndefine(f,`ifelse($1,0,1,`eval($1*f(decr($1)))'\"'\"')'\"'\"')f(10)\\nsubstr(abcdef,2,3) translit(abc,a-c,x-z) include(short)' | m4; echo 'm4exit(3)' | m4; echo $?"),
    _case("bc", "bc", "echo 'scale=50; 4*a(1); e(1); sqrt(2); 2^200; obase=16; 255; ibase=2; 1010' | bc -l; echo 'define f(n) { if (n<2) return n; return f(n-1)+f(n-2); } f(18); for(i=0;i<3;i++) i; x=5; x; 1/0' | bc; echo 'scale=1000; l(2)' | BC_LINE_LENGTH=0 bc -l | md5sum; bc --version | head -n 1"),
    _case("dc", "dc", "echo '2 100 ^ p 20 k 2 v p 10 3 / p [la 1 + d sa 10 >x] sx 0 sa lx x la p' | dc; dc -e '16 o 255 p'"),
    _case("rev-column", "bsdextrautils", "rev short; column -t words | head -n 2; printf 'a:b\\nccc:d\\n' | column -t -s :; hexdump -C short; look th short; colrm 2 3 < short; hd short; ul short"),
    _case("xxd", "xxd", "xxd short; xxd -p short; xxd -p short | xxd -r -p; xxd -i short; xxd -b -l 6 short; xxd -s 4 short"),
    _case("file", "file", "file short words /bin/ls /usr/bin/awk case.sh; file -b --mime-type short /bin/ls; printf 'PK\\003\\004' > z; file z; file -L /usr/bin/awk; printf '\\037\\213\\010' | file -"),
    _case("less", "less", "less short; less -F short | cat; less -N short < /dev/null; less --version | head -n 1; LESSOPEN= more short"),
    _case("util-linux", "util-linux", "getopt -o ab: -- -a -b x y; setsid echo session; flock lock echo locked; nsenter --version >/dev/null; prlimit --version | cut -d ' ' -f 1; taskset --version | cut -d ' ' -f 1; mcookie | wc -c; uuidgen 2>/dev/null | wc -c; whereis -b ls; choom --version | cut -d ' ' -f 1; fallocate -l 4096 f; stat -c %s f; rename.ul s S short; ls S*; hardlink --version | cut -d ' ' -f 1; chrt -m | head -n 1; ipcmk -V | cut -c 1-5; namei /bin/sh; logger --version | cut -d ' ' -f 1; findmnt --version | cut -d ' ' -f 1; setarch --list | head -n 1; cal 2 2024", default=False),
    _case("time", "time", "/usr/bin/time -f '%x %C' true; /usr/bin/time -f '%x' false; /usr/bin/time -f %e -o t sleep 0.01; test -s t; echo $?; rm t"),
    _case("procps", "procps", "sleep 30 & pid=$!; ps -o comm= -p $pid; pgrep -x sleep | wc -l; pkill -x sleep; wait $pid; echo $?; ps -e | grep -c sh; free >/dev/null; echo $?; uptime >/dev/null; echo $?; ps --no-headers -o pid= -p $$ | wc -l; kill -0 $$; echo $?; cat /proc/self/comm; pidof -x nonesuch; tr '\\0' ' ' < /proc/self/cmdline; ls /proc/self/fd | head -n 3", stderr=False, default=False),
)  # fmt: skip
