package sfsim_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"mime/multipart"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

func TestRefreshAnswersAsSalesforceDoes(t *testing.T) {
	f := setup(t)
	g := f.grant()
	r := f.refresh(g.RefreshToken)
	r.want(t, 200, "")
	var m map[string]string // every field is a string
	check(t, json.Unmarshal([]byte(r.body), &m))
	if _, ok := m["expires_in"]; ok {
		t.Error("expires_in must be absent")
	}
	if m["token_type"] != "Bearer" || m["instance_url"] != base || m["id"] != g.IdentityURL || m["scope"] != "api refresh_token id" {
		t.Errorf("got %v", m)
	}
	if ms, err := strconv.ParseInt(m["issued_at"], 10, 64); err != nil || ms != f.clock.t.UnixMilli() {
		t.Errorf("issued_at = %q, want milliseconds", m["issued_at"])
	}
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write([]byte(m["id"] + m["issued_at"]))
	if m["signature"] != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		t.Error("the signature doesn't verify")
	}
	if !regexp.MustCompile(`^00D\w{12}![.\w]{80,}$`).MatchString(m["access_token"]) {
		t.Errorf("access token %q has another form", m["access_token"])
	}
	if !regexp.MustCompile(`^5Aep861\w{70,}$`).MatchString(m["refresh_token"]) || m["refresh_token"] == g.RefreshToken {
		t.Errorf("refresh token %q", m["refresh_token"])
	}
	if !regexp.MustCompile(`^https://login\.salesforce\.com/id/00D\w{15}/005\w{15}$`).MatchString(m["id"]) {
		t.Errorf("id %q", m["id"])
	}
	f.alive(true, g.AccessToken, m["access_token"])
	f.violations(nil)
}

func TestTokenRequestsInEveryTransport(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("key:secret"))
	all := func(token string) url.Values { return values(refreshParams(token)...) }
	cases := []struct {
		name string
		send func(f *fixture, token string) reply
		leak int
	}{
		{"everything in the query", func(f *fixture, token string) reply {
			return f.send("POST", base+"/services/oauth2/token?"+all(token).Encode(), "")
		}, 2},
		{"multipart", func(f *fixture, token string) reply {
			var b bytes.Buffer
			w := multipart.NewWriter(&b)
			for k, v := range all(token) {
				check(f.t, w.WriteField(k, v[0]))
			}
			check(f.t, w.Close())
			return f.send("POST", base+"/services/oauth2/token", b.String(), "Content-Type", w.FormDataContentType())
		}, 0},
		{"client in Basic, device_id in the query, doubled slash", func(f *fixture, token string) reply {
			return f.send("POST", base+"//services/oauth2/token?device_id=1", values("grant_type", "refresh_token", "refresh_token", token).Encode(),
				"Content-Type", "application/x-www-form-urlencoded; charset=utf-8", "Authorization", "Basic "+basic)
		}, 0},
		{"the login host", func(f *fixture, token string) reply {
			return f.form("https://login.salesforce.com/services/oauth2/token", refreshParams(token)...)
		}, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t)
			c.send(f, f.grant().RefreshToken).want(t, 200, `"access_token"`)
			if got := f.Ledger().ViolationCount[sfsim.TokenInURL]; got != c.leak {
				t.Errorf("%d tokens in the URL, want %d", got, c.leak)
			}
		})
	}
}

