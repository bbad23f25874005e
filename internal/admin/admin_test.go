package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/tokens"
)

func TestAnOrgLooksAsTheContractShowsIt(t *testing.T) {
	w := applied(t)
	if got := decode[admin.Org](t, w.do(t, "GET", "/v1/orgs/acme-prod", "")); got.Grant != nil {
		t.Errorf("grant of an org that holds none: %+v, want null", got.Grant)
	}
	w.broker.set("acme-prod", tokens.Status{Kind: "refresh_token", State: tokens.Ready, Place: tokens.Place{Epoch: 1795305600000, Generation: 7},
		IssuedAt: noon, ExpiresAt: noon.Add(2 * time.Hour), LastExchange: noon, HeartbeatDue: noon.Add(600 * time.Hour), Address: "203.0.113.7"})
	var got map[string]any
	if err := json.Unmarshal(w.do(t, "GET", "/v1/orgs/acme-prod", "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	grant, _ := got["grant"].(map[string]any)
	shown := map[string]any{}
	for _, k := range []string{"kind", "state", "reason", "epoch", "generation", "issuedAt", "expiresAt", "lastExchangeAt", "heartbeatDueAt", "attempt", "egressAddress"} {
		v, there := grant[k]
		if !there {
			t.Errorf("grant lacks %q", k)
		}
		shown[k] = v
	}
	want := map[string]any{"kind": "refresh_token", "state": "ready", "reason": "", "epoch": 1795305600000.0, "generation": 7.0,
		"issuedAt": "2026-05-11T12:00:00Z", "expiresAt": "2026-05-11T14:00:00Z", "lastExchangeAt": "2026-05-11T12:00:00Z",
		"heartbeatDueAt": "2026-06-05T12:00:00Z", "attempt": nil, "egressAddress": "203.0.113.7"}
	if d := cmp.Diff(want, shown); d != "" {
		t.Errorf("grant (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]any{"acme.my.salesforce.com"}, got["hosts"]); d != "" || got["name"] != "acme-prod" || got["app"] != "acme-sync" {
		t.Errorf("org: %v\n%s", got, d)
	}
}

func TestCommandsReachTheBrokerByKey(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		call                     string
	}{
		{"import enrols", "PUT", "/v1/orgs/acme-prod/grant", `{"refreshToken":"` + importToken + `"}`, 201, "import acme-prod true"},
		{"refresh answers with the exchange", "POST", "/v1/orgs/acme-prod/refresh", "", 200, "refresh acme-prod"},
		{"settle", "POST", "/v1/orgs/acme-prod/settle", "", 200, "settle acme-prod"},
		{"confirm asks Salesforce by default", "POST", "/v1/orgs/acme-prod/confirm", "", 200, "confirm acme-prod false"},
		{"confirm on a person's word", "POST", "/v1/orgs/acme-prod/confirm", `{"unverified":true}`, 200, "confirm acme-prod true"},
		{"revoke", "POST", "/v1/orgs/acme-prod/revoke", "", 200, "revoke acme-prod"},
		{"forget", "DELETE", "/v1/orgs/acme-prod/grant", "", 200, "forget acme-prod"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := applied(t)
			rec := w.do(t, c.method, c.path, c.body)
			if calls := w.broker.history(); rec.Code != c.status || calls[len(calls)-1] != c.call {
				t.Errorf("%d %s, calls %q; want %d and %q", rec.Code, rec.Body, calls, c.status, c.call)
			}
			if strings.Contains(rec.Body.String(), "TOPSECRET") {
				t.Errorf("a secret is in the answer: %s", rec.Body)
			}
		})
	}
}

func TestATokenThatIsHeldAlreadyChangesNothing(t *testing.T) {
	w := applied(t)
	w.broker.already = true
	rec := w.do(t, "PUT", "/v1/orgs/acme-prod/grant", `{"refreshToken":"`+importToken+`"}`)
	if got := decode[admin.Enrolled](t, rec); rec.Code != 200 || !got.Already {
		t.Errorf("%d %+v, want 200 and already", rec.Code, got)
	}
}

func TestARenamedOrgKeepsItsKey(t *testing.T) {
	w := applied(t)
	w.do(t, "POST", "/v1/apply", `{"orgs":[{"name":"acme-live","previousName":"acme-prod","app":"acme-sync","loginUrl":"https://acme.my.salesforce.com"}]}`)
	w.do(t, "POST", "/v1/orgs/acme-live/settle", "")
	if calls := w.broker.history(); calls[len(calls)-1] != "settle acme-prod" {
		t.Errorf("calls %q, want the last one by the key acme-prod", calls)
	}
	if rec := w.do(t, "GET", "/v1/orgs/acme-prod", ""); rec.Code != 404 {
		t.Errorf("the old name answers %d, want 404", rec.Code)
	}
	list := decode[struct{ Exchanges []admin.Exchange }](t, w.do(t, "GET", "/v1/exchanges?org=acme-live", ""))
	if len(list.Exchanges) != 2 || list.Exchanges[0].Org != "acme-live" {
		t.Errorf("exchanges by the new name: %+v", list)
	}
}

func TestErrorsOfTheDomainHaveTheirStatus(t *testing.T) {
	for _, c := range []struct {
		code   tokens.Code
		status int
	}{
		{tokens.CodeConflict, 409}, {tokens.CodeReauthRequired, 409}, {tokens.CodeOrgNotAllowed, 404}, {tokens.CodeUnavailable, 503},
		{tokens.CodeShuttingDown, 503}, {tokens.CodeEgressUnverified, 503}, {tokens.CodeMisconfigured, 502}, {tokens.CodeUpstream, 502},
		{tokens.CodeAddressNotAllowed, 403}, {"unheard_of", 500},
	} {
		w := applied(t)
		w.broker.fail(&tokens.Error{Org: "acme-prod", Code: c.code, What: "it happened", Hint: "do this", Temporary: true, RetryAfter: 1500 * time.Millisecond})
		rec := w.do(t, "POST", "/v1/orgs/acme-prod/refresh", "")
		p := decode[admin.ProblemError](t, rec)
		want := admin.ProblemError{Type: "urn:sallyport:problem:" + string(c.code), Title: http.StatusText(c.status), Status: c.status, Detail: "it happened",
			Code: string(c.code), Hint: "do this", Org: "acme-prod", Temporary: true, RetryAfter: 2}
		if d := cmp.Diff(want, p); d != "" || rec.Code != c.status || rec.Header().Get("Content-Type") != "application/problem+json" ||
			rec.Header().Get("Retry-After") != "2" {
			t.Errorf("%s: %d %v\n%s", c.code, rec.Code, rec.Header(), d)
		}
	}
}

func TestARefreshThatTakesLongGoesOnBehindA202(t *testing.T) {
	w := applied(t)
	synctest.Test(t, func(t *testing.T) {
		w.broker.hold = make(chan struct{})
		rec := w.do(t, "POST", "/v1/orgs/acme-prod/refresh?wait=10s", "")
		if got := decode[admin.Org](t, rec); rec.Code != http.StatusAccepted || got.Name != "acme-prod" {
			t.Errorf("%d %+v, want 202 with the org", rec.Code, got)
		}
		close(w.broker.hold)
	})
}

func TestExchangesAreListedAfterATime(t *testing.T) {
	w := applied(t)
	type list struct {
		Exchanges []admin.Exchange
		Next      *time.Time
	}
	all := decode[list](t, w.do(t, "GET", "/v1/exchanges", ""))
	if len(all.Exchanges) != 2 || all.Exchanges[0].LockWait != "1.5ms" || all.Exchanges[0].Duration != "210ms" || !all.Next.Equal(all.Exchanges[1].Time) {
		t.Errorf("all: %+v", all)
	}
	none := decode[list](t, w.do(t, "GET", "/v1/exchanges?after="+all.Next.Format(time.RFC3339Nano), ""))
	if len(none.Exchanges) != 0 || !none.Next.Equal(*all.Next) {
		t.Errorf("after the last: %+v", none)
	}
	if one := decode[list](t, w.do(t, "GET", "/v1/exchanges?limit=1", "")); len(one.Exchanges) != 1 || one.Exchanges[0].Generation != 7 {
		t.Errorf("the newest one: %+v", one)
	}
}

func TestWhatIsMalformedIsRefusedWithoutBeingQuoted(t *testing.T) {
	w := applied(t)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"no JSON", "PUT", "/v1/orgs/acme-prod/grant", `refreshToken=` + importToken, 400},
		{"an unknown key", "PUT", "/v1/orgs/acme-prod/grant", `{"` + importToken + `":1}`, 400},
		{"something behind the object", "PUT", "/v1/orgs/acme-prod/grant", `{"refreshToken":"x"} ` + importToken, 400},
		{"no token", "PUT", "/v1/orgs/acme-prod/grant", ``, 400},
		{"a reference", "PUT", "/v1/orgs/acme-prod/grant", `{"refreshToken":"env:TOPSECRET"}`, 400},
		{"a token with a line break", "PUT", "/v1/orgs/acme-prod/grant", `{"refreshToken":"TOPSECRET\n"}`, 400},
		{"a redacted token", "PUT", "/v1/orgs/acme-prod/grant", `{"refreshToken":"[redacted]"}`, 400},
		{"a body of a megabyte", "PUT", "/v1/orgs/acme-prod/grant", strings.Repeat("a", 1<<20), 413},
		{"an apply of five megabytes", "POST", "/v1/apply", strings.Repeat(" ", 5<<20), 413},
		{"a faulty change", "POST", "/v1/apply", `{"apps":[{"name":"UPPER","clientSecret":"TOPSECRET"}]}`, 422},
		{"a bad dryRun", "POST", "/v1/apply?dryRun=perhaps", `{}`, 400},
		{"a wait without end", "POST", "/v1/orgs/acme-prod/refresh?wait=1h", "", 400},
		{"a bad time", "GET", "/v1/exchanges?after=yesterday", "", 400},
		{"a limit without end", "GET", "/v1/exchanges?limit=1000000", "", 400},
		{"an unknown org", "GET", "/v1/orgs/nobody", "", 404},
		{"exchanges of an unknown org", "GET", "/v1/exchanges?org=nobody", "", 404},
		{"an unknown client", "POST", "/v1/clients/nobody/secret", "", 404},
		{"an unknown path", "GET", "/v1/everything", "", 404},
		{"a path outside", "GET", "/elsewhere", "", 404},
		{"a wrong method", "GET", "/v1/orgs/acme-prod/refresh", "", 405},
	} {
		rec := w.do(t, c.method, c.path, c.body)
		p := decode[admin.ProblemError](t, rec)
		if rec.Code != c.status || p.Status != c.status || p.Detail == "" || p.Code == "" {
			t.Errorf("%s: %d %s, want %d and a problem", c.name, rec.Code, rec.Body, c.status)
		}
		if strings.Contains(rec.Body.String(), "TOPSECRET") {
			t.Errorf("%s: the answer quotes what came: %s", c.name, rec.Body)
		}
	}
}

