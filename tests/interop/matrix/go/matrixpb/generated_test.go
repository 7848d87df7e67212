package matrixpb

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The version of protoc is the one thing that may differ between machines.
var protocVersion = regexp.MustCompile(`(?m)^// (- )?\s*protoc +v.*$`)

func TestGeneratedCodeIsCurrent(t *testing.T) {
	if _, err := exec.LookPath("protoc"); err != nil {
		t.Skip("needs protoc: apt-get install protobuf-compiler")
	}
	fresh := t.TempDir()
	if output, err := exec.Command("../generate.sh", fresh).CombinedOutput(); err != nil {
		t.Fatalf("generate.sh: %v:\n%s", err, output)
	}
	for _, name := range []string{"matrix.pb.go", "matrix_grpc.pb.go"} {
		if read(t, name) != read(t, filepath.Join(fresh, name)) {
			t.Errorf("%s is not what matrix.proto gives: run generate.sh", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return protocVersion.ReplaceAllString(string(data), "")
}
