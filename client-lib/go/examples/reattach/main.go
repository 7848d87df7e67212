// A host of hashicorp/go-plugin: it attaches to the plugin that plugind runs instead of starting one,
// on the plugin's own socket and then on the daemon's.  Nothing of plugind's is in it, but for what
// looks on from outside (instances.go).
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"

	"github.com/plugind/plugind/client-lib/go/examples/internal/rows"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	front := frontSocket()
	// Its connection stays, so that this process is a host of plugind's all the time: an instance
	// does not end because the host has gone, only because go-plugin's Close says that it may.
	instances, err := watch(ctx, front, "kv")
	if err != nil {
		fail(err)
	}
	r := rows.New("reattach, plugin socket")
	attach(ctx, r, filepath.Join(filepath.Dir(front), "plugins", "kv.sock"), instances)
	// Here nothing names the plugin: it is the only one of go-plugin's.
	r.Route("reattach, front socket")
	attach(ctx, r, front, instances)
	r.Exit()
}

// attach uses the plugin as go-plugin's own example does.
func attach(ctx context.Context, r *rows.Rows, socket string, instances *instances) {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  shared.Handshake,
		Plugins:          shared.PluginMap,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		Reattach: &plugin.ReattachConfig{
			Protocol:        plugin.ProtocolGRPC,
			ProtocolVersion: int(shared.Handshake.ProtocolVersion),
			Addr:            &net.UnixAddr{Net: "unix", Name: socket},
			// The plugin's life is plugind's business.  Test makes Kill leave the process alone, and
			// Pid must be one that lives as long as this host: its own.  Never put the daemon's pid
			// here without Test: Kill would send it SIGKILL.
			Test: true,
			Pid:  os.Getpid(),
		},
	})
	// From here on, this is go-plugin's own example.
	rpcClient, err := client.Client()
	if err != nil {
		fail(err)
	}
	r.Show("kv", "Ping", func() (string, error) { return "it serves", rpcClient.Ping() })
	raw, err := rpcClient.Dispense("kv_grpc")
	if err != nil {
		fail(err)
	}
	kv := raw.(shared.KV)

	const key, value = "go-reattach", "a string from Go"
	r.Show("kv", "Put", func() (string, error) { return value, kv.Put(key, []byte(value)) })
	r.Show("kv", "Get", func() (string, error) {
		reply, err := kv.Get(key)
		if err == nil && !strings.HasPrefix(string(reply), value) {
			err = fmt.Errorf("another value came back: %q", reply)
		}
		return string(reply), err
	})
	// Close calls GRPCController/Shutdown, which plugind answers: this host is done with the plugin.
	// It does not tell how that went, so what became of the instance is looked at.
	r.Show("kv", "Close", func() (string, error) {
		mine, err := instances.ofThisHost(ctx)
		if err != nil {
			return "", err
		}
		if err := rpcClient.Close(); err != nil {
			return "", err
		}
		client.Kill() // does nothing in test mode, and may stay in a host that had it
		return mine + " has ended", instances.end(ctx, mine)
	})
}

// frontSocket is the daemon's; a plugin's own is plugins/NAME.sock beside it.
func frontSocket() string {
	if socket := os.Getenv("PLUGIND_SOCKET"); socket != "" {
		return strings.TrimPrefix(socket, "unix:")
	}
	if directory := os.Getenv("XDG_RUNTIME_DIR"); directory != "" {
		return directory + "/plugind/plugind.sock"
	}
	return "/run/plugind/plugind.sock"
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
