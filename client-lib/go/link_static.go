//go:build linux && cgo && !plugind_purego && plugind_static

package plugind

// The archive stands before what pkg-config says and defines all that is needed, so that
// --as-needed leaves the shared library out.

// #cgo LDFLAGS: -Wl,--as-needed -l:libplugind.a
// #cgo pkg-config: plugind
import "C"
