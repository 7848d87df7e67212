package interop

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/orca"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// servePlugin is the official interop server as a plugin: it listens where PLUGIND_LISTEN says.
func servePlugin() error {
	path, found := strings.CutPrefix(os.Getenv("PLUGIND_LISTEN"), "unix:")
	if !found {
		return fmt.Errorf("PLUGIND_LISTEN is %q, not unix:/path", os.Getenv("PLUGIND_LISTEN"))
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	recorder := orca.NewServerMetricsRecorder()
	server := grpc.NewServer(orca.CallMetricsServerOption(recorder))
	options := orca.ServiceOptions{ServerMetricsProvider: recorder, MinReportingInterval: time.Second}
	if err := orca.Register(server, options); err != nil {
		return err
	}
	testgrpc.RegisterTestServiceServer(
		server, interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: recorder}))
	return server.Serve(listener)
}
