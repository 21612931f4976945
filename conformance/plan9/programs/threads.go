package main

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"time"
)

type node struct {
	l, r *node
	v    int
}

func tree(d int) *node {
	if d == 0 {
		return &node{}
	}
	return &node{tree(d - 1), tree(d - 1), d}
}
func (n *node) sum() int {
	if n == nil {
		return 0
	}
	return n.v + n.l.sum() + n.r.sum()
}

func main() {
	runtime.GOMAXPROCS(4)
	var wg sync.WaitGroup
	ch := make(chan int, 4)
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			s := 0
			for k := 0; k < 6; k++ {
				s += tree(12).sum()
			}
			ch <- s + i
		}(i)
	}
	go func() { wg.Wait(); close(ch) }()
	t := 0
	for v := range ch {
		t += v
	}
	fmt.Println("sum", t)
	var ms runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&ms)
	fmt.Println("gc", ms.NumGC > 1)
	start := time.Now()
	tk := time.NewTicker(10 * time.Millisecond)
	for i := 0; i < 5; i++ {
		<-tk.C
	}
	d := time.Since(start)
	fmt.Println("ticks", d > 40*time.Millisecond && d < 3000*time.Millisecond)
	h := sha256.Sum256(make([]byte, 1<<20))
	fmt.Printf("%x\n", h[:4])
	func() {
		defer func() { fmt.Println("recovered", recover()) }()
		var p *node
		p.v = 3
	}()
	func() {
		defer func() { fmt.Println("recovered", recover()) }()
		z := 0
		fmt.Println(1 / z)
	}()
	spin := time.Now()
	go func() {
		for {
		}
	}()
	time.Sleep(50 * time.Millisecond)
	fmt.Println("spin", time.Since(spin) < 3*time.Second)
}

// Output:
// sum 392572
// gc true
// ticks true
// 30e14955
// recovered runtime error: invalid memory address or nil pointer dereference
// recovered runtime error: integer divide by zero
// spin true
