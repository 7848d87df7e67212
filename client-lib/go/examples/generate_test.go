package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	for _, folder := range []string{"textpb", "plugindpb"} {
		want, have := files(t, filepath.Join(fresh, folder)), files(t, folder)
		if !slices.Equal(have, want) {
			t.Errorf("%s has %q, its .proto files give %q: run examples/generate.sh", folder, have, want)
			continue
		}
		for _, name := range want {
			if read(t, filepath.Join(folder, name)) != read(t, filepath.Join(fresh, folder, name)) {
				t.Errorf("%s/%s is not what its .proto file gives: run examples/generate.sh", folder, name)
			}
		}
	}
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return protocVersion.ReplaceAllString(string(data), "")
}
