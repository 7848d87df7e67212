//go:build !cgo

package main

import (
	"os"

	"github.com/ebitengine/purego"
)

var (
	coreStart func(executable, address string) uintptr
	coreStop  func(plugin uintptr) int32
)

type plugin struct{ pointer uintptr }

func init() {
	library, err := purego.Dlopen(os.Getenv("CORE_LIBRARY"), purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		panic(err)
	}
	purego.RegisterLibFunc(&coreStart, library, "core_start")
	purego.RegisterLibFunc(&coreStop, library, "core_stop")
}

func start(executable, address string) (plugin, bool) {
	pointer := coreStart(executable, address)
	return plugin{pointer}, pointer != 0
}

func (p plugin) stop() int { return int(coreStop(p.pointer)) }
