// How programs end that do something wrong: what they say first, and that they end badly.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"time"
)

type own struct{ n int }

func (o own) Error() string { return fmt.Sprint("own error ", o.n) }

func recurse(n int) int { return recurse(n+1) + 1 }

var wrongs = map[string]func(){
	"text":      func() { panic("on purpose") },
	"error":     func() { panic(own{3}) },
	"wrapped":   func() { panic(fmt.Errorf("around: %w", errors.New("inside"))) },
	"number":    func() { panic(3.5) },
	"nil":       func() { var p *own; p.n = 1 },
	"index":     func() { list := []int{1}; fmt.Println(list[len(os.Args)+5]) },
	"slice":     func() { list := []int{1}; n := len(os.Args) + 5; fmt.Println(list[n:]) },
	"divide":    func() { zero := len(os.Args) - len(os.Args); fmt.Println(1 / zero) },
	"map":       func() { var table map[string]int; table["x"] = 1 },
	"closed":    func() { ch := make(chan int); close(ch); close(ch) },
	"convert":   func() { var any interface{} = 1; fmt.Println(any.(string)) },
	"deadlock":  func() { <-make(chan int) },
	"locked":    func() { var m sync.Mutex; m.Lock(); m.Lock() },
	"unlocked":  func() { var m sync.Mutex; m.Unlock() },
	"overflow":  func() { debug.SetMaxStack(1 << 20); recurse(0) },
	"goexit":    func() { runtime.Goexit() },
	"fatal":     func() { log.SetFlags(0); log.Fatal("fatally") },
	"exit":      func() { defer fmt.Println("never said"); os.Exit(3) },
	"goroutine": func() { go func() { panic("beside") }(); time.Sleep(time.Hour) },
	"twice": func() {
		defer func() { panic("second") }()
		panic("first")
	},
	"negative": func() { n := -len(os.Args); fmt.Println(make([]int, n)) },
	"good":     func() { defer func() { fmt.Println("recovered", recover()) }(); panic("harmless") },
}

func main() {
	if len(os.Args) > 1 {
		wrongs[os.Args[1]]()
		return
	}
	var names []string
	for name := range wrongs {
		names = append(names, name)
	}
	sort.Strings(names)
	self, _ := os.Executable()
	for _, name := range names {
		command := exec.Command(self, name)
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		err := command.Run()
		// A fault is told with the name of the host's signal or note.
		first, _, _ := strings.Cut(stderr.String(), "\n")
		traced := strings.Contains(stderr.String(), "goroutine ") && strings.Contains(stderr.String(), "panics.go:")
		fmt.Printf("%s: %v %q %q %v\n", name, err == nil, stdout.String(), first, traced)
	}
}
