// Command in-process starts and stops plugins through a core that is loaded into this process, and
// does work of its own meanwhile.
//
// usage: in-process PLUGIN-EXECUTABLE SOCKET COUNT
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/plugind/plugind/tests/interop/go-signal/hostwork"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: in-process PLUGIN-EXECUTABLE SOCKET COUNT")
		os.Exit(64)
	}
	executable, address := os.Args[1], "unix:"+os.Args[2]
	count, err := strconv.Atoi(os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, "COUNT is not a number:", err)
		os.Exit(64)
	}
	for i := 1; i <= count; i++ {
		p, ok := start(executable, address)
		if !ok {
			os.Exit(1)
		}
		fmt.Printf("plugin %d has started\n", i)
		ended := make(chan int)
		go func() { ended <- p.stop() }()
		code := hostwork.Until(ended)
		fmt.Printf("plugin %d has ended with %d\n", i, code)
		if err := os.Remove(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Printf("%d plugin starts and exits survived\n", count)
}
