"""Interpreters."""

from __future__ import annotations

from typing import Final

from conformance.programs.case import Case

_EVERYWHERE: Final = ("jit", "reference")

_PERL: Final = r"""
use strict; use warnings; use POSIX qw(floor strftime); use List::Util qw(sum max shuffle); use Data::Dumper; use File::Temp qw(tempfile); use Time::HiRes qw(usleep time); use Digest::MD5 qw(md5_hex); use Socket;
my %h = map { $_ => length } qw(apple fig banana); print "$_=$h{$_}\n" for sort keys %h;
print join(",", sort { $a <=> $b } 10, 9, 100), " ", sum(1..100), " ", floor(-1.5), " ", sprintf("%.15g", atan2(1,1)*4), "\n";
$_ = "the cat sat on the mat"; my $n = () = /\bt?he\b/g; print "$n ", join("|", /(\w)at/g), " ", s/(\w+)/\u$1/gr, "\n";
local $Data::Dumper::Sortkeys = 1; local $Data::Dumper::Indent = 1; print Dumper({ a => [1, 2, { b => undef }] });
open(my $out, ">", "perl.txt") or die; print $out "line $_\n" for 1..3; close $out; open(my $in, "<", "perl.txt"); my @l = <$in>; print scalar(@l), $l[-1]; close $in;
my $pid = fork // die; if (!$pid) { exit 7 } waitpid($pid, 0); print "child ", $? >> 8, "\n";
print `echo from a shell`; system("exit 3"); print $? >> 8, "\n"; open(my $p, "-|", "sort", "-r", "perl.txt"); print <$p>; close $p;
pipe(my $r, my $w); if (!fork) { close $r; print $w "through a pipe\n"; exit } close $w; print <$r>; wait;
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select(undef, undef, undef, 20); alarm 0 }; print "eval: $@"; local $SIG{USR1} = sub { print "USR1\n" }; kill USR1 => $$;
eval { die { code => 42 } }; print $@->{code}, "\n"; print md5_hex("x"), " ", strftime("%F", gmtime 0), " ", unpack("H*", pack("NvC", 1, 2, 3)), "\n";
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die; syswrite($a, "socket pair\n"); sysread($b, my $buf, 100); print $buf;
my ($fh, $name) = tempfile(); print $fh "x"; close $fh; print -s $name, "\n"; unlink $name; opendir(my $d, "/etc"); my @e = grep { /^pass/ } readdir $d; print "@{[sort @e]}\n"; mkdir "pd"; rename "pd", "pe"; print -d "pe" ? "dir\n" : "none\n";
my $s = 0; $s += $_ ** 2 for 1..200000; print "$s\n"; my %c; $c{$_ % 1000}++ for 1..100000; print scalar(keys %c), "\n"; printf "%s %s\n", 1e15 + 0.3, 0.1 + 0.2; print "ok\n" if "abc" lt "abd"; exit 3;
"""
_PYTHON: Final = r"""
import collections, concurrent.futures, decimal, hashlib, json, math, os, re, select, signal, socket, sqlite3, struct, subprocess, sys, tempfile, threading, time, zlib, bz2, lzma, mmap, ctypes, datetime, fractions, queue, shutil, asyncio, random, array, itertools, functools, pathlib, pickle, csv, io, gzip
print(sys.version_info[:2], sys.maxsize, struct.calcsize("P"), os.getcwd() == os.environ["HOME"], sys.byteorder)
print(json.dumps({"b": [1, 2.5, None], "a": "é"}, sort_keys=True), re.findall(r"(\w)(\d)", "a1 b2"), math.factorial(30), 2 ** 200, 0.1 + 0.2, decimal.Decimal(2).sqrt())
print(hashlib.sha256(b"x").hexdigest(), hashlib.blake2b(b"x").hexdigest()[:16], zlib.crc32(b"x"), len(zlib.compress(b"a" * 10000)), bz2.decompress(bz2.compress(b"bz")), lzma.decompress(lzma.compress(b"xz")))
results = []; lock = threading.Lock()
def work(n):
    total = sum(i * i for i in range(n))
    with lock: results.append(total)
threads = [threading.Thread(target=work, args=(20000 + i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]; print(sorted(results)[0], len(results))
with concurrent.futures.ThreadPoolExecutor(4) as pool: print(list(pool.map(lambda x: x * x, range(10))))
q = queue.Queue(2); t = threading.Thread(target=lambda: [q.put(i) for i in range(10)]); t.start(); print([q.get(timeout=30) for _ in range(10)]); t.join()
event = threading.Event(); print(event.wait(0.02)); threading.Timer(0.02, event.set).start(); print(event.wait(30))
print(subprocess.run(["cat"], input=b"piped", capture_output=True).stdout, subprocess.call(["sh", "-c", "exit 9"]), subprocess.check_output("echo $((1+1))", shell=True))
p = subprocess.Popen(["sleep", "100"]); time.sleep(0.05); p.terminate(); print(p.wait())
try: subprocess.run(["sleep", "10"], timeout=0.1)
except subprocess.TimeoutExpired: print("timeout")
pid = os.fork()
if not pid: os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
got = []; signal.signal(signal.SIGUSR1, lambda s, f: got.append(s)); os.kill(os.getpid(), signal.SIGUSR1); print(got)
signal.signal(signal.SIGALRM, lambda s, f: got.append(s)); signal.setitimer(signal.ITIMER_REAL, 0.02); signal.pause(); print(len(got))
a, b = socket.socketpair(); a.sendall(b"pair"); print(b.recv(10)); print(select.select([a], [a], [], 0)[1] == [a])
poll = select.poll(); poll.register(b, select.POLLIN); print(poll.poll(10)); ep = select.epoll(); ep.register(b.fileno(), select.EPOLLIN); a.send(b"!"); print(len(ep.poll(5)))
async def main():
    async def tick(n): await asyncio.sleep(0.01 * n); return n
    print(await asyncio.gather(*[tick(n) for n in range(5)])); proc = await asyncio.create_subprocess_exec("echo", "async", stdout=asyncio.subprocess.PIPE); print((await proc.communicate())[0])
asyncio.run(main())
with tempfile.TemporaryDirectory() as d: pathlib.Path(d, "x").write_text("hi"); print(os.listdir(d), shutil.copy(d + "/x", d + "/y")[-1], os.stat(d + "/y").st_size)
with open("m", "wb+") as f:
    f.write(b"\0" * 8192); f.flush(); m = mmap.mmap(f.fileno(), 8192); m[4096:4100] = b"mmap"; m.flush(); f.seek(4096); print(f.read(4)); m.close()
db = sqlite3.connect("py.db"); db.execute("create table t(a)"); db.executemany("insert into t values(?)", [(i,) for i in range(1000)]); db.commit(); print(db.execute("select sum(a) from t").fetchone()); db.close()
print(ctypes.CDLL(None).strlen(b"hello"), ctypes.CDLL(None).getpid() == os.getpid(), datetime.datetime.fromtimestamp(0, datetime.timezone.utc).isoformat(), fractions.Fraction(1, 3) + 1)
random.seed(1); print(random.random(), random.sample(range(100), 5)); print(pickle.loads(pickle.dumps({1: (2, 3)})), collections.Counter("hello").most_common(1), array.array("d", [1.5]).tobytes())
print(sum(functools.lru_cache(lambda n: n * n)(i) for i in range(1000)), "%.3f" % math.sin(1e6), float("1e308") * 10, int("123456789" * 5) % 97, [round(x, 3) for x in (math.gamma(5.5), math.erf(0.3))])
try: 1 / 0
except ZeroDivisionError as e: print(repr(e))
fifo = tempfile.mktemp(); os.mkfifo(fifo); threading.Thread(target=lambda: open(fifo, "w").write("fifo text")).start(); print(open(fifo).read()); os.unlink(fifo); print(os.path.exists("/proc/self"), os.uname().machine, len(os.urandom(8)), os.cpu_count() > 0)
sys.exit(4)
"""
_LUA: Final = r"""
local t = {} for i = 1, 10 do t[#t + 1] = i * i end print(table.concat(t, ","), #t, math.pi, 7 // 2, 7 / 2, 2 ^ 53, 1 << 40, math.maxinteger)
print(string.format("%5.2f|%q|%x", 3.14159, "a\nb", 255), ("hello"):gsub("l", "L"), ("key=val"):match("(%w+)=(%w+)"), #"\u{e9}", string.pack("<i4", 7):byte(1, 4))
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end print(fib(24))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) print(co(), co(), co())
local f = assert(io.open("lua.txt", "w")) f:write("one\ntwo\n") f:close() for line in io.lines("lua.txt") do io.write("<", line, ">") end print()
local p = io.popen("echo from popen; exit 3") print(p:read("a"), p:close()) print(os.execute("exit 2")) print(os.getenv("TZ"), os.date("!%F", 0), os.rename("lua.txt", "lua2.txt"), os.remove("nonesuch"))
print(pcall(error, { code = 1 }), select(2, pcall(error, "text", 0))) local mt = setmetatable({}, { __index = function(_, k) return k .. "!" end, __gc = function() print("collected") end }) print(mt.x) mt = nil collectgarbage() print(utf8.char(233, 8364), load("return 1 + 1")())
local s = 0 for i = 1, 1000000 do s = s + i % 7 end print(s) os.exit(6)
"""
_SQL: Final = """\
create table t(id integer primary key, name text, value real); begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) insert into t(name, value) select 'name' || (i * 7919 % 10007), i * 0.5 from n; commit;
create index by_name on t(name); select count(*), sum(value), min(name), max(name) from t; select * from t where name = 'name42'; select name, count(*) c from t group by name order by c desc, name limit 3;
explain query plan select * from t where name = 'x'; update t set value = value * 2 where id % 2; delete from t where id > 19000; select round(avg(value), 3), total_changes() from t; vacuum; pragma integrity_check; pragma journal_mode = wal; insert into t(name) values('wal'); pragma wal_checkpoint; pragma journal_mode = delete;
select json_extract('{"a": [1, 2]}', '$.a[1]'), printf('%.3f', 2.0 / 3), upper('x'), date(0, 'unixepoch'), hex('ab'); create virtual table f using fts5(body); insert into f values('the quick brown fox'), ('lazy dogs'); select * from f where f match 'quick';
.mode csv
.headers on
select id, name from t limit 2;
.tables
.schema t
select nonsense;
"""
_TEST: Final = "/usr/bin/python3 -u -m unittest -q"


