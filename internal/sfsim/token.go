package sfsim

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"
)

// Descriptions of invalid_grant.
const (
	expiredToken    = "expired access/refresh token"
	beingProcessed  = "token request is already being processed"
	validityExpired = "token validity expired"
	ipRestricted    = "ip restricted"
)

func (s *Sim) serveToken(w http.ResponseWriter, r *http.Request, name string, h host) {
	q := readRequest(r, name, h)
	x := &TokenRequest{Time: s.now(), Host: name, Path: r.URL.Path, Proto: r.Proto, Source: q.source, Header: r.Header.Clone(),
		GrantType: q.params.Get("grant_type"), ClientID: q.client}
	x.Header.Del("Authorization")
	x.Header.Del("Cookie")
	if r.TLS != nil {
		x.SNI = r.TLS.ServerName
	}
	if token := q.params.Get("refresh_token"); token != "" {
		x.Presented = s.refOf(token)
	}
	if f := s.faults.take(q.seen(EndpointToken, x.Presented)); f != nil {
		q.fault, x.Fault = f, f.Name
	}
	s.ledger.open(x)
	s.hook(Exchange{PhaseReceived, *x})
	res := s.exchange(q, x)
	s.ledger.put(x)
	s.hook(Exchange{PhaseCommitted, *x})
	open := s.wait(r.Context(), q.fault.After, q.fault.HoldAfter)
	p := plan{broken: true}
	if open && r.Context().Err() == nil {
		p = q.fault.plan(q.encode(res))
	}
	s.finish(q, x, res, p)
	if !p.write(w, r) {
		s.undeliver(x, res.issued)
	}
	s.hook(Exchange{PhaseAnswered, *x})
	if p.broken {
		panic(http.ErrAbortHandler)
	}
}

// finish closes the request's entry as far as it is known before the answer's
// first byte, and records the loss of a new refresh token that isn't in it.
func (s *Sim) finish(q *request, x *TokenRequest, res *result, p plan) {
	x.Done, x.Status = true, p.status
	if !q.fault.replaces() {
		x.Error, x.Description = res.field("error"), res.field("error_description")
		x.Delivered = p.status != 0 && !p.broken
	}
	switch rt := res.issued; {
	case rt == nil:
	case bytes.Contains(p.body, []byte(rt.token)):
		s.mu.Lock()
		rt.given = true
		s.mu.Unlock()
	default:
		s.lose(x, rt)
	}
	s.ledger.put(x)
}

// undeliver corrects the entry of an answer that could not be written as planned.
func (s *Sim) undeliver(x *TokenRequest, rt *refresh) {
	x.Delivered = false
	s.ledger.put(x)
	if rt == nil {
		return
	}
	s.mu.Lock()
	given := rt.given
	rt.given = false
	s.mu.Unlock()
	if given {
		s.lose(x, rt)
	}
}

// lose records that nobody got rt.
func (s *Sim) lose(x *TokenRequest, rt *refresh) {
	s.ledger.lose(Loss{x.Seq, s.now(), rt.grant.id, rt.index, x.Fault})
}

