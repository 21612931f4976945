// Work for the scheduler: goroutines that pass a word around, and wait for short times. Says on its last line how long it took.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		threads, _ := strconv.Atoi(os.Args[1])
		runtime.GOMAXPROCS(threads)
	}
	start := time.Now()
	const count = 100
	first := make(chan int)
	in := first
	for i := 0; i < count; i++ {
		out := make(chan int)
		go func(in, out chan int) {
			for v := range in {
				out <- v + 1
			}
			close(out)
		}(in, out)
		in = out
	}
	go func() {
		for i := 0; i < 2000; i++ {
			first <- 0
		}
		close(first)
	}()
	sum := 0
	for v := range in {
		sum += v
	}
	fmt.Println(sum)
	fmt.Println("seconds", time.Since(start).Seconds())
}
