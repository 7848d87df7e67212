// Package interop runs the official gRPC interop cases against the official server: directly, and
// through plugind.  The test binary is the server and the client, too: grpc-go's cases end their
// process when they fail.
package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	roleVariable = "INTEROP_ROLE"
	caseLimit    = 60 * time.Second
	startLimit   = 20 * time.Second
	page         = "../../../docs/compatibility.md"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case "plugin":
		err = servePlugin()
	case "client":
		err = runCase(os.Args[1], os.Args[2], os.Args[3])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// waitFor returns when somebody listens at the Unix socket.
func waitFor(t *testing.T, path string) {
	t.Helper()
	deadline := time.After(startLimit)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		connection, err := net.Dial("unix", path)
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("nobody listens at %s: %v", path, err)
		}
	}
}

// start runs a process until the test ends; closing its standard input is the first way to end it.
// What it writes to standard error is a failure: nothing here is out of the ordinary.
func start(t *testing.T, command *exec.Cmd) {
	t.Helper()
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	command.Stderr = &complaints
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		if command.Args[0] == self(t) { // The server knows no lifeline.
			command.Process.Kill()
		}
		command.Wait()
		if complaints.Len() > 0 {
			t.Errorf("%s wrote:\n%s", command.Path, complaints.String())
		}
	})
}

func startDirect(t *testing.T, directory string) string {
	path := filepath.Join(directory, "direct.sock")
	command := exec.Command(self(t))
	command.Env = append(os.Environ(), roleVariable+"=plugin", "PLUGIND_LISTEN=unix:"+path)
	start(t, command)
	waitFor(t, path)
	return path
}

func startDaemon(t *testing.T, directory string) string {
	plugind := os.Getenv("PLUGIND")
	if plugind == "" {
		t.Fatal("PLUGIND must be the path of the daemon")
	}
	manifests := filepath.Join(directory, "manifests")
	if err := os.Mkdir(manifests, 0o700); err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf("name = \"interop\"\ncommand = [%q]\nenv = { %s = \"plugin\" }\n",
		self(t), roleVariable)
	if err := os.WriteFile(filepath.Join(manifests, "interop.toml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "run", "plugind.sock")
	start(t, exec.Command(plugind, "--manifests", manifests, "--socket", "unix:"+path, "--lifeline",
		"--log-level", "warning"))
	waitFor(t, path)
	return path
}

func TestOfficialCases(t *testing.T) {
	directory, err := os.MkdirTemp("", "interop-") // t.TempDir() is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	direct := startDirect(t, directory)
	front := startDaemon(t, directory)
	routes := []struct{ name, path, plugin string }{
		{"direct", direct, ""},
		{"front socket", front, "interop"},
		{"plugin socket", filepath.Join(filepath.Dir(front), "plugins", "interop.sock"), ""},
	}
	table := "| case | direct | front socket | plugin socket |\n| --- | --- | --- | --- |\n"
	for _, one := range testCases {
		table += "| " + one.name + " |"
		var directly string
		for i, route := range routes {
			var outcome string
			t.Run(one.name+"/"+strings.ReplaceAll(route.name, " ", "-"), func(t *testing.T) {
				var output string
				outcome, output = run(t, one.name, route.path, route.plugin)
				if i == 0 {
					directly = outcome
				}
				// A case that fails without plugind must fail in the same way with it.
				if outcome != directly || (outcome != passes && !failsDirectly[one.name]) {
					t.Errorf("%s; directly it %s\n%s", outcome, directly, output)
				}
			})
			table += " " + outcome + " |"
		}
		table += "\n"
	}
	compareWithPage(t, "interop", table)
}

const passes = "passes"

// What is known to fail between grpc-go's own client and server.
var failsDirectly = map[string]bool{"pick_first_unary": true}

// run makes a case's calls; it gives "passes", or what the case said last, and all that it said.
func run(t *testing.T, name, path, plugin string) (outcome, output string) {
	ctx, cancel := context.WithTimeout(context.Background(), caseLimit)
	defer cancel()
	command := exec.CommandContext(ctx, self(t), name, "unix:"+path, plugin)
	command.Env = append(os.Environ(), roleVariable+"=client", "GRPC_GO_LOG_SEVERITY_LEVEL=error")
	said, err := command.CombinedOutput()
	if err == nil {
		return passes, string(said)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	_, last, _ := strings.Cut(lines[len(lines)-1], "[interop] ")
	return "fails: " + last, fmt.Sprintf("%v\n%s", err, said)
}

// compareWithPage fails where the documentation says something else; UPDATE_DOCS=1 corrects it.
func compareWithPage(t *testing.T, mark, table string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	marked := regexp.MustCompile(
		fmt.Sprintf(`(?s)(<!-- %[1]s:begin -->\n).*?(<!-- %[1]s:end -->)`, mark))
	updated := marked.ReplaceAllString(string(text), "${1}"+table+"${2}")
	if !marked.Match(text) {
		t.Fatalf("%s has no marks %s:begin and %s:end", page, mark, mark)
	}
	if updated == string(text) {
		return
	}
	if os.Getenv("UPDATE_DOCS") == "" {
		t.Fatalf("the table '%s' in %s is not what was found; UPDATE_DOCS=1 corrects it.  Found:\n%s",
			mark, page, table)
	}
	if err := os.WriteFile(page, []byte(updated), 0o644); err != nil {
		t.Fatal(err)
	}
}
