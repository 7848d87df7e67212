//go:build cgo

package main

// #cgo LDFLAGS: -lcore_in_process
// #include <stdlib.h>
// void *core_start(const char *executable, const char *address);
// int core_stop(void *plugin);
import "C"

import "unsafe"

type plugin struct{ pointer unsafe.Pointer }

func start(executable, address string) (plugin, bool) {
	cExecutable, cAddress := C.CString(executable), C.CString(address)
	defer C.free(unsafe.Pointer(cExecutable))
	defer C.free(unsafe.Pointer(cAddress))
	pointer := C.core_start(cExecutable, cAddress)
	return plugin{pointer}, pointer != nil
}

func (p plugin) stop() int { return int(C.core_stop(p.pointer)) }
