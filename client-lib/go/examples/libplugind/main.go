// A host on libplugind: one connection to the daemon, generated stubs for every plugin.
//
//	go build -o host-go-cgo-dynamic ./libplugind
//	go build -o host-go-cgo-static -tags plugind_static ./libplugind
//	CGO_ENABLED=0 go build -o host-go-purego ./libplugind
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	kvpb "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	plugind "github.com/plugind/plugind/client-lib/go"
	"github.com/plugind/plugind/client-lib/go/examples/internal/rows"
	"github.com/plugind/plugind/client-lib/go/examples/textpb"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := plugind.Dial(ctx, "") // $PLUGIND_SOCKET, or the usual place
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r := rows.New("libplugind")
	callKV(ctx, r, kvpb.NewKVClient(client.Plugin("kv")))
	callText(ctx, r, textpb.NewTextClient(client.Plugin("text")))
	client.Close()
	r.Exit()
}

func callKV(ctx context.Context, r *rows.Rows, kv kvpb.KVClient) {
	const key, value = "go-libplugind", "a string from Go"
	r.Show("kv", "Put", func() (string, error) {
		_, err := kv.Put(ctx, &kvpb.PutRequest{Key: key, Value: []byte(value)})
		return value, err
	})
	r.Show("kv", "Get", func() (string, error) {
		reply, err := kv.Get(ctx, &kvpb.GetRequest{Key: key})
		if err == nil && !strings.HasPrefix(string(reply.Value), value) {
			err = fmt.Errorf("another value came back: %q", reply.Value)
		}
		return string(reply.GetValue()), err
	})
}

func callText(ctx context.Context, r *rows.Rows, text textpb.TextClient) {
	echo := func() (string, error) {
		reply, err := text.Echo(ctx, &textpb.EchoRequest{Text: "héllo from Go"})
		if err == nil && reply.Text != "beep boop I got your string. here it is: héllo from Go" {
			err = fmt.Errorf("another text came back: %q", reply.Text)
		}
		return reply.GetText(), err
	}
	r.Show("text", "Echo", echo)
	r.Show("text", "Reverse 16 MiB", func() (string, error) {
		data := make([]byte, 16<<20)
		for i := range data {
			data[i] = byte(i >> 10)
		}
		reply, err := text.Reverse(ctx, &textpb.ReverseRequest{Data: data})
		slices.Reverse(data)
		if err == nil && !bytes.Equal(reply.Data, data) {
			err = fmt.Errorf("other bytes came back")
		}
		return "the bytes came back reversed", err
	})

	// mayPanic makes a call that must fail; as says whether it failed as it should.
	mayPanic := func(mode textpb.MayPanicRequest_Mode, as func(error) bool) {
		r.Show("text", "MayPanic "+mode.String(), func() (string, error) {
			_, err := text.MayPanic(ctx, &textpb.MayPanicRequest{Mode: mode})
			if !as(err) {
				return "", fmt.Errorf("not the failure that was asked for: %v", err)
			}
			return err.Error(), nil
		})
	}
	mayPanic(textpb.MayPanicRequest_ERROR, func(err error) bool {
		return status.Code(err) == codes.InvalidArgument && status.Convert(err).Message() == "the text is empty of sense"
	})
	// tonic cancels the call whose handler panicked; the plugin lives.
	mayPanic(textpb.MayPanicRequest_PANIC, func(err error) bool { return status.Code(err) == codes.Canceled })
	r.Show("text", "Echo after PANIC", echo)
	mayPanic(textpb.MayPanicRequest_SEGFAULT, func(err error) bool {
		return status.Code(err) == codes.Unavailable && plugind.Reason(err) == "PLUGIN_CRASHED"
	})
	r.Show("text", "Echo again", echo)
}
