package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	kvpb "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// calls gives what makes one call with so many bytes.  It is used by one goroutine, what it gives by
// many.
type calls func(size int) (call func() error, err error)

// connect readies a contender.  The caller calls stop once.
func connect(mode, service, address, pluginPath string) (ready calls, stop func(), err error) {
	switch {
	case mode == "go-plugin" && pluginPath != "":
		return startPlugin(pluginPath)
	case mode == "stubs" && address != "" && (service == "kv" || service == "echo"):
		return dial(service, address)
	}
	return nil, nil, errors.New("give -mode go-plugin and -plugin, or -mode stubs, -address and -service kv or echo")
}

func startPlugin(path string) (calls, func(), error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	directory, err := os.MkdirTemp("", "bench-go-") // the plugin writes its values where it runs
	if err != nil {
		return nil, nil, err
	}
	client := newClient(path, directory)
	stop := func() {
		client.Kill()
		os.RemoveAll(directory)
	}
	kv, err := dispense(client)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return callsOf(kv.Put, kv.Get), stop, nil
}

// newClient is a host of the plugin, which runs in the directory.
func newClient(path, directory string) *plugin.Client {
	command := exec.Command(path)
	command.Dir = directory
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  shared.Handshake,
		Plugins:          shared.PluginMap,
		Cmd:              command,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
}

func dispense(client *plugin.Client) (shared.KV, error) {
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	kv, err := protocol.Dispense("kv_grpc")
	if err != nil {
		return nil, err
	}
	return kv.(shared.KV), nil
}

func dial(service, address string) (calls, func(), error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	ready, err := map[string]func(*grpc.ClientConn) (calls, error){"kv": callsOfKV, "echo": callsOfEcho}[service](conn)
	if err == nil {
		return ready, func() { conn.Close() }, nil
	}
	conn.Close()
	return nil, nil, fmt.Errorf("%s: %w", address, err)
}

func callsOfKV(conn *grpc.ClientConn) (calls, error) {
	kv := kvpb.NewKVClient(conn)
	put := func(key string, value []byte) error {
		_, err := kv.Put(context.Background(), &kvpb.PutRequest{Key: key, Value: value})
		return err
	}
	get := func(key string) ([]byte, error) {
		reply, err := kv.Get(context.Background(), &kvpb.GetRequest{Key: key})
		return reply.GetValue(), err
	}
	return callsOf(put, get), put("bench", nil) // which connects
}

// callsOfEcho calls as a generated stub does.  On the wire an echo.v1.EchoMessage is a BytesValue:
// one field of bytes, number 1.
func callsOfEcho(conn *grpc.ClientConn) (calls, error) {
	echo := func(payload []byte) error {
		reply := new(wrapperspb.BytesValue)
		err := conn.Invoke(context.Background(), "/echo.v1.Echo/Unary", wrapperspb.Bytes(payload), reply, grpc.StaticMethod())
		if err == nil && !bytes.Equal(reply.GetValue(), payload) {
			err = errors.New("echo did not echo")
		}
		return err
	}
	ready := func(size int) (func() error, error) {
		payload := bytes.Repeat([]byte("x"), size)
		return func() error { return echo(payload) }, nil
	}
	return ready, echo(nil) // which connects
}

// callsOf makes calls of get, with a value for each size that is put once.
func callsOf(put func(string, []byte) error, get func(string) ([]byte, error)) calls {
	known := map[int]func() error{}
	return func(size int) (func() error, error) {
		if call := known[size]; call != nil {
			return call, nil
		}
		key, value := fmt.Sprintf("bench-%d", size), bytes.Repeat([]byte("x"), size)
		if err := put(key, value); err != nil {
			return nil, err
		}
		known[size] = func() error {
			reply, err := get(key)
			// The plugin adds a line of its own.
			if err == nil && !bytes.HasPrefix(reply, value) {
				err = errors.New("kv answered something else than it was given")
			}
			return err
		}
		return known[size], nil
	}
}
