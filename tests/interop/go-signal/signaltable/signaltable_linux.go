// Package signaltable reads what a library might have changed about a program's signals and children.
package signaltable

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

const lastSignal = 64

// disposition is the kernel's struct sigaction: handler, flags, restorer, mask.
type disposition [4]uint64

// Table is all that the kernel keeps about a process's signals.
type Table struct {
	dispositions [lastSignal + 1]disposition
	status       string
}

// Read asks the kernel, not libc, which hides signals of its own.
func Read() (Table, error) {
	var table Table
	for signal := 1; signal <= lastSignal; signal++ {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(signal), 0,
			uintptr(unsafe.Pointer(&table.dispositions[signal])), lastSignal/8, 0, 0)
		if errno != 0 {
			return Table{}, fmt.Errorf("cannot read the disposition of signal %d: %w", signal, errno)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Table{}, err
	}
	for _, line := range strings.Split(string(status), "\n") {
		for _, name := range []string{"SigBlk:", "SigIgn:", "SigCgt:"} {
			if strings.HasPrefix(line, name) {
				table.status += line + "\n"
			}
		}
	}
	return table, nil
}

// Differences tells in words what has changed from before to after.
func Differences(before, after Table) []string {
	var differences []string
	for signal := 1; signal <= lastSignal; signal++ {
		if b, a := before.dispositions[signal], after.dispositions[signal]; a != b {
			differences = append(differences, fmt.Sprintf("signal %d: was %x, is %x", signal, b, a))
		}
	}
	if after.status != before.status {
		differences = append(differences, "was\n"+before.status+"is\n"+after.status)
	}
	return differences
}

// Children are the process ids of this process's children, whichever thread started them.
func Children() (string, error) {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("this kernel does not list children in /proc")
	}
	var children string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) { // a thread may end meanwhile
			return "", err
		}
		children += string(content)
	}
	return children, nil
}
