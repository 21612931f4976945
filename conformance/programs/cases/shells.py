"""Shells: busybox, dash, bash, and the scripts that people write for them."""

from __future__ import annotations

from typing import Final

from conformance.programs.case import Case

_EVERYWHERE: Final = ("jit", "reference")

_PIPES: Final = """\
printf 'pear\\napple\\nfig\\n' | sort | tr a-z A-Z | while read word; do echo "<$word>"; done
echo one | cat | cat | cat | wc -c
(echo sub; exit 3); echo "status $?"
false | true; echo "pipe $?"
! true; echo "not $?"
{ echo to stdout; echo to stderr >&2; } 2>&1 | sort
seq 1 1000 | head -n 3
yes | head -n 2
"""
_EXPANSION: Final = """\
name=world; greeting="hello $name"
echo "$greeting" ${#greeting} ${greeting%world} ${greeting#hello } ${unset:-default} $((6 * 7)) $((1 << 20))
files=$(echo *.txt); echo "$files"
echo "nested $(echo "inner $(echo deepest)")"
cat <<END
here $name
  $((2 + 3)) `echo back`
END
cat <<'END'
not $expanded
END
cat <<-END
\ttabs gone
END
set -- a 'b c' d; echo $# "$2"; shift; echo "$*"; for x in "$@"; do echo "[$x]"; done
case $name in w*d) echo match;; *) echo none;; esac
IFS=:; set -- $(echo a:b:c); echo $1 $3
"""
_CONTROL: Final = """\
i=0; while [ $i -lt 5 ]; do i=$((i + 1)); [ $i = 3 ] && continue; echo $i; done
until [ $i = 0 ]; do i=$((i - 1)); done; echo $i
fib() { [ $1 -lt 2 ] && echo $1 && return; echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); }
fib 7
trap 'echo leaving' EXIT
trap 'echo got TERM' TERM; kill -TERM $$; echo after
(trap 'echo in subshell; exit 4' USR1; kill -USR1 $(sh -c 'echo $PPID'); echo not reached) ; echo $?
sleep 0.1 & wait $!; echo "waited $?"
(exit 7) & wait $!; echo "background $?"
sh -c 'kill -9 $$'; echo "killed $?"
exec 3>out.txt; echo through three >&3; exec 3>&-; cat out.txt
exec 4<out.txt; read line <&4; echo "$line"
command -v cat; type cd | head -n 1; umask 027; touch made; test -x /bin/sh && echo executable
nonesuch; echo "missing $?"
./data.txt; echo "denied $?"
exit 5
"""
_BASH: Final = r"""
declare -A color=([apple]=red [pear]=green); for k in apple pear; do echo "$k=${color[$k]}"; done
array=(one two "three four"); echo "${#array[@]} ${array[2]} ${array[@]:1:1}"; array+=(five); printf '<%s>' "${array[@]}"; echo
[[ "hello-42" =~ ^([a-z]+)-([0-9]+)$ ]] && echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
echo {1..5} {a,b}{x,y} ${array[0]^^} ${array[0]/o/0}
while read -r a b; do echo "$b $a"; done < <(printf '1 2\n3 4\n')
diff <(seq 1 3) <(seq 2 4)
coproc CAT { cat; }; echo "to coprocess" >&"${CAT[1]}"; read -r answer <&"${CAT[0]}"; echo "$answer"
eval "exec ${CAT[1]}>&-"; wait
mapfile -t lines < <(seq 3); echo "${lines[*]}"
printf -v padded '%05d' 42; echo "$padded"; printf '%q\n' "a b'c"
set -o pipefail; false | true; echo "pipefail $?"
(( 7 > 3 )) && echo arithmetic; let "x = 5 ** 3"; echo $x
function recurse { local n=$1; (( n == 0 )) && return 0; recurse $((n - 1)); }; recurse 200 && echo deep
cat <<< "here string"
trap 'echo ERR on $LINENO' ERR; false; trap - ERR
for sig in HUP INT TERM USR1; do bash -c "kill -$sig \$\$" 2>/dev/null; echo "$sig $?"; done
select_one() { local PS3=; select x in a b; do echo "chose $x"; break; done <<< 2 2>/dev/null; }; select_one
echo $BASH_SUBSHELL $(echo $BASH_SUBSHELL); shopt -s extglob nullglob
echo @(data|other).txt *.none
times >/dev/null; ulimit -c 0; ulimit -c
exec {fd}>fd.txt; echo "named $((fd >= 10))" >&$fd; exec {fd}>&-; cat fd.txt
read -t 0.05 nothing < <(sleep 1); echo "timeout $(( $? > 128 ))"
"""
_DATA: Final = {"data.txt": "some data\n", "b.txt": "b\n"}
_SQUARES: Final = (
    "for i in 1 2 3; do echo $((i * i)); done | { read a; read b; read c; echo $a-$b-$c; }; echo $(echo x | tr x y)"
)

