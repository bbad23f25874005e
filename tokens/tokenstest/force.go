package tokenstest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// Fault is what happens to one token request.
type Fault uint8

// The faults of a token request.
const (
	FaultNone          Fault = iota
	FaultConnect             // no connection
	FaultUnwritten           // the first write fails with nothing sent
	FaultLostBefore          // the request is lost on its way: nothing was spent
	FaultLostAfter           // the answer is lost: the token was rotated
	FaultTruncated           // the answer is cut within its last token
	FaultUnclear             // a 5xx after the token was rotated
	FaultBusy                // "token request is already being processed"
	FaultRate                // "login rate exceeded"
	FaultClient              // invalid_client, the token unspent unless ConfigSpends
	FaultClientSpent         // invalid_client, and the token is spent all the same
	FaultDead                // "expired access/refresh token", whatever the token is
	FaultNoRotation          // a token answer without a refresh token
	FaultAddress             // "ip restricted", the token unspent unless ConfigSpends
	FaultExpired             // the refresh token dies at Salesforce, and then the request comes
	FaultUnclearBefore       // a 5xx of something in front: nothing was spent
	FaultMalformed           // a 200 that doesn't parse, after the token was rotated
	FaultSlow                // the answer takes two thirds of a minute
	FaultLate                // worked on for four minutes, long after the client gave up
)

// Force is a Salesforce in memory, for tests of the domain under virtual time.
// It implements [tokens.Exchanger]. Its ledger is what it saw. It is safe for
// concurrent use. Its switches are set before the first use; they are what
// Salesforce doesn't document.
type Force struct {
	// Latency is how long each request takes.
	Latency time.Duration
	// Session is the life of an access token.
	Session time.Duration
	// ReuseOnIntrospect makes an introspection of a spent token count as reuse.
	ReuseOnIntrospect bool
	// EndsOlder makes an exchange end the older access tokens of its grant.
	EndsOlder bool
	// ReplaySpares makes a replay a mere refusal, which ends nothing.
	ReplaySpares bool
	// ConfigSpends makes a refusal as configuration spend the token.
	ConfigSpends bool
	// RevokesAll makes a revocation end all grants of the org.
	RevokesAll bool
	// Codes makes an authorization code bring a refresh token.
	Codes bool
	// Slides makes each call extend its access token's life.
	Slides bool

	mu      sync.Mutex
	how     Introspection // guarded by mu
	serial  int
	family  int
	refresh map[string]*forceToken
	access  map[string]*forceToken
	minted  []string // refresh tokens, in their order
	faults  []Fault
	gate    chan struct{}

	misuse   []string // guarded by mu: what no client may do
	Replays  int      // guarded by mu: requests with a token that was spent
	Requests int      // guarded by mu: token requests that arrived
	Asked    int      // guarded by mu: introspections of refresh tokens
	Revoked  int      // guarded by mu
}

// forceToken is a refresh or an access token.
type forceToken struct {
	org    tokens.OrgID
	family int // of one authorisation
	spent  bool
	dead   bool
	why    Fate      // of its death or its successor
	at     time.Time // when it was spent
	until  time.Time

	sent    bool      // and no word since that it is live
	vouched bool      // Salesforce said so after over
	working int       // requests under way with it
	over    time.Time // end of the last request
}

// Introspection is how a [Force] answers introspections.
type Introspection uint8

// How introspections are answered.
const (
	IntrospectionTrue   Introspection = iota // truthfully
	IntrospectionDenied                      // active: false to everything
	IntrospectionDown                        // not at all
)

// Introspecting sets how introspections are answered from now on.
func (f *Force) Introspecting(how Introspection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.how = how
}

// NewForce returns a Salesforce without grants.
func NewForce() *Force {
	return &Force{Latency: 50 * time.Millisecond, Session: 2 * time.Hour,
		refresh: map[string]*forceToken{}, access: map[string]*forceToken{}}
}

// Authorise is a person's authorisation of org: it returns a refresh token.
func (f *Force) Authorise(org tokens.OrgID) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.family++
	return f.mint(org, f.family)
}

