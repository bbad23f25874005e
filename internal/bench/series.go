package main

import (
	"math"
	"slices"
)

// A series is one figure, round by round.
type series []float64

// figure takes one figure of a cell's samples. It is empty when the cell was
// not measured.
func (r results) figure(scenario, cell string, of func(sample) float64) series {
	var s series
	for _, x := range r[scenario][cell] {
		s = append(s, of(x))
	}
	return s
}

func (s series) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// with joins two series round by round: what disturbs a round disturbs both.
func (s series) with(other series, join func(a, b float64) float64) series {
	var joined series
	for i := range min(len(s), len(other)) {
		joined = append(joined, join(s[i], other[i]))
	}
	return joined
}

func (s series) over(other series) series {
	return s.with(other, func(a, b float64) float64 { return a / b })
}

func (s series) minus(other series) series {
	return s.with(other, func(a, b float64) float64 { return a - b })
}

// What is taken of a sample.
func cpuMicros(s sample) float64    { return s.CPU / float64(s.Requests) * 1e6 }
func perSecond(s sample) float64    { return float64(s.Requests) / s.Seconds }
func p50Micros(s sample) float64    { return s.P50 * 1e6 }
func p99Micros(s sample) float64    { return s.P99 * 1e6 }
func busy(s sample) float64         { return s.CPU / s.Seconds }
func cpuPerGiB(s sample) float64    { return s.CPU / float64(s.Bytes) * (1 << 30) }
func gibPerSecond(s sample) float64 { return float64(s.Bytes) / (1 << 30) / s.Seconds }
func resumedShare(s sample) float64 { return float64(s.Resumed) / float64(s.Requests) }
func kibEach(s sample) float64      { return s.KiB }
func untraced(s sample) float64     { return float64(s.Untraced) }
func logLines(s sample) float64     { return float64(s.Lines) / float64(s.Requests) }

// disk counts what was, in a window of a live token, neither look-up nor
// policy: exchanges, bytes to the disk, changed files of the state directory.
func disk(s sample) float64 {
	n := s.Token + s.Written
	if s.Touched {
		n++
	}
	return float64(n)
}
