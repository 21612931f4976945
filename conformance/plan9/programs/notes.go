// Notes (notify(2)) as os/signal gives them, and what becomes of who does not expect them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func wait(ch <-chan os.Signal) string {
	select {
	case note := <-ch:
		return note.String()
	case <-time.After(10 * time.Second):
		return "nothing comes"
	}
}

func post(pid int, text string) error {
	return os.WriteFile("/proc/"+strconv.Itoa(pid)+"/note", []byte(text), 0)
}

// numbers takes away what is different each time.
func numbers(err error) string {
	if err == nil {
		return "good"
	}
	return regexp.MustCompile(`notes \d+:`).ReplaceAllString(err.Error(), "notes N:")
}

func child() {
	switch os.Args[1] {
	case "waits":
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, syscall.Note("come here"))
		fmt.Println("ready")
		fmt.Println("the child has", wait(ch))
	case "sleeps":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "ignores":
		signal.Notify(make(chan os.Signal, 1), syscall.Note("alarm")) // else the runtime does not hand notes on
		signal.Ignore(syscall.Note("hangup"))
		fmt.Println("ready")
		time.Sleep(300 * time.Millisecond)
	case "to the parent":
		pid, _ := strconv.Atoi(os.Args[2])
		fmt.Println(post(pid, "from a child"))
	case "group":
		ch := make(chan os.Signal, 1)
		signal.Notify(ch)
		fmt.Println("ready")
		fmt.Println("one of the group has", wait(ch))
	}
}

func start(args ...string) (*exec.Cmd, func() string) {
	command := exec.Command("/bin/notes", args...)
	command.SysProcAttr = &syscall.SysProcAttr{Rfork: syscall.RFNOTEG}
	return listen(command)
}

func listen(command *exec.Cmd) (*exec.Cmd, func() string) {
	from, _ := command.StdoutPipe()
	if err := command.Start(); err != nil {
		fmt.Println(err)
	}
	rest := ""
	line := func() string {
		for !strings.Contains(rest, "\n") {
			piece := make([]byte, 100)
			n, err := from.Read(piece)
			rest += string(piece[:n])
			if err == io.EOF { // a note interrupts who reads
				return "end"
			}
		}
		var found string
		found, rest, _ = strings.Cut(rest, "\n")
		return found
	}
	return command, line
}

func main() {
	if len(os.Args) > 1 {
		child()
		return
	}
	// A note goes to one process of those that are this program's threads. It is to be one that does not wait for children.
	runtime.LockOSThread()
	// To itself.
	all := make(chan os.Signal, 1)
	signal.Notify(all)
	for _, text := range []string{"interrupt", "hangup", "a text of its own", "ünïcödé"} {
		fmt.Println(post(os.Getpid(), text), wait(all))
	}
	// Only some.
	some := make(chan os.Signal, 1)
	signal.Reset()
	signal.Notify(some, syscall.Note("alarm"), syscall.Note("this one"))
	fmt.Println(post(os.Getpid(), "this one"), wait(some))
	fmt.Println(post(os.Getpid(), "alarm"), wait(some))
	signal.Stop(some)

	// From a child.
	signal.Notify(all, syscall.Note("from a child"))
	command, line := start("to the parent", strconv.Itoa(os.Getpid()))
	fmt.Println(line(), wait(all), numbers(command.Wait()))

	// To children.
	command, line = start("waits")
	fmt.Println(line())
	fmt.Println(command.Process.Signal(syscall.Note("come here")), line(), numbers(command.Wait()))
	for _, text := range []string{"interrupt", "kill", "hangup"} {
		command, line = start("sleeps")
		fmt.Println(line(), command.Process.Signal(syscall.Note(text)))
		fmt.Println(text, numbers(command.Wait()))
	}
	command, line = start("ignores")
	fmt.Println(line(), command.Process.Signal(syscall.Note("hangup")), numbers(command.Wait()))

	// To all of a group: what is written to notepg goes to it.
	command, line = start("group")
	fmt.Println(line(), os.WriteFile("/proc/"+strconv.Itoa(command.Process.Pid)+"/notepg", []byte("everybody"), 0))
	fmt.Println(line(), numbers(command.Wait()))

	ctx, stop := signal.NotifyContext(context.Background(), syscall.Note("stop now"))
	fmt.Println(post(os.Getpid(), "stop now"))
	<-ctx.Done()
	fmt.Println(ctx.Err())
	stop()

	// Faults are notes, and become panics.
	for _, fault := range []func(){
		func() { var p *int; *p = 1 },
		func() { zero := 0; fmt.Println(1 / zero) },
		func() { var p *[1 << 20]int; fmt.Println(p[1<<19]) },
	} {
		func() {
			defer func() { fmt.Println("recovered:", recover()) }()
			fault()
		}()
	}
	fmt.Println(post(9999999, "nobody") != nil)
}

// Output:
// <nil> interrupt
// <nil> hangup
// <nil> a text of its own
// <nil> ünïcödé
// <nil> this one
// <nil> alarm
// <nil> from a child good
// ready
// <nil> the child has come here good
// ready <nil>
// interrupt exit status: 'notes N: interrupt'
// ready <nil>
// kill exit status: 'notes N: kill'
// ready <nil>
// hangup exit status: 'notes N: hangup'
// ready <nil> good
// ready <nil>
// one of the group has everybody good
// <nil>
// context canceled
// recovered: runtime error: invalid memory address or nil pointer dereference
// recovered: runtime error: integer divide by zero
// recovered: runtime error: invalid memory address or nil pointer dereference
// true
