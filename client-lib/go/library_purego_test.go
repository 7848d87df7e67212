//go:build !cgo || plugind_purego

package plugind_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	plugind "github.com/plugind/plugind/client-lib/go"
)

// The library is loaded once a process, so the test runs itself as a child.
func TestDialWithoutTheLibrarySaysSo(t *testing.T) {
	if os.Getenv("PLUGIND_TEST_CHILD") != "" {
		_, err := plugind.Dial(context.Background(), "")
		wantCode(t, err, codes.FailedPrecondition)
		if !strings.Contains(err.Error(), "/nowhere/libplugind.so") || !strings.Contains(err.Error(), "PLUGIND_LIBRARY") {
			t.Errorf("the error does not name the library and what to do: %v", err)
		}
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), "PLUGIND_TEST_CHILD=1", "PLUGIND_LIBRARY=/nowhere/libplugind.so")
	output, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Errorf("%v:\n%s", err, output)
	}
}
