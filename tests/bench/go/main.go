// bench-go is the Go worker of the benchmark: it calls proto.KV/Get or echo.v1.Echo/Unary and
// measures.  It is one of these contenders:
//
//	bench-go -mode go-plugin -plugin PATH                   a go-plugin host that starts kv-go-grpc
//	bench-go -mode stubs -address unix:PATH                 grpc-go on a socket, plugind's for example
//	bench-go -mode stubs -service echo -address unix:PATH   the same to the echo plugin
//
// It prints "ready" and obeys commands on standard input as ../worker.h says.  Or it measures starts:
//
//	bench-go -mode first-call -plugin PATH   a go-plugin host that starts kv-go-grpc for one call
//
// That one answers each "first-call" with the milliseconds from before the spawn to the answer.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func main() {
	mode := flag.String("mode", "", "go-plugin, stubs or first-call")
	address := flag.String("address", "", "stubs: where the plugin answers, unix:PATH")
	service := flag.String("service", "kv", "stubs: kv or echo")
	plugin := flag.String("plugin", "", "go-plugin, first-call: the path of kv-go-grpc")
	flag.Parse()
	if err := run(*mode, *service, *address, *plugin); err != nil {
		fmt.Fprintln(os.Stderr, "bench-go:", err)
		os.Exit(1)
	}
}

func run(mode, service, address, plugin string) error {
	if mode == "first-call" && plugin != "" {
		path, err := filepath.Abs(plugin)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		return obeyFirstCalls(os.Stdin, os.Stdout, func() (time.Duration, error) { return firstCall(path) })
	}
	ready, stop, err := connect(mode, service, address, plugin)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println("ready")
	return obey(os.Stdin, os.Stdout, ready)
}

// obey runs the commands until "quit" or the end of the input.
func obey(commands io.Reader, results io.Writer, ready calls) error {
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		if lines.Text() == "quit" {
			return nil
		}
		var size, count, inFlight int
		if _, err := fmt.Sscanf(lines.Text(), "run unary %d %d %d", &size, &count, &inFlight); err != nil || size < 0 || count < 1 || inFlight < 1 {
			return fmt.Errorf("cannot understand the command %q", lines.Text())
		}
		call, err := ready(size)
		if err != nil {
			return err
		}
		m, err := measure(call, count, inFlight)
		if err != nil {
			return err
		}
		fmt.Fprintln(results, m)
	}
	return lines.Err()
}
