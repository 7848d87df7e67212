//go:build cgo && !plugind_purego

package plugind

// #include <stdlib.h>
// #include <plugind/plugind.h>
import "C"

import (
	"fmt"
	"unsafe"

	"google.golang.org/grpc/codes"
)

// handle is a pd_client.
type handle struct{ client *C.pd_client }

// call is a pd_call.
type call struct{ call *C.pd_call }

func connect(address string, timeoutMS int64) (handle, error) {
	cAddress := optionalCString(address)
	defer C.free(unsafe.Pointer(cAddress))
	var failure *C.pd_error
	client := C.pd_connect(cAddress, C.int64_t(timeoutMS), &failure)
	if client == nil {
		return handle{}, takeError(failure)
	}
	return handle{client}, nil
}

func (h handle) close() { C.pd_close(h.client) }

// begin starts a call, which copies the request.  It waits only for a connection.
func (h handle) begin(plugin, method string, request []byte, timeoutMS int64, metadata map[string][]string) (call, error) {
	options := C.pd_options_new()
	defer C.pd_options_free(options)
	C.pd_options_set_timeout_ms(options, C.int64_t(timeoutMS))
	for name, values := range metadata {
		for _, value := range values {
			if err := addMetadata(options, name, value); err != nil {
				return call{}, err
			}
		}
	}
	cPlugin := optionalCString(plugin)
	defer C.free(unsafe.Pointer(cPlugin))
	cMethod := C.CString(method)
	defer C.free(unsafe.Pointer(cMethod))
	size := C.size_t(len(request))
	if size == 0 {
		request = []byte{0}
	}
	var failure *C.pd_error
	// The form &request[0] makes cgo's pointer check look at the slice alone, not at what it is part of.
	begun := C.pd_call_begin(h.client, cPlugin, cMethod, unsafe.Pointer(&request[0]), size, options, 0, &failure)
	if begun == nil {
		return call{}, takeError(failure)
	}
	return call{begun}, nil
}

func (c call) wait() ([]byte, error) {
	var failure *C.pd_error
	reply := C.pd_call_wait(c.call, &failure)
	if reply == nil {
		return nil, takeError(failure)
	}
	defer C.pd_reply_free(reply)
	data := make([]byte, int(C.pd_reply_size(reply)))
	copy(data, unsafe.Slice((*byte)(C.pd_reply_data(reply)), len(data)))
	return data, nil
}

func (c call) cancel() { C.pd_call_cancel(c.call) }

func (c call) free() { C.pd_call_free(c.call) }

func addMetadata(options *C.pd_options, name, value string) error {
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	code := C.pd_options_add_metadata(options, cName, unsafe.Pointer(unsafe.StringData(value)), C.size_t(len(value)))
	if code != 0 {
		return &Error{code: codes.Code(code), message: fmt.Sprintf("the metadata %q is not allowed by gRPC", name)}
	}
	return nil
}

// optionalCString is NULL for an empty string.  The caller frees it.
func optionalCString(s string) *C.char {
	if s == "" {
		return nil
	}
	return C.CString(s)
}

func takeError(failure *C.pd_error) *Error {
	defer C.pd_error_free(failure)
	return &Error{
		code:    codes.Code(C.pd_error_code(failure)),
		message: C.GoString(C.pd_error_message(failure)),
		reason:  C.GoString(C.pd_error_reason(failure)),
	}
}
