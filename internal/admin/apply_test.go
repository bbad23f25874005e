package admin_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

func TestApplySeedsAndEnsuresAfterTheChange(t *testing.T) {
	w := newWorld(t)
	dry := decode[admin.Applied](t, w.do(t, "POST", "/v1/apply?dryRun", resources))
	if !dry.DryRun || len(dry.Items) != 4 || len(w.broker.history()) != 0 {
		t.Errorf("dry run: %+v, calls %q", dry, w.broker.history())
	}
	rec := w.do(t, "POST", "/v1/apply", withSecret)
	got := decode[admin.Applied](t, rec)
	want := []admin.SeedResult{{Org: "acme-prod", Result: admin.SeedUsed}, {Org: "acme-cc", Result: admin.SeedReady}}
	if d := cmp.Diff(want, got.Grants); d != "" {
		t.Errorf("grants (-want +got):\n%s", d)
	}
	if calls := w.broker.history(); !slices.Equal(calls, []string{"seed acme-prod", "ensure acme-cc"}) {
		t.Errorf("calls %q", calls)
	}
	again := decode[admin.Applied](t, w.do(t, "POST", "/v1/apply", resources))
	for _, i := range again.Items {
		if i.Action != registry.ActionUnchanged {
			t.Errorf("applied twice: %+v", i)
		}
	}
	if strings.Contains(rec.Body.String()+w.log.String(), "TOPSECRET") {
		t.Errorf("a secret in %s or in the log %s", rec.Body, w.log)
	}
}

func TestASeedThatFailsDoesNotTakeTheChangeBack(t *testing.T) {
	w := newWorld(t)
	w.broker.fail(&tokens.Error{Org: "acme-prod", Code: tokens.CodeConflict, What: "this token belongs to org other"})
	got := decode[admin.Applied](t, w.do(t, "POST", "/v1/apply", resources))
	if len(got.Grants) != 2 || got.Grants[0].Result != admin.SeedFailed || !strings.Contains(got.Grants[0].Error, "belongs to org other") {
		t.Errorf("%+v", got.Grants)
	}
	if rec := w.do(t, "GET", "/v1/orgs/acme-prod", ""); rec.Code != 200 {
		t.Errorf("the org isn't there: %d", rec.Code)
	}
}

func TestAFaultyChangeIsToldWithItsLines(t *testing.T) {
	w := newWorld(t)
	p := decode[admin.ProblemError](t, w.do(t, "POST", "/v1/apply", `{"source":"r.yaml","lines":{"orgs[0].app":7},"orgs":[{"name":"a","app":"nobody","loginUrl":"https://a.my.salesforce.com"}]}`))
	if p.Code != "invalid_change" || !strings.Contains(p.Error(), "r.yaml:7: orgs[0].app") {
		t.Errorf("%+v", p)
	}
}

func TestListsTellNoSecret(t *testing.T) {
	w := newWorld(t)
	w.do(t, "POST", "/v1/apply", withSecret)
	for _, c := range []struct{ path, want string }{
		{"/v1/apps", `{"apps":[{"name":"acme-sync","clientId":"3MVG9","hasClientSecret":true}]}`},
		{"/v1/clients", `{"clients":[{"name":"billing","orgs":["acme-prod"],"mode":"enforce","secrets":1}]}`},
	} {
		if rec := w.do(t, "GET", c.path, ""); strings.TrimSpace(rec.Body.String()) != c.want {
			t.Errorf("%s: %s\nwant %s", c.path, rec.Body, c.want)
		}
	}
	orgs := decode[struct{ Orgs []admin.Org }](t, w.do(t, "GET", "/v1/orgs", ""))
	if len(orgs.Orgs) != 2 || orgs.Orgs[1].SessionTimeout != "2h0m0s" {
		t.Errorf("orgs: %+v", orgs)
	}
	made := decode[map[string]string](t, w.do(t, "POST", "/v1/clients/billing/secret", ""))
	if len(made["secret"]) < 40 || strings.Contains(w.log.String(), made["secret"]) {
		t.Errorf("a client's secret: %q, log %s", made, w.log)
	}
}

func TestEveryChangeIsOneAuditLine(t *testing.T) {
	w := applied(t)
	w.log.Reset()
	w.do(t, "GET", "/v1/orgs", "")
	if w.log.Len() > 0 {
		t.Errorf("a query was audited: %s", w.log)
	}
	w.do(t, "POST", "/v1/orgs/acme-prod/settle", "")
	w.broker.fail(errors.New("the disk is full"))
	r := httptest.NewRequest("POST", "http://127.0.0.1:3129/v1/orgs/acme-prod/revoke", nil)
	r.Header.Set("Authorization", "Bearer "+adminToken)
	serve(t, w.server.Public(), r)
	var audits []string
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, "msg=audit") {
			audits = append(audits, strings.TrimSpace(line[strings.Index(line, "who="):]))
		}
	}
	want := []string{
		"who=socket action=grant.settle from=192.0.2.1:1234 name=acme-prod status=200 result=done",
		"who=token action=grant.revoke from=192.0.2.1:1234 name=acme-prod status=500 result=internal",
	}
	if d := cmp.Diff(want, audits); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
}

func TestTheDoctorJudgesEveryGrant(t *testing.T) {
	w := applied(t)
	w.do(t, "POST", "/v1/apply", `{"orgs":[
		{"name":"doubt","app":"acme-sync","loginUrl":"https://doubt.my.salesforce.com"},
		{"name":"dead","app":"acme-sync","loginUrl":"https://dead.my.salesforce.com"},
		{"name":"off","app":"acme-sync","loginUrl":"https://off.my.salesforce.com","disabled":true}]}`)
	sound := tokens.Status{Kind: "refresh_token", State: tokens.Ready, Live: true, Verified: true, Truthful: noon, Rotation: tokens.Rotates}
	w.broker.set("acme-prod", sound)
	doubt, dead := sound, sound
	doubt.State, doubt.Reason = tokens.InDoubt, tokens.ReasonNoAnswer
	dead.State, dead.Reason, dead.Rotation = tokens.ReauthRequired, tokens.ReasonDead, tokens.DoesNotRotate
	w.broker.set("doubt", doubt)
	w.broker.set("dead", dead)
	got := map[string]string{}
	for _, f := range decode[struct{ Findings []admin.Finding }](t, w.do(t, "GET", "/v1/doctor", "")).Findings {
		if f.Result != admin.ResultOK && f.Result != admin.ResultSeen && f.Hint == "" {
			t.Errorf("%+v says not what to do", f)
		}
		got[strings.TrimSpace(f.Check+" "+f.Org)] = f.Result
	}
	want := map[string]string{
		"store": "ok", "grant acme-prod": "ok", "grant acme-cc": "wrong", "grant doubt": "warning", "grant dead": "wrong",
		"control: PKCE": "not visible from here", "control: refresh token rotation": "missing", "control: 30-day idle limit": "not visible from here",
		"control: refresh token IP allowlist": "not visible from here", "control: refresh token IP monitoring": "not visible from here",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}
