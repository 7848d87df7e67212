package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/plugind/plugind/client-lib/go/examples/plugindpb"
)

// instances is what plugind's control service tells of the instances of one plugin.
type instances struct {
	plugin string
	daemon plugindpb.PluginHostClient
	events grpc.ServerStreamingClient[plugindpb.WatchEventsResponse]
}

// watch misses no event from its return until ctx is done.
func watch(ctx context.Context, socket, plugin string) (*instances, error) {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	daemon := plugindpb.NewPluginHostClient(conn)
	events, err := daemon.WatchEvents(ctx, &plugindpb.WatchEventsRequest{Plugin: plugin})
	if err != nil {
		return nil, err
	}
	if _, err := events.Header(); err != nil {
		return nil, err
	}
	return &instances{plugin, daemon, events}, nil
}

// ofThisHost is the id of the one instance that serves this process.
func (i *instances) ofThisHost(ctx context.Context) (string, error) {
	ids, err := i.serving(ctx, os.Getpid())
	if err != nil {
		return "", err
	}
	if len(ids) != 1 {
		return "", fmt.Errorf("the instances of %s for this host are %q, not one", i.plugin, ids)
	}
	return ids[0], nil
}

// end waits until an instance of this host has ended, and looks that this is no other one's.
func (i *instances) end(ctx context.Context, id string) error {
	for {
		response, err := i.events.Recv()
		if err != nil {
			return fmt.Errorf("%s has not ended: %w", id, err)
		}
		event := response.GetEvent()
		if event.GetInstance() == id && event.GetState() == plugindpb.InstanceState_INSTANCE_STATE_STOPPED {
			break
		}
	}
	ids, err := i.serving(ctx, os.Getpid())
	if err == nil && len(ids) > 0 {
		err = fmt.Errorf("this host has the instances %q still", ids)
	}
	return err
}

func (i *instances) serving(ctx context.Context, pid int) ([]string, error) {
	response, err := i.daemon.GetPlugin(ctx, &plugindpb.GetPluginRequest{Name: i.plugin})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, instance := range response.Plugin.Instances {
		if instance.HostPid == int64(pid) {
			ids = append(ids, instance.Id)
		}
	}
	return ids, nil
}
