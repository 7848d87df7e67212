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
)

const key = "bench"

var value = bytes.Repeat([]byte("x"), 100)

// connect readies a contender.  The caller calls stop once.
func connect(mode, address, pluginPath string) (get func() error, stop func(), err error) {
	switch {
	case mode == "go-plugin" && pluginPath != "":
		return startPlugin(pluginPath)
	case mode == "stubs" && address != "":
		return dial(address)
	}
	return nil, nil, fmt.Errorf("give -mode go-plugin and -plugin, or -mode stubs and -address")
}

func startPlugin(path string) (func() error, func(), error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	directory, err := os.MkdirTemp("", "bench-go-") // the plugin writes its values where it runs
	if err != nil {
		return nil, nil, err
	}
	command := exec.Command(path)
	command.Dir = directory
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  shared.Handshake,
		Plugins:          shared.PluginMap,
		Cmd:              command,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	stop := func() {
		client.Kill()
		os.RemoveAll(directory)
	}
	kv, err := dispense(client)
	if err == nil {
		err = kv.Put(key, value)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	get := func() error {
		reply, err := kv.Get(key)
		return check(reply, err)
	}
	return get, stop, nil
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

func dial(address string) (func() error, func(), error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	kv := kvpb.NewKVClient(conn)
	if _, err := kv.Put(context.Background(), &kvpb.PutRequest{Key: key, Value: value}); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("%s: %w", address, err)
	}
	get := func() error {
		reply, err := kv.Get(context.Background(), &kvpb.GetRequest{Key: key})
		return check(reply.GetValue(), err)
	}
	return get, func() { conn.Close() }, nil
}

func check(reply []byte, err error) error {
	// The plugin adds a line of its own.
	if err == nil && !bytes.HasPrefix(reply, value) {
		err = errors.New("kv answered something else than it was given")
	}
	return err
}
