// A host with nothing of plugind's in it: generated grpc-go stubs on the plugins' own sockets.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	kvpb "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/plugind/plugind/client-lib/go/examples/internal/rows"
	"github.com/plugind/plugind/client-lib/go/examples/textpb"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := rows.New("plugin-socket")
	kv, text := connect("kv"), connect("text")
	callKV(ctx, r, kvpb.NewKVClient(kv))
	callText(ctx, r, textpb.NewTextClient(text))
	kv.Close()
	text.Close()
	r.Exit()
}

// connect opens plugind's socket of one plugin.  It names no plugin to grpc-go and none is needed.
func connect(plugin string) *grpc.ClientConn {
	conn, err := grpc.NewClient("unix:"+pluginSocket(plugin),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20))) // grpc-go's own bound is 4 MiB
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return conn
}

// pluginSocket is RUNTIME_DIR/plugins/NAME.sock; the daemon's own socket is in RUNTIME_DIR.
func pluginSocket(plugin string) string {
	daemon := strings.TrimPrefix(os.Getenv("PLUGIND_SOCKET"), "unix:")
	if daemon == "" && os.Getenv("XDG_RUNTIME_DIR") != "" {
		daemon = os.Getenv("XDG_RUNTIME_DIR") + "/plugind/plugind.sock"
	} else if daemon == "" {
		daemon = "/run/plugind/plugind.sock"
	}
	return filepath.Join(filepath.Dir(daemon), "plugins", plugin+".sock")
}

func callKV(ctx context.Context, r *rows.Rows, kv kvpb.KVClient) {
	const key, value = "go-stubs", "a string from Go"
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
	r.Show("text", "Split", func() (string, error) { return split(ctx, text) })
	r.Show("text", "Chat", func() (string, error) { return chat(ctx, text) })

	// mayPanic makes a call that must fail; as says whether it failed as it should.
	mayPanic := func(mode textpb.MayPanicRequest_Mode, as func(error) bool) {
		r.Show("text", "MayPanic "+mode.String(), func() (string, error) {
			_, err := text.MayPanic(ctx, &textpb.MayPanicRequest{Mode: mode})
			if !as(err) {
				return "", fmt.Errorf("not the failure that was asked for: %v", err)
			}
			return strings.TrimSpace(reason(err) + " " + err.Error()), nil
		})
	}
	mayPanic(textpb.MayPanicRequest_ERROR, func(err error) bool {
		return status.Code(err) == codes.InvalidArgument && status.Convert(err).Message() == "the text is empty of sense"
	})
	// tonic cancels the call whose handler panicked; the plugin lives.
	mayPanic(textpb.MayPanicRequest_PANIC, func(err error) bool { return status.Code(err) == codes.Canceled })
	r.Show("text", "Echo after PANIC", echo)
	mayPanic(textpb.MayPanicRequest_SEGFAULT, func(err error) bool {
		return status.Code(err) == codes.Unavailable && reason(err) == "PLUGIN_CRASHED"
	})
	r.Show("text", "Echo again", echo)
}

// split receives a server's stream.
func split(ctx context.Context, text textpb.TextClient) (string, error) {
	stream, err := text.Split(ctx, &textpb.SplitRequest{Text: "one message a word"})
	if err != nil {
		return "", err
	}
	var words []string
	for {
		word, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		words = append(words, word.Text)
	}
	if !slices.Equal(words, []string{"one", "message", "a", "word"}) {
		return "", fmt.Errorf("other words came back: %q", words)
	}
	return strings.Join(words, "|"), nil
}

// chat asks the next question when the answer to the last one is there.
func chat(ctx context.Context, text textpb.TextClient) (string, error) {
	stream, err := text.Chat(ctx)
	if err != nil {
		return "", err
	}
	questions := []string{"first", "second", "third"}
	for _, question := range questions {
		if err := stream.Send(&textpb.EchoRequest{Text: question}); err != nil {
			return "", err
		}
		answer, err := stream.Recv()
		if err != nil {
			return "", err
		}
		if !strings.HasSuffix(answer.Text, ": "+question) {
			return "", fmt.Errorf("the answer to %q was %q", question, answer.Text)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return "", err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("the stream did not end: %v", err)
	}
	return strings.Join(questions, "|"), nil
}

// reason is the stable word in the status details that plugind adds to a failure.
func reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return ""
}
