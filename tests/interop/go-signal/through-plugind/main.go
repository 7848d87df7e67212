// Command through-plugind makes plugins start and end through plugind, and does work of its own
// meanwhile.
//
// usage: through-plugind COUNT
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/plugind/plugind/client-lib/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/plugind/plugind/tests/interop/go-signal/hostwork"
	"github.com/plugind/plugind/tests/interop/go-signal/signaltable"
)

const callTimeout = 30 * time.Second

// Messages of text.v1, serialised: field 1 of EchoRequest is "hello", of MayPanicRequest ABORT.
var (
	echoRequest  = []byte("\x0a\x05hello")
	echoReply    = "\x0a\x2ebeep boop I got your string. here it is: hello"
	abortRequest = []byte{0x08, 3}
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "through-plugind:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: through-plugind COUNT")
	}
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return fmt.Errorf("COUNT is not a number: %w", err)
	}
	before, err := signaltable.Read()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	client, err := plugind.Dial(ctx, "")
	if err != nil {
		return err
	}
	for i := 1; i <= count; i++ {
		ended := make(chan error)
		go func() { ended <- startAndEnd(client) }()
		if err := hostwork.Until(ended); err != nil {
			return fmt.Errorf("plugin %d: %w", i, err)
		}
	}
	if err := client.Close(); err != nil {
		return err
	}
	after, err := signaltable.Read()
	if err != nil {
		return err
	}
	if differences := signaltable.Differences(before, after); len(differences) != 0 {
		return fmt.Errorf("the signal table has changed: %q", differences)
	}
	if children, err := signaltable.Children(); err != nil || children != "" {
		return fmt.Errorf("this process has children: %q, %v", children, err)
	}
	fmt.Printf("%d plugin starts and exits survived, signal table unchanged, no children\n", count)
	return nil
}

// startAndEnd makes one instance of the plugin start, answer a call, and end by a signal.
func startAndEnd(client *plugind.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	reply, err := client.InvokeBytes(ctx, "text", "/text.v1.Text/Echo", echoRequest)
	if err != nil {
		return fmt.Errorf("Echo: %w", err)
	}
	if string(reply) != echoReply {
		return fmt.Errorf("Echo answers %q", reply)
	}
	_, err = client.InvokeBytes(ctx, "text", "/text.v1.Text/MayPanic", abortRequest)
	if status.Code(err) != codes.Unavailable || plugind.Reason(err) != "PLUGIN_CRASHED" {
		return fmt.Errorf("MayPanic ends with %v, not with UNAVAILABLE, PLUGIN_CRASHED", err)
	}
	return nil
}