func (f *Force) mint(org tokens.OrgID, family int) string {
	f.serial++
	r := fmt.Sprintf("5Aep861-%s-%d", org, f.serial)
	f.refresh[r] = &forceToken{org: org, family: family}
	f.minted = append(f.minted, r)
	return r
}

// Next makes the next token requests meet these faults.
func (f *Force) Next(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, faults...)
}

// Hold makes token requests wait until the returned func is called.
func (f *Force) Hold() (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = gate
	return sync.OnceFunc(func() {
		f.mu.Lock()
		f.gate = nil
		f.mu.Unlock()
		close(gate)
	})
}

// Kill ends every access token of org, as a logout does.
func (f *Force) Kill(org tokens.OrgID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.access {
		if t.org == org {
			t.dead = true
		}
	}
}

// Call is an API call with t. It reports whether Salesforce accepted it.
func (f *Force) Call(t tokens.Token) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.access[t.Access.Reveal()]
	if !a.live() {
		return false
	}
	if f.Slides {
		a.until = time.Now().Add(f.Session)
	}
	return true
}

func (t *forceToken) live() bool {
	return t != nil && !t.dead && time.Now().Before(t.until)
}

// Seen is how many token requests arrived, and how many of them were replays.
func (f *Force) Seen() (requests, replays int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Requests, f.Replays
}

// Questions is how many introspections of refresh tokens arrived.
func (f *Force) Questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Asked
}

// end kills the tokens of which is says so.
func (f *Force) end(why Fate, is func(*forceToken) bool) {
	for _, t := range f.refresh {
		if is(t) && !t.dead {
			t.dead = true
			if !t.spent {
				t.why = why
			}
		}
	}
	for _, t := range f.access {
		if is(t) {
			t.dead = true
		}
	}
}

func (f *Force) endFamily(why Fate, family int) {
	f.end(why, func(t *forceToken) bool { return t.family == family })
}

// Introspect implements [tokens.Exchanger].
func (f *Force) Introspect(_ context.Context, _ tokens.OrgID, s tokens.Subject) (tokens.Liveness, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.Refresh {
		f.Asked++
	}
	if f.how == IntrospectionDown {
		return tokens.Liveness{}, errCut
	}
	if f.how == IntrospectionDenied {
		return tokens.Liveness{}, nil
	}
	if s.Refresh {
		t := f.refresh[s.Token.Reveal()]
		if t == nil || t.dead {
			return tokens.Liveness{}, nil
		}
		if t.spent {
			if f.ReuseOnIntrospect {
				f.endFamily(FateQuestion, t.family)
			}
			return tokens.Liveness{}, nil
		}
		t.vouched = t.working == 0
		return tokens.Liveness{Active: true}, nil
	}
	t := f.access[s.Token.Reveal()]
	if !t.live() {
		return tokens.Liveness{}, nil
	}
	return tokens.Liveness{Active: true, ExpiresAt: t.until}, nil
}

// Revoke implements [tokens.Exchanger].
func (f *Force) Revoke(_ context.Context, org tokens.OrgID, s tokens.Subject) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Revoked++
	t := f.refresh[s.Token.Reveal()]
	if t == nil {
		t = f.access[s.Token.Reveal()]
	}
	switch {
	case f.RevokesAll || t == nil:
		f.end(FateRevoked, func(t *forceToken) bool { return t.org == org })
	default:
		f.endFamily(FateRevoked, t.family)
	}
	return nil
}

// Spend exchanges the newest refresh token of org as somebody else would who
// has a copy of it, and returns its successor, empty where there is nothing to
// spend.
func (f *Force) Spend(org tokens.OrgID) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.refresh[f.newest(org)]
	if t == nil || t.spent || t.dead {
		return ""
	}
	t.spent, t.why, t.at = true, FateForeign, time.Now()
	return f.mint(org, t.family)
}

func (f *Force) newest(org tokens.OrgID) string {
	for _, m := range slices.Backward(f.minted) {
		if f.refresh[m].org == org {
			return m
		}
	}
	return ""
}
