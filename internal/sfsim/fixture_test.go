package sfsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

const (
	host    = "acme.my.salesforce.com"
	base    = "https://" + host
	orgID   = "00DWt00000B2V4b"
	source  = "203.0.113.7:40000"
	expired = `{"error":"invalid_grant","error_description":"expired access/refresh token"}`
	busy    = `{"error":"invalid_grant","error_description":"token request is already being processed"}`
)

// clock is a clock that a test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

type fixture struct {
	*sfsim.Sim
	t      *testing.T
	clock  *clock
	client *http.Client
	hook   func(sfsim.Exchange) // set before the requests that it sees
}

// setup returns a simulator with one org, a rotating app "key" with the secret
// "secret", and another app "other".
func setup(t *testing.T, change ...func(*sfsim.App)) *fixture {
	t.Helper()
	c := &clock{time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	f := &fixture{t: t, clock: c, hook: func(sfsim.Exchange) {}}
	s := must(sfsim.New(sfsim.Options{Now: c.now, Seed: 1, OnTokenAnswer: func(e sfsim.Exchange) { f.hook(e) }}))(t)
	f.Sim, f.client = s, clientOver(s.Transport(source))
	app := sfsim.App{ClientID: "key", ClientSecret: "secret", RTR: true, PKCE: true, SecretRequiredForRefresh: true,
		RunAs: "bot@acme.test", RedirectURIs: []string{"https://app.test/callback"}}
	for _, fn := range change {
		fn(&app)
	}
	check(t, s.AddApp(app))
	check(t, s.AddApp(sfsim.App{ClientID: "other", ClientSecret: "hush", RTR: true}))
	must(s.AddOrg(sfsim.Org{Host: host, ID: orgID, Users: []sfsim.User{{Username: "bot@acme.test"}, {Username: "ann@acme.test"}}}))(t)
	return f
}

func clientOver(rt http.RoundTripper) *http.Client {
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) grant() sfsim.Grant {
	f.t.Helper()
	return must(f.Authorize("key", host, ""))(f.t)
}

type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

func (r reply) field(name string) string {
	var m map[string]any
	if json.Unmarshal([]byte(r.body), &m) != nil {
		return ""
	}
	s, _ := m[name].(string)
	return s
}

func do(c *http.Client, r *http.Request) reply {
	resp, err := c.Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b), err}
}

func request(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body)))(t)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// send sends one request; headers are pairs.
func (f *fixture) send(method, url, body string, headers ...string) reply {
	f.t.Helper()
	return do(f.client, request(f.t, method, url, body, headers...))
}

// form posts pairs of parameters to a path or URL.
func (f *fixture) form(to string, params ...string) reply {
	f.t.Helper()
	if strings.HasPrefix(to, "/") {
		to = base + to
	}
	return f.send("POST", to, values(params...).Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

func values(params ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	return v
}

func refreshParams(token string) []string {
	return []string{"grant_type", "refresh_token", "refresh_token", token, "client_id", "key", "client_secret", "secret"}
}

func (f *fixture) refresh(token string) reply {
	f.t.Helper()
	return f.form("/services/oauth2/token", refreshParams(token)...)
}

func (f *fixture) get(path, token string, headers ...string) reply {
	f.t.Helper()
	return f.send("GET", base+path, "", append([]string{"Authorization", "Bearer " + token}, headers...)...)
}

func (f *fixture) introspect(token string) reply {
	f.t.Helper()
	return f.form("/services/oauth2/introspect", "token", token, "client_id", "key", "client_secret", "secret")
}

func (f *fixture) switches(fn func(*sfsim.Switches)) {
	w := f.Switches()
	fn(&w)
	f.SetSwitches(w)
}

func (f *fixture) alive(want bool, tokens ...string) {
	f.t.Helper()
	for _, token := range tokens {
		if got := f.AccessAlive(token); got != want {
			f.t.Errorf("access token %s alive = %v, want %v", sfsim.Fingerprint(token), got, want)
		}
	}
}

func (f *fixture) violations(want map[sfsim.ViolationKind]int) {
	f.t.Helper()
	got := f.Ledger().ViolationCount
	for k := range want {
		if got[k] != want[k] {
			f.t.Errorf("%d × %s, want %d", got[k], k, want[k])
		}
	}
	for k := range got {
		if want[k] == 0 {
			f.t.Errorf("unexpected %d × %s: %v", got[k], k, f.Ledger().Violations)
		}
	}
}

func (r reply) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.err != nil || r.status != status || body != "" && !strings.Contains(r.body, body) {
		t.Errorf("got %d %s %v, want %d with %s", r.status, r.body, r.err, status, body)
	}
}

func addrs(from, to string) []sfsim.IPRange {
	return []sfsim.IPRange{{From: netip.MustParseAddr(from), To: netip.MustParseAddr(to)}}
}