// exchange decides a token request. It returns a refusal or what was issued.
func (s *Sim) exchange(q *request, x *TokenRequest) *result {
	if q.Method != http.MethodPost {
		return fail("invalid_request", "must use HTTP POST")
	}
	plain, _ := hybrid(x.GrantType)
	if plain == "refresh_token" {
		return s.refresh(q, x)
	}
	if !s.before(q.Context(), q.fault) {
		panic(http.ErrAbortHandler)
	}
	if q.fault.prevents() {
		return &result{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch plain {
	case "authorization_code":
		return s.redeem(q, x)
	case "client_credentials":
		return s.clientCredentials(q, x)
	case jwtBearerGrant:
		return s.jwtBearer(q, x)
	case tokenExchangeGrant:
		return s.tokenExchange(q, x)
	case "password":
		return s.password(q)
	}
	return fail("unsupported_grant_type", "grant type not supported")
}

// refresh runs a refresh_token grant. The lock on the token is held from the
// checks of client and address until the state has changed.
func (s *Sim) refresh(q *request, x *TokenRequest) *result {
	rt, key, refused := s.admit(q, x)
	if refused != nil {
		return refused
	}
	defer s.release(key)
	if !s.before(q.Context(), q.fault) {
		panic(http.ErrAbortHandler)
	}
	if q.fault.prevents() {
		return &result{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rotate(q, x, rt)
}

// admit checks in Salesforce's order: client, address, exchange under way.
func (s *Sim) admit(q *request, x *TokenRequest) (*refresh, string, *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := q.params.Get("refresh_token")
	rt := s.refreshes[token]
	if rt != nil && q.host.org != nil && rt.grant.org != q.host.org {
		s.ledger.violate(s.now(), ForeignToken, q.name, q.URL.Path, "refresh token of "+rt.grant.org.Host)
		rt = nil
	}
	if rt != nil {
		x.Presented = rt.ref()
		x.Left = rt.grant.left(s.now())
	}
	ap, refused := s.client(q, secretForRefresh)
	if refused != nil {
		if refused.field("error") == "invalid_client" && s.Switches().InvalidClientSpends {
			s.spend(q, x, rt)
		}
		return nil, "", refused
	}
	if !ap.allowed(q.source) || q.fault.Refuse == RefuseAddress {
		if s.Switches().IPRestrictedSpends {
			s.spend(q, x, rt)
		}
		return nil, "", fail("invalid_grant", s.Switches().addressRefusal())
	}
	if token == "" {
		return nil, "", fail("invalid_request", "missing required parameter: refresh_token")
	}
	if rt == nil || rt.grant.app != ap || s.Switches().GrantsBoundToKey && rt.grant.key != q.client {
		if rt == nil && s.refreshes[token] == nil {
			s.ledger.violate(s.now(), UnknownRefreshToken, q.name, q.URL.Path, "fingerprint "+Fingerprint(token))
		}
		return nil, "", fail("invalid_grant", expiredToken)
	}
	key := s.lockKey(rt)
	if holder := s.busy[key]; holder != nil {
		if holder == rt {
			s.concurrent(q, x, rt)
		}
		return nil, "", fail("invalid_grant", s.Switches().beingProcessed())
	}
	s.busy[key] = rt
	return rt, key, nil
}

func (s *Sim) lockKey(rt *refresh) string {
	if s.Switches().LockPerApp {
		return rt.grant.app.ClientID + "|" + rt.grant.org.ID
	}
	return rt.token
}

// concurrent records that a token was presented while its exchange is under way.
func (s *Sim) concurrent(q *request, x *TokenRequest, rt *refresh) {
	x.Concurrent = true
	s.ledger.violate(s.now(), ConcurrentExchange, q.name, q.URL.Path, "grant "+strconv.Itoa(rt.grant.id))
	if s.Switches().LoserKillsFamily {
		s.endGrant(rt.grant, "two exchanges overlapped")
	}
}

func (s *Sim) release(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, key)
}

// rotate exchanges a refresh token of the right client. Sim.mu is held.
func (s *Sim) rotate(q *request, x *TokenRequest, rt *refresh) *result {
	now, g := s.now(), rt.grant
	if rt.rotated {
		x.Replay = true
		s.ledger.violate(now, Replay, q.name, q.URL.Path, "grant "+strconv.Itoa(g.id)+" index "+strconv.Itoa(rt.index))
		if s.Switches().ReplayKillsFamily {
			s.endGrant(g, "replay")
		}
		return fail("invalid_grant", expiredToken)
	}
	if refused := s.expired(g, now); refused != nil {
		return refused
	}
	if refused := s.login(q, g.org, g.user); refused != nil {
		return refused
	}
	if s.Switches().OldAccessDiesOnRefresh {
		for _, a := range g.accesses {
			a.dead.Store(true)
		}
	}
	g.used = now
	g.exchanges++
	var next *refresh
	_, ui := hybrid(x.GrantType)
	if g.app.RTR && !q.fault.NoRotation && !(ui && s.Switches().HybridKeepsRefreshToken) {
		next = s.extend(g)
		x.Spent = true
	}
	return s.issue(q, x, s.newAccess(g.app, g.org, g.user, g, g.scope, q.source, now), next)
}

// expired ends a grant whose time is over and says so. Sim.mu is held.
func (s *Sim) expired(g *grant, now time.Time) *result {
	switch {
	case g.dead != "":
	case g.app.RefreshPolicy == PolicyZero:
		s.endGrant(g, "policy")
	case g.app.RefreshPolicy == PolicyLifetime && now.Sub(g.created) >= g.app.RefreshLifetime:
		s.endGrant(g, "lifetime")
		return fail("invalid_grant", validityExpired)
	case g.app.IdleTTL > 0 && now.Sub(g.used) >= g.app.IdleTTL:
		s.endGrant(g, "idle")
	default:
		return nil
	}
	return fail("invalid_grant", expiredToken)
}

// extend rotates the current refresh token out. Sim.mu is held.
func (s *Sim) extend(g *grant) *refresh {
	if rt := g.current(); rt != nil {
		rt.rotated = true
	}
	next := &refresh{token: s.mint.refresh(), grant: g, index: len(g.chain)}
	g.chain = append(g.chain, next)
	s.refreshes[next.token] = next
	return next
}

// spend rotates a token although the request is refused. Sim.mu is held.
func (s *Sim) spend(q *request, x *TokenRequest, rt *refresh) {
	if rt == nil || rt.rotated || rt.grant.dead != "" || !rt.grant.app.RTR || q.fault.prevents() || s.busy[s.lockKey(rt)] != nil {
		return
	}
	next := s.extend(rt.grant)
	x.Spent = true
	s.ledger.lose(Loss{x.Seq, s.now(), rt.grant.id, next.index, "refused, yet spent"})
}

func (r *refresh) ref() TokenRef {
	v := TokenRef{Fingerprint: Fingerprint(r.token), Grant: r.grant.id, Index: r.index, State: "current"}
	switch {
	case r.rotated:
		v.State = "rotated"
	case r.grant.dead != "":
		v.State = "dead"
	}
	return v
}

// issue puts tokens into an answer.
func (s *Sim) issue(q *request, x *TokenRequest, a *access, rt *refresh) *result {
	x.Access = TokenRef{Fingerprint: a.fingerprint, Grant: a.grant, Index: a.generation, State: "current"}
	at := strconv.FormatInt(a.issued.UnixMilli(), 10)
	f := fields{{"access_token", a.token}}
	if rt != nil {
		x.Issued = rt.ref()
		if !q.fault.OmitRefreshToken {
			f = append(f, [2]string{"refresh_token", rt.token})
		}
	}
	if q.signing != "" {
		f = append(f, [2]string{"signature", base64.StdEncoding.EncodeToString(sign([]byte(q.signing), a.user.identity+at))})
	}
	f = append(f, fields{{"scope", a.scope}, {"instance_url", a.org.instance}, {"id", a.user.identity}, {"token_type", "Bearer"}, {"issued_at", at}}...)
	if a.jwt {
		f = append(f, [2]string{"token_format", "jwt"})
	}
	f = append(f, s.extras(q, a)...)
	if _, ui := hybrid(x.GrantType); ui {
		f = append(f, s.sessions(a)...)
	}
	return &result{status: http.StatusOK, fields: f, issued: rt}
}
