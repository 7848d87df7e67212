package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

type measurement struct {
	sorted  []time.Duration // how long each call took
	elapsed time.Duration   // from the first call's start to the last one's end
}

// String is the result line of ../worker.h.
func (m measurement) String() string {
	microseconds := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	var line strings.Builder
	fmt.Fprintf(&line, "%.2f %.2f %.2f", float64(len(m.sorted))/m.elapsed.Seconds(),
		microseconds(percentile(m.sorted, 50)), microseconds(percentile(m.sorted, 99)))
	for i := 0; i < len(m.sorted); {
		mine, first := bucket(m.sorted[i]), i
		for i < len(m.sorted) && bucket(m.sorted[i]) == mine {
			i++
		}
		fmt.Fprintf(&line, " %d:%d", mine, i-first)
	}
	return line.String()
}

// bucket is the logarithm of the nanoseconds to the base 1.01, rounded down.
func bucket(d time.Duration) int {
	return int(math.Log(float64(max(1, d.Nanoseconds()))) / math.Log(1.01))
}

// measure makes the calls, each goroutine its share.
func measure(call func() error, calls, inFlight int) (measurement, error) {
	inFlight = min(inFlight, calls)
	times := make([][]time.Duration, inFlight)
	errs := make([]error, inFlight)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range inFlight {
		share := calls / inFlight
		if i < calls%inFlight {
			share++
		}
		times[i] = make([]time.Duration, 0, share)
		group.Add(1)
		go func() {
			defer group.Done()
			<-start
			for range share {
				before := time.Now()
				if errs[i] = call(); errs[i] != nil {
					return
				}
				times[i] = append(times[i], time.Since(before))
			}
		}()
	}
	begin := time.Now()
	close(start)
	group.Wait()
	m := measurement{elapsed: time.Since(begin), sorted: slices.Concat(times...)}
	slices.Sort(m.sorted)
	return m, errors.Join(errs...)
}

// percentile is the smallest of the sorted values that p percent of them do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}
