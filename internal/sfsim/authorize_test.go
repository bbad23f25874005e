package sfsim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

const callback = "https://app.test/callback"

// verifier is longer than RFC 7636 allows, as jsforce's is.
var verifier = strings.Repeat("v", 171)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorize sends the browser's request and returns the redirect's parameters.
func (f *fixture) authorize(host string, pairs ...string) (url.Values, reply) {
	f.t.Helper()
	v := values(append([]string{"response_type", "code", "client_id", "key", "redirect_uri", callback, "state", "st", "code_challenge", challenge()}, pairs...)...)
	r := f.send("GET", "https://"+host+"/services/oauth2/authorize?"+v.Encode(), "")
	u, err := url.Parse(r.header.Get("Location"))
	check(f.t, err)
	return u.Query(), r
}

func codeParams(code string, pairs ...string) []string {
	return append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback, "client_id", "key", "client_secret", "secret", "code_verifier", verifier}, pairs...)
}

func TestCodeFlow(t *testing.T) {
	f := setup(t)
	to, r := f.authorize(host)
	if r.status != 302 || to.Get("state") != "st" || !strings.HasPrefix(to.Get("code"), "aPrx") || !strings.HasPrefix(r.header.Get("Location"), callback+"?") {
		t.Fatalf("got %d %v", r.status, r.header)
	}
	first := f.form("/services/oauth2/token", codeParams(to.Get("code"))...)
	first.want(t, 200, `"refresh_token"`)
	f.form("/services/oauth2/token", codeParams(to.Get("code"))...).want(t, 400, "invalid authorization code")
	f.get("/services/data/v67.0/limits", first.field("access_token")).want(t, 200, "")
	f.refresh(first.field("refresh_token")).want(t, 200, "")

	to, _ = f.authorize("login.salesforce.com", "login_hint", "ann@acme.test", "scope", "api", "code_challenge_method", "S256")
	r = f.form("https://login.salesforce.com/services/oauth2/token", codeParams(to.Get("code"))...)
	r.want(t, 200, `"scope":"api"`)
	if r.field("refresh_token") != "" {
		t.Error("a refresh token without its scope")
	}
	if g := f.Ledger().Grants[1]; g.Username != "ann@acme.test" {
		t.Errorf("granted by %s", g.Username)
	}
	f.violations(nil)
}

func TestCodeExchangeRefusals(t *testing.T) {
	cases := []struct {
		name  string
		app   func(*sfsim.App)
		wait  time.Duration
		pairs []string
		want  string
	}{
		{"a wrong verifier", nil, 0, []string{"code_verifier", "x"}, "invalid code verifier"},
		{"no verifier", nil, 0, []string{"code_verifier", ""}, "invalid code verifier"},
		{"no secret although the app has one", nil, 0, []string{"client_secret", ""}, "invalid client credentials"},
		{"a secret of a public client", func(a *sfsim.App) { a.ClientSecret = "" }, 0, nil, "invalid client credentials"},
		{"another redirect_uri", nil, 0, []string{"redirect_uri", "https://app.test/other"}, "redirect_uri_mismatch"},
		{"a code of fifteen minutes", nil, 15 * time.Minute, nil, "expired authorization code"},
		{"a code that was never issued", nil, 0, []string{"code", "aPrx"}, "invalid authorization code"},
		{"an address that isn't listed", func(a *sfsim.App) { a.Allowlist = addrs("203.0.113.8", "203.0.113.8") }, 0, nil, "ip restricted"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			change := c.app
			if change == nil {
				change = func(*sfsim.App) {}
			}
			f := setup(t, change)
			to, _ := f.authorize(host)
			f.clock.t = f.clock.t.Add(c.wait)
			f.form("/services/oauth2/token", codeParams(to.Get("code"), c.pairs...)...).want(t, 400, c.want)
		})
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	f := setup(t)
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"no challenge where PKCE is required": {[]string{"code_challenge", ""}, "invalid_request"},
		"the plain method":                    {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"another response type":               {[]string{"response_type", "token"}, "unsupported_response_type"},
		"a scope that the app lacks":          {[]string{"scope", "api full"}, "invalid_scope"},
		"an unknown user":                     {[]string{"login_hint", "eve@acme.test"}, "access_denied"},
	} {
		to, r := f.authorize(host, c.pairs...)
		if r.status != 302 || to.Get("error") != c.want || to.Get("state") != "st" || to.Get("code") != "" {
			t.Errorf("%s: got %d %v, want %s", name, r.status, to, c.want)
		}
	}
	_, r := f.authorize(host, "redirect_uri", "https://evil.test/")
	r.want(t, 400, "redirect_uri_mismatch")
	_, r = f.authorize(host, "client_id", "nobody")
	r.want(t, 400, "invalid_client_id")
}
