package kv

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"
)

// The executable by itself, used by go-plugin's own client library.
func TestPutAndGet(t *testing.T) {
	directory := t.TempDir()
	executable := filepath.Join(directory, "kv-go-grpc")
	build := exec.Command("go", "build", "-mod=readonly", "-o", executable,
		"github.com/hashicorp/go-plugin/examples/grpc/plugin-go-grpc")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	command := exec.Command(executable)
	command.Dir = directory
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  shared.Handshake,
		Plugins:          shared.PluginMap,
		Cmd:              command,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	defer client.Kill()
	protocol, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	dispensed, err := protocol.Dispense("kv_grpc")
	if err != nil {
		t.Fatal(err)
	}
	kv := dispensed.(shared.KV)
	if err := kv.Put("hello", []byte("world")); err != nil {
		t.Fatal(err)
	}
	value, err := kv.Get("hello")
	if err != nil {
		t.Fatal(err)
	}
	if want := "world\n\nWritten from plugin-go-grpc"; string(value) != want {
		t.Errorf("Get answers %q, not %q", value, want)
	}
	if _, err := kv.Get("nobody put this"); err == nil {
		t.Error("Get of a missing key succeeds")
	}
}
