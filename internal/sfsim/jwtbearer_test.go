package sfsim_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/sfsim"
)

const (
	tokenPath = "/services/oauth2/token"
	jwtGrant  = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

var keys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var out [2]*rsa.PrivateKey
	for i := range out {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		out[i] = k
	}
	return out
})

func publicPEM(t *testing.T, k *rsa.PrivateKey) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(k.Public()))(t)})
}

type claims map[string]any

// signed returns a JWT. An alg other than RS256 keeps RS256's signature.
func signed(t *testing.T, k *rsa.PrivateKey, alg string, c claims) string {
	t.Helper()
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + "." + enc.EncodeToString(must(json.Marshal(c))(t))
	sum := sha256.Sum256([]byte(text))
	return text + "." + enc.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:]))(t))
}

// bearerSetup returns a simulator whose app takes assertions for every user.
func bearerSetup(t *testing.T, change ...func(*sfsim.App)) *fixture {
	t.Helper()
	return setup(t, append([]func(*sfsim.App){func(a *sfsim.App) {
		a.Certificate, a.PreAuthorized = publicPEM(t, keys()[0]), []string{"*"}
	}}, change...)...)
}

func (f *fixture) claims() claims {
	return claims{"iss": "key", "sub": "ann@acme.test", "aud": "https://login.salesforce.com", "exp": f.clock.t.Add(3 * time.Minute).Unix()}
}

func (f *fixture) bearer(to string, c claims) reply {
	f.t.Helper()
	return f.form(to, "grant_type", jwtGrant, "assertion", signed(f.t, keys()[0], "RS256", c))
}

func TestJWTBearer(t *testing.T) {
	f := bearerSetup(t, func(a *sfsim.App) { a.Allowlist = addrs("203.0.113.8", "203.0.113.8") }) // which doesn't gate this grant
	for _, h := range []string{host, "login.salesforce.com"} {
		r := f.bearer("https://"+h+tokenPath, f.claims())
		r.want(t, 200, `"scope":"api id"`)
		if r.field("refresh_token") != "" || r.field("signature") == "" || r.field("token_type") != "Bearer" || r.field("instance_url") != base {
			t.Errorf("got %s", r.body)
		}
		f.get("/services/oauth2/userinfo", r.field("access_token")).want(t, 200, "ann@acme.test")
	}
	x := f.Ledger().Tokens
	if x[0].ClientID != "key" || x[0].Assertion.State != "new" || x[1].Assertion.State != "repeated" || x[0].Assertion.Fingerprint != x[1].Assertion.Fingerprint {
		t.Errorf("ledger %+v", x)
	}
	f.violations(nil)
}

