"""Servers and clients over the loopback interface, granted with ``--net``, and cryptography."""

from __future__ import annotations

from typing import Final

from conformance.programs.case import Case

_REDIS: Final = """\
redis-server --port $PORT --bind 127.0.0.1 --save '' --appendonly no --daemonize no --logfile log --dir . --protected-mode no > /dev/null &
server=$!
R="redis-cli -h 127.0.0.1 -p $PORT"
n=0; until $R ping > /dev/null 2>&1; do n=$((n + 1)); [ $n = 200 ] && { echo no server; cat log; kill $server; exit 1; }; sleep 0.05; done
$R ping; $R set key value; $R get key; $R incrby n 41; $R incr n; $R rpush list a b c; $R lrange list 0 -1; $R hset h f 1 g 2; $R hgetall h
$R zadd z 1 one 2 two; $R zrangebyscore z 1 2 withscores; $R sadd s x y; $R scard s; $R expire key 100; $R ttl key > /dev/null; $R type z; $R eval 'return redis.call("get", KEYS[1]) .. ARGV[1]' 1 key '!'
seq 500 | sed 's/.*/set k& v&/' | $R --pipe | tail -n 1; $R dbsize; printf 'multi\\nincr n\\nget key\\nexec\\n' | $R; $R save; test -s dump.rdb && echo saved; $R nonsense; $R config get maxclients | head -n 1
$R bgsave; n=0; while $R info persistence | grep -q bgsave_in_progress:1; do sleep 0.05; n=$((n + 1)); [ $n = 100 ] && break; done; $R info persistence | grep bgsave_status
$R subscribe news > sub & sub=$!; n=0; until [ "$($R publish news hello)" = 1 ]; do sleep 0.05; n=$((n + 1)); [ $n = 100 ] && break; done; sleep 0.1; kill $sub; wait $sub; cat sub
$R shutdown nosave; wait $server; echo "server $?"
"""
_HTTP: Final = """\
import http.client, http.server, os, socketserver, sys, threading
port = int(os.environ["PORT"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"path {self.path}\\n".encode() * 1000
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])); self.send_response(201); self.end_headers(); self.wfile.write(body[::-1])
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
threading.Thread(target=server.serve_forever).start()
def get(n):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30); c.request("GET", f"/{n}"); r = c.getresponse(); found[n] = (r.status, len(r.read()))
found = {}
threads = [threading.Thread(target=get, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(found.items()))
c = http.client.HTTPConnection("127.0.0.1", port, timeout=30); c.request("POST", "/", "x" * 100000 + "y"); r = c.getresponse(); print(r.status, r.read()[:3])
server.shutdown(); server.server_close(); print("closed")
"""
_GO: Final = """\
package main

import (
\t"crypto/sha256"
\t"encoding/json"
\t"fmt"
\t"io"
\t"net"
\t"net/http"
\t"os"
\t"runtime"
\t"sort"
\t"sync"
\t"time"
)

type node struct{ left, right *node }

func tree(depth int) *node {
\tif depth == 0 {
\t\treturn &node{}
\t}
\treturn &node{tree(depth - 1), tree(depth - 1)}
}
func (n *node) count() int {
\tif n.left == nil {
\t\treturn 1
\t}
\treturn 1 + n.left.count() + n.right.count()
}

func main() {
\tvar group sync.WaitGroup
\tresults := make(chan int, 100)
\tfor i := 0; i < 100; i++ {
\t\tgroup.Add(1)
\t\tgo func(i int) { defer group.Done(); results <- i * i }(i)
\t}
\tgroup.Wait()
\tclose(results)
\tsum := 0
\tfor r := range results {
\t\tsum += r
\t}
\tfmt.Println("goroutines", sum)
\ttotal := 0
\tfor i := 0; i < 20; i++ {
\t\ttotal += tree(14).count()
\t}
\truntime.GC()
\tvar stats runtime.MemStats
\truntime.ReadMemStats(&stats)
\tfmt.Println("gc", total, stats.NumGC > 0)
\tspin := make(chan bool)
\tgo func() {
\t\tx := 0
\t\tfor i := 0; i < 50000000; i++ {
\t\t\tx += i
\t\t}
\t\tspin <- x != 0
\t}()
\tselect {
\tcase <-time.After(20 * time.Millisecond):
\t\tfmt.Println("timer")
\t}
\tfmt.Println("spun", <-spin)
\tfunc() {
\t\tdefer func() { fmt.Println("recovered", recover()) }()
\t\tvar p *node
\t\t_ = p.left.left
\t}()
\ttext, _ := json.Marshal(map[string]any{"b": 1, "a": []int{1, 2}})
\tfmt.Println(string(text), fmt.Sprintf("%x", sha256.Sum256([]byte("x")))[:16])
\tnames, _ := os.ReadDir("/etc")
\tsort.Slice(names, func(i, j int) bool { return names[i].Name() < names[j].Name() })
\tfmt.Println(len(names) > 0, runtime.GOARCH)
\tlistener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
\tif err != nil {
\t\tfmt.Println(err)
\t\tos.Exit(1)
\t}
\thttp.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.URL.Path) })
\tgo http.Serve(listener, nil)
\tanswers := make([]string, 10)
\tfor i := range answers {
\t\tgroup.Add(1)
\t\tgo func(i int) {
\t\t\tdefer group.Done()
\t\t\tresponse, err := http.Get(fmt.Sprintf("http://%s/%d", listener.Addr(), i))
\t\t\tif err != nil {
\t\t\t\tanswers[i] = err.Error()
\t\t\t\treturn
\t\t\t}
\t\t\tbody, _ := io.ReadAll(response.Body)
\t\t\tanswers[i] = string(body)
\t\t}(i)
\t}
\tgroup.Wait()
\tfmt.Println(answers)
\tos.Exit(3)
}
"""
_GO_BUILD: Final = (
    "export GOCACHE=$PWD/cache GOPATH=$PWD/go GO111MODULE=off CGO_ENABLED=0; go build -o server server.go; "
)

