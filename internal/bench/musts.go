package main

import (
	"math"
	"slices"
)

// A must is a figure that sallyport has to reach.
type must struct {
	Figure   string   `json:"figure"`
	Unit     string   `json:"unit,omitempty"`
	AtLeast  bool     `json:"atLeast"` // the value must be the limit or more; otherwise the limit or less
	Limit    float64  `json:"limit"`
	Goal     *float64 `json:"goal,omitempty"`
	Value    *float64 `json:"value"` // absent: not measured
	Min      float64  `json:"min"`
	Max      float64  `json:"max"`
	Reached  bool     `json:"reached"`
	GoalToo  bool     `json:"goalReached"`
	scenario string
}

func (m must) within(limit float64) bool {
	if m.AtLeast {
		return *m.Value >= limit
	}
	return *m.Value <= limit
}

// musts judges a run against what the net/http lane must reach.
func musts(r results, allocs series) []must {
	of := func(scenario, cell string, f func(sample) float64) series { return r.figure(scenario, cell, f) }
	ours := of(plain, sallyport, cpuMicros)
	list := []must{}
	add := func(scenario, figure, unit string, atLeast bool, limit, goal float64, s series) {
		m := must{Figure: figure, Unit: unit, AtLeast: atLeast, Limit: limit, scenario: scenario}
		if !math.IsNaN(goal) {
			m.Goal = &goal
		}
		if v := s.median(); !math.IsNaN(v) {
			m.Value, m.Min, m.Max = &v, slices.Min(s), slices.Max(s)
			m.Reached = m.within(limit)
			m.GoalToo = m.Goal != nil && m.within(goal)
		}
		list = append(list, m)
	}
	most := func(scenario, figure, unit string, limit, goal float64, s series) {
		add(scenario, figure, unit, false, limit, goal, s)
	}
	least := func(scenario, figure, unit string, limit, goal float64, s series) {
		add(scenario, figure, unit, true, limit, goal, s)
	}
	most(plain, "CPU per plain request vs goproxy tuned", "×", 1.00, 0.50, ours.over(of(plain, goproxyTuned, cpuMicros)))
	least(plain, "requests per second vs goproxy's default transport", "×", 10, 18, of(plain, sallyport, perSecond).over(of(plain, goproxyDefault, perSecond)))
	most(plain, "CPU per plain request vs goproxy's blind tunnel", "×", 2.3, 1.2, ours.over(of(plain, blind, cpuMicros)))
	most(single, "added latency, one caller, p50", "µs", 75, 55, of(single, sallyport, p50Micros).minus(of(single, direct, p50Micros)))
	most(plain, "p99 at 64 callers vs goproxy tuned", "×", 1.2, 0.7, of(plain, sallyport, p99Micros).over(of(plain, goproxyTuned, p99Micros)))
	most(connect, "new connections, resumed: CPU vs goproxy's full handshake", "×", 0.75, 0.65, of(connect, sallyport+resumed, cpuMicros).over(of(connect, goproxyTuned+full, cpuMicros)))
	least(connect, "new connections: share resumed", "", 0.95, math.NaN(), of(connect, sallyport+resumed, resumedShare))
	most(bulk, "bulk CPU per GiB vs goproxy tuned", "×", 1.0, 0.85, of(bulk, sallyport, cpuPerGiB).over(of(bulk, goproxyTuned, cpuPerGiB)))
	most(h2, "HTTP/2 client side: CPU vs goproxy AllowHTTP2", "×", 0.85, 0.72, of(h2, sallyport, cpuMicros).over(of(h2, goproxyTuned, cpuMicros)))
	most(idle, "memory per idle intercepted connection", "KiB", 44, 18, of(idle, sallyport, kibEach))
	most(plain, "exchanges, disk bytes and changed state files under a live token", "", 0, math.NaN(), maxed(of(plain, sallyport, disk)))
	most(plain, "heap allocations of token look-up and policy", "", 0, math.NaN(), maxed(allocs))
	most(tracing, "every request traced: extra CPU per request", "µs", 15, 8, of(tracing, traced, cpuMicros).minus(of(tracing, sallyport, cpuMicros)))
	most(tracing, "every request traced: spans that did not arrive", "", 0, math.NaN(), maxed(of(tracing, traced, untraced)))
	return list
}

// maxed stands for a series by its worst round, where a median would excuse it.
func maxed(s series) series {
	if len(s) == 0 {
		return nil
	}
	return series{slices.Max(s)}
}
