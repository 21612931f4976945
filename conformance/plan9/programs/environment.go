// The environment, the arguments, the user's and the system's names, and time.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"time"
	_ "time/tzdata"
)

func mine() []string {
	var found []string
	for _, each := range os.Environ() {
		if strings.HasPrefix(each, "MY_") {
			found = append(found, each)
		}
	}
	sort.Strings(found)
	return found
}

func main() {
	if len(os.Args) > 1 {
		fmt.Printf("%q\n", mine())
		return
	}
	fmt.Printf("%q\n", mine())
	for name, value := range map[string]string{
		"MY_EMPTY": "", "MY_TEXT": "some text", "MY_LINES": "one\ntwo\n", "MY_ünï": "cödé", "MY_LONG": strings.Repeat("long ", 2000),
	} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Println(err)
		}
		found, there := os.LookupEnv(name)
		fmt.Print(there, found == value, " ")
	}
	fmt.Println()
	_, there := os.LookupEnv("MY_NOTHING")
	fmt.Println(there, os.Getenv("MY_NOTHING") == "", os.ExpandEnv("<$MY_TEXT|${MY_EMPTY}|$MY_NOTHING>"))
	os.Setenv("MY_TEXT", "shorter")
	fmt.Println(os.Getenv("MY_TEXT"))
	os.Unsetenv("MY_LONG")
	fmt.Printf("%q\n", mine())
	name, _ := os.Executable()
	out, err := exec.Command(name, "child").Output()
	fmt.Print(string(out), err, "\n")
	command := exec.Command(name, "child")
	command.Env = []string{"MY_ONLY=one", "OTHER=two"}
	out, err = command.Output()
	fmt.Print(string(out), err, "\n")
	fmt.Printf("%q\n", mine())
	fmt.Println(os.Setenv("", "x") != nil)
	os.Clearenv()
	fmt.Println(len(os.Environ()), len(os.Args), os.Getpagesize() == 4096)
	host, err := os.Hostname()
	fmt.Println(host != "", err, os.Getpid() > 0, os.Getppid() != os.Getpid(), os.TempDir())

	when := time.Date(2024, time.February, 29, 23, 59, 59, 123456789, time.UTC)
	fmt.Println(when, when.Weekday(), when.YearDay(), when.Unix(), when.Add(time.Second).Format(time.RFC1123))
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "No/Where"} {
		place, err := time.LoadLocation(name)
		if err != nil {
			fmt.Println(name, "is not there")
			continue
		}
		for _, t := range []time.Time{when, when.AddDate(0, 6, 0), when.AddDate(-60, 0, 0)} {
			fmt.Print(t.In(place).Format("2006-01-02 15:04:05 MST -0700; "))
		}
		fmt.Println()
	}
	for _, text := range []string{"1h2m3.5s", "-7ns", "3d"} {
		d, err := time.ParseDuration(text)
		fmt.Println(d, err)
	}
	parsed, err := time.Parse(time.RFC3339Nano, "2038-01-19T03:14:08.000000001+05:45")
	fmt.Println(parsed.UTC(), parsed.UnixNano(), err)
	fmt.Println(time.Now().Year() >= 2024, time.Until(when) < 0)
}