func TestJWTBearerClaims(t *testing.T) {
	grantErr := func(text string) string { return `{"error":"invalid_grant","error_description":"` + text + `"}` }
	cases := []struct {
		name   string
		change func(f *fixture, c claims)
		status int
		want   string
	}{
		{"an expiry as a string", func(f *fixture, c claims) { c["exp"] = "1795522200" }, 200, ""},
		{"an expiry in milliseconds, as the sf CLI sends", func(f *fixture, c claims) { c["exp"] = f.clock.t.UnixMilli() }, 200, ""},
		{"an expiry under three minutes ago", func(f *fixture, c claims) { c["exp"] = f.clock.t.Add(-179 * time.Second).Unix() }, 200, ""},
		{"an expiry three minutes ago", func(f *fixture, c claims) { c["exp"] = f.clock.t.Add(-180 * time.Second).Unix() }, 400, grantErr("expired authorization code")},
		{"no expiry", func(_ *fixture, c claims) { delete(c, "exp") }, 400, grantErr("invalid assertion")},
		{"an unknown consumer key", func(_ *fixture, c claims) { c["iss"] = "nobody" }, 400, `{"error":"invalid_client_id","error_description":"client identifier invalid"}`},
		{"an app without a certificate", func(_ *fixture, c claims) { c["iss"] = "other" }, 400, `{"error":"unsupported_grant_type","error_description":"grant type not supported"}`},
		{"prn before sub", func(_ *fixture, c claims) { c["prn"], c["sub"] = "bot@acme.test", "nobody" }, 200, ""},
		{"an unknown user", func(_ *fixture, c claims) { c["sub"] = "eve@acme.test" }, 400, grantErr("user hasn't approved this consumer")},
		{"no user", func(_ *fixture, c claims) { delete(c, "sub") }, 400, grantErr("user hasn't approved this consumer")},
		{"the sandbox host as audience", func(_ *fixture, c claims) { c["aud"] = "https://test.salesforce.com" }, 400, grantErr("audience is invalid")},
		{"My Domain as audience", func(_ *fixture, c claims) { c["aud"] = base }, 400, grantErr("audience is invalid")},
		{"My Domain as audience under the switch", func(f *fixture, c claims) {
			c["aud"] = base + "/"
			f.switches(func(w *sfsim.Switches) { w.AudienceMyDomain = true })
		}, 200, ""},
		{"the documentation's words for it", func(f *fixture, c claims) {
			c["aud"] = "login.salesforce.com"
			f.switches(func(w *sfsim.Switches) { w.AudienceValidationFailed = true })
		}, 400, grantErr("Audience validation failed")},
		{"a list of one audience", func(_ *fixture, c claims) { c["aud"] = []string{"https://login.salesforce.com"} }, 200, ""},
		{"a frozen user", func(f *fixture, _ claims) { check(f.t, f.Freeze(host, "ann@acme.test")) }, 400, "inactive_user"},
		{"a user that the admin didn't approve", func(f *fixture, _ claims) {
			check(f.t, f.UpdateApp("key", func(a *sfsim.App) { a.PreAuthorized = []string{"bot@acme.test"} }))
		}, 400, "user is not admin approved"},
		{"a user who approved nothing yet", func(f *fixture, _ claims) {
			check(f.t, f.UpdateApp("key", func(a *sfsim.App) { a.PreAuthorized = nil }))
		}, 400, grantErr("user hasn't approved this consumer")},
		{"a user who approved the app with a refresh token", func(f *fixture, _ claims) {
			check(f.t, f.UpdateApp("key", func(a *sfsim.App) { a.PreAuthorized = nil }))
			must(f.Authorize("key", host, "ann@acme.test"))(f.t)
		}, 200, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := bearerSetup(t)
			v := f.claims()
			c.change(f, v)
			f.bearer(tokenPath, v).want(t, c.status, c.want)
		})
	}
}

