package tokenstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// Fault is what happens to one token request.
type Fault uint8

// The faults of a token request.
const (
	FaultNone        Fault = iota
	FaultConnect           // no connection
	FaultUnwritten         // the first write fails with nothing sent
	FaultLostBefore        // the request is lost on its way: nothing was spent
	FaultLostAfter         // the answer is lost: the token was rotated
	FaultTruncated         // the answer is cut within its last token
	FaultUnclear           // a 5xx after the token was rotated
	FaultBusy              // "token request is already being processed"
	FaultRate              // "login rate exceeded"
	FaultClient            // invalid_client, the token unspent
	FaultClientSpent       // invalid_client, and the token is spent all the same
	FaultDead              // "expired access/refresh token"
	FaultNoRotation        // a token answer without a refresh token
)

// Force is a Salesforce in memory, for tests of the domain under virtual time.
// It implements [tokens.Exchanger]. Its ledger is what it saw. It is safe for
// concurrent use.
type Force struct {
	// Latency is how long each request takes.
	Latency time.Duration
	// Session is the life of an access token.
	Session time.Duration
	// ReuseOnIntrospect makes an introspection of a spent token count as reuse.
	ReuseOnIntrospect bool

	mu      sync.Mutex
	how     Introspection // guarded by mu
	serial  int
	grants  map[tokens.OrgID]*forceGrant
	refresh map[string]*forceToken
	access  map[string]*forceToken
	faults  []Fault
	gate    chan struct{}

	sent     map[string]int // per refresh token
	Replays  int            // guarded by mu: requests with a token that was spent
	Requests int            // guarded by mu: token requests that arrived
	Asked    int            // guarded by mu: introspections of refresh tokens
	Revoked  int            // guarded by mu
}

type forceGrant struct{ current string }

type forceToken struct {
	org   tokens.OrgID
	spent bool
	dead  bool
	until time.Time
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
	return &Force{Latency: 50 * time.Millisecond, Session: 2 * time.Hour, grants: map[tokens.OrgID]*forceGrant{},
		refresh: map[string]*forceToken{}, access: map[string]*forceToken{}, sent: map[string]int{}}
}

// Authorise is a person's authorisation of org: it returns a refresh token.
func (f *Force) Authorise(org tokens.OrgID) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mint(org)
}

func (f *Force) mint(org tokens.OrgID) string {
	f.serial++
	r := fmt.Sprintf("5Aep861-%s-%d", org, f.serial)
	f.refresh[r] = &forceToken{org: org}
	f.grants[org] = &forceGrant{r}
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
	return a != nil && !a.dead && time.Now().Before(a.until)
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

// Connect implements [tokens.Exchanger].
func (f *Force) Connect(_ context.Context, org tokens.OrgID) (tokens.Line, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := FaultNone
	if len(f.faults) > 0 {
		fault, f.faults = f.faults[0], f.faults[1:]
	}
	if fault == FaultConnect {
		return nil, &tokens.Error{Org: org, Code: tokens.CodeUpstream, Temporary: true, What: "Salesforce can't be reached", Hint: "look at the network"}
	}
	return &forceLine{f, org, fault}, nil
}

type forceLine struct {
	f     *Force
	org   tokens.OrgID
	fault Fault
}

func (*forceLine) Address() string { return "192.0.2.7" }
func (*forceLine) Close() error    { return nil }

// errCut is how a connection ends that brought no answer.
var errCut = errors.New("connection reset by peer")

// Send implements [tokens.Line].
func (l *forceLine) Send(ctx context.Context, c tokens.Credential, guard func() error) (tokens.Answer, bool, error) {
	if err := guard(); err != nil {
		return nil, false, err
	}
	f := l.f
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, true, ctx.Err()
		}
	}
	t := time.NewTimer(f.Latency)
	select {
	case <-t.C:
	case <-ctx.Done():
		return nil, true, ctx.Err()
	}
	switch l.fault {
	case FaultUnwritten:
		return nil, false, errCut
	case FaultLostBefore:
		return nil, true, errCut
	default:
	}
	a := f.answer(l.org, c, l.fault)
	switch l.fault {
	case FaultLostAfter:
		return nil, true, errCut
	case FaultTruncated:
		return a[:len(a)-4], true, errCut
	default:
	}
	return a, true, nil
}

