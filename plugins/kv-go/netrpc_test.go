package kv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const netRPC = `name = "netrpc"
dialect = "go-plugin"
command = [%q]
go-plugin.cookie_key = "BASIC_PLUGIN"
go-plugin.cookie_value = "hello"
`

// go-plugin's own example of a net/rpc plugin starts, and plugind says why it cannot be used.
func TestPlugindRefusesNetRPC(t *testing.T) {
	plugind := os.Getenv("PLUGIND")
	if plugind == "" {
		t.Fatal("PLUGIND must be the path of the daemon")
	}
	directory, err := os.MkdirTemp("", "netrpc-") // t.TempDir() is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	executable := filepath.Join(directory, "kv-go-netrpc")
	build := exec.Command("go", "build", "-mod=readonly", "-o", executable,
		"github.com/hashicorp/go-plugin/examples/grpc/plugin-go-netrpc")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	manifests := filepath.Join(directory, "manifests")
	if err := os.Mkdir(manifests, 0o700); err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(netRPC, executable)
	if err := os.WriteFile(filepath.Join(manifests, "netrpc.toml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(directory, "run", "plugind.sock")
	daemon := exec.Command(plugind, "--manifests", manifests, "--socket", "unix:"+socket, "--lifeline")
	lifeline, err := daemon.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		lifeline.Close()
		if err := daemon.Wait(); err != nil || t.Failed() {
			t.Errorf("plugind ended with %v and wrote:\n%s", err, log.String())
		}
	}()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := grpc.DialContext(ctx, "unix:"+filepath.Join(directory, "run", "plugins", "netrpc.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithBlock()) // the socket is not there at once
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the call of a net/rpc plugin ended with %v, want UNAVAILABLE", err)
	}
	for _, words := range []string{"plugin 'netrpc' cannot start", "it speaks Go's net/rpc, not gRPC", "set GRPCServer"} {
		if !strings.Contains(status.Convert(err).Message(), words) {
			t.Errorf("the caller is not told %q: %v", words, err)
		}
	}
}
