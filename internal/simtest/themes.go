package simtest

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// theme adds what chance alone puts together too rarely.
func (g generator) theme(sc *Scenario) {
	nth := 1 + g.IntN(3)
	fault := func(at, do string, n int, d time.Duration) {
		sc.Faults = append(sc.Faults, Fault{At: at, Nth: nth, Do: do, N: n, For: d})
	}
	insert := func(steps ...Step) {
		i := min(2+g.IntN(len(sc.Steps)-1), len(sc.Steps))
		for k := range steps {
			steps[k].Replica = g.IntN(sc.Switches.Replicas)
			if steps[k].Then == 0 {
				steps[k].Then = g.span(time.Second, 20*time.Minute)
			}
		}
		sc.Steps = slices.Insert(sc.Steps, i, steps...)
	}
	replica := g.IntN(sc.Switches.Replicas)
	switch g.IntN(20) {
	case 0: // a holder with an answer, stopped or cut off for longer than a takeover waits
		fault(one(g, "sent", "answer", "commit"), one(g, "pause", "cut"), 0, g.span(takeover+time.Minute, time.Hour))
	case 1:
		fault("sent", one(g, "kill", "power"), 0, g.span(time.Second, 20*time.Minute))
	case 2, 3, 16, 17: // a person is quicker than an answer
		fault(one(g, "write", "sent"), "expire", 0, 0)
		fault("sent", one(g, "authorize", "import", "revoke", "forget", "forget"), replica, 0)
	case 18, 19: // a journal has the answer, and another writes the doubt before it is offered
		sc.Switches.Replicas, sc.Switches.Exclusive = max(2, sc.Switches.Replicas), false
		fault(one(g, "answer.done", "commit"), one(g, "kill", "power"), 0, g.span(time.Minute, time.Hour))
		insert(Step{Do: "need", Then: g.span(time.Second, time.Minute)}, Step{Do: "need"}, Step{Do: "need"})
	case 4:
		fault("connect", "salesforce", int(tokenstest.FaultNoRotation), 0)
	case 5:
		fault(one(g, "begin", "begin.done", "save"), "do drain", 0, g.span(time.Second, time.Minute))
	case 6, 7: // a question overtaken by the store
		fault("connect", "salesforce", int(one(g, tokenstest.FaultLostAfter, tokenstest.FaultLostBefore, tokenstest.FaultLate)), 0)
		sc.Faults = append(sc.Faults, Fault{At: one(g, "introspect", "introspect.done"), Nth: 2 + g.IntN(3), Do: g.regression(), N: 1 + g.IntN(4)})
	case 8, 9, 10: // a state directory that has never seen the grant
		sc.Switches.Replicas, sc.Switches.Exclusive = 1, true
		if g.in(3) {
			insert(Step{Do: "foreign"})
		}
		sc.Switches.Introspection = one(g, tokenstest.IntrospectionTrue, tokenstest.IntrospectionTrue, tokenstest.IntrospectionDown)
		sc.Steps = slices.Insert(sc.Steps, 2, Step{Do: "burn", For: time.Second + 137*time.Microsecond, Then: g.span(10*time.Second, time.Minute)},
			Step{Do: one(g, "confirm", "confirm", "confirm unverified", "foreign"), Then: g.span(time.Second, time.Minute)},
			Step{Do: one(g, "confirm", "confirm unverified"), Then: g.span(time.Second, time.Minute)})
	case 11, 12: // spent by somebody else, and then verified
		insert(Step{Do: "foreign"}, Step{Do: one(g, "failover", "failover", "kill"), For: time.Second + 137*time.Microsecond, Then: g.span(7*time.Minute, 20*time.Minute)}, Step{Do: "need"})
	case 13: // an intent that only a journal knows
		fault(one(g, "send", "write", "sent"), "regress", 1, 0)
		fault("sent", one(g, "kill", "power"), 0, g.span(time.Second, 10*time.Minute))
	case 14:
		sc.Switches.Doubt = one(g, tokens.AskLate, tokens.AskHold)
		insert(Step{Do: "failover"}, Step{Do: "introspection", N: int(tokenstest.IntrospectionDown), For: g.span(time.Hour, 5*time.Hour), Then: g.span(7*time.Minute, 20*time.Minute)},
			Step{Do: "need"}, Step{Do: one(g, "confirm unverified", "confirm unverified", "settle")})
	default:
		insert(Step{Do: "import-elsewhere", N: g.IntN(8)})
	}
}