type forceAnswer struct {
	Access  string `json:"access,omitempty"`
	Refresh string `json:"refresh,omitempty"`
	Class   tokens.Class
	Code    string `json:"code,omitempty"`
	At      int64  `json:"at,omitempty"`
}

func (f *Force) answer(org tokens.OrgID, c tokens.Credential, fault Fault) tokens.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Requests++
	refuse := func(class tokens.Class, code string) tokens.Answer {
		return encode(forceAnswer{Class: class, Code: code})
	}
	switch fault {
	case FaultBusy:
		return refuse(tokens.ClassBusy, "invalid_grant")
	case FaultRate:
		return refuse(tokens.ClassRateLimited, "rate_limit_exceeded")
	case FaultClient:
		return refuse(tokens.ClassMisconfigured, "invalid_client")
	case FaultDead:
		return refuse(tokens.ClassDead, "invalid_grant")
	default:
	}
	var out forceAnswer
	if c.SingleUse {
		t := f.refresh[c.Secret.Reveal()]
		f.sent[c.Secret.Reveal()]++
		switch {
		case t == nil || t.dead:
			return refuse(tokens.ClassDead, "invalid_grant")
		case t.spent:
			f.Replays++
			f.killFamily(t.org)
			return refuse(tokens.ClassDead, "invalid_grant")
		}
		if fault != FaultNoRotation {
			t.spent = true
			out.Refresh = f.mint(org)
		}
		if fault == FaultClientSpent {
			return refuse(tokens.ClassMisconfigured, "invalid_client")
		}
	}
	f.serial++
	out.Access = fmt.Sprintf("00D-%s-%d", org, f.serial)
	out.At = time.Now().UnixMilli()
	f.access[out.Access] = &forceToken{org: org, until: time.Now().Add(f.Session)}
	if fault == FaultUnclear {
		return refuse(tokens.ClassDoubt, "")
	}
	return encode(out)
}

func (f *Force) killFamily(org tokens.OrgID) {
	for _, t := range f.refresh {
		if t.org == org {
			t.dead = true
		}
	}
	for _, t := range f.access {
		if t.org == org {
			t.dead = true
		}
	}
}

func encode(a forceAnswer) tokens.Answer {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return b
}

// Parse implements [tokens.Exchanger].
func (f *Force) Parse(a tokens.Answer) (tokens.Issue, error) {
	var in forceAnswer
	if err := json.Unmarshal(a, &in); err != nil {
		return tokens.Issue{}, &tokens.Refusal{}
	}
	if in.Access == "" {
		return tokens.Issue{}, &tokens.Refusal{Class: in.Class, Status: 400, Code: in.Code, Description: "as scripted"}
	}
	return tokens.Issue{Access: secret.NewText(in.Access), Refresh: secret.NewText(in.Refresh), InstanceURL: "https://acme.my.salesforce.com",
		OrgID: "00D000000000001EAA", UserID: "005000000000001AAA", IssuedAt: time.UnixMilli(in.At)}, nil
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
		if t != nil && t.spent && f.ReuseOnIntrospect {
			f.killFamily(t.org)
		}
		return tokens.Liveness{Active: t != nil && !t.spent && !t.dead}, nil
	}
	t := f.access[s.Token.Reveal()]
	if t == nil || t.dead || !time.Now().Before(t.until) {
		return tokens.Liveness{}, nil
	}
	return tokens.Liveness{Active: true, ExpiresAt: t.until}, nil
}

// Revoke implements [tokens.Exchanger].
func (f *Force) Revoke(_ context.Context, org tokens.OrgID, _ tokens.Subject) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Revoked++
	f.killFamily(org)
	return nil
}
