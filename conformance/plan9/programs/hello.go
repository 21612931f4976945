package main

import "fmt"

func main() { fmt.Println("hello, plan 9") }

// Output:
// hello, plan 9
