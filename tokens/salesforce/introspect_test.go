package salesforce_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

func subject() tokens.Subject {
	return tokens.Subject{Token: secret.NewText("5Aep861old+token"), Refresh: true}
}

func TestIntrospectionReadsOnlyAClearAnswer(t *testing.T) {
	const sub = `"sub":"https://login.salesforce.com/id/00DWt00000B2V4bMAF/005Wt000004d0fNIAQ"`
	alive := tokens.Liveness{Active: true, ExpiresAt: time.Unix(1900000000, 0), OrgID: "00DWt00000B2V4bMAF", UserID: "005Wt000004d0fNIAQ"}
	for name, c := range map[string]struct {
		script script
		want   tokens.Liveness
		silent bool
	}{
		"alive":                    {reply(ok(`{"active":true,"exp":1900000000,"token_type":"refresh_token",` + sub + `}`)), alive, false},
		"alive and nothing else":   {reply(ok(`{"active":true}`)), tokens.Liveness{Active: true}, false},
		"inactive":                 {reply(ok(`{"active":false}`)), tokens.Liveness{}, false},
		"active as a string":       {reply(ok(`{"active":"true"}`)), tokens.Liveness{}, true},
		"active twice":             {reply(ok(`{"active":true,"active":false}`)), tokens.Liveness{}, true},
		"another spelling":         {reply(ok(`{"Active":true}`)), tokens.Liveness{}, true},
		"active is null":           {reply(ok(`{"active":null}`)), tokens.Liveness{}, true},
		"nothing about it":         {reply(ok(`{}`)), tokens.Liveness{}, true},
		"a cut answer":             {replyAndClose(strings.TrimSuffix(ok(`{"active":true}`), "}")), tokens.Liveness{}, true},
		"an answer with a tail":    {reply(ok(`{"active":true}x`)), tokens.Liveness{}, true},
		"a page":                   {reply(answer(200, "text/html", "<html>")), tokens.Liveness{}, true},
		"a 401":                    {reply(answer(401, "application/json", `{"active":false}`)), tokens.Liveness{}, true},
		"a refusal of the client":  {reply(answer(400, "application/json", oauthError("invalid_client", "invalid client credentials"))), tokens.Liveness{}, true},
		"a 307":                    {reply("HTTP/1.1 307 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), tokens.Liveness{}, true},
		"a reset after the answer": {func(p *peer) { p.request(); p.reset() }, tokens.Liveness{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := serve(t, c.script)
			got, err := v.exchanger(t).Introspect(t.Context(), org, subject())
			if (err != nil) != c.silent {
				t.Errorf("error is %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "5Aep") {
				t.Errorf("the error holds the token: %v", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			wantOneRequest(t, v)
		})
	}
}

func TestIntrospectionSendsTokenHintAndClient(t *testing.T) {
	for hint, s := range map[string]tokens.Subject{
		"refresh_token": subject(),
		"access_token":  {Token: secret.NewText("5Aep861old+token")},
	} {
		v := serve(t, reply(ok(`{"active":false}`)))
		if _, err := v.exchanger(t).Introspect(t.Context(), org, s); err != nil {
			t.Fatal(err)
		}
		_, got := v.seen()
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.HasPrefix(head, "POST /services/oauth2/introspect HTTP/1.1\r\n") {
			t.Errorf("request %q", head)
		}
		form, err := url.ParseQuery(body)
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{"token": {"5Aep861old+token"}, "token_type_hint": {hint}, "client_id": {"3MVG9.client"}, "client_secret": {"s3cret/+"}}
		if diff := cmp.Diff(want, form); diff != "" {
			t.Error(diff)
		}
	}
}

func TestIntrospectionEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := serve(t, func(p *peer) {
		p.request()
		cancel()
	})
	if _, err := v.exchanger(t).Introspect(ctx, org, subject()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	wantOneRequest(t, v)
}

func TestAnEmptyTokenIsNotAskedAbout(t *testing.T) {
	v := serve(t, func(*peer) {})
	x := v.exchanger(t)
	if _, err := x.Introspect(t.Context(), org, tokens.Subject{}); err == nil {
		t.Error("introspection: no error")
	}
	if err := x.Revoke(t.Context(), org, tokens.Subject{}); err == nil {
		t.Error("revocation: no error")
	}
	wantNoRequest(t, v)
}

func TestRevocationSaysWhatSalesforceSaid(t *testing.T) {
	for name, c := range map[string]struct {
		script script
		fails  bool
		class  tokens.Class
	}{
		"done":                       {reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), false, 0},
		"not known, or no longer":    {reply(answer(400, "application/x-www-form-urlencoded", "error=invalid_token&error_description=invalid+token")), true, tokens.ClassDead},
		"another refusal":            {reply(answer(400, "application/x-www-form-urlencoded", "error=unsupported_token_type")), true, tokens.ClassDoubt},
		"a 500 with the same answer": {reply(answer(500, "application/x-www-form-urlencoded", "error=invalid_token")), true, tokens.ClassDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			v := serve(t, c.script)
			err := v.exchanger(t).Revoke(t.Context(), org, subject())
			if (err != nil) != c.fails {
				t.Fatalf("error is %v", err)
			}
			if c.fails {
				wantClass(t, err, c.class)
			}
			conns, got := v.seen()
			if conns != 1 || !strings.HasPrefix(got, "POST /services/oauth2/revoke HTTP/1.1\r\n") || !strings.HasSuffix(got, "\r\n\r\ntoken=5Aep861old%2Btoken") {
				t.Errorf("%d connections, request %q", conns, got)
			}
		})
	}
}
