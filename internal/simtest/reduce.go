package simtest

import "slices"

// Reduce drops steps, faults and switches of a failing scenario, one at a time,
// for as long as fails still holds, and returns what is left. It asks fails at
// most limit times.
func Reduce(sc Scenario, limit int, fails func(Scenario) bool) Scenario {
	try := func(c Scenario) bool {
		if limit--; limit < 0 || !fails(c) {
			return false
		}
		sc = c
		return true
	}
	for changed := true; changed && limit > 0; {
		changed = false
		for size := max(len(sc.Steps)/2, 1); size > 0; size /= 2 {
			for i := len(sc.Steps) - size; i >= 0; i-- {
				c := sc
				c.Steps = slices.Delete(slices.Clone(sc.Steps), i, i+size)
				changed = try(c) || changed
				i = min(i, len(sc.Steps)-size+1)
			}
		}
		for i := len(sc.Faults) - 1; i >= 0; i-- {
			c := sc
			c.Faults = slices.Delete(slices.Clone(sc.Faults), i, i+1)
			changed = try(c) || changed
		}
		for _, plain := range plainer {
			c := sc
			plain(&c.Switches)
			if c.Switches != sc.Switches {
				changed = try(c) || changed
			}
		}
	}
	return sc
}

// plainer lists what makes a world plainer.
var plainer = []func(*Switches){
	func(s *Switches) { s.Replicas = max(s.Replicas-1, 1) },
	func(s *Switches) { s.Hearing = HearAll },
	func(s *Switches) { s.Spool = false },
	func(s *Switches) { s.EndsOlder = false },
	func(s *Switches) { s.Reuse = false },
	func(s *Switches) { s.ReplaySpares = false },
	func(s *Switches) { s.ConfigSpends = false },
	func(s *Switches) { s.RevokesAll = false },
	func(s *Switches) { s.Slides = false },
	func(s *Switches) { s.Introspection = 0 },
	func(s *Switches) { s.Doubt = 0 },
}
