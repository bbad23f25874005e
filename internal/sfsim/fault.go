package sfsim

import (
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Endpoint names a group of paths for [Fault.At].
type Endpoint int

// The endpoints.
const (
	EndpointToken Endpoint = iota
	EndpointIntrospect
	EndpointRevoke
	EndpointAuthorize
	EndpointAPI // every API, userinfo and identity URL
	EndpointAny
)

// Seen is what a [Fault.Match] may look at.
type Seen struct {
	Endpoint  Endpoint
	Method    string
	Host      string
	Path      string
	Source    netip.Addr
	GrantType string // of a token request
	ClientID  string
	Token     TokenRef // the refresh token, the token asked about, or the API's access token
}

// Refusal makes a token request fail at one of Salesforce's own checks. Whether
// that spends the token is a switch.
type Refusal int

// The refusals.
const (
	NotRefused Refusal = iota
	RefuseClient
	RefuseAddress
)

// Fault is something that goes wrong with matching requests. The constructors
// below cover the usual ones; fields combine.
type Fault struct {
	Name  string // in the ledger
	At    Endpoint
	Match func(Seen) bool // nil: every request
	Times int             // zero: once; negative: until removed

	// Before and After wait before and after the server's state changed, first
	// for the duration, then until the channel is closed. The caller's leaving
	// doesn't cut them short.
	Before, After         time.Duration
	HoldBefore, HoldAfter <-chan struct{}
	// Reached, if set, is called when the wait before the change begins; a refresh
	// token's lock is held then.
	Reached func()

	Refuse Refusal // token endpoint

	// AfterCommit lets the state change before Answer or Lose takes the place of
	// the true answer; otherwise nothing changes.
	AfterCommit bool
	Answer      *Answer
	Lose        bool // close the connection without a byte
	Reset       bool // as Lose, by RST

	NoRotation       bool // token endpoint: this exchange keeps the refresh token, as if RTR were off
	OmitRefreshToken bool // token endpoint: rotates and doesn't tell
	Truncate         int  // OAuth endpoints: a whole answer with only this many bytes of body; negative: that many fewer
	CutAfter         int  // break the connection after this many bytes of body
}

// Answer is an answer in place of the true one.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// faults are the armed faults.
type faults struct {
	armed atomic.Int64 // length of list, read without mu
	mu    sync.Mutex   // guards list
	list  []*armedFault
}

type armedFault struct {
	Fault
	left int
}

// Inject arms a fault and returns a function that disarms it. Faults are tried
// in the order of their injection; one request takes at most one.
func (s *Sim) Inject(f Fault) (remove func()) {
	if f.Times == 0 {
		f.Times = 1
	}
	a := &armedFault{f, f.Times}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = append(s.faults.list, a)
	s.faults.armed.Add(1)
	return func() { s.faults.remove(a) }
}

// Armed returns how many injected faults have not been used up.
func (s *Sim) Armed() int { return int(s.faults.armed.Load()) }

func (f *faults) remove(a *armedFault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(a)
}

// drop removes a from the list. faults.mu is held.
func (f *faults) drop(a *armedFault) {
	if i := slices.Index(f.list, a); i >= 0 {
		f.list = slices.Delete(f.list, i, i+1)
		f.armed.Add(-1)
	}
}

// take returns the fault for a request, or nil.
func (f *faults) take(seen Seen) *Fault {
	if f.armed.Load() == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.list {
		if a.At != EndpointAny && a.At != seen.Endpoint || a.Match != nil && !a.Match(seen) {
			continue
		}
		if a.left > 0 {
			if a.left--; a.left == 0 {
				f.drop(a)
			}
		}
		return &a.Fault
	}
	return nil
}
