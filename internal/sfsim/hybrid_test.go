package sfsim_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

var sidFields = []string{"lightning_sid", "visualforce_sid", "content_sid", "parent_sid"}

func (f *fixture) hybridRefresh(token string) reply {
	f.t.Helper()
	return f.form(tokenPath, append(refreshParams(token), "grant_type", "hybrid_refresh")...)
}

// sessions checks that an answer's UI sessions are live and known as secrets.
func (f *fixture) sessions(field func(string) string) {
	f.t.Helper()
	secrets := f.Secrets()
	for _, name := range append(slices.Clone(sidFields), "csrf_token", "cookie-sid_Client") {
		if v := field(name); v == "" || !slices.Contains(secrets, v) {
			f.t.Errorf("%s = %q is missing, or no known secret", name, v)
		}
	}
	for _, name := range sidFields {
		f.alive(true, field(name))
	}
	for name, want := range map[string]string{"lightning_domain": "acme.lightning.force.com", "visualforce_domain": "acme--c.vf.force.com", "content_domain": "acme.file.force.com", "sidCookieName": "sid"} {
		if field(name) != want {
			f.t.Errorf("%s = %q, want %q", name, field(name), want)
		}
	}
}

func TestHybridRefreshRotatesAndHandsOutSessions(t *testing.T) {
	f := setup(t)
	g := f.grant()
	r := f.hybridRefresh(g.RefreshToken)
	r.want(t, 200, `"refresh_token"`)
	f.sessions(r.field)
	f.get("/services/data/v67.0/limits", r.field("lightning_sid")).want(t, 200, "") // as good as an access token
	f.hybridRefresh(g.RefreshToken).want(t, 400, expired)                           // and the grant's rules are the app's
	f.alive(false, r.field("lightning_sid"), r.field("parent_sid"))
	f.violations(map[sfsim.ViolationKind]int{sfsim.Replay: 1})
}

func TestHybridRefreshKeepsTheTokenUnderTheSwitch(t *testing.T) {
	f := setup(t)
	f.switches(func(w *sfsim.Switches) { w.HybridKeepsRefreshToken = true })
	g := f.grant()
	for range 2 {
		if r := f.hybridRefresh(g.RefreshToken); r.status != 200 || r.field("refresh_token") != "" {
			t.Errorf("got %d %s", r.status, r.body)
		}
	}
	f.refresh(g.RefreshToken).want(t, 200, `"refresh_token"`)
}

func TestHybridCodeGrants(t *testing.T) {
	for _, grantType := range []string{"hybrid_auth_code", "hybrid_token"} {
		f := setup(t)
		to, _ := f.authorize(host)
		r := f.form(tokenPath, codeParams(to.Get("code"), "grant_type", grantType)...)
		r.want(t, 200, `"refresh_token"`)
		f.sessions(r.field)
	}
}

func TestHybridTokenAsAResponseType(t *testing.T) {
	f := setup(t)
	_, r := f.authorize(host, "response_type", "hybrid_token")
	back := must(url.Parse(r.header.Get("Location")))(t)
	v := must(url.ParseQuery(back.Fragment))(t)
	if back.RawQuery != "" || v.Get("state") != "st" {
		t.Errorf("got %s", r.header.Get("Location"))
	}
	f.sessions(v.Get)
	f.refresh(v.Get("refresh_token")).want(t, 200, "")
}

func TestSingleAccessOpensOneSession(t *testing.T) {
	f := setup(t)
	g := f.grant()
	const path = "/services/oauth2/singleaccess"
	f.get(path, "").want(t, 403, "Missing_OAuth_Token")
	f.get(path, "00Dnonsense").want(t, 403, "Bad_OAuth_Token")
	r := f.get(path, g.AccessToken)
	uri := r.field("frontdoor_uri")
	if !strings.HasPrefix(uri, base+"/secur/frontdoor.jsp?otp=") {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	if u := must(url.Parse(uri))(t); !slices.Contains(f.Secrets(), u.Query().Get("otp")) {
		t.Error("the one-time password is no known secret")
	}
	in := f.send("GET", uri, "")
	cookie, _, _ := strings.Cut(in.header.Get("Set-Cookie"), ";")
	if in.status != 302 || in.header.Get("Location") != "/home/home.jsp" || !strings.HasPrefix(cookie, "sid=00D") {
		t.Fatalf("got %d %v", in.status, in.header)
	}
	f.send("GET", base+"/home/home.jsp", "", "Cookie", cookie).want(t, 200, "bot@acme.test")
	if again := f.send("GET", uri, ""); again.header.Get("Set-Cookie") != "" || !strings.HasPrefix(again.header.Get("Location"), "/?ec=302") {
		t.Errorf("used twice: %v", again.header)
	}
	late := f.form(path, "access_token", g.AccessToken, "redirect_uri", "/lightning/page").field("frontdoor_uri")
	f.clock.t = f.clock.t.Add(time.Minute)
	if r := f.send("GET", late, ""); r.header.Get("Set-Cookie") != "" || !strings.Contains(late, "startURL=%2Flightning%2Fpage") {
		t.Errorf("after a minute: %v of %s", r.header, late)
	}
}

func TestFrontdoorTakesASessionID(t *testing.T) {
	f := setup(t)
	g := f.grant()
	r := f.send("GET", base+"/secur/frontdoor.jsp?sid="+url.QueryEscape(g.AccessToken)+"&retURL=/001", "")
	cookie, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	sid := strings.TrimPrefix(cookie, "sid=")
	if r.status != 302 || r.header.Get("Location") != "/001" || sid == g.AccessToken || !slices.Contains(f.Secrets(), sid) {
		t.Errorf("got %d %v", r.status, r.header)
	}
	f.violations(map[sfsim.ViolationKind]int{sfsim.TokenInURL: 1})
	for _, evil := range []string{"https://evil.test/", "//evil.test/", `/\evil.test`} {
		if to := f.form("/secur/frontdoor.jsp", "sid", g.AccessToken, "startURL", evil).header.Get("Location"); to != "/home/home.jsp" {
			t.Errorf("%s leads to %s", evil, to)
		}
	}
	check(t, f.RevokeGrant(g.ID)) // UI sessions die with the grant
	if r := f.send("GET", base+"/home/home.jsp", "", "Cookie", cookie); r.status != 302 {
		t.Errorf("got %d %s", r.status, r.body)
	}
}
