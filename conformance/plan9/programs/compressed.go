// Unpacks what comes in, and packs it again, in several ways, each as a line of base64.
package main

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
)

func main() {
	in, err := gzip.NewReader(os.Stdin)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	data, err := io.ReadAll(in)
	fmt.Printf("%d %v %s %x\n", len(data), err, in.Name, sha256.Sum256(data))
	for _, level := range []int{gzip.HuffmanOnly, gzip.NoCompression, gzip.BestSpeed, gzip.DefaultCompression, gzip.BestCompression} {
		var packed bytes.Buffer
		out, _ := gzip.NewWriterLevel(&packed, level)
		out.Name, out.Comment = "a name", "a comment"
		out.Write(data)
		out.Close()
		fmt.Println("gzip", base64.StdEncoding.EncodeToString(packed.Bytes()))
	}
	var packed bytes.Buffer
	out, _ := zlib.NewWriterLevelDict(&packed, 7, data[:1000])
	out.Write(data)
	out.Close()
	fmt.Println("zlib", base64.StdEncoding.EncodeToString(packed.Bytes()))
	again, err := zlib.NewReaderDict(&packed, data[:1000])
	if err != nil {
		fmt.Println(err)
	}
	back, err := io.ReadAll(again)
	fmt.Println(bytes.Equal(back, data), err)
	_, err = io.ReadAll(flate.NewReader(bytes.NewReader(data[:50])))
	fmt.Println(err != nil)
}
