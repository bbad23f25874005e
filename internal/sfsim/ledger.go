package sfsim

import (
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TokenRef names a token and its place, never its value.
type TokenRef struct {
	Fingerprint string
	Grant       int    // zero: none
	Index       int    // refresh token: place in the grant's chain; access token: generation
	State       string // "current", "rotated", "dead" or "unknown", when it was presented
}

// TokenRequest is one request to the token endpoint.
type TokenRequest struct {
	Seq       int // from 1
	Time      time.Time
	Host      string
	Path      string
	SNI       string
	Proto     string
	Source    netip.Addr
	Header    http.Header // all but Authorization and Cookie
	GrantType string
	ClientID  string
	Presented TokenRef // the refresh token
	Assertion TokenRef // JWT bearer's assertion or token exchange's subject token; "new" or "repeated"
	Issued    TokenRef // the new refresh token
	Access    TokenRef // the new access token
	// Left is how much life, without use, the grant's access tokens had left when
	// its refresh token was presented. Zero: the session was over.
	Left time.Duration

	Fault       string // name of the injected fault
	Status      int    // zero: no answer
	Error       string
	Description string
	Done        bool // false: the answer's first byte isn't written yet
	Spent       bool // the presented token was rotated out by this request
	Replay      bool // a rotated-out token was presented
	Concurrent  bool // an exchange of the same token was under way
	Delivered   bool // the true answer is written in full to a caller who is there; corrected if writing fails
}

// Phase is an instant of a token request.
type Phase int

// The phases.
const (
	PhaseReceived  Phase = iota // read, nothing decided
	PhaseCommitted              // the state has changed, nothing written
	PhaseAnswered               // written or lost
)

// Exchange is what [Options.OnTokenAnswer] is told.
type Exchange struct {
	Phase Phase
	TokenRequest
}

// Introspection is one request to the introspection endpoint.
type Introspection struct {
	Time     time.Time
	Host     string
	Source   netip.Addr
	ClientID string
	Hint     string
	Token    TokenRef
	Active   bool   // as answered
	Denied   bool   // answered inactive whatever the token's state
	Error    string // of the client's authentication
}

// Revocation is one request to the revocation endpoint.
type Revocation struct {
	Time   time.Time
	Host   string
	Source netip.Addr
	Token  TokenRef
	Access bool // an access token
	OK     bool
}

// Loss is a rotation whose new refresh token reached nobody.
type Loss struct {
	Seq   int // of the token request
	Time  time.Time
	Grant int
	Index int
	Fault string
}

// APICount counts the calls that one access token made.
type APICount struct {
	Token   TokenRef
	Host    string
	OK      uint64
	Refused uint64
}

// GrantState is a grant as Salesforce sees it.
type GrantState struct {
	ID        int
	ClientID  string
	OrgID     string
	Username  string
	Dead      string // why it ended; empty while it lives
	Current   TokenRef
	Given     bool // the current refresh token was handed out
	Exchanges int
	LastUse   time.Time
}

// Ledger is a copy of all that the simulator recorded.
type Ledger struct {
	Tokens         []TokenRequest
	Introspections []Introspection
	Revocations    []Revocation
	RPCs           []RPC       // calls of the Pub/Sub API
	Violations     []Violation // the first 10,000
	ViolationCount map[ViolationKind]int
	Losses         []Loss
	API            []APICount // tokens that made a call
	Grants         []GrantState

	Exchanges  int // token requests that issued an access token, delivered or not
	Replays    int
	APIOK      uint64
	APIRefused uint64
}

// ledger records. Entries of the OAuth endpoints are kept whole, API calls are
// only counted.
type ledger struct {
	anonymousRefused atomic.Uint64 // API calls without a known token

	mu             sync.Mutex // guards all below
	tokens         []TokenRequest
	introspections []Introspection
	revocations    []Revocation
	rpcs           []RPC
	violations     []Violation
	counts         map[ViolationKind]int
	losses         []Loss
}

const maxViolations = 10_000

// open adds a token request and numbers it.
func (l *ledger) open(x *TokenRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.Seq = len(l.tokens) + 1
	l.tokens = append(l.tokens, *x)
}

// put replaces the entry of a token request.
func (l *ledger) put(x *TokenRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens[x.Seq-1] = *x
}

func (l *ledger) lose(v Loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses = append(l.losses, v)
}

func (l *ledger) violate(at time.Time, kind ViolationKind, host, path, detail string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[ViolationKind]int{}
	}
	l.counts[kind]++
	if len(l.violations) < maxViolations {
		l.violations = append(l.violations, Violation{at, kind, host, path, detail})
	}
}

// Ledger returns a copy of the records.
func (s *Sim) Ledger() Ledger {
	out := s.ledger.copy()
	for _, x := range out.Tokens {
		if x.Access.Fingerprint != "" {
			out.Exchanges++
		}
		if x.Replay {
			out.Replays++
		}
	}
	out.APIRefused = s.ledger.anonymousRefused.Load()
	s.accesses.Range(func(_, v any) bool {
		a := v.(*access)
		c := APICount{Token: TokenRef{Fingerprint: a.fingerprint, Grant: a.grant, Index: a.generation, State: "dead"},
			Host: a.org.Host, OK: a.ok.Load(), Refused: a.refused.Load()}
		if a.alive(s.now()) {
			c.Token.State = "current"
		}
		out.APIOK += c.OK
		out.APIRefused += c.Refused
		if c.OK+c.Refused > 0 {
			out.API = append(out.API, c)
		}
		return true
	})
	slices.SortFunc(out.API, func(a, b APICount) int {
		if a.Token.Grant != b.Token.Grant {
			return a.Token.Grant - b.Token.Grant
		}
		return a.Token.Index - b.Token.Index
	})
	out.Grants = s.grantStates()
	return out
}

func (l *ledger) copy() Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := Ledger{
		Tokens: slices.Clone(l.tokens), Introspections: slices.Clone(l.introspections), Revocations: slices.Clone(l.revocations), RPCs: slices.Clone(l.rpcs),
		Violations: slices.Clone(l.violations), Losses: slices.Clone(l.losses), ViolationCount: map[ViolationKind]int{},
	}
	for k, n := range l.counts {
		out.ViolationCount[k] = n
	}
	return out
}

func (s *Sim) grantStates() []GrantState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []GrantState
	for _, g := range s.grants {
		v := GrantState{ID: g.id, ClientID: g.app.ClientID, OrgID: g.org.ID, Username: g.user.Username,
			Dead: g.dead, Exchanges: g.exchanges, LastUse: g.used}
		if rt := g.current(); rt != nil {
			v.Current, v.Given = rt.ref(), rt.given
		}
		out = append(out, v)
	}
	return out
}
