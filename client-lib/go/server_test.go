package plugind_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// testServer speaks to libplugind as the daemon does: gRPC on a Unix socket.
type testServer struct {
	path         string
	grpc         *grpc.Server
	echoes       atomic.Int64
	waitBegan    chan struct{} // one element for each call of Wait that has begun
	waitEnded    chan struct{} // one for each whose context has ended
	release      chan struct{} // closed to let all calls of Wait answer
	disconnected chan struct{} // one for each connection that has ended
}

func startServer(t *testing.T) *testServer {
	t.Helper()
	return startServerAt(t, filepath.Join(t.TempDir(), "plugind.sock"))
}

func startServerAt(t *testing.T, path string) *testServer {
	t.Helper()
	s := &testServer{
		path:         path,
		waitBegan:    make(chan struct{}, 1024),
		waitEnded:    make(chan struct{}, 1024),
		release:      make(chan struct{}),
		disconnected: make(chan struct{}, 1024),
	}
	s.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(32<<20), grpc.StatsHandler(s))
	s.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.v1.Test",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			method("Echo", s.echo),
			method("Metadata", requestMetadataOf),
			method("Wait", s.wait),
			method("Crash", crash),
			method("Refuse", refuse),
		},
	}, s)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(listener) }()
	t.Cleanup(func() {
		s.grpc.Stop()
		if err := <-served; err != nil {
			t.Errorf("the test server: %v", err)
		}
	})
	return s
}

func method[Request, Reply proto.Message](name string, handle func(context.Context, Request) (Reply, error)) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var zero Request
			request := zero.ProtoReflect().New().Interface()
			if err := decode(request); err != nil {
				return nil, err
			}
			return handle(ctx, request.(Request))
		},
	}
}

func (s *testServer) echo(_ context.Context, request *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	s.echoes.Add(1)
	return request, nil
}

func (s *testServer) wait(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	s.waitBegan <- struct{}{}
	select {
	case <-s.release:
		return &emptypb.Empty{}, nil
	case <-ctx.Done():
		s.waitEnded <- struct{}{}
		return nil, ctx.Err()
	}
}

func requestMetadataOf(ctx context.Context, request *wrapperspb.StringValue) (*wrapperspb.BytesValue, error) {
	values := metadata.ValueFromIncomingContext(ctx, request.Value)
	return wrapperspb.Bytes([]byte(strings.Join(values, "|"))), nil
}

func crash(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	s, err := status.New(codes.Unavailable, "plugin kv ended: signal 11\n").WithDetails(&errdetails.ErrorInfo{
		Reason:   "PLUGIN_CRASHED",
		Domain:   "plugind",
		Metadata: map[string]string{"plugin": "kv", "signal": "11"},
	})
	if err != nil {
		return nil, err
	}
	return nil, s.Err()
}

func refuse(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return nil, status.Error(codes.InvalidArgument, "the text is empty of sense")
}

func (s *testServer) waitFor(t *testing.T, what string, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
}

// The methods of stats.Handler.
func (s *testServer) HandleConn(_ context.Context, event stats.ConnStats) {
	if _, ok := event.(*stats.ConnEnd); ok {
		s.disconnected <- struct{}{}
	}
}
func (*testServer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*testServer) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*testServer) HandleRPC(context.Context, stats.RPCStats)                         {}
