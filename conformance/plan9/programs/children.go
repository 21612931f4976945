// Programs that start one another (os/exec), with their inputs and outputs connected in all ways.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What it is when it has been started by itself.
var roles = map[string]func(args []string){
	"echo":  func(args []string) { fmt.Println(strings.Join(args, "|")) },
	"upper": func([]string) { filter(strings.ToUpper) },
	"reverse": func([]string) {
		filter(func(s string) string {
			r := []rune(s)
			for i, k := 0, len(r)-1; i < k; i, k = i+1, k-1 {
				r[i], r[k] = r[k], r[i]
			}
			return string(r)
		})
	},
	"both": func([]string) {
		fmt.Fprintln(os.Stderr, "to stderr")
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "again")
	},
	"status": func(args []string) { n, _ := strconv.Atoi(args[0]); os.Exit(n) },
	"count":  func([]string) { n, err := io.Copy(io.Discard, os.Stdin); fmt.Println(n, err) },
	"env":    func(args []string) { fmt.Printf("%q\n", os.Getenv(args[0])) },
	"where":  func([]string) { name, err := os.Getwd(); fmt.Println(filepath.Base(name), err) },
	"sleep":  func([]string) { time.Sleep(time.Hour) },
	"again": func(args []string) {
		n, _ := strconv.Atoi(args[0])
		if n == 0 {
			fmt.Println("bottom")
			return
		}
		out, err := self("again", strconv.Itoa(n-1)).Output()
		fmt.Print(n, " ", string(out))
		if err != nil {
			fmt.Println(err)
		}
	},
	"panic": func([]string) { panic("on purpose") },
}

func filter(change func(string) string) {
	for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
		fmt.Println(change(scanner.Text()))
	}
}

func self(args ...string) *exec.Cmd {
	name, err := os.Executable()
	if err != nil {
		fmt.Println("executable:", err)
	}
	return exec.Command(name, args...)
}

func outcome(err error) string {
	var failed *exec.ExitError
	switch {
	case err == nil:
		return "good"
	case errors.As(err, &failed):
		return fmt.Sprint("bad ", failed.Success())
	default:
		return "error"
	}
}

func main() {
	if len(os.Args) > 1 {
		roles[os.Args[1]](os.Args[2:])
		return
	}
	out, err := self("echo", "one", "two words", "", "ünï", "'quoted' \"twice\"", "a\nb").Output()
	fmt.Printf("%q %s\n", out, outcome(err))

	command := self("both")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	fmt.Println(outcome(command.Run()), strconv.Quote(stdout.String()), strconv.Quote(stderr.String()))
	out, err = self("both").CombinedOutput()
	fmt.Printf("%q %s\n", out, outcome(err))

	for _, status := range []string{"0", "1", "77"} {
		fmt.Println("status", status, outcome(self("status", status).Run()))
	}
	command = self("count")
	command.Stdin = bytes.NewReader(make([]byte, 1234567))
	out, err = command.Output()
	fmt.Printf("count %q %s\n", out, outcome(err))
	out, err = self("count").Output()
	fmt.Printf("no input %q %s\n", out, outcome(err))

	// A conversation.
	command = self("upper")
	in, _ := command.StdinPipe()
	from, _ := command.StdoutPipe()
	if err := command.Start(); err != nil {
		fmt.Println(err)
	}
	answers := bufio.NewReader(from)
	for _, word := range []string{"hello", "plan nine", "bye"} {
		fmt.Fprintln(in, word)
		answer, err := answers.ReadString('\n')
		fmt.Printf("%q %v\n", answer, err)
	}
	in.Close()
	fmt.Println(outcome(command.Wait()))

	// A pipeline.
	stages := []*exec.Cmd{self("upper"), self("reverse"), self("upper"), self("reverse")}
	stages[0].Stdin = strings.NewReader(strings.Repeat("from one to the next\n", 3))
	for i := 1; i < len(stages); i++ {
		stages[i].Stdin, _ = stages[i-1].StdoutPipe()
	}
	var result bytes.Buffer
	stages[len(stages)-1].Stdout = &result
	for _, stage := range stages {
		if err := stage.Start(); err != nil {
			fmt.Println(err)
		}
	}
	for _, stage := range stages {
		fmt.Println(outcome(stage.Wait()))
	}
	fmt.Print(result.String())

	// Environment and directory.
	command = self("env", "WORD")
	command.Env = append(os.Environ(), "WORD=first", "WORD=last one")
	out, _ = command.Output()
	fmt.Print("env ", string(out))
	os.Setenv("WORD", "inherited")
	out, _ = self("env", "WORD").Output()
	fmt.Print("env ", string(out))
	os.Mkdir("below", 0o777)
	command = self("where")
	command.Dir = "below"
	out, err = command.Output()
	fmt.Print("where ", string(out), outcome(err), "\n")
	os.Remove("below")

	// Files as streams.
	os.WriteFile("input", []byte("a file\nof two lines\n"), 0o666)
	command = self("upper")
	command.Stdin, _ = os.Open("input")
	command.Stdout, _ = os.Create("output")
	fmt.Println(outcome(command.Run()))
	text, _ := os.ReadFile("output")
	fmt.Printf("%q\n", text)
	os.Remove("input")
	os.Remove("output")

	// Those that do not end by themselves.
	command = self("sleep")
	command.Start()
	fmt.Println("kill", command.Process.Kill() == nil, outcome(command.Wait()))
	late, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	name, _ := os.Executable()
	err = exec.CommandContext(late, name, "sleep").Run()
	cancel()
	fmt.Println("context", err != nil, late.Err())
	_, err = exec.Command("/no/such/program").Output()
	fmt.Println("missing", errors.Is(err, os.ErrNotExist))
	stderr.Reset()
	command = self("panic")
	command.Stderr = &stderr
	fmt.Println(outcome(command.Run()), strings.SplitN(stderr.String(), "\n", 2)[0])

	// Many at a time, and one below the other.
	var all sync.WaitGroup
	var mutex sync.Mutex
	var lines []string
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			out, err := self("echo", "child", strconv.Itoa(i)).Output()
			mutex.Lock()
			lines = append(lines, strings.TrimSpace(string(out))+" "+outcome(err))
			mutex.Unlock()
		}(i)
	}
	all.Wait()
	sort.Strings(lines)
	fmt.Println(lines)
	out, err = self("again", "4").Output()
	fmt.Printf("%q %s\n", out, outcome(err))

	state, _ := os.StartProcess(name, []string{name, "status", "0"}, &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}})
	done, err := state.Wait()
	fmt.Println(done.Success(), done.Exited(), done.Pid() == state.Pid, err)
	_, err = exec.LookPath("surely-not-there")
	fmt.Println(errors.Is(err, exec.ErrNotFound), runtime.NumGoroutine() < 20)
}
