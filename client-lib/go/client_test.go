package plugind_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	plugind "github.com/plugind/plugind/client-lib/go"
)

func TestInvokeReachesThePluginThatItNames(t *testing.T) {
	server := startServer(t)
	client := dial(t, server)
	for plugin, want := range map[string][]string{"kv": {"kv"}, "kv@1.2.0": {"kv@1.2.0"}, "": nil} {
		if got := requestMetadata(t, client, context.Background(), plugin, "plugind-plugin"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("Invoke on plugin %q sent plugind-plugin %q, want %q", plugin, got, want)
		}
	}
}

func TestInvokePassesOutgoingMetadata(t *testing.T) {
	client := dial(t, startServer(t))
	binary := "\x00\xff\n"
	ctx := metadata.AppendToOutgoingContext(context.Background(), "tenant", "a", "tenant", "b", "trace-bin", binary)
	if got := requestMetadata(t, client, ctx, "kv", "tenant"); strings.Join(got, ",") != "a,b" {
		t.Errorf("the plugin saw tenant %q, want a and b", got)
	}
	if got := requestMetadata(t, client, ctx, "kv", "trace-bin"); len(got) != 1 || got[0] != binary {
		t.Errorf("the plugin saw trace-bin %q, want %q", got, binary)
	}
	for name, value := range map[string]string{"tenant": "line\nbreak", "zero\x00": "v", "sp ace": "v"} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), name, value)
		_, err := client.InvokeBytes(ctx, "kv", "/test.v1.Test/Echo", nil)
		wantCode(t, err, codes.InvalidArgument)
	}
}

func TestInvokeCarriesMessagesOfEverySize(t *testing.T) {
	client := dial(t, startServer(t))
	for _, size := range []int{0, 1, 16 << 10, 1 << 20, 16 << 20} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * 7 >> 3)
		}
		var reply wrapperspb.BytesValue
		if err := client.Invoke(context.Background(), "kv", "/test.v1.Test/Echo", wrapperspb.Bytes(data), &reply); err != nil {
			t.Fatalf("Invoke with %d bytes: %v", size, err)
		}
		if !bytes.Equal(reply.Value, data) {
			t.Errorf("Invoke with %d bytes: another value came back", size)
		}
	}
}

func TestErrorCarriesStatusAndReason(t *testing.T) {
	client := dial(t, startServer(t))
	var reply emptypb.Empty
	err := client.Invoke(context.Background(), "kv", "/test.v1.Test/Crash", &emptypb.Empty{}, &reply)
	wantCode(t, err, codes.Unavailable)
	if got, want := status.Convert(err).Message(), "plugin kv ended: signal 11\n"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if got := plugind.Reason(fmt.Errorf("wrapped: %w", err)); got != "PLUGIN_CRASHED" {
		t.Errorf("reason %q, want PLUGIN_CRASHED", got)
	}
	if got, want := err.Error(), "plugind: Unavailable (PLUGIN_CRASHED): plugin kv ended: signal 11\n"; got != want {
		t.Errorf("the error reads %q, want %q", got, want)
	}
	err = client.Invoke(context.Background(), "kv", "/test.v1.Test/Refuse", &emptypb.Empty{}, &reply)
	wantCode(t, err, codes.InvalidArgument)
	if got := plugind.Reason(err); got != "" {
		t.Errorf("an error of the plugin's own has the reason %q, want none", got)
	}
}

func TestInvokeRefusesNamesWithZeroBytes(t *testing.T) {
	client := dial(t, startServer(t))
	_, err := client.InvokeBytes(context.Background(), "kv\x00", "/test.v1.Test/Echo", nil)
	wantCode(t, err, codes.InvalidArgument)
	_, err = client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Echo\x00", nil)
	wantCode(t, err, codes.InvalidArgument)
}

