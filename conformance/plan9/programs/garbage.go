// The garbage collector under load: maps, slices, trees, strings and finalizers of several goroutines.
package main

import (
	"fmt"
	"hash/crc32"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
)

type tree struct{ left, right *tree }

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{grow(depth - 1), grow(depth - 1)}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

func maps(seed int) int {
	table := map[string][]int{}
	for i := 0; i < 20000; i++ {
		key := fmt.Sprint("key", (i*seed)%997)
		table[key] = append(table[key], i)
		if i%7 == 0 {
			delete(table, fmt.Sprint("key", i%997))
		}
	}
	sum := 0
	for _, list := range table {
		for _, v := range list {
			sum += v
		}
	}
	return sum + len(table)
}

func texts(seed int) uint32 {
	var parts []string
	for i := 0; i < 4000; i++ {
		parts = append(parts, strings.Repeat(string(rune('a'+(i*seed)%26)), i%40))
	}
	return crc32.ChecksumIEEE([]byte(strings.Join(parts, "-")))
}

type ring struct {
	next *ring
	data [100]byte
}

func rings() int {
	kept := 0
	for i := 0; i < 300; i++ {
		first := &ring{}
		last := first
		for k := 0; k < 30; k++ {
			last.next = &ring{}
			last = last.next
			last.data[k] = byte(k)
		}
		last.next = first // a cycle, which only the collector can take apart
		kept += int(last.data[29])
	}
	return kept
}

func finalizers() {
	var finalized int32
	const count = 200
	for i := 0; i < count; i++ {
		object := &ring{}
		runtime.SetFinalizer(object, func(*ring) { atomic.AddInt32(&finalized, 1) })
	}
	for i := 0; i < 100 && atomic.LoadInt32(&finalized) < count-5; i++ {
		runtime.GC()
		runtime.Gosched()
	}
	// Stacks may still have one or the other.
	fmt.Println("finalizers", atomic.LoadInt32(&finalized) >= count-5)
}

func main() {
	runtime.GOMAXPROCS(3)
	debug.SetGCPercent(40)
	long := grow(16)
	var all sync.WaitGroup
	sums := make([]string, 8)
	for i := range sums {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			trees := 0
			for depth := 4; depth <= 14; depth += 2 {
				for k := 0; k < 1<<(14-depth); k++ {
					trees += grow(depth).count()
				}
			}
			sums[i] = fmt.Sprint(trees, " ", maps(i+3), " ", texts(i+1), " ", rings())
		}(i)
	}
	all.Wait()
	for i, sum := range sums {
		fmt.Println(i, sum)
	}
	fmt.Println("long", long.count())
	finalizers()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	block := make([]byte, 40<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = byte(i >> 12)
	}
	fmt.Println("block", crc32.ChecksumIEEE(block))
	block, long = nil, nil
	debug.FreeOSMemory()
	runtime.ReadMemStats(&after)
	fmt.Println("collections", after.NumGC > 10, "given back", after.HeapAlloc < before.HeapAlloc+(8<<20))
	// Stacks that grow, and are moved.
	var deep func(n int, p *int) int
	deep = func(n int, p *int) int {
		var room [64]int
		room[n%64] = n
		if n == 0 {
			return *p
		}
		return deep(n-1, p) + room[n%64] - n
	}
	value := 42
	fmt.Println("deep", deep(50000, &value))
}
