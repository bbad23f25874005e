package sfsim

import (
	"slices"
	"strings"
)

const (
	jwtBearerGrant     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	tokenExchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	clientAssertion    = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// jwtBearer serves the JWT bearer grant. The assertion names and proves the
// client, so no secret is looked at, and the allowlist for refresh tokens isn't
// either. Sim.mu is held.
func (s *Sim) jwtBearer(q *request, x *TokenRequest) *result {
	text := q.params.Get("assertion")
	if ap, _ := s.credential(q.client); text == "" && (ap == nil || ap.key == nil) {
		return fail("unsupported_grant_type", "grant type not supported")
	}
	if text == "" {
		return fail("invalid_request", "missing required parameter: assertion")
	}
	seen := s.present(x, text)
	v, ok := readAssertion(text)
	if !ok {
		return fail("invalid_grant", "invalid assertion")
	}
	q.client = v.text("iss")
	x.ClientID = q.client
	ap, secret := s.credential(q.client)
	switch {
	case ap == nil:
		return fail("invalid_client_id", "client identifier invalid")
	case ap.key == nil:
		return fail("unsupported_grant_type", "grant type not supported")
	case !v.by(ap.key):
		return fail("invalid_grant", "invalid assertion")
	}
	switch current, ok := v.current(s.now()); {
	case !ok:
		return fail("invalid_grant", "invalid assertion")
	case !current:
		return fail("invalid_grant", "expired authorization code")
	}
	o, u := s.subject(q, v)
	if !s.audience(q, o, v.audience()) {
		if s.Switches().AudienceValidationFailed {
			return fail("invalid_grant", "Audience validation failed")
		}
		return fail("invalid_grant", "audience is invalid")
	}
	if refused := s.approved(ap, u); refused != nil {
		return refused
	}
	if seen && s.Switches().AssertionOnce {
		return fail("invalid_grant", "invalid assertion")
	}
	if refused := s.login(q, o, u); refused != nil {
		return refused
	}
	q.signing = secret
	a := s.newAccess(ap, o, u, nil, offline(ap.Scopes, "refresh_token", "offline_access"), q.source, s.now())
	return s.issue(q, x, a, nil)
}

// present records an assertion and reports whether it came before.
func (s *Sim) present(x *TokenRequest, text string) bool {
	name := Fingerprint(text)
	s.assertions[name]++
	x.Assertion = TokenRef{Fingerprint: name, State: "new"}
	if s.assertions[name] > 1 {
		x.Assertion.State = "repeated"
		return true
	}
	return false
}

// subject finds the user whom prn, or else sub, names: in the host's org, at a
// login host in any.
func (s *Sim) subject(q *request, v assertion) (*org, *user) {
	name := v.text("prn")
	if name == "" {
		name = v.text("sub")
	}
	if name == "" {
		return q.host.org, nil
	}
	if o := q.host.org; o != nil {
		return o, o.user(name)
	}
	for _, o := range s.orgs {
		if u := o.user(name); u != nil && o.Sandbox == (q.name == "test.salesforce.com") {
			return o, u
		}
	}
	return nil, nil
}

// audience reports whether aud is a login host or the org's Experience Cloud
// site, or, under the switch, its My Domain.
func (s *Sim) audience(q *request, o *org, aud string) bool {
	aud = strings.ToLower(strings.TrimSuffix(aud, "/"))
	name, ok := strings.CutPrefix(aud, "https://")
	if !ok {
		return false
	}
	sandbox := q.name == "test.salesforce.com"
	if o != nil {
		sandbox = o.Sandbox
	}
	switch {
	case name == "login.salesforce.com":
		return !sandbox
	case name == "test.salesforce.com":
		return sandbox
	case o == nil:
		return false
	case name == o.Host:
		return s.Switches().AudienceMyDomain
	}
	return site(name) && slices.ContainsFunc(o.Aliases, func(a string) bool { return strings.EqualFold(a, name) })
}

// site reports whether a host is one of Experience Cloud.
func site(name string) bool {
	return strings.HasSuffix(name, ".my.site.com") || strings.HasSuffix(name, ".force.com")
}

// approved reports whether a user may be logged in without being asked: an app
// with a list of pre-authorised users takes those, another needs an approval of
// the user that included a refresh token.
func (s *Sim) approved(ap *app, u *user) *result {
	switch {
	case u == nil:
	case ap.PreAuthorized != nil:
		if slices.ContainsFunc(ap.PreAuthorized, func(n string) bool { return n == "*" || strings.EqualFold(n, u.Username) }) {
			return nil
		}
		return fail("invalid_grant", "user is not admin approved to access this app")
	default:
		for _, g := range s.grants {
			if g.app == ap && g.user == u && g.dead == "" && len(g.chain) > 0 {
				return nil
			}
		}
	}
	return fail("invalid_grant", "user hasn't approved this consumer")
}

// offline returns an app's scopes without the named ones.
func offline(scopes []string, without ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(scopes), func(sc string) bool { return slices.Contains(without, sc) }), " ")
}