func TestAnswerFormats(t *testing.T) {
	f := setup(t)
	token := f.grant().RefreshToken
	r := f.form("/services/oauth2/token", append(refreshParams(token), "format", "urlencoded")...)
	v := must(url.ParseQuery(r.body))(t)
	if v.Get("token_type") != "Bearer" || !strings.HasPrefix(r.header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		t.Errorf("got %s", r.body)
	}
	r = f.send("POST", base+"/services/oauth2/token", values(refreshParams(v.Get("refresh_token"))...).Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Accept", "application/xml")
	var doc struct {
		XMLName xml.Name `xml:"OAuth"`
		Refresh string   `xml:"refresh_token"`
	}
	check(t, xml.Unmarshal([]byte(r.body), &doc))
	f.refresh(doc.Refresh).want(t, 200, "")
}

func TestRefusals(t *testing.T) {
	const form = "/services/oauth2/token"
	with := func(token string, pairs ...string) []string { return append(refreshParams(token), pairs...) }
	cases := []struct {
		name   string
		app    func(*sfsim.App)
		params func(token string) []string
		want   string
	}{
		{"an unknown client", nil, func(k string) []string { return with(k, "client_id", "nobody") }, `{"error":"invalid_client_id","error_description":"client identifier invalid"}`},
		{"a wrong secret", nil, func(k string) []string { return with(k, "client_secret", "x") }, `{"error":"invalid_client","error_description":"invalid client credentials"}`},
		{"a missing secret that is required", nil, func(k string) []string { return with(k, "client_secret", "") }, `"invalid_client"`},
		{"a wrong secret although none is required", func(a *sfsim.App) { a.SecretRequiredForRefresh = false }, func(k string) []string { return with(k, "client_secret", "x") }, `"invalid_client"`},
		{"an address that isn't listed", func(a *sfsim.App) { a.Allowlist = addrs("203.0.113.8", "203.0.113.9") }, func(k string) []string { return with(k) }, `{"error":"invalid_grant","error_description":"ip restricted"}`},
		{"a wrong client before a wrong address", func(a *sfsim.App) { a.Allowlist = addrs("203.0.113.8", "203.0.113.9") }, func(k string) []string { return with(k, "client_id", "nobody") }, `"invalid_client_id"`},
		{"an unknown refresh token", nil, func(string) []string { return with("5Aep861nonsense") }, expired},
		{"another app's refresh token", nil, func(k string) []string { return with(k, "client_id", "other", "client_secret", "hush") }, expired},
		{"no refresh token", nil, func(string) []string { return with("") }, `"invalid_request"`},
		{"the JWT bearer grant", nil, func(string) []string { return with("", "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer") }, `{"error":"unsupported_grant_type","error_description":"grant type not supported"}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			change := c.app
			if change == nil {
				change = func(*sfsim.App) {}
			}
			f := setup(t, change)
			g := f.grant()
			f.form(form, c.params(g.RefreshToken)...).want(t, 400, c.want)
			if got := f.Lookup(g.RefreshToken).State; got != "current" {
				t.Errorf("the token is %s, want current: nothing was spent", got)
			}
		})
	}
	f := setup(t)
	f.send("GET", base+form, "").want(t, 400, "must use HTTP POST")
}

func TestSecretIsOptionalWhereTheAppSaysSo(t *testing.T) {
	f := setup(t, func(a *sfsim.App) { a.SecretRequiredForRefresh = false })
	f.form("/services/oauth2/token", "grant_type", "refresh_token", "refresh_token", f.grant().RefreshToken, "client_id", "key").want(t, 200, "")
}

func TestClientCredentialsOnlyOnMyDomain(t *testing.T) {
	f := setup(t, func(a *sfsim.App) { a.Scopes = []string{"api", "full", "refresh_token"} })
	params := []string{"grant_type", "client_credentials", "client_id", "key", "client_secret", "secret"}
	for _, h := range []string{"login.salesforce.com", "test.salesforce.com", "acme.my.salesforce-setup.com"} {
		f.form("https://"+h+"/services/oauth2/token", params...).want(t, 400, `{"error":"invalid_grant","error_description":"request not supported on this domain"}`)
	}
	r := f.form("/services/oauth2/token", params...)
	r.want(t, 200, `"scope":"api"`)
	if r.field("refresh_token") != "" {
		t.Error("client_credentials never returns a refresh token")
	}
	f.get("/services/data/v67.0/limits", r.field("access_token")).want(t, 200, "")
	f.form("/services/oauth2/token", "grant_type", "client_credentials", "client_id", "other", "client_secret", "hush").want(t, 400, "no client credentials user enabled")
}

func TestWithoutRotationTheTokenStays(t *testing.T) {
	f := setup(t, func(a *sfsim.App) { a.RTR = false })
	g := f.grant()
	for range 3 {
		if r := f.refresh(g.RefreshToken); r.status != 200 || r.field("refresh_token") != "" {
			t.Errorf("got %d %s", r.status, r.body)
		}
	}
}

func TestUpdateAppRotatesTheClientCredentials(t *testing.T) {
	f := setup(t)
	g := f.grant()
	check(t, f.UpdateApp("key", func(a *sfsim.App) { a.ClientID, a.ClientSecret = "key2", "secret2" }))
	f.refresh(g.RefreshToken).want(t, 400, "client identifier invalid")
	f.form("/services/oauth2/token", append(refreshParams(g.RefreshToken), "client_id", "key2", "client_secret", "secret2")...).want(t, 200, "")
}

func TestRefreshTokensEndInTime(t *testing.T) {
	const day = 24 * time.Hour
	cases := []struct {
		name string
		app  func(*sfsim.App)
		wait []time.Duration // before each exchange; the last one is refused
		want string
	}{
		{"after thirty idle days, counted from the last use", func(*sfsim.App) {}, []time.Duration{29 * day, 29 * day, 30 * day}, "expired access/refresh token"},
		{"after the policy's lifetime, used or not", func(a *sfsim.App) { a.RefreshPolicy, a.RefreshLifetime = sfsim.PolicyLifetime, 10*day }, []time.Duration{5 * day, 5 * day}, "token validity expired"},
		{"at once", func(a *sfsim.App) { a.RefreshPolicy = sfsim.PolicyZero }, []time.Duration{0}, "expired access/refresh token"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t, c.app)
			token := f.grant().RefreshToken
			for i, d := range c.wait {
				f.clock.t = f.clock.t.Add(d)
				r := f.refresh(token)
				if i == len(c.wait)-1 {
					r.want(t, 400, c.want)
					break
				}
				r.want(t, 200, "")
				token = r.field("refresh_token")
			}
		})
	}
}

func TestAppsAndOrgsAreChecked(t *testing.T) {
	s := must(sfsim.New(sfsim.Options{}))(t)
	for name, app := range map[string]sfsim.App{
		"no client id":            {},
		"257 addresses":           {ClientID: "a", Allowlist: addrs("10.0.0.0", "10.0.1.0")},
		"a range that ends early": {ClientID: "a", Allowlist: addrs("10.0.0.2", "10.0.0.1")},
		"a mixed range":           {ClientID: "a", Allowlist: addrs("10.0.0.2", "::1")},
		"no lifetime":             {ClientID: "a", RefreshPolicy: sfsim.PolicyLifetime},
	} {
		if s.AddApp(app) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	check(t, s.AddApp(sfsim.App{ClientID: "a", Allowlist: addrs("10.0.0.0", "10.0.0.255")}))
	must(s.AddOrg(sfsim.Org{Host: host}))(t)
	for name, org := range map[string]sfsim.Org{
		"a host that is taken": {Host: host},
		"a malformed id":       {Host: "b.my.salesforce.com", ID: "00D1"},
		"wrong check letters":  {Host: "b.my.salesforce.com", ID: "00DWt00000B2V4bAAA"},
	} {
		if _, err := s.AddOrg(org); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if o := must(s.AddOrg(sfsim.Org{Host: "c.my.salesforce.com", ID: orgID}))(t); o.ID != orgID+"MAF" {
		t.Errorf("18 characters of %s are %s, want those of the documented sample", orgID, o.ID)
	}
	if _, err := sfsim.New(sfsim.Options{SessionTimeout: -1}); err == nil {
		t.Error("a negative SessionTimeout was accepted")
	}
}