CASES: Final[tuple[Case, ...]] = (
    Case("redis", "redis-server", script=_REDIS, ports=1, stderr=False, timeout=120, ignore=r"dump\.rdb|log|^sub$", scrub=(r"\d+\.\d+ seconds",)),
    Case("python3-http", "python3", argv=("/usr/bin/python3", "case.py"), files={"case.py": _HTTP}, ports=1, memory="256M"),
    Case("socat", "socat", script="socat TCP-LISTEN:$PORT,bind=127.0.0.1,reuseaddr,fork EXEC:cat & server=$!; n=0; until echo hello | socat - TCP:127.0.0.1:$PORT 2>/dev/null; do sleep 0.05; n=$((n+1)); [ $n = 100 ] && break; done; head -c 300000 /dev/zero | socat -t 5 - TCP:127.0.0.1:$PORT | sha256sum; kill $server; wait $server; echo $?; S=/tmp/sock$$; socat UNIX-LISTEN:$S EXEC:'tr a-z A-Z' & n=0; until [ -S $S ]; do sleep 0.05; n=$((n+1)); [ $n = 100 ] && break; done; echo unix | socat -t 5 - UNIX:$S; wait; echo udp | socat -t 0.2 - UDP:127.0.0.1:$PORT; echo $? > /dev/null; echo pty | socat -t 0.5 - EXEC:cat,pty,raw,echo=0", ports=1, stderr=False),
    Case("openssl", "openssl", script="""\
for d in md5 sha1 sha256 sha512 sha3-256 blake2b512 sm3; do openssl dgst -$d text; done; openssl enc -aes-256-cbc -pbkdf2 -S 0102030405060708 -k secret -in text -out enc; openssl enc -d -aes-256-cbc -pbkdf2 -S 0102030405060708 -k secret -in enc | cmp - text; echo $?
openssl enc -chacha20 -K 00 -iv 00 -in text 2>/dev/null | openssl dgst -sha256; openssl genrsa -out key 1024 2>/dev/null; openssl rsa -in key -pubout -out pub 2>/dev/null; openssl dgst -sha256 -sign key -out sig text; openssl dgst -sha256 -verify pub -signature sig text; openssl rand -hex 8 | wc -c; openssl ecparam -name prime256v1 -genkey -noout -out ec; openssl dgst -sha256 -sign ec text | wc -c > /dev/null
openssl genpkey -algorithm ed25519 -out ed; openssl pkeyutl -sign -rawin -inkey ed -in text -out es; openssl pkeyutl -verify -rawin -inkey ed -in text -sigfile es; openssl req -x509 -new -key key -subj /CN=test -days 1 -out crt; openssl verify -CAfile crt crt; openssl x509 -in crt -noout -subject; openssl base64 -in text | md5sum; openssl prime -hex 1F; openssl passwd -6 -salt ab secret; openssl version; openssl ciphers | tr : '\\n' | sort | head -n 2; openssl nonsense; echo $?
""", files={"text": "the text\n" * 5000}, ignore="key|pub|sig|ec|ed|es|crt", scrub=(r"[0-9A-F]{8}:error",)),
    Case("openssl-speed", "openssl", script="openssl speed -seconds 1 -bytes 8192 sha256 2>/dev/null | grep -c -E '^sha256'; openssl speed -seconds 1 -evp aes-128-cbc -bytes 8192 2>/dev/null | grep -c -i -E '^AES-128-CBC'", default=False),
    Case("openssl-tls", "openssl", script="openssl req -x509 -newkey rsa:2048 -nodes -keyout key -subj /CN=localhost -days 1 -out crt 2>/dev/null; openssl s_server -accept 127.0.0.1:$PORT -key key -cert crt -quiet -www & server=$!; n=0; until printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect 127.0.0.1:$PORT -quiet -CAfile crt 2>/dev/null | grep -E 'Protocol|TLSv1.3 *:' | head -n 1 | grep .; do n=$((n + 1)); [ $n = 20 ] && break; sleep 0.1; done; for i in 1 2 3; do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect 127.0.0.1:$PORT -quiet -CAfile crt 2>/dev/null | grep -c HTTP; done; kill $server; wait $server; echo $?", ports=1, ignore="key|crt", default=False, stderr=False),
    Case("busybox-httpd", "busybox-static", script="B=/bin/busybox; $B httpd -p 127.0.0.1:$PORT -h . -f & server=$!; n=0; until $B wget -q -O - http://127.0.0.1:$PORT/page.html; do n=$((n + 1)); [ $n = 100 ] && break; sleep 0.05; done; $B wget -q -O - http://127.0.0.1:$PORT/none 2>/dev/null; echo $?; kill $server; wait $server; echo $?", files={"page.html": "<p>page\n"}, ports=1, stderr=False),
    Case("go-program", "golang-go", root="go", argv=("./server",), build=_GO_BUILD + "rm -rf cache go server.go case.sh", files={"server.go": _GO}, ports=1, timeout=120, ignore="server"),
    Case("go-build", "golang-go", root="go", script="go version | cut -d ' ' -f 4; " + _GO_BUILD + "./server; echo $?", files={"server.go": _GO}, ports=1, memory="256M", default=False, timeout=300, ignore="^(cache|go|server$)"),
    Case("curl-nginx", "nginx-light", root="net", script="""\
mkdir logs temp; cat > conf <<END
user root; daemon off; worker_processes 2; error_log logs/error.log; pid nginx.pid; events { worker_connections 64; }
http { access_log off; client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp; gzip on; gzip_types text/plain; sendfile on; server { listen 127.0.0.1:$PORT; root $PWD/www; autoindex on; } }
END
nginx -t -p $PWD -c conf 2>/dev/null; echo $?; nginx -p $PWD -c conf & server=$!; U=http://127.0.0.1:$PORT; n=0; until curl -s -o /dev/null $U/; do n=$((n + 1)); [ $n = 100 ] && break; sleep 0.05; done
curl -s $U/page.txt; curl -s $U/big | sha256sum; curl -s -o /dev/null -w '%{http_code}\\n' $U/none; curl -s --compressed $U/big | wc -c; curl -s -r 10-19 $U/big | od -c | head -n 1; curl -s -I $U/page.txt | head -n 1; for i in 1 2 3 4; do curl -s $U/page.txt & done; wait %2 %3 %4 %5 2>/dev/null; kill -QUIT $server; wait $server; echo $?; curl -s $U/; echo $?
""", interpreter="/bin/bash", files={"www/page.txt": "page\n", "www/big": "big file\n" * 100000}, ports=1, ignore="^(logs|temp|nginx.pid|conf)", memory="64M", default=False, stderr=False),
    Case("ssh-keygen", "openssh-client", root="net", script="ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -l -f key.pub | cut -d ' ' -f 1; ssh-keygen -q -t rsa -b 2048 -N secret -f rsa; ssh-keygen -y -P secret -f rsa | cut -c 1-20; echo text > t; ssh-keygen -Y sign -q -f key -n file t; printf 'me %s\\n' \"$(cat key.pub)\" > allowed; ssh-keygen -Y verify -f allowed -I me -n file -s t.sig < t | cut -d ' ' -f 1-6; ssh -V; ssh -G host | head -n 1", ignore="key|rsa|allowed|sig", memory="64M", default=False, timeout=120),
)  # fmt: skip
