package admin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/egressplan"
	"github.com/sallyport/sallyport/tokens"
)

// ways is a fake of the ways out: acme-prod leaves by the first source, nothing else can leave.
type ways struct {
	probed []string
	since  time.Duration
	err    error
}

func (w *ways) Ways() admin.EgressWays {
	return admin.EgressWays{Replica: "r1", Enforce: "exchanges", Echoes: []string{"echo.example"}, Registered: egressplan.Of(netip.MustParseAddr("203.0.113.7")),
		Sources: []admin.EgressSource{{Source: "192.0.2.1", Standing: "verified", Public: "203.0.113.7", At: &noon, Echo: "echo.example"}, {Source: "192.0.2.2", Standing: "unknown", Error: "no route"}}}
}

func (w *ways) SourceOf(org tokens.OrgID) (string, bool) { return "192.0.2.1", org == "acme-prod" }

func (w *ways) Probe(_ context.Context, address string) ([]admin.EgressProbe, error) {
	w.probed = append(w.probed, address)
	return []admin.EgressProbe{{EgressSource: w.Ways().Sources[0], Seen: []string{"203.0.113.7"}, Status: 200, Verified: true}}, w.err
}

func (w *ways) Logins(_ context.Context, org tokens.OrgID, since time.Time) (admin.LoginReport, error) {
	w.since = time.Since(since).Round(time.Minute)
	return admin.LoginReport{Org: "by key " + string(org), UserID: "005", Logins: []admin.Login{{ID: "0Ya", SourceIP: "198.51.100.9", Stranger: true}}, Strangers: 1}, w.err
}

func egressWorld(t *testing.T) (*world, *ways, *admin.Client) {
	out := new(ways)
	w := newWorld(t, func(o *admin.Options) {
		o.Egress = out
		use := func(address, replica, answer string, ago time.Duration) tokens.Exchange {
			return tokens.Exchange{Org: "acme-prod", Time: time.Now().Add(-ago), Address: address, Replica: replica, Answer: answer}
		}
		o.History = history{use("203.0.113.9", "r2", tokens.AnswerRefusal, 3*time.Hour), use("203.0.113.7", "r1", tokens.AnswerToken, 2*time.Hour),
			use("203.0.113.7", "r2", tokens.AnswerRefusal, time.Hour), use("203.0.113.8", "r1", "", time.Minute)}
	})
	if got := w.do(t, "POST", "/v1/apply", resources); got.Code != http.StatusOK {
		t.Fatalf("apply: %d %s", got.Code, got.Body)
	}
	return w, out, onSocket(t, w)
}

func TestEgressTellsWhoLeavesByWhichAddress(t *testing.T) {
	_, _, c := egressWorld(t)
	rep, err := c.Egress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"acme-prod"}, rep.Sources[0].Orgs); d != "" || rep.Registered.String() != "203.0.113.7" || rep.Sources[1].Error == "" {
		t.Errorf("sources %+v, registered %v", rep.Sources, rep.Registered)
	}
	var got []string
	for _, o := range rep.Orgs {
		line := o.Name + " by " + o.Source
		for _, u := range o.Used {
			line += " " + u.Address + "/" + u.Replica
			if u.Accepted {
				line += "/accepted"
			}
		}
		got = append(got, line)
	}
	want := []string{"acme-cc by ", "acme-prod by 192.0.2.1 203.0.113.7/r2/accepted 203.0.113.9/r2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("orgs (-want +got):\n%s", d)
	}
}

func TestProbeIsAuditedAndTakesAnAddress(t *testing.T) {
	w, out, c := egressWorld(t)
	for _, address := range []string{"", "203.0.113.7"} {
		if found, err := c.ProbeEgress(t.Context(), address); err != nil || len(found) != 1 || !found[0].Verified {
			t.Errorf("%q: %+v, %v", address, found, err)
		}
	}
	if d := cmp.Diff([]string{"", "203.0.113.7"}, out.probed); d != "" {
		t.Error(d)
	}
	if !strings.Contains(w.log.String(), "egress.probe") {
		t.Errorf("the log is %s", w.log)
	}
	if got := w.do(t, "POST", "/v1/egress/probe", `{"address":"`+strings.Repeat("1", 99)+`"}`); got.Code != http.StatusBadRequest {
		t.Errorf("a long address: %d", got.Code)
	}
}

func TestLoginsOfAnOrg(t *testing.T) {
	w, out, c := egressWorld(t)
	rep, err := c.Logins(t.Context(), "acme-prod", 36*time.Hour)
	if err != nil || rep.Org != "acme-prod" || rep.Strangers != 1 || out.since != 36*time.Hour {
		t.Errorf("%+v, %v, since %v", rep, err, out.since)
	}
	for path, status := range map[string]int{"/v1/orgs/nobody/logins": 404, "/v1/orgs/acme-prod/logins?since=yesterday": 400, "/v1/orgs/acme-prod/logins?since=9000h": 400,
		"/v1/orgs/acme-prod/logins": 200} {
		if got := w.do(t, "GET", path, ""); got.Code != status {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	out.err = &admin.ConflictError{What: "there is nothing to compare with"}
	if _, err := c.Logins(t.Context(), "acme-prod", time.Hour); err == nil || !strings.Contains(err.Error(), "nothing to compare") {
		t.Errorf("the error is %v", err)
	}
}

func TestADisabledOrgsTokenIsNotUsed(t *testing.T) {
	w, _, _ := egressWorld(t)
	disabled := strings.Replace(resources, `"name":"acme-prod",`, `"name":"acme-prod","disabled":true,`, 1)
	if got := w.do(t, "POST", "/v1/apply", disabled); got.Code != http.StatusOK {
		t.Fatalf("apply: %d %s", got.Code, got.Body)
	}
	if got := w.do(t, "GET", "/v1/orgs/acme-prod/logins", ""); got.Code != http.StatusConflict {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

func TestWithoutEgressItsPathsAreNotServed(t *testing.T) {
	w := applied(t)
	for _, call := range [][2]string{{"GET", "/v1/egress"}, {"POST", "/v1/egress/probe"}, {"GET", "/v1/orgs/acme-prod/logins"}} {
		if got := w.do(t, call[0], call[1], ""); got.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d", call[0], call[1], got.Code)
		}
	}
}

func TestEgressNeedsTheToken(t *testing.T) {
	w, _, _ := egressWorld(t)
	for _, path := range []string{"/v1/egress", "/v1/orgs/acme-prod/logins"} {
		if got := serve(t, w.server.Public(), httptest.NewRequest("GET", "http://localhost"+path, nil)); got.Code != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d", path, got.Code)
		}
	}
}

func TestReadinessShowsEachSourceAddress(t *testing.T) {
	w := newWorld(t)
	w.ready.Egress = (*ways)(nil).Ways().Sources
	got := w.do(t, "GET", "/readyz", "").Body.String()
	for _, need := range []string{`"source":"192.0.2.1","standing":"verified","public":"203.0.113.7","at":"2026-05-11T12:00:00Z","echo":"echo.example"`, `"standing":"unknown","at":null,"error":"no route"`} {
		if !strings.Contains(got, need) {
			t.Errorf("%s isn't in %s", need, got)
		}
	}
}
