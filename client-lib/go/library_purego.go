//go:build !cgo || plugind_purego

package plugind

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"google.golang.org/grpc/codes"
)

// handle is a pd_client.
type handle struct{ client unsafe.Pointer }

// call is a pd_call.
type call struct{ call unsafe.Pointer }

// The functions of plugind.h.  A `const char *` that may be NULL is a *byte here; purego copies the
// others.
var (
	pdConnect            func(address *byte, timeoutMS int64, failure *unsafe.Pointer) unsafe.Pointer
	pdClose              func(client unsafe.Pointer)
	pdOptionsNew         func() unsafe.Pointer
	pdOptionsFree        func(options unsafe.Pointer)
	pdOptionsSetTimeout  func(options unsafe.Pointer, timeoutMS int64)
	pdOptionsAddMetadata func(options unsafe.Pointer, name string, value *byte, size uintptr) int32
	pdCallBegin          func(client unsafe.Pointer, plugin *byte, method string, request *byte, size uintptr, options unsafe.Pointer, tag uint64, failure *unsafe.Pointer) unsafe.Pointer
	pdCallWait           func(call unsafe.Pointer, failure *unsafe.Pointer) unsafe.Pointer
	pdCallCancel         func(call unsafe.Pointer)
	pdCallFree           func(call unsafe.Pointer)
	pdReplyData          func(reply unsafe.Pointer) *byte
	pdReplySize          func(reply unsafe.Pointer) uintptr
	pdReplyFree          func(reply unsafe.Pointer)
	pdErrorCode          func(failure unsafe.Pointer) int32
	pdErrorMessage       func(failure unsafe.Pointer) string
	pdErrorReason        func(failure unsafe.Pointer) string
	pdErrorFree          func(failure unsafe.Pointer)
)

// load loads libplugind once: $PLUGIND_LIBRARY, else the loader's search.
var load = sync.OnceValue(func() error {
	path := os.Getenv("PLUGIND_LIBRARY")
	if path == "" {
		path = "libplugind.so.0"
		if runtime.GOOS == "darwin" {
			path = "libplugind.0.dylib"
		}
	}
	// The loader keeps the reason of a failure for each thread, so Dlopen must not change it in
	// between.
	runtime.LockOSThread()
	library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	runtime.UnlockOSThread()
	if err != nil {
		return fmt.Errorf("cannot load %s: %w: install libplugind or name it in $PLUGIND_LIBRARY", path, err)
	}
	var failures []error
	for name, function := range map[string]any{
		"pd_connect":                &pdConnect,
		"pd_close":                  &pdClose,
		"pd_options_new":            &pdOptionsNew,
		"pd_options_free":           &pdOptionsFree,
		"pd_options_set_timeout_ms": &pdOptionsSetTimeout,
		"pd_options_add_metadata":   &pdOptionsAddMetadata,
		"pd_call_begin":             &pdCallBegin,
		"pd_call_wait":              &pdCallWait,
		"pd_call_cancel":            &pdCallCancel,
		"pd_call_free":              &pdCallFree,
		"pd_reply_data":             &pdReplyData,
		"pd_reply_size":             &pdReplySize,
		"pd_reply_free":             &pdReplyFree,
		"pd_error_code":             &pdErrorCode,
		"pd_error_message":          &pdErrorMessage,
		"pd_error_reason":           &pdErrorReason,
		"pd_error_free":             &pdErrorFree,
	} {
		symbol, err := purego.Dlsym(library, name)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s is not a libplugind of this version: %w", path, err))
			continue
		}
		purego.RegisterFunc(function, symbol)
	}
	return errors.Join(failures...)
})

func connect(address string, timeoutMS int64) (handle, error) {
	if err := load(); err != nil {
		return handle{}, &Error{code: codes.FailedPrecondition, message: err.Error()}
	}
	var failure unsafe.Pointer
	client := pdConnect(optionalCString(address), timeoutMS, &failure)
	if client == nil {
		return handle{}, takeError(failure)
	}
	return handle{client}, nil
}

func (h handle) close() { pdClose(h.client) }

// begin starts a call, which copies the request.  It waits only for a connection.
func (h handle) begin(plugin, method string, request []byte, timeoutMS int64, metadata map[string][]string) (call, error) {
	options := pdOptionsNew()
	defer pdOptionsFree(options)
	pdOptionsSetTimeout(options, timeoutMS)
	for name, values := range metadata {
		for _, value := range values {
			if code := pdOptionsAddMetadata(options, name, unsafe.StringData(value), uintptr(len(value))); code != 0 {
				return call{}, &Error{code: codes.Code(code), message: fmt.Sprintf("the metadata %q is not allowed by gRPC", name)}
			}
		}
	}
	var failure unsafe.Pointer
	begun := pdCallBegin(h.client, optionalCString(plugin), method, unsafe.SliceData(request), uintptr(len(request)), options, 0, &failure)
	if begun == nil {
		return call{}, takeError(failure)
	}
	return call{begun}, nil
}

func (c call) wait() ([]byte, error) {
	var failure unsafe.Pointer
	reply := pdCallWait(c.call, &failure)
	if reply == nil {
		return nil, takeError(failure)
	}
	defer pdReplyFree(reply)
	data := make([]byte, int(pdReplySize(reply)))
	copy(data, unsafe.Slice(pdReplyData(reply), len(data)))
	return data, nil
}

func (c call) cancel() { pdCallCancel(c.call) }

func (c call) free() { pdCallFree(c.call) }

// optionalCString is NULL for an empty string, else a copy that ends with a zero byte.
func optionalCString(s string) *byte {
	if s == "" {
		return nil
	}
	return unsafe.SliceData(append([]byte(s), 0))
}

func takeError(failure unsafe.Pointer) *Error {
	defer pdErrorFree(failure)
	return &Error{
		code:    codes.Code(pdErrorCode(failure)),
		message: pdErrorMessage(failure),
		reason:  pdErrorReason(failure),
	}
}
