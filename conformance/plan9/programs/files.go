// Files and directories: what is made, changed, renamed, listed and removed; below the directory where it is started.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

func check(what string, err error) {
	if err != nil {
		fmt.Println(what, "fails:", err)
	}
}

// kind says why something has failed, in words that are the same everywhere.
func kind(err error) string {
	switch {
	case err == nil:
		return "no error"
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case errors.Is(err, fs.ErrExist):
		return "exists"
	case errors.Is(err, fs.ErrClosed):
		return "closed"
	default:
		return "error"
	}
}

func list(name string) {
	entries, err := os.ReadDir(name)
	check("ReadDir "+name, err)
	for _, entry := range entries {
		info, err := entry.Info()
		check("Info", err)
		if info.IsDir() {
			fmt.Print(" ", info.Name(), "/ ", info.Mode())
		} else {
			fmt.Print(" ", info.Name(), " ", info.Mode(), " ", info.Size())
		}
	}
	fmt.Println()
}

func writing() {
	file, err := os.Create("a")
	check("Create", err)
	n, err := file.WriteString("hello, file")
	fmt.Println("written", n, err)
	at, err := file.Seek(0, io.SeekCurrent)
	fmt.Println("at", at, err)
	n, err = file.WriteAt([]byte("HELLO"), 0)
	fmt.Println("written at", n, err)
	n, err = file.WriteAt([]byte("!"), 20)
	fmt.Println("behind the end", n, err)
	at, err = file.Seek(-5, io.SeekEnd)
	fmt.Println("from the end", at, err)
	_, err = file.Seek(-100, io.SeekStart)
	fmt.Println("before the start", kind(err))
	check("Close", file.Close())
	fmt.Println("again", kind(file.Close()))
	text, err := os.ReadFile("a")
	fmt.Printf("%q %v\n", text, err)
	check("Truncate", os.Truncate("a", 5))
	text, _ = os.ReadFile("a")
	fmt.Printf("%q\n", text)
	check("Truncate", os.Truncate("a", 9))
	text, _ = os.ReadFile("a")
	fmt.Printf("%q\n", text)

	for i := 0; i < 3; i++ {
		file, err = os.OpenFile("log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		check("append", err)
		fmt.Fprintf(file, "entry %d\n", i)
		check("Close", file.Close())
	}
	text, _ = os.ReadFile("log")
	fmt.Printf("%q\n", text)
	file, err = os.OpenFile("a", os.O_RDONLY, 0)
	check("open", err)
	_, err = file.Write([]byte("x"))
	fmt.Println("write where only reading was asked for:", kind(err))
	_, err = file.Read(make([]byte, 4))
	check("read", err)
	n, err = file.ReadAt(make([]byte, 100), 2)
	fmt.Println("read at", n, err)
	check("Close", file.Close())
	_, err = os.OpenFile("a", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	fmt.Println("exclusively", kind(err))
	file, err = os.OpenFile("a", os.O_TRUNC|os.O_WRONLY, 0)
	check("O_TRUNC", err)
	check("Close", file.Close())
	info, err := os.Stat("a")
	fmt.Println(info.Size(), err)
}

func big() {
	file, err := os.Create("big")
	check("Create", err)
	out := bufio.NewWriterSize(file, 100000)
	sum := crc32.NewIEEE()
	line := []byte(strings.Repeat("All work and no play makes Jack a dull boy. ", 25))
	for i := 0; i < 3000; i++ {
		line[i%len(line)] ^= byte(i)
		out.Write(line)
		sum.Write(line)
	}
	check("Flush", out.Flush())
	check("Sync", file.Sync())
	check("Close", file.Close())
	text, err := os.ReadFile("big")
	fmt.Println("big", len(text), err, crc32.ChecksumIEEE(text) == sum.Sum32())
	file, err = os.Open("big")
	check("Open", err)
	var backwards bytes.Buffer
	piece := make([]byte, 4096)
	for at := int64(len(text)) - 4096; at >= 0; at -= 4096 {
		_, err := file.ReadAt(piece, at)
		check("ReadAt", err)
		backwards.Write(piece[:1])
	}
	fmt.Println("backwards", backwards.Len(), crc32.ChecksumIEEE(backwards.Bytes()))
	check("Close", file.Close())
	check("Remove", os.Remove("big"))
}

func modes() {
	for _, mode := range []fs.FileMode{0o600, 0o644, 0o755, 0o444, 0o200} {
		name := fmt.Sprintf("mode%o", mode)
		check("WriteFile", os.WriteFile(name, []byte(name), 0o666))
		check("Chmod", os.Chmod(name, mode))
		info, err := os.Stat(name)
		check("Stat", err)
		fmt.Print(info.Mode(), " ", info.Mode().IsRegular(), "; ")
		check("Chmod", os.Chmod(name, 0o600))
		check("Remove", os.Remove(name))
	}
	fmt.Println()
	when := time.Unix(1_000_000_000, 0)
	check("WriteFile", os.WriteFile("old", nil, 0o666))
	check("Chtimes", os.Chtimes("old", when, when))
	info, err := os.Stat("old")
	check("Stat", err)
	fmt.Println(info.ModTime().UTC(), info.Size(), info.Name())
	check("WriteFile", os.WriteFile("old", []byte("new"), 0o666))
	again, _ := os.Stat("old")
	fmt.Println("changed", again.ModTime().After(info.ModTime()), os.SameFile(info, again))
	check("Remove", os.Remove("old"))
}

func directories() {
	check("MkdirAll", os.MkdirAll("tree/one/two/three", 0o755))
	fmt.Println("Mkdir", kind(os.Mkdir("tree", 0o755)), kind(os.Mkdir("no/such", 0o755)))
	check("MkdirAll", os.MkdirAll("tree/one/two/three", 0o755))
	for i, name := range []string{"tree/b", "tree/a", "tree/one/c", "tree/one/two/ünïcödé", "tree/one/two/three/last"} {
		check("WriteFile", os.WriteFile(name, make([]byte, i*10), 0o644))
	}
	list("tree")
	list("tree/one")
	check("WalkDir", filepath.WalkDir("tree", func(name string, entry fs.DirEntry, err error) error {
		fmt.Print(" ", name)
		if entry.Name() == "three" {
			return fs.SkipDir
		}
		return err
	}))
	fmt.Println()
	found, err := filepath.Glob("tree/*/[a-c]")
	fmt.Println(found, err)
	found, err = fs.Glob(os.DirFS("tree"), "one/two/*")
	fmt.Println(found, err)
	fmt.Println("Remove", kind(os.Remove("tree/one")) != "no error", kind(os.Remove("tree/b")), kind(os.Remove("tree/b")))
	here, err := os.Getwd()
	check("Getwd", err)
	check("Chdir", os.Chdir("tree/one/two"))
	there, err := os.Getwd()
	check("Getwd", err)
	below, err := filepath.Rel(here, there)
	fmt.Println(below, err)
	list(".")
	check("Chdir", os.Chdir("../../.."))
	again, _ := os.Getwd()
	fmt.Println("back", again == here, kind(os.Chdir("tree/a")) != "no error", kind(os.Chdir("nowhere")))
	file, err := os.Open("tree")
	check("Open", err)
	names, err := file.Readdirnames(1)
	fmt.Print(len(names), " ", err)
	names, err = file.Readdirnames(-1)
	fmt.Print(" ", len(names), " ", err)
	names, err = file.Readdirnames(1)
	fmt.Println(" ", len(names), err)
	_, err = file.Read(make([]byte, 10))
	check("Close", file.Close())
	check("RemoveAll", os.RemoveAll("tree"))
	_, err = os.Stat("tree")
	fmt.Println("Stat", kind(err), kind(os.RemoveAll("tree")))
}

func many() {
	check("Mkdir", os.Mkdir("many", 0o777))
	for i := 0; i < 300; i++ {
		check("WriteFile", os.WriteFile(fmt.Sprintf("many/file-%03d-%s", i, strings.Repeat("x", i%60)), nil, 0o666))
	}
	file, err := os.Open("many")
	check("Open", err)
	var all []string
	for {
		entries, err := file.ReadDir(7)
		for _, entry := range entries {
			all = append(all, entry.Name())
		}
		if err != nil {
			fmt.Println("many", len(all), err)
			break
		}
	}
	file.Close()
	sort.Strings(all)
	fmt.Println(crc32.ChecksumIEEE([]byte(strings.Join(all, " "))))
	check("RemoveAll", os.RemoveAll("many"))
}

func renames() {
	check("WriteFile", os.WriteFile("first", []byte("1"), 0o666))
	check("Rename", os.Rename("first", "second"))
	text, err := os.ReadFile("second")
	fmt.Println(string(text), err)
	_, err = os.Stat("first")
	fmt.Println(kind(err))
	check("WriteFile", os.WriteFile("third", []byte("3"), 0o666))
	check("Rename", os.Rename("third", "second"))
	text, err = os.ReadFile("second")
	fmt.Println(string(text), err)
	fmt.Println(kind(os.Rename("nothing", "something")))
	check("Mkdir", os.Mkdir("folder", 0o777))
	check("WriteFile", os.WriteFile("folder/inside", []byte("in"), 0o666))
	check("Rename", os.Rename("folder", "renamed"))
	text, err = os.ReadFile("renamed/inside")
	fmt.Println(string(text), err)
	check("RemoveAll", os.RemoveAll("renamed"))
	// One that is open stays what it is.
	file, err := os.Create("open")
	check("Create", err)
	check("Rename", os.Rename("open", "still-open"))
	file.WriteString("written later")
	check("Close", file.Close())
	text, err = os.ReadFile("still-open")
	fmt.Println(string(text), err)
	check("Remove", os.Remove("still-open"))
	check("Remove", os.Remove("second"))
}

func temporary() {
	file, err := os.CreateTemp(".", "some-*.txt")
	check("CreateTemp", err)
	info, _ := file.Stat()
	fmt.Println(strings.HasPrefix(info.Name(), "some-"), strings.HasSuffix(info.Name(), ".txt"), info.Mode(), info.Size())
	check("Truncate", file.Truncate(1000))
	info, _ = file.Stat()
	fmt.Println(info.Size())
	check("Close", file.Close())
	check("Remove", os.Remove(file.Name()))
	folder, err := os.MkdirTemp(".", "folder")
	check("MkdirTemp", err)
	info, _ = os.Stat(folder)
	fmt.Println(info.Mode())
	check("Remove", os.Remove(folder))
	_, err = os.Open("")
	fmt.Println(kind(err) != "no error")
	_, err = os.Open("a/b")
	fmt.Println(kind(err) != "no error")
	_, err = os.Open(strings.Repeat("long", 100))
	fmt.Println(kind(err) != "no error")
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check("null", err)
	n, err := null.Read(make([]byte, 5))
	fmt.Println(n, err)
	n, err = null.Write(make([]byte, 5))
	fmt.Println(n, err)
}

func main() {
	check("Mkdir", os.Mkdir("work", 0o777))
	check("Chdir", os.Chdir("work"))
	writing()
	big()
	modes()
	directories()
	many()
	renames()
	temporary()
	list(".")
	check("Chdir", os.Chdir(".."))
	check("RemoveAll", os.RemoveAll("work"))
}
