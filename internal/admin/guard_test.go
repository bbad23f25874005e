package admin_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/secret"
)

func TestThePublicListenerAsksForTheToken(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, auth string
		status     int
	}{
		{"the token", "Bearer " + adminToken, 200},
		{"the scheme in lower case", "bearer " + adminToken, 200},
		{"none", "", 401},
		{"another token", "Bearer " + strings.Repeat("x", len(adminToken)), 401},
		{"its beginning", "Bearer " + adminToken[:5], 401},
		{"an empty one", "Bearer ", 401},
		{"another scheme", "Basic " + adminToken, 401},
	} {
		r := httptest.NewRequest("GET", "http://127.0.0.1:3129/v1/orgs", nil)
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		rec := serve(t, w.server.Public(), r)
		if rec.Code != c.status || c.status == 401 && rec.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %v, want %d", c.name, rec.Code, rec.Header(), c.status)
		}
	}
	if strings.Contains(w.log.String(), "TOPSECRET") {
		t.Errorf("the log has the token: %s", w.log)
	}
}

func TestAnUnsetTokenLetsNobodyIn(t *testing.T) {
	m := newWorld(t, func(o *admin.Options) { o.ServeV1, o.Token = false, secret.Text{} })
	for _, auth := range []string{"", "Bearer ", "Bearer x"} {
		r := httptest.NewRequest("GET", "http://127.0.0.1:3129/v1/orgs", nil)
		r.Header.Set("Authorization", auth)
		if rec := serve(t, m.server.Public(), r); rec.Code != 404 || !strings.Contains(rec.Body.String(), "not_served") {
			t.Errorf("%q: %d %s", auth, rec.Code, rec.Body)
		}
	}
}

func TestNoWebPageCanUseThePublicListener(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, host, header, value string
		status                    int
	}{
		{"an IPv4 literal", "127.0.0.1:3129", "", "", 200},
		{"an IPv6 literal", "[::1]:3129", "", "", 200},
		{"an IPv6 literal without a port", "[::1]", "", "", 200},
		{"localhost", "localhost:3129", "", "", 200},
		{"a configured name in another case", "SALLYPORT.internal:3129", "", "", 200},
		{"a name that was rebound to us", "evil.example:3129", "", "", 403},
		{"a name that only looks like ours", "localhost.evil.example", "", "", 403},
		{"an Origin", "127.0.0.1:3129", "Origin", "https://evil.example", 403},
		{"an opaque Origin", "127.0.0.1:3129", "Origin", "null", 403},
		{"our own Origin", "127.0.0.1:3129", "Origin", "http://127.0.0.1:3129", 403},
		{"a cross-site fetch", "127.0.0.1:3129", "Sec-Fetch-Site", "cross-site", 403},
		{"a same-origin fetch", "127.0.0.1:3129", "Sec-Fetch-Site", "same-origin", 403},
		{"a typed address", "127.0.0.1:3129", "Sec-Fetch-Site", "none", 200},
	} {
		for _, path := range []string{"/healthz", "/metrics", "/v1/orgs"} {
			r := httptest.NewRequest("GET", "http://127.0.0.1"+path, nil)
			r.Host = c.host
			r.Header.Set("Authorization", "Bearer "+adminToken)
			if c.header != "" {
				r.Header.Set(c.header, c.value)
			}
			if rec := serve(t, w.server.Public(), r); rec.Code != c.status {
				t.Errorf("%s, %s: %d, want %d", c.name, path, rec.Code, c.status)
			}
		}
	}
}
