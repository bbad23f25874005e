package sfsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const codeLifetime = 15 * time.Minute

// Authorize grants what a person's authorisation of an app would. The org is
// named by host or id; an empty username is its first user.
func (s *Sim) Authorize(clientID, orgRef, username string) (Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ap, _ := s.credential(clientID)
	if ap == nil {
		return Grant{}, fmt.Errorf("sfsim: no app %s", clientID)
	}
	o, u, err := s.orgUser(orgRef, username)
	if err != nil {
		return Grant{}, err
	}
	if u.frozen {
		return Grant{}, fmt.Errorf("sfsim: user %s is frozen", u.Username)
	}
	g, a := s.newGrant(ap, o, u, strings.Join(ap.Scopes, " "), netip.Addr{})
	g.key = clientID
	out := Grant{ID: g.id, AccessToken: a.token, OrgID: o.ID, UserID: u.ID, InstanceURL: o.instance, IdentityURL: u.identity}
	if rt := g.current(); rt != nil {
		rt.given = true
		out.RefreshToken = rt.token
	}
	return out, nil
}

// redeem exchanges an authorization code. Sim.mu is held.
func (s *Sim) redeem(q *request, x *TokenRequest) *result {
	ap, refused := s.client(q, secretAlways)
	if refused != nil {
		return refused
	}
	if !ap.allowed(q.source) || q.fault.Refuse == RefuseAddress {
		return fail("invalid_grant", s.Switches().addressRefusal())
	}
	c := s.codes[q.params.Get("code")]
	if c == nil || c.used || c.app != ap || q.host.org != nil && q.host.org != c.org {
		return fail("invalid_grant", "invalid authorization code")
	}
	if s.now().Sub(c.made) >= codeLifetime {
		return fail("invalid_grant", "expired authorization code")
	}
	if q.params.Get("redirect_uri") != c.redirect {
		return fail("redirect_uri_mismatch", "redirect_uri must match configuration")
	}
	c.used = true
	if !c.proven(q.params.Get("code_verifier")) {
		return fail("invalid_grant", "invalid code verifier")
	}
	if refused := s.login(q, c.org, c.grantee); refused != nil {
		return refused
	}
	g, a := s.newGrant(ap, c.org, c.grantee, c.scope, q.source)
	g.key = q.client
	return s.issue(q, x, a, g.current())
}

// proven checks a PKCE verifier, of any length, against the challenge.
func (c *code) proven(verifier string) bool {
	if c.challenge == "" {
		return true
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return verifier != "" && subtle.ConstantTimeCompare([]byte(got), []byte(strings.TrimRight(c.challenge, "="))) == 1
}

// clientCredentials serves that grant, on My Domain hosts only. Sim.mu is held.
func (s *Sim) clientCredentials(q *request, x *TokenRequest) *result {
	ap, refused := s.client(q, secretAlways)
	if refused != nil {
		return refused
	}
	if q.host.kind != myDomain {
		return fail("invalid_grant", "request not supported on this domain")
	}
	if ap.RunAs == "" || ap.ClientSecret == "" || q.host.org.user(ap.RunAs) == nil {
		return fail("invalid_grant", "no client credentials user enabled")
	}
	u := q.host.org.user(ap.RunAs)
	if refused := s.login(q, q.host.org, u); refused != nil {
		return refused
	}
	scope := offline(ap.Scopes, "full", "web", "refresh_token", "offline_access")
	a := s.newAccess(ap, q.host.org, u, nil, scope, q.source, s.now())
	return s.issue(q, x, a, nil)
}

// newGrant records an authorisation and ends the oldest of more than five.
// Sim.mu is held.
func (s *Sim) newGrant(ap *app, o *org, u *user, scope string, from netip.Addr) (*grant, *access) {
	now := s.now()
	g := &grant{id: len(s.grants) + 1, app: ap, org: o, user: u, scope: scope, created: now, used: now}
	s.grants = append(s.grants, g)
	a := s.newAccess(ap, o, u, g, scope, from, now)
	if !hasScope(scope, "refresh_token") && !hasScope(scope, "offline_access") {
		return g, a
	}
	s.extend(g)
	var same []*grant
	for _, old := range s.grants {
		if old.app == ap && old.user == u && old.dead == "" && len(old.chain) > 0 {
			same = append(same, old)
		}
	}
	for _, old := range same[:max(0, len(same)-maxApprovals)] {
		s.endGrant(old, "sixth approval")
	}
	return g, a
}

const maxApprovals = 5

func hasScope(scope, name string) bool { return slices.Contains(strings.Fields(scope), name) }
