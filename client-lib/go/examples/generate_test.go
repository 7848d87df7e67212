package examples_test

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
	if output, err := exec.Command("./generate.sh", fresh).CombinedOutput(); err != nil {
		t.Fatalf("generate.sh: %v:\n%s", err, output)
	}
	for _, name := range []string{"text.pb.go", "text_grpc.pb.go"} {
		want := read(t, filepath.Join(fresh, name))
		if read(t, filepath.Join("textpb", name)) != want {
			t.Errorf("textpb/%s is not what text.proto gives: run examples/generate.sh", name)
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
