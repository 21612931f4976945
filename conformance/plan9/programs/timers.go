// Timers, tickers and sleep; what is said does not depend on how quick the machine is.
package main

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"
)

func main() {
	start := time.Now()
	var order []int
	var mutex sync.Mutex
	var all sync.WaitGroup
	for _, ms := range []int{400, 100, 300, 0, 200} {
		all.Add(1)
		ms := ms
		time.AfterFunc(time.Duration(ms)*time.Millisecond, func() {
			defer all.Done()
			mutex.Lock()
			order = append(order, ms)
			mutex.Unlock()
		})
	}
	all.Wait()
	fmt.Println("in order", order, sort.IntsAreSorted(order), time.Since(start) >= 400*time.Millisecond)

	timer := time.NewTimer(time.Hour)
	fmt.Println("stopped", timer.Stop(), timer.Stop())
	timer.Reset(10 * time.Millisecond)
	<-timer.C
	fmt.Println("stopped too late", timer.Stop())

	ticker := time.NewTicker(10 * time.Millisecond)
	before, monotone := time.Now(), true
	for i := 0; i < 10; i++ {
		now := <-ticker.C
		monotone = monotone && now.After(before)
		before = now
	}
	ticker.Reset(time.Millisecond)
	<-ticker.C
	ticker.Stop()
	time.Sleep(20 * time.Millisecond)
	select { // one may have been on its way
	case <-ticker.C:
	default:
	}
	select {
	case <-ticker.C:
		fmt.Println("the ticker goes on")
	case <-time.After(30 * time.Millisecond):
		fmt.Println("ticks", monotone)
	}

	for _, d := range []time.Duration{0, time.Microsecond, time.Millisecond, 15 * time.Millisecond, -5} {
		start := time.Now()
		time.Sleep(d)
		if took := time.Since(start); took < d {
			fmt.Println("slept too little", d, took)
		}
	}

	short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	long, cancelLong := context.WithTimeout(short, time.Hour)
	<-long.Done()
	fmt.Println(short.Err(), long.Err())
	cancel()
	cancelLong()

	// Many at the same time.
	count := 0
	fired := make(chan bool, 500)
	for i := 0; i < 500; i++ {
		time.AfterFunc(time.Duration(i%50)*time.Millisecond, func() { fired <- true })
	}
	for range make([]struct{}, 500) {
		<-fired
		count++
	}
	fmt.Println("fired", count)

	var times []time.Duration
	for i := 0; i < 2000; i++ {
		times = append(times, time.Since(start))
	}
	fmt.Println("the clock goes forward", sort.SliceIsSorted(times, func(i, k int) bool { return times[i] < times[k] }))
}
