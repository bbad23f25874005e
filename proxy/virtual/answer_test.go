package virtual_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/virtual"
)

func answer(t *testing.T, g virtual.Grant) virtual.Answer {
	t.Helper()
	p := placeholders(t)
	return virtual.Answer{Grant: g, AccessToken: placeholder(t, p), InstanceURL: instance, IdentityURL: identity,
		IssuedAt: issued, Scope: "refresh_token api id", Signature: p.Sign(identity, issued)}
}

// decode reads an answer as a client does, by its content type.
func decode(t *testing.T, contentType string, body []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	switch contentType {
	case "application/json;charset=UTF-8":
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	case "application/xml;charset=UTF-8":
		var v struct {
			XMLName xml.Name `xml:"OAuth"`
			Fields  []struct {
				XMLName xml.Name
				Text    string `xml:",chardata"`
			} `xml:",any"`
		}
		if err := xml.Unmarshal(body, &v); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		for _, f := range v.Fields {
			got[f.XMLName.Local] = f.Text
		}
	case "application/x-www-form-urlencoded;charset=UTF-8":
		v, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		for name := range v {
			got[name] = v.Get(name)
		}
	default:
		t.Fatalf("content type %q", contentType)
	}
	return got
}

func TestAnAnswerHasSalesforcesShapeInEveryFormat(t *testing.T) {
	a := answer(t, virtual.GrantClientCredentials)
	want := map[string]string{"access_token": a.AccessToken.Reveal(), "signature": a.Signature, "scope": a.Scope,
		"instance_url": instance, "id": identity, "token_type": "Bearer", "issued_at": "1758701441120"}
	for _, f := range []virtual.Format{virtual.JSON, virtual.XML, virtual.URLEncoded} {
		contentType, body := a.Render(f)
		if diff := cmp.Diff(want, decode(t, contentType, body)); diff != "" {
			t.Errorf("%s: %s", contentType, diff)
		}
	}
	_, body := a.Render(virtual.JSON)
	if want := fmt.Sprintf(`{"access_token":%q,"signature":%q,"scope":"refresh_token api id","instance_url":%q,"id":%q,`+
		`"token_type":"Bearer","issued_at":"1758701441120"}`, a.AccessToken.Reveal(), a.Signature, instance, identity); string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestARefreshTokenIsGivenWhereSalesforceCanGiveOneAndIsAlwaysTheSame(t *testing.T) {
	for grant, want := range map[virtual.Grant]string{
		virtual.GrantRefreshToken:      virtual.PlaceholderRefreshToken,
		virtual.GrantAuthorizationCode: virtual.PlaceholderRefreshToken,
		virtual.GrantHybridRefresh:     virtual.PlaceholderRefreshToken,
		virtual.GrantClientCredentials: "", virtual.GrantPassword: "", virtual.GrantJWTBearer: "",
		virtual.GrantSAML2Bearer: "", virtual.GrantTokenExchange: "",
	} {
		if got := decodeJSON(t, answer(t, grant))["refresh_token"]; got != want {
			t.Errorf("%s: %q", grant, got)
		}
	}
	if !strings.HasPrefix(virtual.PlaceholderRefreshToken, "5Aep861") || !strings.Contains(virtual.PlaceholderRefreshToken, "not.a.secret") {
		t.Error("it looks like a secret, or like none of Salesforce's")
	}
}

func decodeJSON(t *testing.T, a virtual.Answer) map[string]string {
	t.Helper()
	contentType, body := a.Render(virtual.JSON)
	return decode(t, contentType, body)
}

func TestARealTokenIsNeverRendered(t *testing.T) {
	const live = "00DWt00000B2V4b!AQ4AQNBFU62TCNFV6TkN0mnq2Z1Cu5MhRp1wbC3sPVBPkk8vFNR1"
	a := answer(t, virtual.GrantRefreshToken)
	a.AccessToken = secret.NewText(live)
	for _, f := range []virtual.Format{virtual.JSON, virtual.XML, virtual.URLEncoded} {
		if _, body := a.Render(f); contains("AQ4AQNBFU62", body) || contains("access_token", body) {
			t.Errorf("%s", body)
		}
	}
	if body := virtual.RenderLogin(virtual.LoginAnswer{SessionID: secret.NewText(live)}); contains("AQ4AQNBFU62", body) {
		t.Errorf("%s", body)
	}
}

func TestAnAnswerLeavesOutWhatIsNotKnownAndEscapesTheRest(t *testing.T) {
	a := answer(t, virtual.GrantPassword)
	a.Scope, a.InstanceURL = "", `https://a.example/?a=<b>&c="d"`
	for _, f := range []virtual.Format{virtual.JSON, virtual.XML, virtual.URLEncoded} {
		contentType, body := a.Render(f)
		got := decode(t, contentType, body)
		if _, ok := got["scope"]; ok || got["instance_url"] != a.InstanceURL {
			t.Errorf("%s: %s", contentType, body)
		}
	}
}

func TestASallyportRefusalBecomesTheOAuthErrorThatMakesAClientDoRight(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		code   string
		want   string
	}{
		{"several orgs: mend the request", 400, "org_ambiguous", "invalid_request"},
		{"another host: mend the request", 421, "misdirected", "invalid_request"},
		{"no credentials: mend the client", 407, "proxy_auth_required", "invalid_client"},
		{"no credentials at a base URL", 401, "proxy_auth_required", "invalid_client"},
		{"an org of others: mend the registry", 403, "org_not_allowed", "unauthorized_client"},
		{"too fast: come again", 429, "rate_limited", "rate_limit_exceeded"},
		{"a person must authorise: keep what you have", 502, "reauth_required", "server_error"},
		{"a wrong app: keep what you have", 502, "org_misconfigured", "server_error"},
		{"Salesforce can't be reached: come again", 502, "upstream_unreachable", "temporarily_unavailable"},
		{"no token now: come again", 503, "token_unavailable", "temporarily_unavailable"},
		{"too slow: come again", 504, "upstream_timeout", "temporarily_unavailable"},
		{"a fault: keep what you have", 500, "internal", "server_error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := map[string]string{"error": tt.want,
				"error_description": "SALLYPORT_" + strings.ToUpper(tt.code) + ": say \"what\" & <why>"}
			for _, f := range []virtual.Format{virtual.JSON, virtual.XML, virtual.URLEncoded} {
				contentType, body := virtual.RenderError(f, tt.status, tt.code, "say \"what\" & <why>")
				if diff := cmp.Diff(want, decode(t, contentType, body)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestAnErrorOfOAuthsIsRenderedAsItIs(t *testing.T) {
	e := &virtual.Error{Status: 400, Code: "invalid_grant", Description: "invalid assertion"}
	if contentType, body := e.Render(); contentType != "application/json;charset=UTF-8" ||
		string(body) != `{"error":"invalid_grant","error_description":"invalid assertion"}` {
		t.Errorf("%s: %s", contentType, body)
	}
}
