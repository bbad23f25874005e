package virtual_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport/sallyport/proxy/virtual"
)

const endpoint = instance + "/services/oauth2/token"

func jwt(claims string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"RS256"}`)) + "." + e([]byte(claims)) + "." + e([]byte("any signature"))
}

// form is a multipart body with the parts given, and its content type.
func form(parts ...string) (body, contentType string) {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--x\r\n" + p + "\r\n")
	}
	return b.String() + "--x--\r\n", "multipart/form-data; boundary=x"
}

func part(name, value string) string {
	return "Content-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value
}

func TestEveryGrantOfSalesforceIsTakenWithAnyValues(t *testing.T) {
	for _, tt := range []struct {
		name, form string
		want       virtual.Grant
	}{
		{"refresh_token", "grant_type=refresh_token&refresh_token=x", virtual.GrantRefreshToken},
		{"hybrid_refresh", "grant_type=hybrid_refresh&refresh_token=x", virtual.GrantHybridRefresh},
		{"authorization_code", "grant_type=authorization_code&code=x&client_id=x&redirect_uri=x&code_verifier=" +
			strings.Repeat("v", 171), virtual.GrantAuthorizationCode},
		{"a public client's with an assertion of its own", "grant_type=authorization_code&code=x&client_assertion=x",
			virtual.GrantAuthorizationCode},
		{"client_credentials", "grant_type=client_credentials&client_id=x&client_secret=x", virtual.GrantClientCredentials},
		{"client_credentials with an assertion", "grant_type=client_credentials&client_assertion=x",
			virtual.GrantClientCredentials},
		{"password", "grant_type=password&username=x&password=x", virtual.GrantPassword},
		{"JWT bearer", "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" +
			jwt(`{"iss":"key","sub":"me@acme.com","exp":"1758701441"}`), virtual.GrantJWTBearer},
		{"JWT bearer with prn instead of sub", "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=" +
			jwt(`{"iss":"key","prn":"me@acme.com","exp":1758701441120300}`), virtual.GrantJWTBearer},
		{"SAML bearer", "grant_type=urn:ietf:params:oauth:grant-type:saml2-bearer&assertion=x", virtual.GrantSAML2Bearer},
		{"token exchange for two audiences", "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=x&" +
			"subject_token_type=x&audience=a&audience=b&resource=a&resource=b", virtual.GrantTokenExchange},
		{"an equal value twice", "grant_type=refresh_token&refresh_token=x&refresh_token=x", virtual.GrantRefreshToken},
		{"an empty value counts as none", "grant_type=refresh_token&refresh_token=x&refresh_token=&grant_type=",
			virtual.GrantRefreshToken},
		{"parameters that nobody knows", "grant_type=refresh_token&refresh_token=x&a=1&&b&=c", virtual.GrantRefreshToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := virtual.ParseToken(post(t, endpoint, tt.form))
			if err != nil || got.Grant != tt.want || got.Format != virtual.JSON {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// canary stands wherever a client can put a value. No answer may have it.
const canary = "CANARY0815"

func TestWhatCannotBeAnsweredIsRefusedInOAuthsForm(t *testing.T) {
	good := "grant_type=refresh_token&refresh_token=" + canary
	multipart := func(parts ...string) func(t *testing.T) *http.Request {
		return func(t *testing.T) *http.Request {
			body, contentType := form(parts...)
			return request(t, "POST", endpoint, body, "Content-Type", contentType)
		}
	}
	urlencoded := func(form string, headers ...string) func(t *testing.T) *http.Request {
		return func(t *testing.T) *http.Request { return post(t, endpoint, form, headers...) }
	}
	raw := func(method, query, body string, headers ...string) func(t *testing.T) *http.Request {
		return func(t *testing.T) *http.Request { return request(t, method, endpoint+query, body, headers...) }
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(canary+":"+canary))
	grant := part("grant_type", "refresh_token")
	for _, tt := range []struct {
		name    string
		request func(t *testing.T) *http.Request
		code    string
		says    string
	}{
		{"GET", raw("GET", "?"+good, ""), "invalid_request", "POST"},
		{"no parameters", urlencoded(""), "invalid_request", "grant_type is missing"},
		{"an empty grant_type", urlencoded("grant_type="), "invalid_request", "grant_type is missing"},
		{"only parameters that nobody knows", urlencoded("x=" + canary), "invalid_request", "grant_type is missing"},
		{"an unknown grant", urlencoded("grant_type=" + canary), "unsupported_grant_type", "client_credentials"},
		{"a grant in another case", urlencoded("grant_type=Refresh_Token&refresh_token=x"), "unsupported_grant_type", ""},
		{"the device flow's first step", multipart(part("client_id", canary), part("response_type", "device_code")),
			"unsupported_grant_type", "device flow"},
		{"the device flow's polling", multipart(part("client_id", canary), part("grant_type", "device"), part("code", canary)),
			"unsupported_grant_type", "device flow"},
		{"hybrid_auth_code", urlencoded("grant_type=hybrid_auth_code&code=" + canary), "unsupported_grant_type", "user interface"},
		{"hybrid_token", urlencoded("grant_type=hybrid_token&code=" + canary), "unsupported_grant_type", "user interface"},
		{"no refresh token", urlencoded("grant_type=refresh_token&client_id=" + canary), "invalid_request", "needs refresh_token"},
		{"no code", urlencoded("grant_type=authorization_code&client_id=" + canary), "invalid_request", "needs code"},
		{"a code without a client", urlencoded("grant_type=authorization_code&code=" + canary), "invalid_request", "needs client_id"},
		{"client_credentials without a secret", urlencoded("grant_type=client_credentials&client_id=" + canary),
			"invalid_request", "client_secret"},
		{"client_credentials that nobody has", urlencoded("grant_type=client_credentials"), "invalid_request", "client_secret"},
		{"no password", urlencoded("grant_type=password&username=" + canary), "invalid_request", "username and password"},
		{"no subject token type", urlencoded("grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=" + canary),
			"invalid_request", "subject_token_type"},
		{"no assertion", urlencoded("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer"), "invalid_request", "assertion"},
		{"an assertion that is no JWT", urlencoded("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" + canary),
			"invalid_grant", "JWT"},
		{"a JWT without a subject", urlencoded("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" +
			jwt(`{"iss":"`+canary+`"}`)), "invalid_grant", "sub"},
		{"a JWT without an issuer", urlencoded("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" +
			jwt(`{"sub":"`+canary+`"}`)), "invalid_grant", "iss"},
		{"a JWT whose claims are no object", urlencoded("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" +
			jwt(`["`+canary+`"]`)), "invalid_grant", ""},
		{"a JWE of five parts", urlencoded("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" +
			jwt(`{"iss":"a","sub":"b"}`) + ".a.b"), "invalid_grant", ""},
		{"two values of one parameter", urlencoded(good + "&refresh_token=other"), "invalid_request", "twice"},
		{"two values in query and body", raw("POST", "?refresh_token=other", good, "Content-Type", formType),
			"invalid_request", "twice"},
		{"two values of a parameter that nobody knows", urlencoded(good + "&x=1&x=2"), "invalid_request", "twice"},
		{"two values in a form", multipart(grant, part("refresh_token", canary), part("refresh_token", "x")), "invalid_request", "twice"},
		{"a bad escape in the body", urlencoded(good + "&x=%zz"), "invalid_request", "percent-escape"},
		{"65 parameters", urlencoded(good + strings.Repeat("&x="+canary, 63)), "invalid_request", "64 parameters"},
		{"a body beyond 64 KiB", urlencoded(good + "&x=" + strings.Repeat("x", 64<<10)), "invalid_request", "64 KiB"},
		{"query and body beyond 64 KiB together", raw("POST", "?x="+strings.Repeat("x", 60<<10), good+"&y="+strings.Repeat("y", 8<<10),
			"Content-Type", formType), "invalid_request", "64 KiB"},
		{"a query beyond 64 KiB", raw("POST", "?"+good+"&x="+strings.Repeat("x", 64<<10), ""), "invalid_request", "64 KiB"},
		{"gzip", urlencoded(good, "Content-Encoding", "gzip"), "invalid_request", "compression"},
		{"identity, then gzip", urlencoded(good, "Content-Encoding", "identity", "Content-Encoding", "gzip"), "invalid_request", "compression"},
		{"JSON", raw("POST", "", `{"grant_type":"refresh_token"}`, "Content-Type", "application/json"), "invalid_request", "urlencoded"},
		{"no content type", raw("POST", "", good), "invalid_request", "urlencoded"},
		{"two content types", raw("POST", "", good, "Content-Type", formType, "Content-Type", formType), "invalid_request", "urlencoded"},
		{"a file", multipart(grant, "Content-Disposition: form-data; name=\"refresh_token\"; filename=\""+canary+"\"\r\n\r\nx"),
			"invalid_request", "no file"},
		{"a part without a name", multipart(grant, "Content-Disposition: form-data\r\n\r\n"+canary), "invalid_request", "name"},
		{"a part in base64", multipart(grant, "Content-Disposition: form-data; name=\"refresh_token\"\r\n"+
			"Content-Transfer-Encoding: base64\r\n\r\neA=="), "invalid_request", "transfer encoding"},
		{"a multipart body without a boundary", raw("POST", "", "--x--", "Content-Type", "multipart/form-data"), "invalid_request", "multipart"},
		{"a boundary of 71 characters", raw("POST", "", "--x--", "Content-Type", "multipart/form-data; boundary="+strings.Repeat("x", 71)),
			"invalid_request", "multipart"},
		{"a multipart body without an end", raw("POST", "", "--x\r\n"+grant+"\r\n--x\r\n"+part("refresh_token", canary),
			"Content-Type", "multipart/form-data; boundary=x"), "invalid_request", "last boundary"},
		{"a multipart body without a part", raw("POST", "", canary, "Content-Type", "multipart/form-data; boundary=x"), "invalid_request", "last boundary"},
		{"a Basic that can't be read", urlencoded(good, "Authorization", "Basic "+canary+"!"), "invalid_client", "base64"},
		{"two Basics", urlencoded(good, "Authorization", basic, "Authorization", basic), "invalid_client", "Authorization"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := virtual.ParseToken(tt.request(t))
			if err == nil {
				t.Fatalf("taken: %+v", got)
			}
			if got != (virtual.TokenRequest{}) || err.Status != 400 || err.Code != tt.code || !strings.Contains(err.Description, tt.says) {
				t.Errorf("got %+v, %d %v", got, err.Status, err)
			}
			for _, err.Format = range []virtual.Format{virtual.JSON, virtual.XML, virtual.URLEncoded} {
				if _, body := err.Render(); contains(canary, body, []byte(err.Error())) {
					t.Errorf("the answer has what the client sent: %s", body)
				}
			}
		})
	}
}

func TestABodyThatBreaksOffIsNoReasonToLogAUserOut(t *testing.T) {
	r := post(t, endpoint, "grant_type=refresh_token")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("grant_type=refresh_token&ref"), iotest.ErrReader(errors.New(canary))))
	_, err := virtual.ParseToken(r)
	if err == nil || err.Status != 503 || err.Code != "temporarily_unavailable" || strings.Contains(err.Error(), canary) {
		t.Errorf("got %v", err)
	}
}

func TestFormatIsThePostedOneThenAccepts(t *testing.T) {
	good := "grant_type=refresh_token&refresh_token=x"
	for _, tt := range []struct {
		name, form, accept string
		want               virtual.Format
	}{
		{"neither: JSON", good, "", virtual.JSON},
		{"format=json", good + "&format=json", "application/xml", virtual.JSON},
		{"format=xml", good + "&format=xml", "application/json", virtual.XML},
		{"format=urlencoded in capitals", good + "&format=URLENCODED", "", virtual.URLEncoded},
		{"a format that nobody knows: Accept", good + "&format=yaml", "application/xml", virtual.XML},
		{"Accept JSON", good, "application/json", virtual.JSON},
		{"Accept XML", good, "application/xml;charset=utf-8", virtual.XML},
		{"Accept urlencoded", good, "application/x-www-form-urlencoded", virtual.URLEncoded},
		{"Accept anything", good, "*/*", virtual.JSON},
		{"Accept nothing that there is", good, "text/html", virtual.JSON},
		{"Accept XML or JSON alike", good, "application/xml, application/json", virtual.JSON},
		{"Accept XML before anything", good, "text/html, application/xml;q=0.9, */*;q=0.8", virtual.XML},
		{"XML that is not accepted", good, "application/xml;q=0", virtual.JSON},
		{"a weight that is none", good, "application/xml;q=NaN, application/x-www-form-urlencoded;q=9", virtual.JSON},
		{"a refusal has the format too", "grant_type=nonsense&format=xml", "", virtual.XML},
		{"and one by Accept", "", "application/x-www-form-urlencoded", virtual.URLEncoded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := post(t, endpoint, tt.form)
			if tt.accept != "" {
				r.Header.Set("Accept", tt.accept)
			}
			got, err := virtual.ParseToken(r)
			if err != nil {
				got.Format = err.Format
			}
			if got.Format != tt.want {
				t.Errorf("got %v", got.Format)
			}
		})
	}
}