// clientAssertion authenticates a client by a JWT that it signed, in place of
// its secret. Sim.mu is held.
func (s *Sim) clientAssertion(q *request, ap *app) bool {
	v, ok := readAssertion(q.params.Get("client_assertion"))
	if !ok || q.params.Get("client_assertion_type") != clientAssertion || ap.key == nil || !v.by(ap.key) {
		return false
	}
	current, ok := v.current(s.now())
	aud := strings.TrimSuffix(v.audience(), "/services/oauth2/token")
	name, found := strings.CutPrefix(aud, "https://")
	return ok && current && found && v.text("iss") == q.client && v.text("sub") == q.client &&
		(strings.EqualFold(name, q.name) || name == "login.salesforce.com" || name == "test.salesforce.com")
}

// ExchangeRequest is what a token exchange handler is asked.
type ExchangeRequest struct {
	SubjectToken     string
	SubjectTokenType string // the last part of its URN, such as "jwt"
	Handler          string // token_handler
	OrgID            string
}

// tokenExchange serves that grant by the app's handler. Sim.mu is held.
func (s *Sim) tokenExchange(q *request, x *TokenRequest) *result {
	ap, refused := s.client(q, secretForRefresh)
	if refused != nil {
		return refused
	}
	if ap.Exchange == nil {
		return fail("unsupported_grant_type", "grant type not supported")
	}
	if q.host.org == nil || q.host.kind == setupHost {
		return fail("invalid_grant", "request not supported on this domain")
	}
	token := q.params.Get("subject_token")
	kind, ok := strings.CutPrefix(q.params.Get("subject_token_type"), "urn:ietf:params:oauth:token-type:")
	kind = strings.ToLower(kind)
	if token == "" || !ok || !slices.Contains([]string{"access_token", "refresh_token", "id_token", "jwt", "saml2"}, kind) {
		return fail("invalid_request", "invalid subject_token or subject_token_type")
	}
	s.present(x, token)
	o := q.host.org
	name, err := ap.Exchange(ExchangeRequest{token, kind, q.params.Get("token_handler"), o.ID})
	u := o.user(name)
	if err != nil || name == "" || u == nil {
		return fail("invalid_grant", "authentication failure")
	}
	scope, refused := scopeOf(ap, q.params.Get("scope"))
	if refused != nil {
		return refused
	}
	if refused := s.login(q, o, u); refused != nil {
		return refused
	}
	if s.Switches().ExchangeGrantsRefresh {
		g, a := s.newGrant(ap, o, u, scope, q.source)
		g.key = q.client
		return s.issue(q, x, a, g.current())
	}
	a := s.newAccess(ap, o, u, nil, offline(strings.Fields(scope), "refresh_token", "offline_access"), q.source, s.now())
	return s.issue(q, x, a, nil)
}

// password refuses the username-password flow, which orgs block by default,
// and records that a person's password came this far.
func (s *Sim) password(q *request) *result {
	if q.params.Get("password") != "" {
		s.ledger.violate(s.now(), PasswordGrant, q.name, q.URL.Path, "grant_type=password")
	}
	return fail("unsupported_grant_type", "grant type not supported")
}
