//go:build cgo && !plugind_purego && !plugind_static

package plugind

// #cgo pkg-config: plugind
import "C"
