package sfsim

import (
	"slices"
	"time"
)

// login checks what Salesforce checks of a user at every issue of a token, in
// whatever grant, and counts the login if it isn't refused. Sim.mu is held.
func (s *Sim) login(q *request, o *org, u *user) *result {
	now := s.now()
	u.logins = slices.DeleteFunc(u.logins, func(t time.Time) bool { return now.Sub(t) >= time.Hour })
	switch {
	case o.MyDomainOnly && q.host.kind == loginHost:
		return fail("invalid_grant", "request not supported on this domain")
	case u.frozen:
		return fail("inactive_user", "user is frozen")
	case len(u.LoginIPs) > 0 && !slices.ContainsFunc(u.LoginIPs, func(r IPRange) bool { return r.Contains(q.source) }):
		return fail("invalid_grant", ipRestricted)
	case o.LoginsPerHour > 0 && len(u.logins) >= o.LoginsPerHour:
		return fail("rate_limit_exceeded", "login rate exceeded")
	}
	if o.LoginsPerHour > 0 {
		u.logins = append(u.logins, now)
	}
	return nil
}
