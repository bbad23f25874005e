package proxy_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/access"
)

// shown is the value of a header with Basic credentials.
func shown(user, pass string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+pass))
}

// saw answers with what Salesforce got.
func saw(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/moved") {
		w.Header().Set("Location", "https://"+acme+"/services/data/v65.0/there")
		w.WriteHeader(http.StatusFound)
		return
	}
	w.Header().Set("Seen", r.Host+" "+r.URL.RequestURI())
	echo(w, r)
}

// A client that can't be pointed at a proxy calls by a base URL, with its own credentials where the API has them.
func TestByBaseURL(t *testing.T) {
	e := start(t, saw)
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	base := "http://" + e.addr + "/org/acme"
	mine := shown("billing", "pass")
	for _, tt := range []struct{ name, authorization, want string }{
		{"Basic", mine, "Bearer acme-1"},
		{"Basic with the org", shown("billing+acme", "pass"), "Bearer acme-1"},
		{"the secret as a bearer", "Bearer billing:pass", "Bearer acme-1"},
		{"the secret as OAuth's", "OAuth billing:pass", "OAuth acme-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := do(t, c, "GET", base+data+"query?q=SELECT+Id", nil, "Authorization", tt.authorization)
			if r.StatusCode != 200 || r.body != tt.want || r.Header.Get("Seen") != acme+" "+data+"query?q=SELECT+Id" {
				t.Errorf("%d %q %q", r.StatusCode, r.body, r.Header.Get("Seen"))
			}
		})
	}
	t.Run("a bulk session", func(t *testing.T) {
		r := do(t, c, "POST", base+"/services/async/65.0/job", strings.NewReader("<x/>"), "X-SFDC-Session", "billing:pass")
		if r.StatusCode != 200 {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	})
	t.Run("a doubled slash, as Salesforce's CLI has it", func(t *testing.T) {
		r := do(t, c, "GET", base+"/"+data, nil, "Authorization", mine)
		if r.StatusCode != 200 || r.Header.Get("Seen") != acme+" "+data {
			t.Errorf("%d %q", r.StatusCode, r.Header.Get("Seen"))
		}
	})
	t.Run("a redirect stays on the base URL", func(t *testing.T) {
		r := do(t, c, "GET", base+data+"moved", nil, "Authorization", mine)
		if got := r.Header.Get("Location"); got != base+"/services/data/v65.0/there" {
			t.Errorf("Location %q", got)
		}
	})
	for _, tt := range []struct {
		name, path string
		status     int
		code       access.Code
		header     []string
	}{
		{"no credentials", "/org/acme" + data, 401, access.ProxyAuthRequired, nil},
		{"a wrong secret", "/org/acme" + data, 401, access.ProxyAuthRequired, []string{"Authorization", shown("billing", "guess")}},
		{"another's org", "/org/umbrella" + data, 403, access.OrgNotAllowed, []string{"Authorization", mine}},
		{"an org that nobody knows", "/org/nobody" + data, 403, access.OrgNotAllowed, []string{"Authorization", mine}},
		{"a user for another org", "/org/acme" + data, 403, access.OrgNotAllowed, []string{"Authorization", shown("both+acme-too", "pass")}},
		{"no org", "/services/data/", 400, access.BadRequest, []string{"Authorization", mine}},
		{"a web page", "/org/acme" + data, 403, access.RequestNotAllowed, []string{"Authorization", mine, "Origin", "https://evil.example"}},
		{"a web page's fetch", "/org/acme" + data, 403, access.RequestNotAllowed, []string{"Authorization", mine, "Sec-Fetch-Site", "cross-site"}},
		{"a name of somebody's", "/org/acme" + data, 421, access.Misdirected, []string{"Authorization", mine, "Host", "evil.example"}},
		{"frontdoor", "/org/acme/secur/frontdoor.jsp", 403, access.RequestNotAllowed, []string{"Authorization", mine}},
		{"a way out of the org", "/org/acme/%2e%2e/umbrella" + data, 400, access.BadRequest, []string{"Authorization", mine}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := do(t, c, "GET", "http://"+e.addr+tt.path, nil, tt.header...)
			r.wantError(t, tt.status, tt.code)
			if challenge := r.Header.Get("Www-Authenticate"); (tt.status == 401) != (challenge != "") {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}

// A client that can't trust a CA calls http:// through HTTP_PROXY, and only the way to Salesforce is TLS.
func TestInAbsoluteForm(t *testing.T) {
	e := start(t, saw)
	proxied := func(user string) *http.Client {
		u := &url.URL{Scheme: "http", Host: e.addr}
		if user != "" {
			u.User = url.UserPassword(user, "pass")
		}
		tr := &http.Transport{Proxy: http.ProxyURL(u)}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	if r := do(t, proxied("billing"), "GET", "http://"+acme+data, nil, "Authorization", "Bearer dummy"); r.StatusCode != 200 || r.body != "Bearer acme-1" || r.Header.Get("Seen") != acme+" "+data {
		t.Errorf("%d %q %q", r.StatusCode, r.body, r.Header.Get("Seen"))
	}
	do(t, proxied(""), "GET", "http://"+acme+data, nil).wantError(t, 407, access.ProxyAuthRequired)
	do(t, proxied("billing"), "GET", "http://example.com/", nil).wantError(t, 403, access.HostNotAllowed)
	do(t, proxied("billing"), "GET", "http://"+acme+":8080/", nil).wantError(t, 403, access.HostNotAllowed)
	do(t, proxied("billing"), "GET", "http://umbrella.my.salesforce.com"+data, nil).wantError(t, 403, access.OrgNotAllowed)
}

// What a client with an OAuth of its own gets works by base URL, until the client's secret changes.
func TestAPlaceholderIsACredentialByBaseURL(t *testing.T) {
	e := start(t, saw)
	c := &http.Client{}
	base := "http://" + e.addr + "/org/acme"
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"billing"}, "client_secret": {"pass"}}
	r := do(t, c, "POST", base+"/services/oauth2/token", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		AccessToken string `json:"access_token"`
		InstanceURL string `json:"instance_url"`
		ID          string `json:"id"`
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if got.InstanceURL != base || !strings.HasPrefix(got.ID, base+"/id/00D") {
		t.Errorf("instance %q, identity %q", got.InstanceURL, got.ID)
	}
	if r := do(t, c, "GET", got.InstanceURL+data, nil, "Authorization", "Bearer "+got.AccessToken); r.StatusCode != 200 || r.body != "Bearer acme-1" {
		t.Errorf("%d %q", r.StatusCode, r.body)
	}
	do(t, c, "GET", "http://"+e.addr+"/org/acme-too"+data, nil, "Authorization", "Bearer "+got.AccessToken).wantError(t, 403, access.OrgNotAllowed)
	do(t, c, "GET", base+data, nil, "Authorization", "Bearer "+tampered(got.AccessToken)).wantError(t, 401, access.ProxyAuthRequired)
}