_APPLETS: Final = """\
B=/bin/busybox
$B ls; $B cat data.txt | $B md5sum; $B seq 5 | $B sort -rn | $B awk '{ s += $1 } END { print s }'
$B mkdir -p a/b/c; $B touch a/b/c/file; $B find a | $B sort; $B mv a/b/c/file a/moved; $B ls -R a
$B cp -r a copy; $B rm -r a; $B find copy -type f -exec $B echo found {} ';'
$B ln -s data.txt link; $B readlink link; $B stat -c '%s %F' data.txt; $B test -L link && $B echo link
$B tar cf t.tar data.txt b.txt; $B tar tf t.tar; $B gzip -9 -n t.tar; $B zcat t.tar.gz | $B tar x -O b.txt; $B rm t.tar.gz
$B sed 's/some/any/' data.txt; $B grep -c e data.txt; $B cut -c 1-4 data.txt; $B expr 6 '*' 7
$B printf '%s %d\\n' text 12; $B basename /a/b.c .c; $B dirname /a/b; $B dd if=/dev/zero bs=1k count=3 2>/dev/null | $B wc -c
$B sh -c 'echo $((40 + 2))'; $B xargs -n 1 $B echo < data.txt; $B env -i A=1 $B env; $B id -u; $B date -u -d @86400 +%F
$B usleep 1000; $B timeout 5 $B echo in time; $B timeout 1 $B sleep 10; $B echo $?; $B vi --help 2>&1 | $B head -n 1
$B diff data.txt b.txt; $B od -c b.txt; $B hexdump -C b.txt; $B uuencode data.txt x | $B uudecode -o -; $B cal 9 1752
$B echo '2 3 + p' | $B dc; $B echo 'obase=2; 10' | $B bc; $B sha256sum data.txt; $B crc32 data.txt; $B nproc >/dev/null
P=/tmp/pipe$$; $B mkfifo $P; $B cat $P & $B echo through a pipe > $P; wait; $B rm $P
"""


def _ash(name: str, root: str, shell: tuple[str, ...]) -> tuple[Case, ...]:
    """The same scripts for every shell; busybox is not in its PATH by the names of its applets, and finds them itself."""
    return tuple(
        Case(f"{name}-{what}", shell[0], root=root, argv=(*shell[1:], "case.sh"), files={**_DATA, "case.sh": script},
             stderr=what != "control")
        for what, script in (("pipes", _PIPES), ("expansion", _EXPANSION), ("control", _CONTROL))
    )  # fmt: skip


CASES: Final[tuple[Case, ...]] = (
    Case("busybox-echo", "busybox-static", argv=("/bin/busybox", "echo", "hello", "jail"), engines=_EVERYWHERE),
    Case("busybox-builtins", "busybox-static", argv=("/bin/busybox", "sh", "-c", "i=0; while [ $i -lt 20 ]; do i=$((i+1)); done; echo $i; cd /; pwd"), engines=_EVERYWHERE),
    Case("busybox-fork", "busybox-static", argv=("/bin/busybox", "sh", "-c", _SQUARES), engines=_EVERYWHERE),
    *_ash("busybox", "base", ("busybox-static", "/bin/busybox", "sh")),
    Case("busybox-applets", "busybox-static", argv=("/bin/busybox", "sh", "case.sh"), files={**_DATA, "case.sh": _APPLETS}),
    Case("busybox-dynamic-echo", "busybox", root="busybox-dynamic", argv=("/bin/busybox", "echo", "hello", "loader"), engines=_EVERYWHERE),
    Case("busybox-dynamic-applets", "busybox", root="busybox-dynamic", argv=("/bin/busybox", "sh", "case.sh"), files={**_DATA, "case.sh": _APPLETS}, default=False),
    *_ash("dash", "base", ("dash", "/bin/dash")),
    *_ash("bash", "base", ("bash", "/bin/bash")),
    Case("bash-features", "bash", argv=("/bin/bash", "case.sh"), files={**_DATA, "case.sh": _BASH}, scrub=(r"line \d+: +\d+ ",)),
    Case("bash-loop", "bash", argv=("/bin/bash", "-c", "for ((i = 0; i < 200000; i++)); do ((s += i)); done; echo $s"), default=False),
    Case("bash-true", "bash", argv=("/bin/bash", "-c", "true"), engines=_EVERYWHERE),
    Case("dash-forks", "dash", argv=("/bin/dash", "-c", "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i + 1)); done; echo $i")),
)  # fmt: skip
