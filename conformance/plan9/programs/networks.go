// The network (#I): TCP and UDP over loopback, to itself, and HTTP on top of it.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func must(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func echo() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(connection, connection)
				connection.Close()
			}()
		}
	}()
	var all sync.WaitGroup
	sums := make([]string, 5)
	for i := range sums {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			connection, err := net.Dial("tcp", listener.Addr().String())
			must(err)
			data := []byte(strings.Repeat(fmt.Sprint("message ", i, " "), 20000))
			go func() {
				connection.Write(data)
				connection.(*net.TCPConn).CloseWrite()
			}()
			got := make([]byte, len(data))
			n, err := io.ReadFull(connection, got)
			sums[i] = fmt.Sprint(n, err, crc32.ChecksumIEEE(got) == crc32.ChecksumIEEE(data))
			connection.Close()
		}(i)
	}
	all.Wait()
	fmt.Println("echo", sums)
	fmt.Println("closed", listener.Close())
	_, err = listener.Accept()
	fmt.Println("accept", err != nil)
}

func ends() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		connection, err := listener.Accept()
		must(err)
		fmt.Fprintln(connection, "greetings")
		connection.Close()
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	must(err)
	in := bufio.NewReader(connection)
	line, err := in.ReadString('\n')
	fmt.Printf("%q %v\n", line, err)
	_, err = in.ReadString('\n')
	fmt.Println(err)
	local, remote := connection.LocalAddr().(*net.TCPAddr), connection.RemoteAddr().(*net.TCPAddr)
	fmt.Println(local.IP, local.Port > 0, remote.IP, remote.Port == listener.Addr().(*net.TCPAddr).Port)
	connection.Close()
	listener.Close()
	_, err = net.DialTimeout("tcp", listener.Addr().String(), 5*time.Second)
	fmt.Println("refused", err != nil)
}

func datagrams() {
	one, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(err)
	go func() {
		room := make([]byte, 2000)
		for {
			n, from, err := one.ReadFrom(room)
			if err != nil {
				return
			}
			one.WriteTo([]byte(strings.ToUpper(string(room[:n]))), from)
		}
	}()
	two, err := net.Dial("udp", one.LocalAddr().String())
	must(err)
	for _, word := range []string{"first", "second", strings.Repeat("x", 1000)} {
		fmt.Fprint(two, word)
		room := make([]byte, 2000)
		n, err := two.Read(room)
		fmt.Println(n, err, string(room[:n]) == strings.ToUpper(word))
	}
	two.Close()
	one.Close()
}

func pages() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	pages := http.NewServeMux()
	pages.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %d", r.Method, r.URL.Path, r.URL.Query().Get("q"), len(body))
	})
	pages.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < 1000; i++ {
			fmt.Fprintln(w, strings.Repeat("big ", 100))
		}
	})
	server := &http.Server{Handler: pages}
	go server.Serve(listener)
	base := "http://" + listener.Addr().String()
	show := func(response *http.Response, err error) {
		if err != nil {
			fmt.Println("error", err)
			return
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		fmt.Println(response.StatusCode, response.Proto, len(body), crc32.ChecksumIEEE(body), err)
	}
	show(http.Get(base + "/hello?q=a+b"))
	show(http.Post(base+"/hello", "text/plain", strings.NewReader(strings.Repeat("y", 100000))))
	show(http.Get(base + "/big"))
	show(http.Get(base + "/nothing"))
	fmt.Println("server", server.Close())
}

func deadlines() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	connection, err := net.Dial("tcp", listener.Addr().String())
	must(err)
	connection.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	_, err = connection.Read(make([]byte, 10))
	var slow net.Error
	fmt.Println("deadline", errors.As(err, &slow) && slow.Timeout())
	connection.Close()
	listener.Close()
}

func main() {
	echo()
	ends()
	datagrams()
	pages()
	deadlines()
}
