package sfsim

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

// access is an access token. All that changes is atomic, so that an API call
// takes no lock.
type access struct {
	token       string
	fingerprint string
	app         *app
	org         *org
	user        *user
	grant       int // zero for client_credentials
	generation  int // exchanges of the grant before this one; 0 is the authorisation's
	scope       string
	jwt         bool
	issued      time.Time
	exp         time.Time // JWT only
	source      netip.Addr

	lastUsed atomic.Int64 // Unix nanoseconds
	dead     atomic.Bool
	ok       atomic.Uint64
	refused  atomic.Uint64
}

// end returns when the token ends if nobody uses it.
func (a *access) end() time.Time {
	if a.jwt {
		return a.exp
	}
	idle := time.Unix(0, a.lastUsed.Load()+a.org.timeout.Load())
	if d := time.Duration(a.org.lifetime.Load()); d > 0 && a.issued.Add(d).Before(idle) {
		return a.issued.Add(d)
	}
	return idle
}

// alive reports whether the token is good at now, and remembers when it isn't.
func (a *access) alive(now time.Time) bool {
	if a.dead.Load() {
		return false
	}
	if now.Before(a.end()) {
		return true
	}
	a.dead.Store(true)
	return false
}

// touch restarts the inactivity clock.
func (a *access) touch(now time.Time) {
	n := now.UnixNano()
	for {
		last := a.lastUsed.Load()
		if n <= last || a.lastUsed.CompareAndSwap(last, n) {
			return
		}
	}
}

// newAccess mints an access token. Sim.mu is held.
func (s *Sim) newAccess(ap *app, o *org, u *user, g *grant, scope string, from netip.Addr, now time.Time) *access {
	a := &access{app: ap, org: o, user: u, scope: scope, issued: now, jwt: ap.JWT, source: from}
	if ap.JWT {
		a.exp = now.Add(ap.JWTLifetime)
		a.token = s.mint.jwt(ap.ClientID, u.identity, o.instance, scope, now, a.exp)
	} else {
		a.token = s.mint.opaque(o.ID)
	}
	a.fingerprint = Fingerprint(a.token)
	a.lastUsed.Store(now.UnixNano())
	if g != nil {
		a.grant, a.generation = g.id, g.exchanges
		g.keep(a)
	}
	s.accesses.Store(a.token, a)
	return a
}

func (s *Sim) access(token string) *access {
	if v, ok := s.accesses.Load(token); ok {
		return v.(*access)
	}
	return nil
}

// AccessAlive reports whether Salesforce would accept the access token now. It
// doesn't count as use.
func (s *Sim) AccessAlive(token string) bool {
	a := s.access(token)
	return a != nil && a.alive(s.now())
}

// KillAccess ends one access token and leaves its grant alone. It reports
// whether the token was alive.
func (s *Sim) KillAccess(token string) bool {
	a := s.access(token)
	return a != nil && a.alive(s.now()) && a.dead.CompareAndSwap(false, true)
}

// KillGrantAccess ends all access tokens of a grant and leaves its refresh token
// alone. It returns how many were alive.
func (s *Sim) KillGrantAccess(grantID int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if grantID < 1 || grantID > len(s.grants) {
		return 0
	}
	n := 0
	for _, a := range s.grants[grantID-1].accesses {
		if a.alive(s.now()) && a.dead.CompareAndSwap(false, true) {
			n++
		}
	}
	return n
}

// RevokeGrant ends a grant as an administrator does in Setup.
func (s *Sim) RevokeGrant(grantID int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if grantID < 1 || grantID > len(s.grants) {
		return fmt.Errorf("sfsim: there is no grant %d", grantID)
	}
	s.endGrant(s.grants[grantID-1], "revoked in Setup")
	return nil
}

// Freeze freezes a user: all its grants and access tokens end, and no new ones
// are handed out until [Sim.Unfreeze].
func (s *Sim) Freeze(orgRef, username string) error {
	return s.freeze(orgRef, username, true)
}

// Unfreeze lets a user authorise again. What Freeze ended stays ended.
func (s *Sim) Unfreeze(orgRef, username string) error {
	return s.freeze(orgRef, username, false)
}

func (s *Sim) freeze(orgRef, username string, frozen bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, u, err := s.orgUser(orgRef, username)
	if err != nil {
		return err
	}
	u.frozen = frozen
	if !frozen {
		return nil
	}
	for _, g := range s.grants {
		if g.user == u {
			s.endGrant(g, "user frozen")
		}
	}
	s.accesses.Range(func(_, v any) bool {
		if a := v.(*access); a.user == u {
			a.dead.Store(true)
		}
		return true
	})
	return nil
}

// endGrant revokes a grant and its access tokens. Sim.mu is held.
func (s *Sim) endGrant(g *grant, why string) {
	if g.dead == "" {
		g.dead = why
	}
	for _, a := range g.accesses {
		a.dead.Store(true)
	}
	g.accesses = nil
}

// SetSessionTimeout changes an org's inactivity timeout, for sessions that live too.
func (s *Sim) SetSessionTimeout(orgRef string, d time.Duration) error {
	return s.withOrg(orgRef, func(o *org) { o.timeout.Store(int64(d)) })
}

// SetSessionLifetime makes an org's sessions end d after their issue however much
// they are used, those that live too. Zero: use alone decides.
func (s *Sim) SetSessionLifetime(orgRef string, d time.Duration) error {
	return s.withOrg(orgRef, func(o *org) { o.lifetime.Store(int64(d)) })
}

// LockSessionsToIP switches an org's session-IP lock.
func (s *Sim) LockSessionsToIP(orgRef string, on bool) error {
	return s.withOrg(orgRef, func(o *org) { o.lockIP.Store(on) })
}

func (s *Sim) withOrg(ref string, fn func(*org)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, _, err := s.orgUser(ref, "")
	if err == nil {
		fn(o)
	}
	return err
}
