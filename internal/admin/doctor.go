package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// The results of a [Finding].
const (
	ResultOK         = "ok"
	ResultWarning    = "warning"
	ResultWrong      = "wrong"
	ResultSeen       = "seen"                  // a mandated control that is at work
	ResultMissing    = "missing"               // a mandated control that is known to be off
	ResultNotVisible = "not visible from here" // nothing is known, so nothing is claimed
)

// Finding is one thing that the doctor looked at.
type Finding struct {
	Check  string `json:"check"`
	Org    string `json:"org,omitempty"`
	Result string `json:"result"`
	What   string `json:"what"`           // what was found; never a secret
	Hint   string `json:"hint,omitempty"` // how to mend it, or where to look
}

// Bad reports whether something must be mended.
func (f Finding) Bad() bool { return f.Result == ResultWrong || f.Result == ResultMissing }

func (s *Server) doctor(r *http.Request) (reply, error) {
	findings := s.o.Checks(r.Context())
	var orgs []Org
	snapshot := s.o.Registry.Snapshot()
	for _, o := range snapshot.Orgs() {
		if !o.Disabled {
			orgs = append(orgs, s.viewOrg(snapshot, o))
		}
	}
	if len(orgs) == 0 {
		findings = append(findings, Finding{Check: "orgs", Result: ResultWarning, What: "no org is registered and enabled", Hint: "run sallyport apply -f FILE"})
	}
	for _, o := range orgs {
		findings = append(findings, grantFindings(o, time.Now())...)
	}
	findings = append(findings, Controls(orgs)...)
	return ok(doctorReport{Time: time.Now().UTC(), Findings: findings}), nil
}

// grantFindings judges the grant of one enabled org.
func grantFindings(o Org, now time.Time) []Finding {
	f := Finding{Check: "grant", Org: o.Name, Result: ResultOK}
	g := o.Grant
	if g == nil {
		f.Result, f.What = ResultWrong, "no grant is held"
		f.Hint = "run sallyport grant authorize " + o.Name
		if o.GrantKind != salesforceRefresh {
			f.Hint = "apply the org again: sallyport apply -f FILE"
		}
		return []Finding{f}
	}
	f.What = g.State + ", generation " + strconv.FormatInt(g.Generation, 10)
	if g.Reason != "" {
		f.What += ", " + g.Reason
	}
	if g.Detail != "" {
		f.What += " (" + g.Detail + ")"
	}
	switch g.State {
	case tokens.ReauthRequired.String():
		f.Result, f.Hint = ResultWrong, "a person must authorise it: sallyport grant authorize "+o.Name
	case tokens.Quarantined.String():
		f.Result, f.Hint = ResultWrong, "run sallyport grant confirm "+o.Name
	case tokens.InDoubt.String():
		f.Result, f.Hint = ResultWarning, "run sallyport grant settle "+o.Name+" to ask Salesforce now"
		if !g.Live {
			f.Result = ResultWrong
		}
	}
	out := []Finding{f}
	warn := func(what, hint string) {
		out = append(out, Finding{Check: "grant", Org: o.Name, Result: ResultWarning, What: what, Hint: hint})
	}
	if g.Kind != salesforceRefresh {
		return out
	}
	if due := g.HeartbeatDueAt; due != nil && now.After(due.Add(time.Hour)) {
		warn("its heartbeat is overdue since "+due.Format(time.RFC3339), "run sallyport grant refresh "+o.Name)
	}
	if g.State == tokens.Ready.String() && !g.Verified {
		warn("its token isn't verified under the store's present identity", "run sallyport grant confirm "+o.Name)
	}
	if !g.Truthful {
		warn("introspection has not called its refresh token live, so a doubt could not be settled by asking",
			"let the app introspect its own tokens: in Setup, the app's OAuth settings, Introspect All Tokens")
	}
	if g.Orphans > 0 {
		warn(strconv.Itoa(g.Orphans)+" tokens of older authorisations are kept aside", "end them in Setup, Connected Apps OAuth Usage, if nobody else uses them")
	}
	return out
}