func TestDeadlineEndsTheCallAndThePluginSeesIt(t *testing.T) {
	server := startServer(t)
	client := dial(t, server)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := client.InvokeBytes(ctx, "kv", "/test.v1.Test/Wait", nil)
	wantCode(t, err, codes.DeadlineExceeded)
	server.waitFor(t, "the plugin's context to end", server.waitEnded)

	expired, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	_, err = client.InvokeBytes(expired, "kv", "/test.v1.Test/Echo", nil)
	wantCode(t, err, codes.DeadlineExceeded)
}

func TestCancelReturnsAtOnceAndThePluginSeesIt(t *testing.T) {
	server := startServer(t)
	client := dial(t, server)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-server.waitBegan
		cancel()
	}()
	_, err := client.InvokeBytes(ctx, "kv", "/test.v1.Test/Wait", nil)
	wantCode(t, err, codes.Canceled)
	server.waitFor(t, "the plugin's context to end", server.waitEnded)
	if _, err := client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Echo", nil); err != nil {
		t.Errorf("the call after a cancelled one: %v", err)
	}
}

func TestCloseEndsCallsInFlightAndRefusesFurtherOnes(t *testing.T) {
	server := startServer(t)
	client := dial(t, server)
	go func() {
		<-server.waitBegan
		client.Close()
	}()
	_, err := client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Wait", nil)
	wantCode(t, err, codes.Canceled)
	_, err = client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Echo", nil)
	wantCode(t, err, codes.Canceled)
	server.waitFor(t, "the connection to close behind the last call", server.disconnected)
	if err := client.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestManyGoroutinesShareAClient(t *testing.T) {
	client := dial(t, startServer(t))
	var group sync.WaitGroup
	for i := range 64 {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := range 50 {
				want := fmt.Sprintf("call %d of goroutine %d", j, i)
				var reply wrapperspb.StringValue
				if err := client.Invoke(context.Background(), "kv", "/test.v1.Test/Echo", wrapperspb.String(want), &reply); err != nil {
					t.Errorf("%s: %v", want, err)
					return
				} else if reply.Value != want {
					t.Errorf("%s was answered %q", want, reply.Value)
				}
			}
		}()
	}
	group.Wait()
}

func TestCallsInTheLibraryAreBounded(t *testing.T) {
	const bound = 256
	server := startServer(t)
	client := dial(t, server)
	var group sync.WaitGroup
	for range bound {
		group.Add(1)
		go func() {
			defer group.Done()
			if _, err := client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Wait", nil); err != nil {
				t.Error(err)
			}
		}()
	}
	for range bound {
		server.waitFor(t, "a call to arrive", server.waitBegan)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := client.InvokeBytes(ctx, "kv", "/test.v1.Test/Echo", nil)
	wantCode(t, err, codes.DeadlineExceeded)
	if n := server.echoes.Load(); n != 0 {
		t.Errorf("%d calls over the bound reached the plugin", n)
	}
	close(server.release)
	group.Wait()
	if _, err := client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Echo", nil); err != nil {
		t.Errorf("the call after all places were taken: %v", err)
	}
}

func TestClientReconnectsAfterTheServerDied(t *testing.T) {
	server := startServer(t)
	client := dial(t, server)
	go func() {
		<-server.waitBegan
		server.grpc.Stop()
	}()
	_, err := client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Wait", nil)
	wantCode(t, err, codes.Unavailable)
	if got := plugind.Reason(err); got != "DAEMON_GONE" {
		t.Errorf("reason %q, want DAEMON_GONE", got)
	}
	_, err = client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Echo", nil)
	wantCode(t, err, codes.Unavailable)

	startServerAt(t, server.path)
	if _, err := client.InvokeBytes(context.Background(), "kv", "/test.v1.Test/Echo", nil); err != nil {
		t.Errorf("the call after the server came back: %v", err)
	}
}

