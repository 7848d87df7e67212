package signaltable

import (
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

func TestSeesOneChangedDisposition(t *testing.T) {
	before, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGUSR2)
	defer signal.Reset(syscall.SIGUSR2)
	after, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	differences := strings.Join(Differences(before, after), "\n")
	if !strings.HasPrefix(differences, "signal 12: ") || !strings.Contains(differences, "SigIgn") {
		t.Errorf("differences are %q", differences)
	}
	if again := Differences(before, before); len(again) != 0 {
		t.Errorf("a table differs from itself: %q", again)
	}
}

func TestSeesAChild(t *testing.T) {
	if children, err := Children(); err != nil || children != "" {
		t.Fatalf("children before: %q, %v", children, err)
	}
	command := exec.Command("cat") // runs until its standard input is closed
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if children, err := Children(); err != nil || children == "" {
		t.Errorf("children meanwhile: %q, %v", children, err)
	}
	input.Close()
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}
