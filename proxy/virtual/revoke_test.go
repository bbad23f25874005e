package virtual_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/proxy/virtual"
)

func TestEveryRevocationThatCanBeReadIsTaken(t *testing.T) {
	const target = instance + "/services/oauth2/revoke"
	for _, tt := range []struct {
		name    string
		request *http.Request
	}{
		{"jsforce's form with nothing but a token", post(t, target, "token=00D!dummy")},
		{"GET with the token in the query", request(t, "GET", target+"?token=00D!dummy", "")},
		{"the Mobile SDK's with a reason", post(t, target+"?device_id=0a", "token=5Aep861&revoke_reason=USER_LOGOUT")},
		{"one without a token", post(t, target, "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := virtual.ParseRevoke(tt.request); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
	for _, tt := range []struct {
		name    string
		request *http.Request
	}{
		{"DELETE", request(t, "DELETE", target+"?token=x", "")},
		{"a body beyond 64 KiB", post(t, target, "token="+strings.Repeat("x", 64<<10))},
		{"JSON", request(t, "POST", target, `{"token":"x"}`, "Content-Type", "application/json")},
	} {
		t.Run(tt.name+" is refused in the form that jsforce reads", func(t *testing.T) {
			err := virtual.ParseRevoke(tt.request)
			if err == nil || err.Code != "invalid_request" || err.Format != virtual.URLEncoded {
				t.Errorf("got %+v", err)
			}
		})
	}
}

func TestIntrospectionTakesNoTokenButAPlaceholderOutOfARequest(t *testing.T) {
	const target = instance + "/services/oauth2/introspect"
	s := placeholder(t, placeholders(t))
	for _, tt := range []struct {
		name, form string
		want       secret.Text
	}{
		{"a placeholder", "token=" + s.Reveal() + "&token_type_hint=access_token&client_id=a&client_secret=b", s},
		{"a token of Salesforce's", "token=00DWt00000B2V4b!AQ4AQNBFU62", secret.Text{}},
		{"a refresh token", "token=" + virtual.PlaceholderRefreshToken, secret.Text{}},
		{"a placeholder's head with far too much behind it", "token=" + s.Reveal() + strings.Repeat("A", 4096), secret.Text{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := virtual.ParseIntrospect(post(t, target, tt.form)); err != nil || got != tt.want {
				t.Errorf("got %v, %v", got.Reveal(), err)
			}
		})
	}
	for name, r := range map[string]*http.Request{
		"GET": request(t, "GET", target+"?token="+s.Reveal(), ""), "no token": post(t, target, "token_type_hint=access_token"),
		"two tokens": post(t, target+"?token=a", "token=b"),
	} {
		if _, err := virtual.ParseIntrospect(r); err == nil || err.Code != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIntrospectionSaysOnlyOfAPlaceholderThatStandsThatItIsActive(t *testing.T) {
	p := placeholders(t)
	s := placeholder(t, p)
	full := virtual.Introspection{Active: true, Scope: "api", ClientID: "billing", Username: "me@acme.com", Subject: identity,
		Expires: issued.Add(2 * time.Hour)}
	for _, tt := range []struct {
		name  string
		token secret.Text
		says  virtual.Introspection
		want  string
	}{
		{"one that stands", s, full, `{"active":true,"scope":"api","client_id":"billing","username":"me@acme.com","sub":"` + identity +
			`","token_type":"access_token","exp":1758708641,"iat":1758701441,"nbf":1758701441}`},
		{"one of which no more is known", s, virtual.Introspection{Active: true},
			`{"active":true,"token_type":"access_token","iat":1758701441,"nbf":1758701441}`},
		{"one whose client got another secret", s, virtual.Introspection{Scope: "api", Username: "me@acme.com"}, `{"active":false}`},
		{"one that doesn't open", secret.NewText(s.Reveal() + "x"), full, `{"active":false}`},
		{"no placeholder", secret.Text{}, full, `{"active":false}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			contentType, got := p.Introspect(tt.token, func(c virtual.Claim) virtual.Introspection {
				if c != claim() {
					t.Errorf("asked for %+v", c)
				}
				return tt.says
			})
			if contentType != "application/json;charset=UTF-8" || string(got) != tt.want {
				t.Errorf("got %s: %s", contentType, got)
			}
		})
	}
}
