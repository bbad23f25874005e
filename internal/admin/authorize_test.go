package admin_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/tokens/salesforce"
)

const callback = "https://app.example.com/callback"

// begin begins an authorisation and returns the query of its URL.
func begin(t *testing.T, w *world) url.Values {
	t.Helper()
	rec := w.do(t, "POST", "/v1/orgs/acme-prod/authorize", `{"redirectUri":"`+callback+`"}`)
	a := decode[admin.Authorization](t, rec)
	u, err := url.Parse(a.URL)
	if err != nil || rec.Code != 200 || u.Query().Get("state") != a.State || a.State == "" {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	return u.Query()
}

func complete(t *testing.T, w *world, org, redirect string) (int, string) {
	t.Helper()
	rec := w.do(t, "POST", "/v1/orgs/"+org+"/authorize/complete", `{"redirectUrl":"`+redirect+`"}`)
	if strings.Contains(rec.Body.String(), "TOPSECRET") {
		t.Errorf("the code is in the answer: %s", rec.Body)
	}
	return rec.Code, rec.Body.String()
}

func back(state string) string {
	return callback + "?code=" + url.QueryEscape(codeValue) + "&state=" + state
}

func TestAnAuthorisationIsCompletedOnce(t *testing.T) {
	w := applied(t)
	q := begin(t, w)
	if q.Get("code_challenge_method") != "S256" || q.Get("client_id") != "3MVG9" || q.Get("redirect_uri") != callback {
		t.Errorf("authorize URL: %v", q)
	}
	if code, body := complete(t, w, "acme-prod", " "+back(q.Get("state"))); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	sent, err := url.ParseQuery(w.broker.code.Secret.Reveal())
	if err != nil || sent.Get("code") != codeValue || sent.Get("redirect_uri") != callback || salesforce.Challenge(sent.Get("code_verifier")) != q.Get("code_challenge") {
		t.Errorf("the credential doesn't fit the challenge: %v", err)
	}
	if code, body := complete(t, w, "acme-prod", back(q.Get("state"))); code != 409 {
		t.Errorf("a second time: %d %s", code, body)
	}
	if n := strings.Count(strings.Join(w.broker.history(), "\n"), "authorize"); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
	if strings.Contains(w.log.String(), "TOPSECRET") {
		t.Errorf("the log has the code: %s", w.log)
	}
}

func TestAForeignRedirectIsNotExchanged(t *testing.T) {
	for _, c := range []struct {
		name, org string
		redirect  func(state string) string
		status    int
	}{
		{"another state", "acme-prod", func(string) string { return back("WRONG") }, 409},
		{"another org", "acme-cc", back, 409},
		{"another callback", "acme-prod", func(s string) string { return "https://evil.example/callback?code=TOPSECRET&state=" + s }, 409},
		{"no state", "acme-prod", func(string) string { return callback + "?code=TOPSECRET" }, 400},
		{"two codes", "acme-prod", func(s string) string { return back(s) + "&code=TOPSECRET" }, 400},
		{"no URL", "acme-prod", func(string) string { return "TOPSECRET" }, 400},
		{"a refusal", "acme-prod", func(s string) string {
			return callback + "?error=access_denied&error_description=end-user+denied&state=" + s
		}, 409},
	} {
		w := applied(t)
		code, body := complete(t, w, c.org, c.redirect(begin(t, w).Get("state")))
		if code != c.status || strings.Contains(strings.Join(w.broker.history(), "\n"), "authorize") {
			t.Errorf("%s: %d %s, want %d and no exchange", c.name, code, body, c.status)
		}
	}
}

func TestABegunAuthorisationEnds(t *testing.T) {
	w := applied(t)
	synctest.Test(t, func(t *testing.T) {
		state := begin(t, w).Get("state")
		timer := time.NewTimer(15 * time.Minute)
		<-timer.C
		if code, body := complete(t, w, "acme-prod", back(state)); code != 409 {
			t.Errorf("after 15 minutes: %d %s", code, body)
		}
	})
}

func TestBegunAuthorisationsAreBounded(t *testing.T) {
	w := applied(t)
	first := begin(t, w).Get("state")
	for range 128 {
		begin(t, w)
	}
	if code, _ := complete(t, w, "acme-prod", back(first)); code != 409 {
		t.Errorf("the oldest of 129: %d, want it forgotten", code)
	}
}

func TestOnlyWhatCanBeAuthorisedIsBegun(t *testing.T) {
	w := applied(t)
	for _, c := range []struct {
		org, uri string
		status   int
	}{
		{"acme-cc", callback, 409}, {"acme-prod", "", 400}, {"acme-prod", "/relative", 400}, {"acme-prod", callback + "#f", 400},
		{"acme-prod", "https://user:pw@app.example.com/", 400}, {"acme-prod", "myapp:/callback", 200}, {"nobody", callback, 404},
	} {
		if rec := w.do(t, "POST", "/v1/orgs/"+c.org+"/authorize", `{"redirectUri":"`+c.uri+`"}`); rec.Code != c.status {
			t.Errorf("%s %q: %d %s, want %d", c.org, c.uri, rec.Code, rec.Body, c.status)
		}
	}
}
