// The network (#I) with somebody else: sockets of the host's, to which it connects and which connect to it.
package main

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
)

func must(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func main() {
	host, err := net.Dial("tcp", os.Args[1])
	must(err)
	in := bufio.NewReader(host)
	fmt.Fprintln(host, "hello, host")
	line, err := in.ReadString('\n')
	fmt.Printf("%q %v\n", line, err)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Fprintln(host, listener.Addr().(*net.TCPAddr).Port)
	for i := 0; i < 3; i++ {
		connection, err := listener.Accept()
		must(err)
		data, err := io.ReadAll(connection)
		fmt.Println(len(data), err, connection.RemoteAddr().(*net.TCPAddr).IP)
		fmt.Fprintf(connection, "%08x", crc32.ChecksumIEEE(data))
		connection.Close()
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(err)
	fmt.Fprintln(host, packets.LocalAddr().(*net.UDPAddr).Port)
	room := make([]byte, 4000)
	for i := 0; i < 3; i++ {
		n, from, err := packets.ReadFrom(room)
		must(err)
		packets.WriteTo(append([]byte("back: "), room[:n]...), from)
	}
	line, err = in.ReadString('\n')
	fmt.Printf("%q %v\n", line, err)
	line, err = in.ReadString('\n')
	fmt.Printf("%q %v\n", line, err)
	_, err = net.Dial("tcp", "127.0.0.2:9")
	fmt.Println("elsewhere", err != nil)
}

// Output:
// "hello, guest\n" <nil>
// 0 <nil> 127.0.0.1
// 1 <nil> 127.0.0.1
// 3000000 <nil> 127.0.0.1
// "all is well\n" <nil>
// "" EOF
// elsewhere true
