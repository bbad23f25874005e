package sfsim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// introspect answers whether a token is alive: an app's own, or any if the app
// may introspect all. Everything else is {"active":false}, which doesn't tell
// denied from dead.
func (s *Sim) introspect(q *request) answer {
	token := q.params.Get("token")
	rec := Introspection{Time: s.now(), Host: q.name, Source: q.source, ClientID: q.client,
		Hint: q.params.Get("token_type_hint"), Token: s.refOf(token)}
	a, body := s.introspection(q, token, &rec)
	if body != nil {
		rec.Active = body["active"] == true
		b, err := json.Marshal(body)
		if err != nil {
			panic(err) // strings and numbers always marshal
		}
		a = answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}}, body: b}
	}
	s.ledger.mu.Lock()
	s.ledger.introspections = append(s.ledger.introspections, rec)
	s.ledger.mu.Unlock()
	return a
}

func (s *Sim) introspection(q *request, token string, rec *Introspection) (answer, map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inactive := map[string]any{"active": false}
	if q.Method != http.MethodPost {
		return q.encode(fail("invalid_request", "must use HTTP POST")), nil
	}
	ap, refused := s.client(q, secretAlways)
	if refused != nil {
		rec.Error = refused.field("error")
		return q.encode(refused), nil
	}
	if s.Switches().IntrospectionDenied {
		rec.Denied = true
		return answer{}, inactive
	}
	now := s.now()
	if a := s.access(token); a != nil {
		rec.Denied = a.app != ap && !ap.IntrospectAll
		if rec.Denied || !a.alive(now) {
			return answer{}, inactive
		}
		if s.Switches().IntrospectExtendsSession {
			a.touch(now)
		}
		return answer{}, active(a.app, a.user, a.scope, "access_token", a.issued, a.end())
	}
	rt := s.refreshes[token]
	if rt == nil {
		return answer{}, inactive
	}
	g := rt.grant
	rec.Denied = g.app != ap && !ap.IntrospectAll
	if rec.Denied {
		return answer{}, inactive
	}
	if rt.rotated {
		s.introspectedRotated(q, rt)
		return answer{}, inactive
	}
	if s.expired(g, now) != nil {
		return answer{}, inactive
	}
	var end time.Time
	if g.app.IdleTTL > 0 {
		end = g.used.Add(g.app.IdleTTL)
	}
	return answer{}, active(g.app, g.user, g.scope, "refresh_token", g.used, end)
}

// introspectedRotated treats the question as reuse if the switch says so. Sim.mu is held.
func (s *Sim) introspectedRotated(q *request, rt *refresh) {
	w := s.Switches()
	if !w.IntrospectRotatedIsReuse {
		return
	}
	s.ledger.violate(s.now(), IntrospectedRotated, q.name, q.URL.Path, "grant "+strconv.Itoa(rt.grant.id)+" index "+strconv.Itoa(rt.index))
	if w.ReplayKillsFamily {
		s.endGrant(rt.grant, "a rotated-out token was introspected")
	}
}

func active(ap *app, u *user, scope, kind string, iat, exp time.Time) map[string]any {
	m := map[string]any{"active": true, "scope": scope, "client_id": ap.ClientID, "username": u.Username,
		"sub": u.identity, "token_type": kind, "iat": iat.Unix(), "nbf": iat.Unix()}
	if !exp.IsZero() {
		m["exp"] = exp.Unix()
	}
	return m
}

// revoke ends an access token alone, or a refresh token with its access tokens.
// Possession is enough. A rotated-out token ends its family.
func (s *Sim) revoke(q *request) answer {
	token := q.params.Get("token")
	rec := Revocation{Time: s.now(), Host: q.name, Source: q.source, Token: s.refOf(token)}
	switch a := s.access(token); {
	case q.Method != http.MethodPost && q.Method != http.MethodGet:
	case a != nil:
		rec.Access = true
		rec.OK = a.alive(s.now()) && s.atHome(q, a.org) && a.dead.CompareAndSwap(false, true)
	default:
		rec.OK = s.revokeRefresh(q, token)
	}
	s.ledger.mu.Lock()
	s.ledger.revocations = append(s.ledger.revocations, rec)
	s.ledger.mu.Unlock()
	if rec.OK {
		return answer{status: http.StatusOK}
	}
	// Clients parse this one as urlencoded, whatever they asked for.
	return answer{status: http.StatusBadRequest, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded;charset=UTF-8"}},
		body: fail("invalid_token", "invalid token").fields.form()}
}

func (s *Sim) revokeRefresh(q *request, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	rt := s.refreshes[token]
	if rt == nil || rt.grant.dead != "" || !s.atHome(q, rt.grant.org) {
		return false
	}
	s.endGrant(rt.grant, "revoked")
	if s.Switches().RevokeTakesAllGrantsOfUser {
		for _, g := range s.grants {
			if g.user == rt.grant.user && g.app == rt.grant.app {
				s.endGrant(g, "another grant of the user was revoked")
			}
		}
	}
	return true
}

// atHome reports whether a token of org o may be used at the request's host.
func (s *Sim) atHome(q *request, o *org) bool {
	if q.host.org == nil || q.host.org == o {
		return true
	}
	s.ledger.violate(s.now(), ForeignToken, q.name, q.URL.Path, "token of "+o.Host)
	return false
}
