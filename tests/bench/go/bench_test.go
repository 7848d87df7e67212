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

func TestBucketsCountEveryCallOnce(t *testing.T) {
	m := measurement{sorted: []time.Duration{1, 1000, 1000, 1001, 2000}, elapsed: time.Second}
	if got, want := m.String(), "5.00 1.00 2.00 0:1 694:3 763:1"; got != want {
		t.Errorf("the result line is %q, want %q", got, want)
	}
}

func TestAValueIsPutOnceForEachSize(t *testing.T) {
	stored := map[string][]byte{}
	puts := 0
	ready := callsOf(
		func(key string, value []byte) error { puts++; stored[key] = value; return nil },
		func(key string) ([]byte, error) { return append(stored[key], "..."...), nil })
	for _, size := range []int{3, 5, 3} {
		call, err := ready(size)
		if err == nil {
			err = call()
		}
		if err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
	if puts != 2 || len(stored["bench-5"]) != 5 {
		t.Errorf("%d puts made %v", puts, stored)
	}
	stored["bench-3"] = nil
	if call, _ := ready(3); call() == nil {
		t.Error("a wrong answer was taken")
	}
}

func TestWorkerObeysUntilQuit(t *testing.T) {
	var made, bytes atomic.Int64
	var results strings.Builder
	ready := func(size int) (func() error, error) {
		return func() error { made.Add(1); bytes.Add(int64(size)); return nil }, nil
	}
	if err := obey(strings.NewReader("run unary 2 1000 7\nrun unary 9 3 32\nquit\nrun unary 1 1 1\n"), &results, ready); err != nil {
		t.Fatal(err)
	}
	if made.Load() != 1003 || bytes.Load() != 2027 {
		t.Errorf("made %d calls with %d bytes, want 1003 with 2027", made.Load(), bytes.Load())
	}
	if !regexp.MustCompile(`^(\d+\.\d\d \d+\.\d\d \d+\.\d\d( \d+:\d+)+\n){2}$`).MatchString(results.String()) {
		t.Errorf("the result lines are %q", results.String())
	}
}

func TestWorkerRefusesUnknownCommands(t *testing.T) {
	for _, command := range []string{"walk", "run", "run 1 1 1", "run bidi 1 1 1", "run unary 1 1", "run unary 1 0 1", "run unary 1 1 0"} {
		ready := func(int) (func() error, error) { return func() error { return nil }, nil }
		if err := obey(strings.NewReader(command+"\n"), new(strings.Builder), ready); err == nil {
			t.Errorf("%q was obeyed", command)
		}
	}
}

func TestWorkerEndsWhenACallFails(t *testing.T) {
	broken := fmt.Errorf("broken")
	var results strings.Builder
	ready := func(int) (func() error, error) { return func() error { return broken }, nil }
	err := obey(strings.NewReader("run unary 1 10 2\n"), &results, ready)
	if !errors.Is(err, broken) || results.Len() != 0 {
		t.Errorf("got %v and the results %q, want the call's error", err, results.String())
	}
}

func TestFirstCallsAreMadeUntilQuit(t *testing.T) {
	made := 0
	var results strings.Builder
	call := func() (time.Duration, error) { made++; return 1500 * time.Microsecond, nil }
	if err := obeyFirstCalls(strings.NewReader("first-call\nfirst-call\nquit\nfirst-call\n"), &results, call); err != nil {
		t.Fatal(err)
	}
	if made != 2 || results.String() != "1.500\n1.500\n" {
		t.Errorf("made %d calls with the results %q", made, results.String())
	}
	if err := obeyFirstCalls(strings.NewReader("run\n"), &results, call); err == nil {
		t.Error("an unknown command was obeyed")
	}
}

func TestAFirstCallThatFailsEndsTheWorker(t *testing.T) {
	broken := errors.New("broken")
	var results strings.Builder
	err := obeyFirstCalls(strings.NewReader("first-call\n"), &results, func() (time.Duration, error) { return 0, broken })
	if !errors.Is(err, broken) || results.Len() != 0 {
		t.Errorf("got %v and the results %q, want the call's error", err, results.String())
	}
}
