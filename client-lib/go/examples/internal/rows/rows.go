// Package rows prints what the sample hosts did: one line a call, tab-separated.
package rows

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Rows prints lines that begin with the program's name and its route to the plugins.
type Rows struct {
	host, route string
	failed      bool
}

// New names the host after its program: host-go-stubs is "go-stubs".
func New(route string) *Rows {
	return &Rows{host: strings.TrimPrefix(filepath.Base(os.Args[0]), "host-"), route: route}
}

// Route says by which way the calls go from now on.
func (r *Rows) Route(route string) { r.route = route }

// Show makes a call and prints its row.  The call returns an error when the outcome is not the one
// that was expected.
func (r *Rows) Show(plugin, name string, call func() (result string, err error)) {
	start := time.Now()
	result, err := call()
	milliseconds := float64(time.Since(start).Microseconds()) / 1000
	verdict := "ok"
	if err != nil {
		verdict, result, r.failed = "FAIL", err.Error(), true
	}
	short := []rune(strings.Join(strings.Fields(result), " "))
	short = short[:min(len(short), 80)]
	fmt.Printf("%s\t%s\t%s\t%s\t%s\t%s\t%.1f\n", r.host, r.route, plugin, name, verdict, string(short), milliseconds)
}

// Exit ends the program, with status 0 only if every row was as expected.
func (r *Rows) Exit() {
	if r.failed {
		os.Exit(1)
	}
	os.Exit(0)
}
