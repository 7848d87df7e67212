package plugind

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is how a call, or Dial, failed.  status.Code, status.Convert and status.FromError of grpc-go
// understand it, so code written for generated stubs needs no change.  Details that a plugin adds to
// its status are not passed by libplugind.
type Error struct {
	code    codes.Code
	message string
	reason  string
}

// Code is the gRPC status code; never codes.OK.
func (e *Error) Code() codes.Code { return e.code }

// Message says what failed and what to do, for people.
func (e *Error) Message() string { return e.message }

// Reason is a stable word for programs, for example "PLUGIN_CRASHED"; see docs/errors.md.  It is
// empty when the plugin itself answered with a status that carries none.
func (e *Error) Reason() string { return e.reason }

// Error is all of it in a line: "plugind: Unavailable (PLUGIN_CRASHED): message".
func (e *Error) Error() string {
	if e.reason == "" {
		return fmt.Sprintf("plugind: %s: %s", e.code, e.message)
	}
	return fmt.Sprintf("plugind: %s (%s): %s", e.code, e.reason, e.message)
}

// GRPCStatus makes the error a gRPC status.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.code, e.message) }

// Reason is the reason of the [*Error] in err's chain; "" when there is none.
func Reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.reason
	}
	return ""
}

var errClosed = &Error{code: codes.Canceled, message: "the client is closed"}

func contextError(err error) *Error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{code: codes.DeadlineExceeded, message: "the deadline of the call's context passed"}
	}
	return &Error{code: codes.Canceled, message: "the call's context was cancelled"}
}
