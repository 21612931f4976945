// Work for the garbage collector: binary trees (the Computer Language Benchmarks Game). Says on its last line how long it took.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

type node struct{ left, right *node }

func grow(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{grow(depth - 1), grow(depth - 1)}
}

func (n *node) count() int {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func main() {
	if len(os.Args) > 1 {
		threads, _ := strconv.Atoi(os.Args[1])
		runtime.GOMAXPROCS(threads)
	}
	start := time.Now()
	const most = 15
	long := grow(most)
	var all sync.WaitGroup
	sums := make([]int, most+1)
	for depth := 4; depth <= most; depth += 2 {
		all.Add(1)
		go func(depth int) {
			defer all.Done()
			for i := 0; i < 1<<(most-depth+4); i++ {
				sums[depth] += grow(depth).count()
			}
		}(depth)
	}
	all.Wait()
	fmt.Println(sums, long.count())
	fmt.Println("seconds", time.Since(start).Seconds())
}
