package sfsim

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// hybrid reports whether a grant type also hands out UI sessions, and returns
// the grant that it otherwise is. Salesforce's Mobile SDK names hybrid_token
// beside the other two but uses it as a response type; as a grant it is taken
// for an exchange of a code.
func hybrid(grantType string) (plain string, is bool) {
	switch grantType {
	case "hybrid_refresh":
		return "refresh_token", true
	case "hybrid_auth_code", "hybrid_token":
		return "authorization_code", true
	}
	return grantType, false
}

// newSession opens a UI session in the same grant as an access token. It is as
// good as one. Sim.mu is held.
func (s *Sim) newSession(from *access) *access {
	now := s.now()
	a := &access{app: from.app, org: from.org, user: from.user, scope: from.scope, issued: now, source: from.source,
		grant: from.grant, generation: from.generation, token: s.mint.opaque(from.org.ID)}
	a.fingerprint = Fingerprint(a.token)
	a.lastUsed.Store(now.UnixNano())
	if from.grant > 0 {
		s.grants[from.grant-1].keep(a)
	}
	s.accesses.Store(a.token, a)
	return a
}

// sessions are the further fields of a hybrid grant's answer. Sim.mu is held.
func (s *Sim) sessions(a *access) fields {
	md := strings.TrimSuffix(a.org.Host, ".my.salesforce.com")
	csrf := s.mint.random(40)
	cookie := s.mint.random(20)
	s.others = append(s.others, csrf, cookie)
	return fields{
		{"lightning_domain", md + ".lightning.force.com"}, {"lightning_sid", s.newSession(a).token},
		{"visualforce_domain", md + "--c.vf.force.com"}, {"visualforce_sid", s.newSession(a).token},
		{"content_domain", md + ".file.force.com"}, {"content_sid", s.newSession(a).token},
		{"csrf_token", csrf}, {"cookie-clientSrc", "203.0.113.1"}, {"cookie-sid_Client", cookie},
		{"sidCookieName", "sid"}, {"parent_sid", s.newSession(a).token},
	}
}

// otp is a one-time password in a frontdoor URL.
type otp struct {
	access *access
	made   time.Time
}

const otpLifetime = time.Minute

// singleAccess turns an access token into a URL that opens a UI session once.
func (s *Sim) singleAccess(w http.ResponseWriter, c *call) {
	p := readParams(c.Request)
	token, _ := bearer(c.Header.Get("Authorization"))
	if token == "" {
		token = p.Get("access_token")
	}
	a := s.enter(c, token)
	if a == nil {
		badToken(w, token)
		return
	}
	s.mu.Lock()
	secret := s.mint.random(43)
	s.otps[secret] = otp{a, s.now()}
	s.others = append(s.others, secret)
	s.mu.Unlock()
	to := url.Values{"otp": {secret}}
	if p.Has("redirect_uri") {
		to.Set("startURL", p.Get("redirect_uri"))
	}
	answerJSON(w, c, a, http.StatusOK, marshal(map[string]string{"frontdoor_uri": a.org.instance + "/secur/frontdoor.jsp?" + to.Encode()}))
}

// badToken answers as the OAuth helper endpoints answer a dead session.
func badToken(w http.ResponseWriter, token string) {
	text := "Bad_OAuth_Token"
	if token == "" {
		text = "Missing_OAuth_Token"
	}
	w.Header().Set("Content-Type", "text/html;charset=UTF-8")
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write([]byte(text)) // a caller who left is no concern
}

const homePage = "/home/home.jsp"

// frontdoor opens a UI session for an access token or a one-time password and
// sends the browser on with its cookie; without either, to the login page.
func (s *Sim) frontdoor(w http.ResponseWriter, c *call) {
	p := readParams(c.Request)
	to := p.Get("startURL")
	if to == "" {
		to = p.Get("retURL")
	}
	if u, err := url.Parse(to); to == "" || err != nil || u.IsAbs() || u.Host != "" || strings.Contains(to, `\`) {
		to = homePage
	}
	token := p.Get("sid")
	if token == "" {
		token = s.redeemOTP(p.Get("otp"))
	}
	a := s.enter(c, token)
	if a == nil {
		w.Header().Set("Location", "/?ec=302&startURL="+url.QueryEscape(to))
		w.WriteHeader(http.StatusFound)
		return
	}
	s.mu.Lock()
	ui := s.newSession(a)
	s.mu.Unlock()
	w.Header().Add("Set-Cookie", "sid="+ui.token+"; path=/; secure; HttpOnly")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

// redeemOTP returns the access token that an unused one-time password stands for.
func (s *Sim) redeemOTP(secret string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.otps[secret]
	delete(s.otps, secret)
	if !ok || s.now().Sub(v.made) >= otpLifetime {
		return ""
	}
	return v.access.token
}

// home is the one page of the UI, for whoever brings a session cookie.
func (s *Sim) home(w http.ResponseWriter, c *call) {
	token := ""
	if k, err := c.Cookie("sid"); err == nil {
		token = k.Value
	}
	a := s.enter(c, token)
	if a == nil {
		w.Header().Set("Location", "/?ec=302&startURL="+url.QueryEscape(c.path))
		w.WriteHeader(http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/html;charset=UTF-8")
	_, _ = w.Write([]byte("<html><head><title>Home ~ " + escape(a.user.Username) + "</title></head></html>"))
}
