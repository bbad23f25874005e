package sfsim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// orgWith adds an org with one user and returns a grant of it.
func (f *fixture) orgWith(o sfsim.Org, u sfsim.User) sfsim.Grant {
	f.t.Helper()
	o.Host, u.Username = "b.my.salesforce.com", "bot@b.test"
	o.Users = []sfsim.User{u}
	must(f.AddOrg(o))(f.t)
	return must(f.Authorize("key", o.Host, ""))(f.t)
}

func TestProfileLoginRangesRestrictEveryGrant(t *testing.T) {
	f := bearerSetup(t, func(a *sfsim.App) { a.RunAs = "bot@b.test" })
	g := f.orgWith(sfsim.Org{}, sfsim.User{LoginIPs: addrs("198.51.100.1", "198.51.100.9")})
	const restricted = `{"error":"invalid_grant","error_description":"ip restricted"}`
	const at = "https://b.my.salesforce.com" + tokenPath
	f.form(at, refreshParams(g.RefreshToken)...).want(t, 400, restricted)
	f.form(at, "grant_type", "client_credentials", "client_id", "key", "client_secret", "secret").want(t, 400, restricted)
	c := f.claims()
	c["sub"] = "bot@b.test"
	f.bearer(at, c).want(t, 400, restricted)
	if s := f.Lookup(g.RefreshToken).State; s != "current" {
		t.Errorf("a refusal spent the token: %s", s)
	}
	f.client = clientOver(f.Transport("198.51.100.5:1"))
	f.form(at, refreshParams(g.RefreshToken)...).want(t, 200, "")
}

func TestLoginRate(t *testing.T) {
	f := setup(t)
	g := f.orgWith(sfsim.Org{LoginsPerHour: 2}, sfsim.User{})
	token := g.RefreshToken
	for range 2 {
		r := f.form("https://b.my.salesforce.com"+tokenPath, refreshParams(token)...)
		r.want(t, 200, "")
		token = r.field("refresh_token")
	}
	f.form("https://b.my.salesforce.com"+tokenPath, refreshParams(token)...).want(t, 400, `{"error":"rate_limit_exceeded","error_description":"login rate exceeded"}`)
	f.clock.t = f.clock.t.Add(time.Hour)
	f.form("https://b.my.salesforce.com"+tokenPath, refreshParams(token)...).want(t, 200, "")
}

func TestOrgThatForbidsLoginHosts(t *testing.T) {
	f := setup(t)
	g := f.orgWith(sfsim.Org{MyDomainOnly: true}, sfsim.User{})
	f.form("https://login.salesforce.com"+tokenPath, refreshParams(g.RefreshToken)...).want(t, 400, "request not supported on this domain")
	f.form("https://b.my.salesforce.com"+tokenPath, refreshParams(g.RefreshToken)...).want(t, 200, "")
}

func TestFlowsThatAreNotEnabled(t *testing.T) {
	f := setup(t)
	const unsupported = `{"error":"unsupported_grant_type","error_description":"grant type not supported"}`
	f.form(tokenPath, "grant_type", "device", "code", "x", "client_id", "key").want(t, 400, unsupported)
	f.form(tokenPath, "response_type", "device_code", "client_id", "key").want(t, 400, unsupported)
	f.form(tokenPath, "grant_type", "telepathy", "client_id", "key").want(t, 400, unsupported)
	f.violations(nil)
	f.form(tokenPath, "grant_type", "password", "username", "ann@acme.test", "password", "pw", "client_id", "key", "client_secret", "secret").want(t, 400, unsupported)
	f.violations(map[sfsim.ViolationKind]int{sfsim.PasswordGrant: 1})
}

func TestFieldsThatDependOnScopes(t *testing.T) {
	f := setup(t, func(a *sfsim.App) { a.Scopes = []string{"api", "openid", "refresh_token", "sfap_api"} })
	r := f.refresh(f.grant().RefreshToken)
	if strings.Count(r.field("id_token"), ".") != 2 || r.field("api_instance_url") != "https://api.salesforce.com" {
		t.Errorf("got %s", r.body)
	}
}

func TestLedgerErrListsViolations(t *testing.T) {
	f := setup(t)
	g := f.grant()
	if err := f.Ledger().Err(); err != nil {
		t.Error(err)
	}
	f.get("/services/data/v67.0/limits", g.AccessToken, "X-Forwarded-For", "10.0.0.1", "Forwarded", "for=x", "Via", "1.1 p")
	err := f.Ledger().Err()
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "Via"} {
		if err == nil || !strings.Contains(err.Error(), "forwarded header at "+host+"/services/data/v67.0/limits: "+name) {
			t.Errorf("got %v, want a line on %s", err, name)
		}
	}
	if err := f.Ledger().Err(sfsim.ForwardedHeader); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreAllThatMustNotLeak(t *testing.T) {
	f := setup(t)
	g := f.grant()
	r := f.refresh(g.RefreshToken)
	to, _ := f.authorize(host)
	all := f.Secrets()
	for _, s := range []string{"secret", "hush", g.RefreshToken, g.AccessToken, r.field("refresh_token"), r.field("access_token"), to.Get("code")} {
		if !slices.Contains(all, s) {
			t.Errorf("%s is missing", sfsim.Fingerprint(s))
		}
	}
}

func TestTheAllowlistsWordsAreASwitch(t *testing.T) {
	f := setup(t, func(a *sfsim.App) { a.Allowlist = addrs("203.0.113.8", "203.0.113.8") })
	f.switches(func(w *sfsim.Switches) { w.AddressRefusal = "address not allowed" })
	f.refresh(f.grant().RefreshToken).want(t, 400, "address not allowed")
	to, _ := f.authorize(host)
	f.form(tokenPath, codeParams(to.Get("code"))...).want(t, 400, "address not allowed")
}