func TestTheCAIsRotatedInTwoSteps(t *testing.T) {
	w := applied(t)
	if rec := w.do(t, "POST", "/v1/ca/rotate", `{"activate":true}`); rec.Code != 409 {
		t.Errorf("activate before rotate: %d %s", rec.Code, rec.Body)
	}
	for _, body := range []string{"", `{"activate":true}`} {
		if rec := w.do(t, "POST", "/v1/ca/rotate", body); rec.Code != 200 || !strings.HasPrefix(rec.Body.String(), "-----BEGIN") {
			t.Errorf("%q: %d %s", body, rec.Code, rec.Body)
		}
	}
	if !slices.Equal(w.ca.rotated, []bool{false, true}) {
		t.Errorf("rotated %v", w.ca.rotated)
	}
	if rec := w.do(t, "GET", "/v1/ca", ""); rec.Header().Get("Content-Type") != "application/pem-certificate-chain" {
		t.Errorf("type of the CA: %v", rec.Header())
	}
}

func TestHealthSaysWhoCanBeServed(t *testing.T) {
	w := newWorld(t)
	get := func(path string) *httptest.ResponseRecorder {
		return serve(t, w.server.Public(), httptest.NewRequest("GET", "http://127.0.0.1:3129"+path, nil))
	}
	for _, c := range []struct {
		ready  admin.Readiness
		status int
		said   string
	}{
		{admin.Readiness{Status: admin.StatusOK}, 200, `{"status":"ok","reasons":[]}`},
		{admin.Readiness{Status: admin.StatusDegraded, Reasons: []string{"the store is away"}}, 200, `{"status":"degraded","reasons":["the store is away"]}`},
		{admin.Readiness{Status: admin.StatusUnready, Reasons: []string{"draining"}}, 503, `{"status":"unready","reasons":["draining"]}`},
		{admin.Readiness{}, 503, `{"status":"unready","reasons":[]}`},
	} {
		w.ready = c.ready
		if rec := get("/readyz"); rec.Code != c.status || strings.TrimSpace(rec.Body.String()) != c.said {
			t.Errorf("%+v: %d %s", c.ready, rec.Code, rec.Body)
		}
	}
	if rec := get("/healthz"); rec.Code != 200 {
		t.Errorf("healthz of an unready process: %d", rec.Code)
	}
	if rec := get("/metrics"); rec.Body.String() != "sallyport_up 1\n" {
		t.Errorf("metrics: %s", rec.Body)
	}
	if rec := get("/debug/pprof/"); rec.Code != 404 {
		t.Errorf("pprof on the public listener: %d, want 404", rec.Code)
	}
	if rec := w.do(t, "GET", "/debug/pprof/", ""); rec.Code != 200 {
		t.Errorf("pprof on the socket: %d, want 200", rec.Code)
	}
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	if _, err := admin.New(admin.Options{}); err == nil || errors.Unwrap(err) != nil {
		t.Errorf("got %v", err)
	}
}
