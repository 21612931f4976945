package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		b, _ := io.ReadAll(os.Stdin)
		fmt.Printf("child got %d bytes, FOO=%s, args %v\n", len(b), os.Getenv("FOO"), os.Args[2:])
		os.Exit(3)
	}
	r, w, err := os.Pipe()
	fmt.Println("pipe", err)
	go func() { w.Write([]byte("through a pipe")); w.Close() }()
	b, err := io.ReadAll(r)
	fmt.Println(string(b), err)
	os.Setenv("FOO", "bar")
	c := exec.Command("/bin/processes", "child", "a", "b c")
	c.Stdin = bytes.NewReader(make([]byte, 100000))
	out, err := c.CombinedOutput()
	fmt.Printf("%q %v\n", out, strings.HasSuffix(err.Error(), ": 3'"))
	_, err = os.Open("/nosuch")
	fmt.Println(err, os.IsNotExist(err))
	d, err := os.ReadDir("/bin")
	fmt.Println(len(d), err)
	f, err := os.ReadFile("/bin/processes")
	fmt.Println(len(f) > 1000, err)
	wd, err := os.Getwd()
	fmt.Println(wd, err)
	h, err := os.Hostname()
	fmt.Println(h, err)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch)
	p, _ := os.FindProcess(os.Getpid())
	fmt.Println("signal", p.Signal(os.Interrupt))
	select {
	case s := <-ch:
		fmt.Println("note", s)
	case <-time.After(2 * time.Second):
		fmt.Println("no note")
	}
	fmt.Println(strings.Join(os.Args, ","))
	os.Exit(7)
}

// Status: 7
// Output:
// pipe <nil>
// through a pipe <nil>
// "child got 100000 bytes, FOO=bar, args [a b c]\n" true
// open /nosuch: '/nosuch' file does not exist true
// 1 <nil>
// true <nil>
// /tmp <nil>
// gnot <nil>
// signal <nil>
// note interrupt
// processes
