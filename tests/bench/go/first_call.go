package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

// firstCall spawns the plugin as its host, makes one call, and ends it again.  The time is from
// before the spawn to the answer.
func firstCall(path string) (time.Duration, error) {
	directory, err := os.MkdirTemp("", "bench-go-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(directory)
	value := bytes.Repeat([]byte("x"), 100)

	began := time.Now()
	client := newClient(path, directory)
	defer client.Kill()
	kv, err := dispense(client)
	if err != nil {
		return 0, err
	}
	if err := kv.Put("bench", value); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// obeyFirstCalls answers each "first-call" with milliseconds, until "quit" or the end of the input.
func obeyFirstCalls(commands io.Reader, results io.Writer, call func() (time.Duration, error)) error {
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		switch lines.Text() {
		case "quit":
			return nil
		case "first-call":
			took, err := call()
			if err != nil {
				return err
			}
			fmt.Fprintf(results, "%.3f\n", float64(took.Nanoseconds())/1e6)
		default:
			return fmt.Errorf("cannot understand the command %q", lines.Text())
		}
	}
	return lines.Err()
}