func TestJWTBearerSignatures(t *testing.T) {
	f := bearerSetup(t)
	send := func(assertion string) reply { return f.form(tokenPath, "grant_type", jwtGrant, "assertion", assertion) }
	good := signed(t, keys()[0], "RS256", f.claims())
	other := f.claims()
	other["sub"] = "bot@acme.test"
	swapped := strings.Split(good, ".")
	swapped[1] = strings.Split(signed(t, keys()[1], "RS256", other), ".")[1]
	for name, assertion := range map[string]string{
		"another key": signed(t, keys()[1], "RS256", f.claims()), "another algorithm": signed(t, keys()[0], "none", f.claims()),
		"other claims": strings.Join(swapped, "."), "no JWT": "nonsense", "no signature": good[:strings.LastIndexByte(good, '.')+1],
	} {
		if r := send(assertion); r.status != 400 || !strings.Contains(r.body, "invalid assertion") {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	f.form(tokenPath, "grant_type", jwtGrant, "client_id", "key").want(t, 400, "invalid_request")
}

func TestRepeatedAssertionIsRefusedOnlyUnderTheSwitch(t *testing.T) {
	f := bearerSetup(t)
	c := f.claims()
	f.bearer(tokenPath, c).want(t, 200, "")
	f.bearer(tokenPath, c).want(t, 200, "")
	f.switches(func(w *sfsim.Switches) { w.AssertionOnce = true })
	f.bearer(tokenPath, c).want(t, 400, "invalid assertion")
	fresh := maps.Clone(c)
	fresh["jti"] = "2"
	f.bearer(tokenPath, fresh).want(t, 200, "")
}

func TestSandboxesHaveTheTestHostAsAudience(t *testing.T) {
	f := bearerSetup(t)
	o := must(f.AddOrg(sfsim.Org{Host: "acme--qa.sandbox.my.salesforce.com", Aliases: []string{"acme.my.site.com"}, Sandbox: true, Users: []sfsim.User{{Username: "ann@acme.test.qa"}}}))(t)
	c := f.claims()
	c["sub"], c["aud"] = "ann@acme.test.qa", "https://test.salesforce.com"
	r := f.bearer("https://test.salesforce.com"+tokenPath, c)
	r.want(t, 200, "https://test.salesforce.com/id/"+o.ID)
	f.bearer("https://login.salesforce.com"+tokenPath, c).want(t, 400, "audience is invalid")
	c["aud"] = "https://acme.my.site.com"
	f.bearer("https://acme.my.site.com"+tokenPath, c).want(t, 200, `"sfdc_community_url":"https://acme.my.site.com"`)
}

func TestClientAssertionTakesThePlaceOfTheSecret(t *testing.T) {
	f := bearerSetup(t)
	send := func(k *rsa.PrivateKey, aud string) reply {
		a := signed(t, k, "RS256", claims{"iss": "key", "sub": "key", "aud": aud, "exp": f.clock.t.Add(time.Minute).Unix()})
		return f.form(tokenPath, "grant_type", "refresh_token", "refresh_token", f.grant().RefreshToken,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", a)
	}
	send(keys()[0], base+tokenPath).want(t, 200, `"refresh_token"`)
	send(keys()[1], base+tokenPath).want(t, 400, "invalid_client")
	send(keys()[0], "https://evil.test").want(t, 400, "invalid_client")
}

func TestCertificatesAreChecked(t *testing.T) {
	s := must(sfsim.New(sfsim.Options{}))(t)
	big := append(publicPEM(t, keys()[0]), []byte(strings.Repeat("\n", 4096))...)
	for name, cert := range map[string][]byte{"not PEM": []byte("x"), "over 4 KB": big, "not RSA": s.CAPEM(), "not a key": []byte("-----BEGIN X-----\nAAAA\n-----END X-----\n")} {
		if s.AddApp(sfsim.App{ClientID: "key", Certificate: cert}) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTokenExchange(t *testing.T) {
	const grant = "urn:ietf:params:oauth:grant-type:token-exchange"
	const kind = "urn:ietf:params:oauth:token-type:"
	params := func(pairs ...string) []string {
		return append([]string{"grant_type", grant, "client_id", "key", "client_secret", "secret", "subject_token", "theirs", "subject_token_type", kind + "JWT", "token_handler", "H"}, pairs...)
	}
	f := setup(t)
	f.form(tokenPath, params()...).want(t, 400, `{"error":"unsupported_grant_type","error_description":"grant type not supported"}`)
	f = setup(t, func(a *sfsim.App) {
		a.Exchange = func(q sfsim.ExchangeRequest) (string, error) {
			if q.SubjectToken != "theirs" || q.SubjectTokenType != "jwt" || q.Handler != "H" || q.OrgID[:15] != orgID {
				return "", errors.New("no")
			}
			return "ann@acme.test", nil
		}
	})
	r := f.form(tokenPath, params()...)
	r.want(t, 200, `"scope":"api id"`)
	if r.field("refresh_token") != "" {
		t.Error("a refresh token without the switch")
	}
	f.form(tokenPath, params("subject_token", "mine")...).want(t, 400, "authentication failure")
	f.form(tokenPath, params("subject_token_type", kind+"cookie")...).want(t, 400, "invalid_request")
	f.form("https://login.salesforce.com"+tokenPath, params()...).want(t, 400, "request not supported on this domain")
	f.switches(func(w *sfsim.Switches) { w.ExchangeGrantsRefresh = true })
	r = f.form(tokenPath, params()...)
	f.refresh(r.field("refresh_token")).want(t, 200, "")
}
