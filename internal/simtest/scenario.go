package simtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// Scenario is one run, whole: playing it again gives the same.
type Scenario struct {
	Seed     uint64 // of the order in which calls are let through
	Switches Switches
	Faults   []Fault `json:",omitempty"`
	Steps    []Step
}

// Switches is what holds during a whole run.
type Switches struct {
	Replicas  int
	Exclusive bool          `json:",omitempty"` // the embedded store: one replica, a new identity at each start
	Hearing   Hearing       `json:",omitempty"`
	Spool     bool          `json:",omitempty"` // the answers are kept in the store too
	Calm      bool          `json:",omitempty"` // nothing fails, and each need causes one exchange
	Session   time.Duration // the life of an access token
	Doubt     tokens.DoubtPolicy

	// What Salesforce doesn't document.
	EndsOlder     bool                     `json:",omitempty"`
	Reuse         bool                     `json:",omitempty"`
	ReplaySpares  bool                     `json:",omitempty"`
	ConfigSpends  bool                     `json:",omitempty"`
	RevokesAll    bool                     `json:",omitempty"`
	Slides        bool                     `json:",omitempty"`
	Introspection tokenstest.Introspection `json:",omitempty"`
}

// Hearing is how replicas hear what others write.
type Hearing uint8

// The kinds of hearing.
const (
	HearAll Hearing = iota
	HearSome
	HearNothing
)

// Fault is something that happens as the Nth call at a point comes. The points
// are the operations of the ports; one with ".done" is where its reply arrives.
type Fault struct {
	At  string
	Nth int
	Do  string
	For time.Duration `json:",omitempty"`
	N   int           `json:",omitempty"`
}

// Step is something that happens at a moment, and how long nothing else does
// afterwards.
type Step struct {
	Do      string
	Replica int           `json:",omitempty"`
	N       int           `json:",omitempty"`
	For     time.Duration `json:",omitempty"`
	Then    time.Duration // until the next step; negative: at once, before anyone has moved
}

// String tells a fault in one line.
func (f Fault) String() string {
	s := fmt.Sprintf("at the %d. %s: %s", f.Nth, f.At, f.Do)
	if f.Do == "salesforce" {
		s += " " + faultNames[f.N]
	} else if f.N != 0 {
		s += fmt.Sprintf(" %d", f.N)
	}
	if f.For != 0 {
		s += " for " + f.For.String()
	}
	return s
}

// String tells a step in one line.
func (s Step) String() string {
	t := fmt.Sprintf("%s (replica %d", s.Do, s.Replica)
	if s.N != 0 {
		t += fmt.Sprintf(", %d", s.N)
	}
	if s.For != 0 {
		t += ", for " + s.For.String()
	}
	t += ")"
	if s.Then >= 0 {
		t += ", then " + s.Then.String()
	}
	return t
}

// String tells a scenario, a line for each step and fault.
func (sc Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "switches: %s\n", sc.Switches)
	for _, f := range sc.Faults {
		fmt.Fprintf(&b, "fault: %s\n", f)
	}
	for i, s := range sc.Steps {
		fmt.Fprintf(&b, "step %d: %s\n", i+1, s)
	}
	return b.String()
}

// String lists what differs from the plainest world.
func (s Switches) String() string {
	out := []string{fmt.Sprintf("%d replicas", s.Replicas), "session " + s.Session.String(), doubtNames[s.Doubt]}
	add := func(on bool, word string) {
		if on {
			out = append(out, word)
		}
	}
	add(s.Exclusive, "embedded store")
	add(s.Hearing == HearSome, "messages get lost")
	add(s.Hearing == HearNothing, "no messages")
	add(s.Spool, "spool")
	add(s.Calm, "calm")
	add(s.EndsOlder, "an exchange ends the older access token")
	add(s.Reuse, "introspecting a spent token is reuse")
	add(s.ReplaySpares, "a replay kills nothing")
	add(s.ConfigSpends, "configuration refusals spend the token")
	add(s.RevokesAll, "a revocation takes all")
	add(s.Slides, "calls extend sessions")
	add(s.Introspection == tokenstest.IntrospectionDenied, "introspection denied")
	add(s.Introspection == tokenstest.IntrospectionDown, "introspection down")
	return strings.Join(out, ", ")
}

var doubtNames = [...]string{tokens.AskLate: "late", tokens.AskSoon: "ask", tokens.AskHold: "hold", tokens.AskSend: "send"}

// faultNames names the faults of [tokenstest.Force].
var faultNames = [...]string{
	tokenstest.FaultNone: "none", tokenstest.FaultConnect: "unreachable", tokenstest.FaultUnwritten: "unwritten", tokenstest.FaultLostBefore: "request lost",
	tokenstest.FaultLostAfter: "answer lost", tokenstest.FaultTruncated: "answer cut", tokenstest.FaultUnclear: "5xx after rotation", tokenstest.FaultBusy: "busy",
	tokenstest.FaultRate: "rate limited", tokenstest.FaultClient: "invalid_client", tokenstest.FaultClientSpent: "invalid_client and spent", tokenstest.FaultDead: "called dead",
	tokenstest.FaultNoRotation: "no rotation", tokenstest.FaultAddress: "ip restricted", tokenstest.FaultExpired: "expired", tokenstest.FaultUnclearBefore: "5xx in front",
	tokenstest.FaultMalformed: "malformed 200", tokenstest.FaultSlow: "slow", tokenstest.FaultLate: "late",
}
