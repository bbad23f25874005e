package simtest

import (
	"math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// Generate makes the scenario of a seed.
func Generate(seed uint64) Scenario {
	g := generator{rand.New(rand.NewPCG(seed, 2))}
	sc := Scenario{Seed: seed, Switches: g.switches()}
	sc.Steps = append(sc.Steps, Step{Do: one(g, "import", "authorize"), Then: g.span(time.Second, time.Minute)})
	if sc.Switches.Calm {
		for range 2 + g.IntN(4) {
			sc.Steps = append(sc.Steps, Step{Do: "storm", N: 1 + g.IntN(6), Then: g.span(30*time.Second, 5*time.Hour)})
		}
		return sc
	}
	sc.Steps = append(sc.Steps, Step{Do: "need", Replica: g.IntN(4), Then: g.gap()})
	for range 3 + g.IntN(8) {
		sc.Steps = append(sc.Steps, g.step(sc.Switches))
	}
	for range g.IntN(5) {
		sc.Faults = append(sc.Faults, g.fault(sc.Switches))
	}
	if !g.in(3) {
		g.theme(&sc)
	}
	return sc
}

type generator struct{ *rand.Rand }

func one[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

func (g generator) in(n int) bool { return g.IntN(n) == 0 }

// span is a time from a to b, all magnitudes alike. It is never round, so that
// no two timers meet by design.
func (g generator) span(a, b time.Duration) time.Duration {
	for d := a; ; d *= 2 {
		if d*2 >= b || g.in(4) {
			return min(d+time.Duration(g.Int64N(int64(d))), b).Truncate(time.Millisecond) + 137*time.Microsecond
		}
	}
}

// gap is the time until the next step.
func (g generator) gap() time.Duration {
	switch g.IntN(12) {
	case 0:
		return -1
	case 1, 2, 3:
		return g.span(time.Millisecond, time.Second)
	case 4, 5, 6:
		return g.span(time.Second, time.Minute)
	case 7, 8:
		return g.span(time.Minute, 20*time.Minute)
	case 9, 10:
		return g.span(20*time.Minute, 5*time.Hour)
	}
	if g.in(16) {
		return g.span(20*24*time.Hour, 29*24*time.Hour)
	}
	return g.span(5*time.Hour, 24*time.Hour)
}

func (g generator) switches() Switches {
	s := Switches{Replicas: 1 + g.IntN(3), Session: one(g, 15*time.Minute, 2*time.Hour, 2*time.Hour, 4*time.Hour), Hearing: Hearing(g.IntN(3))}
	if g.in(16) {
		s.Replicas = 4
	}
	s.Exclusive = s.Replicas == 1 && !g.in(3)
	s.Calm = g.in(24)
	s.EndsOlder, s.Slides = g.in(2), g.in(2)
	if s.Calm {
		return s
	}
	s.Spool = g.in(5)
	s.Reuse, s.ReplaySpares, s.ConfigSpends, s.RevokesAll = g.in(2), g.in(2), g.in(2), g.in(2)
	s.Doubt = one(g, tokens.AskLate, tokens.AskLate, tokens.AskLate, tokens.AskSoon, tokens.AskHold, tokens.AskSend)
	switch g.IntN(10) {
	case 0, 1:
		s.Introspection = tokenstest.IntrospectionDenied
	case 2, 3:
		s.Introspection = tokenstest.IntrospectionDown
	}
	return s
}

// step is one step of a run in which things go wrong.
func (g generator) step(s Switches) Step {
	st := Step{Replica: g.IntN(s.Replicas), Then: g.gap()}
	n := g.IntN(100)
	switch {
	case n < 34:
		st.Do, st.N = "need", 1+g.IntN(3)
		if g.in(3) {
			st.Replica = -1
		}
	case n < 42:
		st.Do, st.N = "call", 1+g.IntN(3)
	case n < 46:
		st.Do = "leave"
	case n < 50:
		st.Do, st.For = one(g, "kill", "power"), g.span(time.Second, 30*time.Minute)
	case n < 52:
		st.Do, st.For = "burn", g.span(time.Second, 30*time.Minute)
	case n < 55:
		st.Do, st.For = "drain", g.span(time.Second, 5*time.Minute)
	case n < 58:
		st.Do, st.For = "cut", g.span(time.Second, time.Hour)
	case n < 66:
		st.Do, st.N = g.regression(), 1+g.IntN(6)
	case n < 68:
		st.Do = "snapshot"
	case n < 70:
		st.Do = "expire"
	case n < 74:
		st.Do, st.N, st.For = "introspection", g.IntN(3), g.span(time.Minute, 6*time.Hour)
	case n < 75:
		st.Do = "foreign"
	case n < 77:
		st.Do = "idle"
	default:
		st.Do, st.N = g.command(), g.IntN(8)
	}
	return st
}

func (g generator) regression() string {
	return one(g, "regress", "regress", "regress", "restore", "restore", "empty", "failover")
}

func (g generator) command() string {
	return one(g, "authorize", "authorize", "import", "import", "import-old", "import-old", "import-elsewhere", "seed",
		"settle", "settle", "settle", "refresh", "refresh", "confirm", "confirm", "confirm unverified", "confirm unverified", "revoke", "forget")
}

// exchangePoints are the boundaries of an exchange's steps, in their order.
var exchangePoints = []string{
	"lock", "hold", "connect", "connect.done", "begin", "begin.done", "save", "save.done", "send", "write", "sent", "answer", "answer.done",
	"commit", "commit.done", "settle", "settle.done", "append",
}

// otherPoints are the boundaries of all else.
var otherPoints = []string{"introspect", "introspect.done", "look", "all", "load", "claim", "claimant", "watch", "revoke", "forget"}

// fault is one fault.
func (g generator) fault(s Switches) Fault {
	f := Fault{At: one(g, exchangePoints...), Nth: 1 + g.IntN(5)}
	if g.in(4) {
		f.At = one(g, otherPoints...)
	}
	n := g.IntN(100)
	switch {
	case n < 30:
		f.At, f.Do, f.N = "connect", "salesforce", g.trouble()
	case n < 46:
		f.Do, f.For = one(g, "kill", "kill", "power"), g.span(time.Second, 30*time.Minute)
		if g.in(8) {
			f.Do = "burn"
		}
	case n < 50:
		f.At = one(g, "begin", "answer", "settle")
		f.Do, f.N, f.For = "midst", 1+g.IntN(4), g.span(time.Second, 10*time.Minute)
	case n < 62:
		f.Do, f.For = "pause", g.span(5*time.Second, 20*time.Minute)
		if f.At == "write" {
			f.For = g.span(5*time.Second, takeover-time.Minute) // what is assumed
		}
	case n < 70:
		f.Do, f.For = "cut", g.span(5*time.Second, 40*time.Minute)
	case n < 79:
		f.At = one(g, "save", "save", "commit", "commit", "hold", "claim", "load")
		f.Do = one(g, "refuse", "unknown", "lost", "short")
		if f.At == "load" || f.At == "hold" || f.At == "claim" {
			f.Do = "refuse"
		}
	case n < 82:
		f.At = one(g, "begin", "answer", "settle")
		f.Do = one(g, "eio", "enospc")
	case n < 83:
		f.Do, f.For = "full", g.span(time.Minute, time.Hour)
	case n < 86:
		f.Do = "expire"
	case n < 94:
		f.Do, f.N = g.regression(), 1+g.IntN(6)
	case n < 95:
		f.Do, f.For = "do drain", g.span(time.Second, 5*time.Minute)
	default:
		f.Do, f.N = one(g, "authorize", "import", "settle", "refresh", "confirm", "revoke", "forget", "import-old"), g.IntN(s.Replicas)
	}
	return f
}

// trouble is a fault of Salesforce's token endpoint.
func (g generator) trouble() int {
	return int(one(g, tokenstest.FaultConnect, tokenstest.FaultUnwritten, tokenstest.FaultLostBefore, tokenstest.FaultLostAfter, tokenstest.FaultTruncated,
		tokenstest.FaultUnclear, tokenstest.FaultBusy, tokenstest.FaultBusy, tokenstest.FaultRate, tokenstest.FaultRate, tokenstest.FaultClient, tokenstest.FaultNoRotation, tokenstest.FaultAddress,
		tokenstest.FaultExpired, tokenstest.FaultUnclearBefore, tokenstest.FaultMalformed, tokenstest.FaultSlow, tokenstest.FaultLate, tokenstest.FaultLate))
}
