package examples_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	kvpb "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"google.golang.org/grpc"
)

// TestReadmeHostRuns builds the program of the README and runs it against a KV service.
func TestReadmeHostRuns(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) != 1 {
		t.Fatalf("the README has %d Go programs, want 1", len(blocks))
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "host")
	if err := os.WriteFile(source, blocks[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v:\n%s", err, output)
	}

	socket := filepath.Join(dir, "plugind.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kvpb.RegisterKVServer(server, &memoryKV{values: map[string][]byte{}})
	go server.Serve(listener)
	defer server.Stop()

	host := exec.Command(program)
	host.Env = append(os.Environ(), "PLUGIND_SOCKET="+socket)
	output, err := host.CombinedOutput()
	if err != nil || string(output) != "b <nil>\n" {
		t.Errorf("the host of the README printed %q, %v", output, err)
	}
}

type memoryKV struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (kv *memoryKV) Put(_ context.Context, request *kvpb.PutRequest) (*kvpb.Empty, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.values[request.Key] = request.Value
	return &kvpb.Empty{}, nil
}

func (kv *memoryKV) Get(_ context.Context, request *kvpb.GetRequest) (*kvpb.GetResponse, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return &kvpb.GetResponse{Value: kv.values[request.Key]}, nil
}
