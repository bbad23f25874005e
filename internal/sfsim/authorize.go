package sfsim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authorize approves at once and redirects with a code. Who approves is the user
// named by login_hint, else the first of the host's org; at a login host without
// a hint that is only clear when there is one org.
func (s *Sim) authorize(q *request) answer {
	p := q.params
	s.mu.Lock()
	defer s.mu.Unlock()
	ap, secret := s.credential(p.Get("client_id"))
	q.signing = secret
	if ap == nil {
		return q.encode(fail("invalid_client_id", "client identifier invalid"))
	}
	back, err := url.Parse(p.Get("redirect_uri"))
	if err != nil || !slices.Contains(ap.RedirectURIs, p.Get("redirect_uri")) {
		return q.encode(fail("redirect_uri_mismatch", "redirect_uri must match configuration"))
	}
	to := back.Query()
	if p.Has("state") {
		to.Set("state", p.Get("state"))
	}
	if refused := s.approve(q, ap, to); refused != nil {
		for _, kv := range refused.fields {
			to.Set(kv[0], kv[1])
		}
	}
	if back.RawQuery = to.Encode(); p.Get("response_type") == "hybrid_token" {
		back.RawQuery, back.Fragment, back.RawFragment = "", to.Encode(), to.Encode()
	}
	return answer{status: http.StatusFound, header: http.Header{"Location": {back.String()}}}
}

// approve puts a code into to, or says why not. Sim.mu is held.
func (s *Sim) approve(q *request, ap *app, to url.Values) *result {
	p := q.params
	if p.Get("response_type") == "hybrid_token" {
		return s.approveHybrid(q, ap, to)
	}
	if p.Get("response_type") != "code" {
		return fail("unsupported_response_type", "response type not supported")
	}
	// A missing method is S256: jsforce and the sf CLI send none.
	if m := p.Get("code_challenge_method"); m != "" && m != "S256" {
		return fail("invalid_request", "code challenge method not supported")
	}
	if ap.PKCE && p.Get("code_challenge") == "" {
		return fail("invalid_request", "missing required code challenge")
	}
	scope, refused := scopeOf(ap, p.Get("scope"))
	if refused != nil {
		return refused
	}
	o, u := s.approver(q)
	if u == nil || u.frozen {
		return fail("access_denied", "end-user denied authorization")
	}
	c := &code{grantee: u, app: ap, org: o, scope: scope, redirect: p.Get("redirect_uri"), challenge: p.Get("code_challenge"), made: s.now()}
	token := s.mint.code()
	s.codes[token] = c
	to.Set("code", token)
	return nil
}

// approveHybrid puts tokens and UI sessions into to: the user-agent flow of
// Salesforce's Mobile SDK. Sim.mu is held.
func (s *Sim) approveHybrid(q *request, ap *app, to url.Values) *result {
	scope, refused := scopeOf(ap, q.params.Get("scope"))
	if refused != nil {
		return refused
	}
	o, u := s.approver(q)
	if u == nil || u.frozen {
		return fail("access_denied", "end-user denied authorization")
	}
	g, a := s.newGrant(ap, o, u, scope, q.source)
	g.key = q.client
	for _, kv := range s.issue(q, &TokenRequest{GrantType: "hybrid_token"}, a, g.current()).fields {
		to.Set(kv[0], kv[1])
	}
	if rt := g.current(); rt != nil {
		rt.given = true
	}
	return nil
}

// scopeOf returns the scopes asked for, all of the app's if none are.
func scopeOf(ap *app, asked string) (string, *result) {
	if strings.TrimSpace(asked) == "" {
		return strings.Join(ap.Scopes, " "), nil
	}
	for _, sc := range strings.Fields(asked) {
		if !slices.Contains(ap.Scopes, sc) {
			return "", fail("invalid_scope", "the requested scope is not allowed")
		}
	}
	return strings.Join(strings.Fields(asked), " "), nil
}

func (s *Sim) approver(q *request) (*org, *user) {
	hint := q.params.Get("login_hint")
	if o := q.host.org; o != nil {
		return o, o.user(hint)
	}
	for _, o := range s.orgs {
		if u := o.user(hint); u != nil && (hint != "" || len(s.orgs) == 1) {
			return o, u
		}
	}
	return nil, nil
}
