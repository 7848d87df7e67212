//go:build linux && cgo && !plugind_purego && plugind_static

package plugind_test

import (
	"os"
	"strings"
	"testing"
)

func TestStaticProgramNeedsNoSharedLibrary(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(maps), "libplugind") {
		t.Error("the shared library is loaded although the archive is linked")
	}
}
