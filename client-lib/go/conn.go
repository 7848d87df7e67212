package plugind

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// Conn lets generated stubs make unary calls through a Client.
type Conn struct {
	client *Client
	plugin string
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// Plugin is a connection for the stubs of one plugin: its name, "NAME@VERSION", or "" to let the
// daemon choose by the service.  It lives as long as the client and needs no closing.
func (c *Client) Plugin(name string) *Conn { return &Conn{client: c, plugin: name} }

// Invoke implements grpc.ClientConnInterface; see [Client.Invoke].  libplugind gives no reply
// metadata and has no per-call settings, so an option that asks for them is refused with
// codes.Unimplemented rather than ignored.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	for _, opt := range opts {
		switch opt.(type) {
		case grpc.StaticMethodCallOption, grpc.EmptyCallOption:
		default:
			return &Error{code: codes.Unimplemented, message: fmt.Sprintf("libplugind does not support %T: use grpc-go on the plugin's socket, RUNTIME_DIR/plugins/NAME.sock", opt)}
		}
	}
	request, ok := args.(proto.Message)
	if !ok {
		return &Error{code: codes.Internal, message: fmt.Sprintf("the request of %s is a %T, not a protobuf message", method, args)}
	}
	answer, ok := reply.(proto.Message)
	if !ok {
		return &Error{code: codes.Internal, message: fmt.Sprintf("the reply of %s is a %T, not a protobuf message", method, reply)}
	}
	return c.client.Invoke(ctx, c.plugin, method, request, answer)
}

// NewStream implements grpc.ClientConnInterface and always fails: libplugind makes unary calls only.
func (c *Conn) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, &Error{code: codes.Unimplemented, message: fmt.Sprintf("%s is a stream and libplugind makes unary calls only: use grpc-go on the plugin's socket, RUNTIME_DIR/plugins/NAME.sock", method)}
}
