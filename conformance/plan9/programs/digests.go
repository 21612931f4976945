// Digests of what comes in.
package main

import (
	"bufio"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
)

func main() {
	named := []struct {
		name string
		sum  hash.Hash
	}{{"sha256", sha256.New()}, {"sha1", sha1.New()}, {"md5", md5.New()}, {"crc32", crc32.NewIEEE()}}
	var all []io.Writer
	for _, each := range named {
		all = append(all, each.sum)
	}
	n, err := io.Copy(io.MultiWriter(all...), bufio.NewReaderSize(os.Stdin, 1<<20))
	fmt.Println("bytes", n, err)
	for _, each := range named {
		fmt.Printf("%s %x\n", each.name, each.sum.Sum(nil))
	}
}
