// The command pwd, which tests of os take for granted.
package main

import "os"

func main() {
	name, err := os.Getwd()
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString(name + "\n")
}
