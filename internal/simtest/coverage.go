package simtest

import (
	"fmt"
	"sync"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// Coverage counts what took place. It is safe for concurrent use.
type Coverage struct {
	mu     sync.Mutex
	edges  map[string]int // guarded by mu, as all below
	rows   map[int]int
	doubts map[string]int
	others map[string]int
	ends   map[string]int
}

// NewCoverage returns a Coverage of nothing.
func NewCoverage() *Coverage {
	return &Coverage{edges: map[string]int{}, rows: map[int]int{}, doubts: map[string]int{}, others: map[string]int{}, ends: map[string]int{}}
}

// Edges are the ways from one state to the next, as writes of a record show
// them, each with what took it.
var Edges = []string{
	"none → ready: an enrolment",
	"ready → exchanging: the intent",
	"exchanging → ready: an answer on its base",
	"exchanging → ready: nothing was sent",
	"exchanging → ready: rate limited",
	"exchanging → in_doubt: no answer came",
	"exchanging → in_doubt: its holder is gone",
	"exchanging → in_doubt: unclear",
	"exchanging → in_doubt: busy",
	"exchanging → in_doubt: misconfigured",
	"exchanging → reauth_required: dead",
	"in_doubt → ready: introspection",
	"in_doubt → ready: a person's word",
	"in_doubt → ready: sent once more",
	"in_doubt → in_doubt: an intent that the record doesn't know",
	"in_doubt → reauth_required: lost",
	"in_doubt → reauth_required: undecided",
	"ready → ready: verified",
	"ready → in_doubt: silent",
	"ready → in_doubt: an intent that the record doesn't know",
	"ready → reauth_required: lost",
	"reauth_required → ready: introspection",
	"any → in_doubt: a heal",
	"any → in_doubt: an answer over something older",
	"any → ready: an enrolment over ready",
	"any → ready: an enrolment over exchanging",
	"any → ready: an enrolment over in_doubt",
	"any → ready: an enrolment over reauth_required",
	"any → quarantined",
	"quarantined → ready: introspection",
	"quarantined → ready: a person's word",
	"quarantined → reauth_required: lost",
	"any → revoked",
	"any → forgotten",
	"an answer beside a newer epoch",
	"an answer of a forgotten grant",
	"our own answer, repeated",
	"an answer of an older generation",
}

// Doubts are the ways in which a doubt ends.
var Doubts = []string{
	"an answer from a journal",
	"introspection: live",
	"introspection: spent, and believed",
	"silence, given up",
	"silence, sent once more",
	"a person's word",
	"a person's authorisation",
	"a person's revocation",
}

// Rows are the rows of failures.md that the simulation claims to cover.
var Rows = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 23, 25, 27, 28, 29, 30, 32, 33, 34, 38, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 56}

var landingNames = [...]string{
	tokens.LandedNowhere: "nowhere", tokens.LandedReady: "ready", tokens.LandedHealed: "healed", tokens.LandedOrphaned: "orphaned",
	tokens.LandedAlready: "already", tokens.LandedContested: "contested", tokens.LandedForgotten: "forgotten",
}

func (c *Coverage) add(m map[string]int, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[what]++
}

// count counts something that no threshold is about.
func (c *Coverage) count(what string) { c.add(c.others, what) }

func (c *Coverage) row(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows[n]++
}

func (c *Coverage) served(err error) {
	if err == nil {
		c.count("callers served")
	} else {
		c.count("callers refused")
	}
}

func (c *Coverage) refusal(class tokens.Class) {
	switch class {
	case tokens.ClassBusy:
		c.row(25)
	case tokens.ClassDead:
		c.row(27)
	case tokens.ClassMisconfigured, tokens.ClassRateLimited, tokens.ClassDoubt:
	}
}

func (c *Coverage) end(e End) {
	what := fmt.Sprint(e.State, " ", e.Reason)
	if !e.Known {
		what = "unknown to all"
	}
	if e.Loss != "" {
		what += ": " + e.Loss
	}
	c.add(c.ends, what)
}

// edge counts the edge that a write took.
func (c *Coverage) edge(w tokenstest.Written) {
	if w.Org != acme {
		return
	}
	e, d := edgeOf(w)
	if e != "" {
		c.add(c.edges, e)
	}
	if d != "" {
		c.add(c.doubts, d)
	}
}

