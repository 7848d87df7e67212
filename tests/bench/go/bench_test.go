package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	for _, test := range []struct{ n, p, want int }{{1, 50, 1}, {1, 99, 1}, {2, 50, 1}, {100, 50, 50}, {100, 99, 99}, {101, 99, 100}} {
		sorted := make([]time.Duration, test.n)
		for i := range sorted {
			sorted[i] = time.Duration(i + 1)
		}
		if got := percentile(sorted, test.p); got != time.Duration(test.want) {
			t.Errorf("percentile %d of 1..%d is %d, want %d", test.p, test.n, got, test.want)
		}
	}
}

func TestWorkerObeysUntilQuit(t *testing.T) {
	var calls atomic.Int64
	var results strings.Builder
	call := func() error { calls.Add(1); return nil }
	if err := obey(strings.NewReader("run 1000 7\nrun 3 32\nquit\nrun 1 1\n"), &results, call); err != nil {
		t.Fatal(err)
	}
	if calls.Load() != 1003 {
		t.Errorf("made %d calls, want 1003", calls.Load())
	}
	if !regexp.MustCompile(`^(\d+\.\d\d \d+\.\d\d \d+\n){2}$`).MatchString(results.String()) {
		t.Errorf("the result lines are %q", results.String())
	}
}

func TestWorkerRefusesUnknownCommands(t *testing.T) {
	for _, command := range []string{"walk", "run", "run 1", "run 0 1", "run 1 0"} {
		if err := obey(strings.NewReader(command+"\n"), new(strings.Builder), func() error { return nil }); err == nil {
			t.Errorf("%q was obeyed", command)
		}
	}
}

func TestWorkerEndsWhenACallFails(t *testing.T) {
	broken := fmt.Errorf("broken")
	var results strings.Builder
	err := obey(strings.NewReader("run 10 2\n"), &results, func() error { return broken })
	if !errors.Is(err, broken) || results.Len() != 0 {
		t.Errorf("got %v and the results %q, want the call's error", err, results.String())
	}
}
