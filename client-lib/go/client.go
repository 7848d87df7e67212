// Package plugind calls plugins that the daemon plugind runs.  It is libplugind for Go.
//
//	client, err := plugind.Dial(ctx, "") // "" is the daemon's usual socket
//	...
//	defer client.Close()
//	kv := proto.NewKVClient(client.Plugin("kv")) // any generated stub works on it
//	reply, err := kv.Get(ctx, &proto.GetRequest{Key: "hello"})
//
// With cgo the package links libplugind (found with pkg-config; the build tag plugind_static links
// the archive).  Without cgo, or with the build tag plugind_purego, it loads the shared library when
// the first client dials.  Neither touches the signals, children or threads of the program.
//
// Calls are unary.  For streams use grpc-go on the plugin's own socket, where no metadata and no
// package of plugind is needed: RUNTIME_DIR/plugins/NAME.sock.
package plugind

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// maxCalls bounds the calls of one client that are inside the library.  The library's call blocks,
// so each holds an operating-system thread, and a Go program that needs 10,000 of those is ended by
// its runtime.  A further call waits for a place, its context or Close.
const maxCalls = 256

// Client is a connection to a daemon.  Many goroutines may use one; their calls share a connection.
// A connection that breaks is opened again by the next call.
type Client struct {
	handle handle
	places chan struct{} // holds one element for each call inside the library
	closed chan struct{} // closed by Close

	mu      sync.Mutex
	running int // calls inside the library; the last one frees a closed client
	closing bool
}

// Dial connects to the daemon at address: "unix:/path", "tcp:HOST:PORT" or an absolute path.  The
// empty address is $PLUGIND_SOCKET, else $XDG_RUNTIME_DIR/plugind/plugind.sock, else
// /run/plugind/plugind.sock.
//
// The deadline of ctx bounds the wait for the connection and for the daemon's greeting; without one
// it is five seconds.  An error is an [*Error]: codes.Unavailable when no daemon answers there,
// codes.InvalidArgument for an address that cannot be understood, codes.PermissionDenied,
// codes.DeadlineExceeded, and codes.FailedPrecondition when the shared library cannot be loaded.
func Dial(ctx context.Context, address string) (*Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, contextError(err)
	}
	if strings.ContainsRune(address, 0) {
		return nil, &Error{code: codes.InvalidArgument, message: "the address contains a zero byte"}
	}
	type result struct {
		handle handle
		err    error
	}
	done := make(chan result)
	go func() {
		handle, err := connect(address, timeoutMilliseconds(ctx))
		select {
		case done <- result{handle, err}:
		case <-ctx.Done():
			if err == nil {
				handle.close()
			}
		}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, r.err
		}
		return &Client{
			handle: r.handle,
			places: make(chan struct{}, maxCalls),
			closed: make(chan struct{}),
		}, nil
	case <-ctx.Done():
		return nil, contextError(ctx.Err())
	}
}

// Invoke makes one unary call and fills reply with the answer.  Plugin is a plugin's name,
// "NAME@VERSION", or "" to let the daemon choose by the service that method names.  Method is
// "/package.Service/Method".  An error is an [*Error].
//
// The deadline of ctx becomes the call's timeout, its outgoing metadata the request's.  When ctx is
// cancelled, Invoke returns at once with codes.Canceled, and the plugin is told.
func (c *Client) Invoke(ctx context.Context, plugin, method string, request, reply proto.Message) error {
	data, err := proto.Marshal(request)
	if err != nil {
		return &Error{code: codes.Internal, message: fmt.Sprintf("the request of %s cannot be serialised: %v", method, err)}
	}
	answer, err := c.InvokeBytes(ctx, plugin, method, data)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(answer, reply); err != nil {
		return &Error{code: codes.Internal, message: fmt.Sprintf("the reply of %s is not a %s: %v", method, reply.ProtoReflect().Descriptor().FullName(), err)}
	}
	return nil
}

// InvokeBytes is [Client.Invoke] with messages that are serialised already.  When it returns because
// ctx was cancelled, request may still be about to be copied: do not write to it afterwards.
func (c *Client) InvokeBytes(ctx context.Context, plugin, method string, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, contextError(err)
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	if strings.ContainsRune(plugin, 0) || strings.ContainsRune(method, 0) {
		return nil, &Error{code: codes.InvalidArgument, message: "the plugin's or method's name contains a zero byte"}
	}
	for name := range md {
		if strings.ContainsRune(name, 0) {
			return nil, &Error{code: codes.InvalidArgument, message: fmt.Sprintf("the metadata's name %q contains a zero byte", name)}
		}
	}
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1) // nobody may be left to receive
	var running runningCall
	go func() {
		data, err := running.run(func() (call, error) {
			return c.handle.begin(plugin, method, request, timeoutMilliseconds(ctx), md)
		})
		c.leave()
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		running.cancel()
		return nil, contextError(ctx.Err())
	case <-c.closed:
		running.cancel()
		return nil, errClosed
	}
}

// runningCall is a call inside the library, which another goroutine may cancel at any time: before
// it has begun and after it has ended, too.
type runningCall struct {
	mu        sync.Mutex
	call      call
	running   bool
	cancelled bool
}

func (r *runningCall) run(begin func() (call, error)) ([]byte, error) {
	begun, err := begin()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.call, r.running = begun, true
	if r.cancelled {
		begun.cancel()
	}
	r.mu.Unlock()
	data, err := begun.wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
	begun.free()
	return data, err
}

func (r *runningCall) cancel() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancelled = true
	if r.running {
		r.call.cancel()
	}
}

// Close ends the calls in flight with codes.Canceled and refuses further ones.  The connection closes
// when the last call in flight has ended in the library, which without calls is before Close returns.
// Closing twice is allowed.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	c.closing = true
	close(c.closed)
	if c.running == 0 {
		c.handle.close()
	}
	return nil
}

// enter waits for a place among the calls inside the library.
func (c *Client) enter(ctx context.Context) error {
	select {
	case c.places <- struct{}{}:
	case <-ctx.Done():
		return contextError(ctx.Err())
	case <-c.closed:
		return errClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		<-c.places
		return errClosed
	}
	c.running++
	return nil
}

func (c *Client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	<-c.places
	c.running--
	if c.closing && c.running == 0 {
		c.handle.close()
	}
}

// timeoutMilliseconds is the time left until the deadline of ctx, rounded up; 0 without a deadline.
func timeoutMilliseconds(ctx context.Context) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, int64((time.Until(deadline)+time.Millisecond-1)/time.Millisecond))
}