def _pytest(
    name: str, module: str, *, default: bool = True, names: str = "", timeout: float = 120, memory: str = "256M",
    threads: int = 64,
) -> Case:  # fmt: skip
    """A part of Python's own test suite; how long it took is not compared."""
    script = f"python3 -u -m test -v {module} {names} > log 2>&1; code=$?; grep -E '^test_.* [.][.][.] ' log | sed -E 's/0x[0-9a-f]*/0x/; s/ [.][.][.] .*(ok|FAIL|ERROR)$/ \\1/' | sort; grep -E '^Ran [0-9]+ tests' log | cut -d ' ' -f 1-3; exit $code"
    return Case(
        name, "python3", script=script, ignore="log|test_python", default=default, timeout=timeout, memory=memory,
        threads=threads,
    )  # fmt: skip


CASES: Final[tuple[Case, ...]] = (
    Case("perl", "perl", argv=("/usr/bin/perl", "case.pl"), files={"case.pl": _PERL}),
    Case("perl-short", "perl", argv=("/usr/bin/perl", "-e", "print join(',', map { $_ * 2 } 1..5), qq(\\n)"), engines=_EVERYWHERE),
    Case("perl-modules", "perl", argv=("/usr/bin/perl", "-MMath::BigInt", "-MEncode", "-MStorable=dclone", "-MIO::Socket", "-Mthreads", "-MThread::Queue", "-e", "print Math::BigInt->new(2)->bpow(300), qq(\\n), length(encode('UTF-8', chr(8364))), dclone([1])->[0]; my $t = threads->create(sub { 42 }); print $t->join, qq(\\n)")),
    Case("python3", "python3", argv=("/usr/bin/python3", "case.py"), files={"case.py": _PYTHON}, timeout=120, ignore=r"py\.db|__pycache__", memory="256M"),
    Case("python3-short", "python3", argv=("/usr/bin/python3", "-S", "-E", "-c", "print(sum(range(10)))")),
    _pytest("python3-test-json", "test_json", default=False),
    _pytest("python3-test-re", "test_re"),
    _pytest("python3-test-struct", "test_struct", default=False),
    _pytest("python3-test-more", "test_int test_float test_math test_dict test_list test_set test_bytes test_generators test_long test_zlib test_hashlib test_sqlite3 test_decimal", default=False, timeout=600),
    _pytest("python3-test-threads", "test_queue test_sched test_thread test_threadsignals", default=False, memory="1G", threads=120, timeout=600),
    _pytest("python3-test-os", "test_os test_posix test_fcntl test_mmap test_select test_poll test_tempfile test_glob test_pipes test_popen", default=False, timeout=900),
    _pytest("python3-test-sockets", "test_selectors test_socketserver", default=False, timeout=900),
    Case("sqlite3", "sqlite3", argv=("/usr/bin/sqlite3", "t.db"), stdin=_SQL.encode(), ignore=r"t\.db"),
    Case("sqlite3-memory", "sqlite3", argv=("/usr/bin/sqlite3", ":memory:", "select sqlite_version(), 6 * 7")),
    Case("lua", "lua5.4", argv=("/usr/bin/lua", "case.lua"), files={"case.lua": _LUA}, scrub=(r"table: 0x[0-9a-f]+", )),
    Case("lua-short", "lua5.4", argv=("/usr/bin/lua", "-e", "print(1 + 1)"), engines=_EVERYWHERE),
    Case("jq", "jq", script="""echo '{"a": [1, 2, {"b": "x"}], "c": null}' | jq -c '.a[2].b, (.a | length), keys'; seq 2000 | jq -s 'add, (map(. * 2) | max), (group_by(. % 7) | map(length))' -c; jq -n '[limit(5; range(100) | select(. % 3 == 0))] | @csv, (now > 0), ("a,b" | split(",")), input_line_number' -c; echo '{' | jq .; echo $?; jq -n --arg x y '{$x, pi: (1 | atan * 4)}'; jq -r '.[] | "\\(.n)=\\(.v)"' t.json; jq -e .none t2.json; echo $?; jq -n 'def f: if . < 2 then . else (. - 1 | f) + (. - 2 | f) end; 15 | f'""", files={"t.json": '[{"n": "x", "v": 1}, {"n": "y", "v": [true]}]', "t2.json": "{}"}),
    Case("tcl", "tcl", script="tclsh case.tcl; echo $?", files={"case.tcl": "puts [expr {6 * 7}]; proc fib n { if {$n < 2} { return $n }; expr {[fib [expr {$n-1}]] + [fib [expr {$n-2}]]} }; puts [fib 17]; puts [lsort -integer {10 9 8}]; puts [exec echo piped | tr a-z A-Z]; set f [open out w]; puts $f text; close $f; puts [file size out]; after 20 {set done 1}; vwait done; puts [clock format 0 -gmt 1 -format %Y]; puts [string map {a b} banana]; array set x {a 1}; puts $x(a); catch {error oops} e; puts $e; exit 2\n"}),
    Case("php", "php-cli", root="php", script="set -- /usr/bin/php[0-9]*; exec $1 case.php", files={"case.php": "<?php echo PHP_INT_SIZE, ' ', json_encode(['a' => [1, 2.5, null]]), \"\\n\"; function fib($n) { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); } echo fib(22), \"\\n\"; echo md5('x'), ' ', strlen(gzcompress(str_repeat('a', 1000))) < 100 ? 'short' : 'long', ' ', preg_replace('/(\\w)(\\d)/', '$2$1', 'a1 b2'), ' ', shell_exec('echo shell'), date('Y', 0), \"\\n\"; $a = [3, 1, 2]; usort($a, fn($x, $y) => $x <=> $y); file_put_contents('out', serialize([1, 'x' => true])); print_r(unserialize(file_get_contents('out'))); try { intdiv(1, 0); } catch (DivisionByZeroError $e) { echo $e->getMessage(), \"\\n\"; } $p = proc_open(['cat'], [['pipe', 'r'], ['pipe', 'w']], $pipes); fwrite($pipes[0], 'proc'); fclose($pipes[0]); echo stream_get_contents($pipes[1]), \"\\n\"; exit(3);\n"}, memory="256M", default=False),
    Case("ruby", "ruby", root="ruby", argv=("/usr/bin/ruby", "case.rb"), files={"case.rb": "require 'json'; require 'digest'; require 'set'; require 'open3'; require 'socket'\nputs [3, 1, 2].sort.inspect, 2 ** 100, JSON.generate({ 'a' => [1, nil] }), Digest::SHA256.hexdigest('x'), 'héllo'.upcase\ndef fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2)\nputs fib(22)\nputs (1..4).map { |i| Thread.new { (1..1000).sum * i } }.map(&:value).inspect\nputs `echo shell`, $?.exitstatus\nout, st = Open3.capture2('cat', stdin_data: 'piped'); puts out, st.success?\npid = fork { exit 5 }; Process.wait pid; puts $?.exitstatus\nr, w = IO.pipe; w << 'pipe'; w.close; puts r.read\ntrap('USR1') { puts 'signal' }; Process.kill 'USR1', $$; sleep 0.05\nq = Queue.new; t = Thread.new { 3.times { |i| q << i } }; t.join; puts q.size\nFiber.new { puts 'fiber' }.resume\nbegin; Integer('x'); rescue ArgumentError => e; puts e.message; end\nFile.write('out', 'text'); puts File.stat('out').size, Dir.children('.').sort.inspect\nObjectSpace.garbage_collect; exit 3\n"}, memory="128M", default=False),
    Case("nodejs", "nodejs", root="nodejs", argv=("/usr/bin/node", "case.js"), files={"case.js": "const fs = require('fs'), cp = require('child_process'), crypto = require('crypto'), zlib = require('zlib');\nconsole.log([3, 1, 2].sort(), 2n ** 100n, JSON.stringify({ a: [1, null] }), crypto.createHash('sha256').update('x').digest('hex'), zlib.gunzipSync(zlib.gzipSync('zip')).toString());\nfunction fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); } console.log(fib(27));\nfs.writeFileSync('out', 'text'); console.log(fs.statSync('out').size, cp.execSync('echo shell').toString(), process.arch);\nconst t = Date.now(); setTimeout(() => { console.log('timer', Date.now() - t >= 20); Promise.all([1, 2].map(async x => x * 2)).then(v => { console.log(v); fs.readFile('out', 'utf8', (e, s) => { console.log(s); cp.execFile('echo', ['async'], (e, o) => { console.log(o); process.exit(3); }); }); }); }, 20);\n"}, memory="384M", default=False, timeout=120),
    Case("ocaml", "ocaml-nox", root="ocaml", script="ocamlc -o b case.ml && ./b; ocamlopt -o n case.ml && ./n; echo $?; echo 'print_endline (string_of_int (6 * 7));;' > t.ml; ocaml t.ml", files={"case.ml": 'let rec fib n = if n < 2 then n else fib (n - 1) + fib (n - 2)\nlet () = Printf.printf "%d %f %s\\n" (fib 24) (sqrt 2.) (String.concat "," (List.map string_of_int (List.sort compare [3; 1; 2])));\n  (try ignore (List.hd []) with Failure m -> print_endline m); (try ignore (1 / (Sys.opaque_identity 0)) with Division_by_zero -> print_endline "zero");\n  let rec deep n = 1 + deep (n + 1) in (try ignore (deep 0) with Stack_overflow -> print_endline "overflow"); Gc.full_major (); exit 3\n'}, memory="128M", default=False, timeout=120, ignore=r"^(b|n|case\.(cm.|o))$"),
    Case("ghc", "ghc", root="ghc", script="cp -rL /usr/lib/ghc/package.conf.d db; ghc-pkg recache --package-db=db; G='ghc -v0 -no-global-package-db -package-db db'; $G -O Main.hs -o main && ./main; echo $?; $G -threaded Main.hs -rtsopts -o threaded -fforce-recomp && ./threaded", files={"Main.hs": "import Control.Concurrent\nimport qualified Data.Map as M\nimport System.Exit\nmain :: IO ()\nmain = do\n  print (sum [x * x | x <- [1 .. 100000 :: Integer]])\n  print (M.toList (M.fromListWith (+) [(x `mod` 7, 1 :: Int) | x <- [1 .. 1000 :: Int]]))\n  v <- newEmptyMVar\n  mapM_ (\\i -> forkIO (putMVar v (i * i))) [1 .. 10 :: Int]\n  xs <- mapM (const (takeMVar v)) [1 .. 10 :: Int]\n  print (sum xs)\n  threadDelay 10000\n  exitWith (ExitFailure 3)\n"}, memory="768M", default=False, timeout=300, ignore=r"^db|main|threaded|Main\.(hi|o)"),
    Case("sbcl", "sbcl", root="lisp", argv=("/usr/bin/sbcl", "--script", "case.lisp"), files={"case.lisp": '(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))\n(format t "~a ~a ~a~%" (fib 22) (expt 2 100) (sort (list 3 1 2) #\'<))\n(handler-case (error "oops") (error (e) (format t "~a~%" e)))\n(handler-case (/ 1 (- 1 1)) (division-by-zero () (format t "zero~%")))\n(gc :full t)\n(sb-ext:exit :code 3)\n'}, memory="1G", default=False),
    Case("guile", "guile-3.0", root="lisp", argv=("/usr/bin/guile", "--no-auto-compile", "-c", "(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (display (fib 20)) (newline) (display (expt 2 100)) (newline) (display (call-with-current-continuation (lambda (k) (+ 1 (k 42))))) (newline) (exit 3)"), memory="256M", default=False),
    Case("emacs", "emacs-nox", root="lisp", argv=("/usr/bin/emacs", "--batch", "-Q", "--eval", '(progn (princ (format "%s %s\\n" (+ 40 2) (sort (list 3 1 2) (quote <)))) (with-temp-file "out" (insert "text")) (princ (shell-command-to-string "echo shell")) (kill-emacs 3))'), memory="512M", default=False),
    Case("java", "default-jre-headless", root="java", script="set -- /usr/lib/jvm/java-*/bin/java; J=$1; $J -version; $J -XshowSettings:properties -version 2>&1 | grep -c os.arch", memory="1G", default=False, timeout=120),
)  # fmt: skip