// The profiler interrupts threads with SIGPROF, inside the library too.
func TestCallsSurviveSignals(t *testing.T) {
	client := dial(t, startServer(t))
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skip(err) // another profile is running: go test -cpuprofile
	}
	defer pprof.StopCPUProfile()
	request := wrapperspb.Bytes(make([]byte, 1<<20))
	for range 100 {
		var reply wrapperspb.BytesValue
		if err := client.Invoke(context.Background(), "kv", "/test.v1.Test/Echo", request, &reply); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(reply.Value, request.Value) {
			t.Fatal("another value came back")
		}
	}
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	ctx := context.Background()
	missing := filepath.Join(t.TempDir(), "missing.sock")
	_, err := plugind.Dial(ctx, "unix:"+missing)
	wantCode(t, err, codes.Unavailable)
	if !strings.Contains(err.Error(), missing) {
		t.Errorf("the error does not name the socket: %v", err)
	}
	for _, address := range []string{"nonsense", "unix:/a\x00b", "tcp:192.0.2.1:80"} {
		_, err := plugind.Dial(ctx, address)
		wantCode(t, err, codes.InvalidArgument)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = plugind.Dial(cancelled, "unix:"+missing)
	wantCode(t, err, codes.Canceled)
}

func TestDialObeysItsContext(t *testing.T) {
	// Says nothing: the connection stands, but no greeting comes.
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "silent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ended := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			conn.SetReadDeadline(time.Now().Add(3 * time.Second)) // less than Dial's five without a deadline
			_, err = io.Copy(io.Discard, conn)
			conn.Close()
		}
		ended <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = plugind.Dial(ctx, listener.Addr().String())
	wantCode(t, err, codes.DeadlineExceeded)
	if err := <-ended; err != nil {
		t.Errorf("the library kept the connection: %v", err)
	}
}

func TestDialUsesTheEnvironment(t *testing.T) {
	server := startServer(t)
	t.Setenv("PLUGIND_SOCKET", "unix:"+server.path)
	client, err := plugind.Dial(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

func TestStubsWorkOnAConn(t *testing.T) {
	conn := dial(t, startServer(t)).Plugin("kv")
	var reply wrapperspb.StringValue
	if err := conn.Invoke(context.Background(), "/test.v1.Test/Echo", wrapperspb.String("hello"), &reply, grpc.StaticMethod()); err != nil || reply.Value != "hello" {
		t.Errorf("Invoke answered %q, %v", reply.Value, err)
	}
	var header metadata.MD
	err := conn.Invoke(context.Background(), "/test.v1.Test/Echo", wrapperspb.String("hello"), &reply, grpc.Header(&header))
	wantCode(t, err, codes.Unimplemented)
	_, err = conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, "/test.v1.Test/Split")
	wantCode(t, err, codes.Unimplemented)
	err = conn.Invoke(context.Background(), "/test.v1.Test/Echo", "not a message", &reply)
	wantCode(t, err, codes.Internal)
}

func TestInvokeRefusesAReplyOfAnotherType(t *testing.T) {
	client := dial(t, startServer(t))
	var reply wrapperspb.StringValue // the answer is no UTF-8
	err := client.Invoke(context.Background(), "kv", "/test.v1.Test/Echo", wrapperspb.Bytes([]byte{0xff}), &reply)
	wantCode(t, err, codes.Internal)
}

func dial(t *testing.T, server *testServer) *plugind.Client {
	t.Helper()
	client, err := plugind.Dial(context.Background(), "unix:"+server.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func requestMetadata(t *testing.T, client *plugind.Client, ctx context.Context, plugin, name string) []string {
	t.Helper()
	var reply wrapperspb.BytesValue
	if err := client.Invoke(ctx, plugin, "/test.v1.Test/Metadata", wrapperspb.String(name), &reply); err != nil {
		t.Fatal(err)
	}
	if len(reply.Value) == 0 {
		return nil
	}
	return strings.Split(string(reply.Value), "|")
}

func wantCode(t *testing.T, err error, code codes.Code) {
	t.Helper()
	if got := status.Code(err); got != code {
		t.Fatalf("code %v, want %v: %v", got, code, err)
	}
}
