// A host of hashicorp/go-plugin, with nothing of plugind's in it: it attaches to the plugin that
// plugind runs instead of starting one.
package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"

	"github.com/plugind/plugind/client-lib/go/examples/internal/rows"
)

func main() {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  shared.Handshake,
		Plugins:          shared.PluginMap,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		Reattach: &plugin.ReattachConfig{
			Protocol:        plugin.ProtocolGRPC,
			ProtocolVersion: int(shared.Handshake.ProtocolVersion),
			Addr:            &net.UnixAddr{Net: "unix", Name: pluginSocket("kv")},
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
	raw, err := rpcClient.Dispense("kv_grpc")
	if err != nil {
		fail(err)
	}
	kv := raw.(shared.KV)

	const key, value = "go-reattach", "a string from Go"
	r := rows.New("go-plugin-reattach")
	r.Show("kv", "Put", func() (string, error) { return value, kv.Put(key, []byte(value)) })
	r.Show("kv", "Get", func() (string, error) {
		reply, err := kv.Get(key)
		if err == nil && !strings.HasPrefix(string(reply), value) {
			err = fmt.Errorf("another value came back: %q", reply)
		}
		return string(reply), err
	})
	// Close calls GRPCController/Shutdown, which plugind answers: this host is done with the plugin.
	r.Show("kv", "Close", func() (string, error) { return "closed", rpcClient.Close() })
	client.Kill() // does nothing in test mode, and may stay in a host that had it
	r.Exit()
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

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
