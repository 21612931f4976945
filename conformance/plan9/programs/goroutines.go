// Goroutines on several threads: channels, locks, select, threads of their own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// thread says which one it runs on: in Plan 9 every thread is a process.
func thread() string {
	if runtime.GOOS == "plan9" {
		return fmt.Sprint(os.Getpid())
	}
	name, _ := os.Readlink("/proc/thread-self")
	return name
}

func lockedThreads() {
	const count = 6
	var all sync.WaitGroup
	var ready sync.WaitGroup
	ready.Add(count)
	names := make([]string, count)
	stayed := make([]bool, count)
	for i := 0; i < count; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			names[i] = thread()
			ready.Done()
			ready.Wait()
			for k := 0; k < 20; k++ {
				runtime.Gosched()
				time.Sleep(time.Millisecond)
			}
			stayed[i] = thread() == names[i]
		}(i)
	}
	all.Wait()
	different := map[string]bool{}
	same := true
	for i := range names {
		different[names[i]] = true
		same = same && stayed[i]
	}
	fmt.Println("locked threads", len(different), "stayed", same)
}

func pingPong() {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v + 1
		}
		close(pong)
	}()
	v := 0
	for i := 0; i < 20000; i++ {
		ping <- v
		v = <-pong
	}
	close(ping)
	_, open := <-pong
	fmt.Println("ping-pong", v, open)
}

func sieve() {
	numbers := make(chan int)
	go func() {
		for i := 2; ; i++ {
			numbers <- i
		}
	}()
	last := 0
	for i := 0; i < 120; i++ {
		prime := <-numbers
		last = prime
		filtered := make(chan int)
		go func(in <-chan int, out chan<- int) {
			for {
				if v := <-in; v%prime != 0 {
					out <- v
				}
			}
		}(numbers, filtered)
		numbers = filtered
	}
	fmt.Println("prime 120 is", last)
}

func locks() {
	var mutex sync.Mutex
	var readers sync.RWMutex
	var all sync.WaitGroup
	var atomically int64
	counter, shared, wrong := 0, [2]int{}, int32(0)
	for i := 0; i < 10; i++ {
		all.Add(2)
		go func() {
			defer all.Done()
			for k := 0; k < 2000; k++ {
				mutex.Lock()
				counter++
				mutex.Unlock()
				atomic.AddInt64(&atomically, 3)
				if k%50 == 0 {
					readers.Lock()
					shared[0]++
					runtime.Gosched()
					shared[1]++
					readers.Unlock()
				}
			}
		}()
		go func() {
			defer all.Done()
			for k := 0; k < 500; k++ {
				readers.RLock()
				if shared[0] != shared[1] {
					atomic.AddInt32(&wrong, 1)
				}
				readers.RUnlock()
			}
		}()
	}
	all.Wait()
	fmt.Println("locks", counter, atomically, shared, wrong)
}

func conditions() {
	var mutex sync.Mutex
	changed := sync.NewCond(&mutex)
	turn, done := 0, make(chan bool)
	order := ""
	for i := 0; i < 5; i++ {
		go func(i int) {
			for round := 0; round < 3; round++ {
				mutex.Lock()
				for turn%5 != i {
					changed.Wait()
				}
				order += fmt.Sprint(i)
				turn++
				changed.Broadcast()
				mutex.Unlock()
			}
			done <- true
		}(i)
	}
	for i := 0; i < 5; i++ {
		<-done
	}
	fmt.Println("in turn", order)
}

func selects() {
	a, b, quit := make(chan int), make(chan string), make(chan struct{})
	go func() {
		for i := 0; i < 100; i++ {
			if i%3 == 0 {
				b <- fmt.Sprint(i)
			} else {
				a <- i
			}
		}
		close(quit)
	}()
	sum, texts := 0, 0
	for open := true; open; {
		select {
		case v := <-a:
			sum += v
		case s := <-b:
			texts += len(s)
		case <-quit:
			open = false
		}
	}
	select {
	case <-a:
		fmt.Println("something came")
	default:
		fmt.Println("nothing is there")
	}
	select {
	case <-a:
		fmt.Println("something came")
	case <-time.After(20 * time.Millisecond):
		fmt.Println("nothing came")
	}
	fmt.Println("selected", sum, texts)
}

func contexts() {
	all, cancel := context.WithCancel(context.WithValue(context.Background(), "key", "value"))
	var ended sync.WaitGroup
	var count int32
	for i := 0; i < 50; i++ {
		ended.Add(1)
		go func() {
			defer ended.Done()
			<-all.Done()
			if errors.Is(all.Err(), context.Canceled) && all.Value("key") == "value" {
				atomic.AddInt32(&count, 1)
			}
		}()
	}
	cancel()
	ended.Wait()
	late, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	<-late.Done()
	fmt.Println("contexts", count, late.Err())
}

func thousands() {
	results := make(chan int, 100)
	for i := 0; i < 3000; i++ {
		go func(i int) { results <- i * i % 1009 }(i)
	}
	sum := 0
	for i := 0; i < 3000; i++ {
		sum += <-results
	}
	fmt.Println("thousands", sum)
}

// spinners never give way: others run all the same.
func spinners() {
	var stop int32
	var all sync.WaitGroup
	for i := 0; i < 3; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for atomic.LoadInt32(&stop) == 0 {
			}
		}()
	}
	ticks := 0
	for i := 0; i < 5; i++ {
		time.Sleep(5 * time.Millisecond)
		ticks++
	}
	atomic.StoreInt32(&stop, 1)
	all.Wait()
	fmt.Println("spinners", ticks)
}

func main() {
	runtime.GOMAXPROCS(4)
	fmt.Println("processors", runtime.GOMAXPROCS(0))
	lockedThreads()
	pingPong()
	sieve()
	locks()
	conditions()
	selects()
	contexts()
	thousands()
	spinners()
	var once sync.Once
	for i := 0; i < 3; i++ {
		once.Do(func() { fmt.Println("once", i) })
	}
	var table sync.Map
	for i := 0; i < 10; i++ {
		table.LoadOrStore(i%4, i)
	}
	sum := 0
	table.Range(func(_, v interface{}) bool { sum += v.(int); return true })
	fmt.Println("map", sum)
}
