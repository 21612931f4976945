// How programs say to their parents how they have ended, and what is in a wait message (await(2)).
package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// The first thread is the process that others wait for.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "exit":
			os.Exit(len(os.Args) - 2)
		case "panic":
			panic("on purpose")
		case "exits":
			text, _ := syscall.BytePtrFromString(os.Args[2])
			os.WriteFile("/proc/"+strconv.Itoa(os.Getpid())+"/notepg", []byte("kill"), 0) // the other threads
			syscall.RawSyscall(syscall.SYS_EXITS, uintptr(unsafe.Pointer(text)), 0, 0)
		}
		return
	}
	for _, args := range [][]string{
		{"exit"}, {"exit", "1", "2", "3"}, {"panic"}, {"exits", ""}, {"exits", "a status of its own"}, {"exits", "it's 'quoted'"},
		{"exits", strings.Repeat("long ", 100)},
	} {
		command := exec.Command("/bin/statuses", args...)
		command.SysProcAttr = &syscall.SysProcAttr{Rfork: syscall.RFNOTEG}
		err := command.Run()
		text := "good"
		if err != nil {
			text = regexp.MustCompile(`statuses \d+:`).ReplaceAllString(err.Error(), "statuses N:")
		}
		message := command.ProcessState.Sys().(*syscall.Waitmsg)
		fmt.Println(text, command.ProcessState.ExitCode(), message.Pid == command.Process.Pid, message.Time[2] < 60000)
	}
	_, err := exec.Command("/nowhere/at/all").Output()
	fmt.Println(err)
	_, err = os.StartProcess("/bin", []string{"bin"}, &os.ProcAttr{})
	fmt.Println(err)
	os.WriteFile("/tmp/text", []byte("no program\n"), 0o777)
	_, err = os.StartProcess("/tmp/text", []string{"text"}, &os.ProcAttr{})
	fmt.Println(err)
	os.WriteFile("/tmp/unexecutable", []byte("#!/bin/statuses\n"), 0o666)
	_, err = os.StartProcess("/tmp/unexecutable", []string{"x"}, &os.ProcAttr{})
	fmt.Println(err)
	os.WriteFile("/tmp/script", []byte("#!/bin/statuses exit 1 2\n"), 0o777)
	fmt.Println(exec.Command("/tmp/script").Run() != nil)
	panic(fmt.Sprint("the end"))
}

// Status: 2
// Output:
// good 0 true true
// exit status: 'statuses N: 3' 1 true true
// exit status: 'statuses N: 2' 1 true true
// good 0 true true
// exit status: 'statuses N: a status of its own' 1 true true
// exit status: 'statuses N: it''s ''quoted''' 1 true true
// exit status: 'statuses N: long long long long long long long long long long long long long long long long long long long long long long long' 1 true true
// fork/exec /nowhere/at/all: '/nowhere' file does not exist
// fork/exec /bin: '/bin' cannot exec directory
// fork/exec /tmp/text: exec header invalid
// fork/exec /tmp/unexecutable: permission denied
// true