// edgeOf names the edge that a write took, and the resolution of a doubt that
// it was.
func edgeOf(w tokenstest.Written) (edge, doubt string) {
	o, n := w.Old, w.New
	inDoubt := o.State == tokens.InDoubt || o.State == tokens.ReauthRequired && o.Reason == tokens.ReasonUndecided
	pick := func(yes bool, s string) string {
		if yes {
			return s
		}
		return ""
	}
	if w.Op == tokenstest.OpCommit {
		switch w.Landing {
		case tokens.LandedReady:
			switch {
			case !o.Known():
				return Edges[0], ""
			case n.Epoch > o.Epoch:
				return "any → ready: an enrolment over " + o.State.String(), pick(inDoubt, "a person's authorisation")
			case o.State == tokens.Exchanging:
				return "exchanging → ready: an answer on its base", ""
			}
			return "in_doubt → ready: an answer", pick(inDoubt, "an answer from a journal")
		case tokens.LandedHealed:
			return "any → in_doubt: an answer over something older", ""
		case tokens.LandedOrphaned, tokens.LandedContested:
			return "an answer beside a newer epoch", ""
		case tokens.LandedForgotten:
			return "an answer of a forgotten grant", ""
		case tokens.LandedAlready:
			return "our own answer, repeated", ""
		case tokens.LandedNowhere:
			return "an answer of an older generation", ""
		}
	}
	switch {
	case n.Epoch > o.Epoch && n.Forgotten:
		return "any → forgotten", pick(inDoubt, "a person's revocation")
	case n.Epoch > o.Epoch && n.Revoked():
		return "any → revoked", pick(inDoubt, "a person's revocation")
	case n.Reason == tokens.ReasonHealed && (o.Reason != tokens.ReasonHealed || n.Place != o.Place):
		return "any → in_doubt: a heal", ""
	case n.Place != o.Place:
		return "any → any: a heal of what stays as it is", ""
	case n.State == tokens.Quarantined:
		return "any → quarantined", ""
	case n.State == tokens.Ready && o.State == tokens.ReauthRequired:
		return "reauth_required → ready: introspection", pick(inDoubt, "introspection: live")
	case n.State == tokens.Ready && o.State == tokens.Ready:
		return "ready → ready: verified", ""
	case n.State == tokens.Ready && (o.State == tokens.InDoubt || o.State == tokens.Quarantined):
		how, why := "introspection", "introspection: live"
		switch {
		case n.Resent != o.Resent:
			how, why = "sent once more", "silence, sent once more"
		case n.Truthful.Equal(o.Truthful):
			how, why = "a person's word", "a person's word"
		}
		return o.State.String() + " → ready: " + how, pick(inDoubt, why)
	case n.State == tokens.Ready && o.State == tokens.Exchanging:
		how := "nothing was sent"
		if len(n.Attempts) > 0 && n.Attempts[len(n.Attempts)-1].Outcome == tokens.OutcomeRateLimited {
			how = "rate limited"
		}
		return "exchanging → ready: " + how, ""
	case n.State == tokens.Exchanging:
		return Edges[1], ""
	case n.State == tokens.InDoubt && o.State == tokens.Exchanging:
		why := string(n.Reason)
		switch {
		case n.Reason == tokens.ReasonNoAnswer && n.Detail == "the exchange's holder is gone":
			why = "its holder is gone"
		case n.Reason == tokens.ReasonNoAnswer:
			why = "no answer came"
		}
		return "exchanging → in_doubt: " + why, ""
	case n.State == tokens.InDoubt && n.Reason == tokens.ReasonSilent:
		return "ready → in_doubt: silent", ""
	case n.State == tokens.InDoubt:
		return o.State.String() + " → in_doubt: an intent that the record doesn't know", ""
	case n.State == tokens.ReauthRequired:
		why := ""
		switch {
		case inDoubt && n.Reason == tokens.ReasonLost:
			why = "introspection: spent, and believed"
		case inDoubt && n.Reason == tokens.ReasonUndecided:
			why = "silence, given up"
		}
		return o.State.String() + " → reauth_required: " + string(n.Reason), why
	}
	return fmt.Sprint("unnamed: ", o.State, " → ", n.State, " ", n.Reason), ""
}

// Missing lists what took place less often than once in a hundred of n runs,
// nothing where n is below a thousand.
func (c *Coverage) Missing(n int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	if n < 1000 {
		return nil // chance decides
	}
	least := n / 100
	for _, e := range Edges {
		if c.edges[e] < least {
			out = append(out, fmt.Sprintf("edge %q: %d", e, c.edges[e]))
		}
	}
	for _, d := range Doubts {
		if c.doubts[d] < least {
			out = append(out, fmt.Sprintf("resolution %q: %d", d, c.doubts[d]))
		}
	}
	for _, r := range Rows {
		if c.rows[r] < least {
			out = append(out, fmt.Sprintf("row %d of failures.md: %d", r, c.rows[r]))
		}
	}
	return out
}
