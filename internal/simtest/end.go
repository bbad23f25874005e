package simtest

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// End is what has become of a grant once all faults were over.
type End struct {
	State  tokens.State
	Reason tokens.Reason
	Known  bool
	// Loss says what took the grant from its owner, empty where nothing did.
	Loss string
}

// end checks that it ended, and that what was lost couldn't have been kept.
func (w *world) end() End {
	r := w.stored(acme)
	e := End{State: r.State, Reason: r.Reason, Known: r.Known()}
	if !w.whole() {
		return e
	}
	token := open(r)
	heir := w.sf.Heir(token)
	fate := w.sf.Fate(heir)
	telling := w.sc.Switches.Introspection == tokenstest.IntrospectionTrue
	switch {
	case !r.Known():
		e.Loss = "nobody remembers it"
	case r.State == tokens.Ready:
		if fate != tokenstest.FateLive || heir != token {
			w.breaks("it ends: the grant is ready with a token that is %s", w.sf.Fate(token))
		}
	case r.State == tokens.Quarantined, r.Revoked():
	case r.State != tokens.ReauthRequired:
		w.breaks("it ends: the grant is still %s (%s, %s), since %s", r.State, r.Reason, r.Detail, time.Since(r.Since))
	case heir == token && fate == tokenstest.FateLive && r.Reason == tokens.ReasonLost && !w.denied:
		w.breaks("no loss: the grant was given up as lost, and its token lives")
	case heir == token && fate == tokenstest.FateLive && telling && w.denied && r.Reason == tokens.ReasonLost:
		e.Loss = "introspection was denied for a while"
	case heir == token && fate == tokenstest.FateLive && telling && w.sc.Switches.Doubt != tokens.AskHold:
		w.breaks("it ends: the grant is %s (%s), and its token lives", r.State, r.Reason)
	case heir != token && !r.EnrolledAt.Before(w.sf.SpentAt(token)):
		e.Loss = "a person brought a token that was spent"
	case slices.ContainsFunc(r.Orphans, func(o tokens.Orphan) bool { return o.Fingerprint == prints{}.Of(heir) }):
		e.Loss = "a person's import overtook the answer, which is kept aside"
	case fate == tokenstest.FateReplay && w.misled:
		e.Loss = "a person's word was wrong, and who knew better was destroyed or not to be reached"
	case fate == tokenstest.FateReplay && w.sc.Switches.Doubt != tokens.AskSend:
		w.breaks("single use: a spent token was sent again, and Salesforce ended the grant")
	case !strings.Contains(heir, string(acme)):
		e.Loss = "a person brought it under two names"
	default:
		e.Loss = w.loss(token, heir)
	}
	w.cov.end(e)
	return e
}

// loss says why a grant needs a person: what became of its token at Salesforce.
// It breaks a promise where the successor was fsynced on a disk that is whole.
func (w *world) loss(token, heir string) string {
	before := w.sf.Before(heir)
	switch fate := w.sf.Fate(heir); {
	case fate != tokenstest.FateLive:
		return fate.String()
	case heir == token:
		return "nobody tells whether it lives"
	}
	w.mu.Lock()
	disks, landed := w.kept[heir], w.landed[heir]
	w.mu.Unlock()
	if w.forgot {
		return "a person had forgotten it, and an old copy came back"
	}
	if w.misled {
		return "a person's word was wrong, and who knew better was destroyed or not to be reached"
	}
	for _, d := range disks {
		if !d.burned {
			w.breaks("no loss: %s was fsynced on a disk that is whole, and the grant ended without it", heir)
			return ""
		}
	}
	fate := w.sf.Fate(before)
	switch {
	case len(disks) > 0:
		return "the disk was destroyed"
	case fate != tokenstest.FateAnswered:
		return fate.String()
	case landed:
		return "the disk failed and the store lost it"
	case w.crashes == 0:
		w.breaks("no loss: Salesforce answered with %s, nobody crashed, and nobody kept it", heir)
	}
	return "a crash before the fsync"
}
