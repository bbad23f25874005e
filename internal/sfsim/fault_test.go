package sfsim_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/sfsim"
)

func TestTokenFaults(t *testing.T) {
	cases := []struct {
		name   string
		fault  sfsim.Fault
		status int // zero: no answer
		body   string
		state  string // of the presented token, after
		lost   bool
	}{
		{"the answer is lost", sfsim.LoseAnswer(), 0, "", "rotated", true},
		{"the answer is reset", sfsim.ResetAnswer(), 0, "", "rotated", true},
		{"closed before commit", sfsim.CloseBefore(), 0, "", "current", false},
		{"420 before commit", sfsim.HTML(420), 420, "<html>", "current", false},
		{"500 before commit", sfsim.HTML(500), 500, "<html>", "current", false},
		{"502 after commit", sfsim.HTML(502).Committed(), 502, "<html>", "rotated", true},
		{"503 before commit", sfsim.HTML(503), 503, "<html>", "current", false},
		{"504 after commit", sfsim.HTML(504).Committed(), 504, "<html>", "rotated", true},
		{"a redirect", sfsim.Redirect("https://login.salesforce.com/services/oauth2/token"), 307, "", "current", false},
		{"truncated inside the refresh token", sfsim.Truncate(200), 200, "access_token", "rotated", true},
		{"truncated behind the refresh token", sfsim.Truncate(-3), 200, "refresh_token", "rotated", false},
		{"200 without JSON after commit", sfsim.NotJSON().Committed(), 200, "<html>", "rotated", true},
		{"login rate exceeded", sfsim.LoginRateExceeded(), 400, `{"error":"rate_limit_exceeded","error_description":"login rate exceeded"}`, "current", false},
		{"server_error", sfsim.ServerError(), 400, `"server_error"`, "current", false},
		{"an error that nobody knows", sfsim.OAuthError("unknown_error", "").Committed(), 400, `{"error":"unknown_error"}`, "rotated", true},
		{"invalid_client", sfsim.InvalidClient(), 400, "invalid client credentials", "current", false},
		{"ip restricted", sfsim.IPRestricted(), 400, "ip restricted", "current", false},
		{"no rotation", sfsim.WithoutRefreshToken(), 200, "access_token", "current", false},
		{"rotated and not told", sfsim.KeepsNewToken(), 200, "access_token", "rotated", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t)
			g := f.grant()
			f.Inject(c.fault)
			r := f.refresh(g.RefreshToken)
			if c.status == 0 {
				if r.err == nil {
					t.Errorf("got an answer: %d %s", r.status, r.body)
				}
			} else {
				r.want(t, c.status, c.body)
			}
			if got := f.Lookup(g.RefreshToken).State; got != c.state {
				t.Errorf("the presented token is %s, want %s", got, c.state)
			}
			l := f.Ledger()
			if got := len(l.Losses) == 1; got != c.lost {
				t.Errorf("losses %v, want %v", l.Losses, c.lost)
			}
			if x := l.Tokens[0]; !x.Done || x.Fault == "" || x.Status != c.status || x.Spent != (c.state == "rotated") {
				t.Errorf("entry %+v", x)
			}
			if f.Armed() != 0 {
				t.Error("the fault is still armed")
			}
			if c.state == "current" { // nothing lingers
				f.refresh(g.RefreshToken).want(t, 200, "")
				f.violations(nil)
			}
		})
	}
}

func TestFaultsMatchCountAndGoAway(t *testing.T) {
	f := setup(t)
	g := f.grant()
	remove := f.Inject(sfsim.HTML(503).On(sfsim.EndpointAny).For(-1).When(func(s sfsim.Seen) bool { return s.Path == v67+"/limits" }))
	f.Inject(sfsim.HTML(502).For(2).When(func(s sfsim.Seen) bool { return s.GrantType == "refresh_token" && s.Token.Index == 0 }))
	for range 3 {
		f.get(v67+"/limits", g.AccessToken).want(t, 503, "")
		f.get(v67+"/sobjects", g.AccessToken).want(t, 200, "")
	}
	f.refresh(g.RefreshToken).want(t, 502, "")
	f.refresh(g.RefreshToken).want(t, 502, "")
	f.refresh(g.RefreshToken).want(t, 200, "")
	remove()
	remove()
	f.get(v67+"/limits", g.AccessToken).want(t, 200, "")
	if f.Armed() != 0 {
		t.Errorf("%d armed", f.Armed())
	}
}

func TestFaultsOfOtherEndpoints(t *testing.T) {
	f := setup(t)
	g := f.grant()
	f.Inject(sfsim.HTML(503).On(sfsim.EndpointIntrospect))
	f.introspect(g.AccessToken).want(t, 503, "")
	if n := len(f.Ledger().Introspections); n != 0 {
		t.Errorf("%d introspections took place", n)
	}
	f.Inject(sfsim.LoseAnswer().On(sfsim.EndpointRevoke))
	if r := f.form("/services/oauth2/revoke", "token", g.AccessToken); r.err == nil {
		t.Error("got an answer")
	}
	f.alive(false, g.AccessToken)
}

func TestAPIFaults(t *testing.T) {
	f := setup(t)
	a := f.grant().AccessToken
	f.Inject(sfsim.Incurable401(sfsim.NotValidForREST))
	f.get(v67+"/limits", a).want(t, 401, `[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]`)
	f.Inject(sfsim.Incurable401(sfsim.NotAttachedToAgent))
	f.get(v67+"/limits", a).want(t, 401, "Connected app is not attached to Agent")
	f.Inject(sfsim.Unavailable())
	f.get(v67+"/limits", a).want(t, 503, "SERVER_UNAVAILABLE")
	f.Inject(sfsim.CutBody(1000).On(sfsim.EndpointAPI))
	if r := f.get(v67+"/stream?bytes=5000&chunk=300", a); r.err == nil || len(r.body) != 1000 {
		t.Errorf("%d bytes, %v", len(r.body), r.err)
	}
	f.Inject(sfsim.LoseAnswer().On(sfsim.EndpointAPI))
	if r := f.send("POST", base+v67+"/sobjects/Account", "{}", "Authorization", "Bearer "+a); r.err == nil {
		t.Error("got an answer")
	}
	if n, _ := f.RecordsCreated(host); n != 1 {
		t.Errorf("%d records, want the one whose answer was lost", n)
	}
	f.Inject(sfsim.CloseBefore().On(sfsim.EndpointAPI))
	_ = f.send("POST", base+v67+"/sobjects/Account", "{}", "Authorization", "Bearer "+a)
	if n, _ := f.RecordsCreated(host); n != 1 {
		t.Errorf("%d records after a close before commit", n)
	}
	f.Inject(sfsim.APIError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
	f.get(v67+"/limits", a).want(t, 403, "REQUEST_LIMIT_EXCEEDED")
}

func TestHookSeesTheInstantBetweenCommitAndAnswer(t *testing.T) {
	f := setup(t)
	g := f.grant()
	var phases []string
	f.hook = func(e sfsim.Exchange) {
		phases = append(phases, f.Lookup(g.RefreshToken).State)
		if e.Phase == sfsim.PhaseCommitted && (!e.Spent || e.Done || len(f.Ledger().Losses) != 0) {
			t.Errorf("at commit: %+v", e)
		}
		if e.Phase == sfsim.PhaseAnswered && !e.Delivered {
			t.Errorf("after the answer: %+v", e)
		}
	}
	f.refresh(g.RefreshToken).want(t, 200, "")
	if got := strings.Join(phases, " "); got != "current rotated rotated" {
		t.Errorf("phases saw %s", got)
	}
}
