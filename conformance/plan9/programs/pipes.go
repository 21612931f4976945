// Pipes between goroutines of one program.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
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

func main() {
	r, w, err := os.Pipe()
	must(err)
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(i*i>>8 + i)
	}
	go func() {
		for rest := data; len(rest) > 0; {
			n := len(rest)%70001 + 1
			if n > len(rest) {
				n = len(rest)
			}
			_, err := w.Write(rest[:n])
			must(err)
			rest = rest[n:]
		}
		w.Close()
	}()
	got, err := io.ReadAll(r)
	must(err)
	fmt.Println("through", len(got), adler32.Checksum(got) == adler32.Checksum(data))
	n, err := r.Read(make([]byte, 10))
	fmt.Println("at the end", n, err)
	r.Close()
	_, err = r.Read(make([]byte, 10))
	fmt.Println("closed", errors.Is(err, os.ErrClosed))

	// A reader that waits while others work.
	r, w, err = os.Pipe()
	must(err)
	lines := make(chan string)
	go func() {
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			lines <- scanner.Text()
		}
		close(lines)
	}()
	go func() {
		for i := 0; i < 5; i++ {
			fmt.Fprintf(w, "line %d\n", i)
			time.Sleep(5 * time.Millisecond)
		}
		w.Close()
	}()
	for line := range lines {
		fmt.Println(line)
	}

	// A writer whose reader is slow.
	r, w, err = os.Pipe()
	must(err)
	written := make(chan int)
	go func() {
		n, err := io.Copy(w, strings.NewReader(strings.Repeat("0123456789", 50000)))
		must(err)
		w.Close()
		written <- int(n)
	}()
	total, piece := 0, make([]byte, 10007)
	for {
		n, err := r.Read(piece)
		total += n
		if err == io.EOF {
			break
		}
		must(err)
	}
	fmt.Println("slowly", total, <-written)

	// A chain of them.
	const stages = 20
	first, previous := (*os.File)(nil), (*os.File)(nil)
	var all sync.WaitGroup
	for i := 0; i <= stages; i++ {
		r, w, err := os.Pipe()
		must(err)
		if first == nil {
			first = w
		} else {
			all.Add(1)
			go func(from, to *os.File) {
				defer all.Done()
				_, err := io.Copy(to, from)
				must(err)
				to.Close()
				from.Close()
			}(previous, w)
		}
		previous = r
	}
	go func() { first.WriteString(strings.Repeat("chain ", 10000)); first.Close() }()
	end, err := io.ReadAll(previous)
	must(err)
	all.Wait()
	fmt.Println("chain", len(end), string(end[len(end)-6:]))
}
