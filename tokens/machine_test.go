package tokens_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/tokens"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// grant is a record in state s with one exchange behind it, and the attempt
// "open" where the state has one.
func grant(s tokens.State, why tokens.Reason) tokens.Record {
	r := tokens.Record{Schema: tokens.Schema, Org: "acme", Kind: "refresh_token", SingleUse: true, Place: tokens.Place{Epoch: 5, Generation: 3}, Revision: 9,
		State: s, Reason: why, Refresh: []byte("sealed"), Fingerprint: "fp3", Earlier: []string{"fp2"}, Access: []byte("sealed access"),
		AccessPlace: tokens.Place{Epoch: 5, Generation: 3}, Verified: "life-1"}
	if s == tokens.Exchanging || s == tokens.InDoubt {
		r.Attempt = &tokens.Attempt{ID: "open", Base: r.Place}
	}
	return r
}

func TestTheStateMachine(t *testing.T) {
	open := tokens.Attempt{ID: "open", Base: tokens.Place{Epoch: 5, Generation: 3}}
	events := map[string]tokens.Event{
		"an intent":                          tokens.Began{Attempt: tokens.Attempt{ID: "new"}},
		"nothing was sent":                   tokens.Unsent{Attempt: "open", Outcome: tokens.OutcomeNotSent},
		"rate limited":                       tokens.Unsent{Attempt: "open", Outcome: tokens.OutcomeRateLimited},
		"an unknown outcome taken as unsent": tokens.Unsent{Attempt: "open"},
		"another's attempt unsent":           tokens.Unsent{Attempt: "other", Outcome: tokens.OutcomeNotSent},
		"a doubt":                            tokens.Doubted{Attempt: open, Reason: tokens.ReasonNoAnswer},
		"called dead":                        tokens.Died{Attempt: "open"},
		"another's attempt called dead":      tokens.Died{Attempt: "other"},
		"found live":                         tokens.Found{Identity: "life-2", Truthful: true},
		"found live under no identity":       tokens.Found{},
		"believed spent":                     tokens.Missed{},
		"silence on verification":            tokens.Silent{},
		"given up":                           tokens.GaveUp{},
		"a copy from elsewhere":              tokens.Isolated{},
		"sent once more by order":            tokens.SentOnce{Identity: "life-2"},
		"ended by a person":                  tokens.Ended{Epoch: 6},
		"ended under an old epoch":           tokens.Ended{Epoch: 5},
	}
	const refused = "refused"
	ready, exchanging, inDoubt, dead, revoked, quarantined := "ready", "exchanging", "in_doubt", "reauth_required dead", "reauth_required revoked", "quarantined"
	want := map[string]map[string]string{ // event → state → state after
		"an intent":               {ready: exchanging},
		"nothing was sent":        {exchanging: ready},
		"rate limited":            {exchanging: ready},
		"a doubt":                 {exchanging: inDoubt + " no_answer", ready: inDoubt + " no_answer"},
		"called dead":             {exchanging: dead},
		"found live":              {ready: ready, inDoubt: ready, dead: ready, quarantined: ready},
		"believed spent":          {ready: "reauth_required lost", inDoubt: "reauth_required lost", quarantined: "reauth_required lost"},
		"silence on verification": {ready: inDoubt + " silent"},
		"given up":                {inDoubt: "reauth_required undecided"},
		"a copy from elsewhere":   {ready: quarantined, exchanging: quarantined, inDoubt: quarantined, dead: quarantined},
		"sent once more by order": {inDoubt: ready},
		"ended by a person":       {ready: revoked, exchanging: revoked, inDoubt: revoked, dead: revoked, revoked: revoked, quarantined: revoked},
	}
	states := map[string]tokens.Record{ready: grant(tokens.Ready, ""), exchanging: grant(tokens.Exchanging, ""), inDoubt: grant(tokens.InDoubt, ""),
		dead: grant(tokens.ReauthRequired, tokens.ReasonDead), revoked: grant(tokens.ReauthRequired, tokens.ReasonRevoked), quarantined: grant(tokens.Quarantined, "")}
	for event, e := range events {
		for state, r := range states {
			t.Run(event+" in "+state, func(t *testing.T) {
				n, err := r.Apply(e)
				expect, ok := want[event][state]
				if !ok {
					expect = refused
				}
				got := refused
				if err == nil {
					got = n.State.String()
					if n.Reason != "" {
						got += " " + string(n.Reason)
					}
				}
				if got != expect {
					t.Errorf("got %s (%v), want %s", got, err, expect)
				}
				var te *tokens.TransitionError
				if err != nil && !errors.As(err, &te) {
					t.Errorf("%T, want a *TransitionError", err)
				}
			})
		}
	}
}

func TestApplyLeavesTheOldRecordAlone(t *testing.T) {
	r := grant(tokens.Exchanging, "")
	before := grant(tokens.Exchanging, "")
	if _, err := r.Apply(tokens.Died{Attempt: "open", At: noon}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, r); d != "" {
		t.Errorf("the old record changed:\n%s", d)
	}
}

func TestAnIntentNeedsAVerifiedRecord(t *testing.T) {
	r := grant(tokens.Ready, "")
	r.Verified = ""
	if _, err := r.Apply(tokens.Began{Attempt: tokens.Attempt{ID: "new"}}); err == nil {
		t.Error("an unverified record took an intent")
	}
}

func TestTheZeroValuesErrToTheSafeSide(t *testing.T) {
	if s := (tokens.Record{}).State; s != tokens.ReauthRequired {
		t.Errorf("the zero state is %s", s)
	}
	if o := tokens.Outcome(0); o != tokens.OutcomeUnknown {
		t.Errorf("the zero outcome is %s", o)
	}
	if c := (tokens.Refusal{}).Class; c != tokens.ClassDoubt {
		t.Errorf("the zero class is %d", c)
	}
}

// committed is the answer of attempt "open" on grant's base.
func committed() tokens.Committed {
	n := grant(tokens.Exchanging, "")
	n.Attempt = nil
	n.Place.Generation++
	n.State, n.Fingerprint, n.Refresh = tokens.Ready, "fp4", []byte("sealed 4")
	n.Earlier = []string{"fp2", "fp3"}
	n.Attempts = []tokens.PastAttempt{{ID: "open", Outcome: tokens.OutcomeIssued}}
	return tokens.Committed{Attempt: "open", Base: tokens.Place{Epoch: 5, Generation: 3}, Identity: "life-1", Record: n}
}

func TestAnAnswerGoesOverEveryOlderRecord(t *testing.T) {
	change := func(s tokens.State, why tokens.Reason, f func(*tokens.Record)) tokens.Record {
		r := grant(s, why)
		if f != nil {
			f(&r)
		}
		return r
	}
	for name, c := range map[string]struct {
		store   tokens.Record
		landing tokens.Landing
		state   tokens.State
		finger  string
	}{
		"on its own base":                                     {change(tokens.Exchanging, "", nil), tokens.LandedReady, tokens.Ready, "fp4"},
		"its org declared lost meanwhile":                     {change(tokens.ReauthRequired, tokens.ReasonLost, nil), tokens.LandedReady, tokens.Ready, "fp4"},
		"in doubt by another's takeover, under a newer fence": {change(tokens.InDoubt, tokens.ReasonNoAnswer, func(r *tokens.Record) { r.Fence = 99 }), tokens.LandedReady, tokens.Ready, "fp4"},
		"the record stamped unverified":                       {change(tokens.Ready, "", func(r *tokens.Record) { r.Verified = "" }), tokens.LandedHealed, tokens.InDoubt, "fp4"},
		"the record verified under another life of the store": {change(tokens.Ready, "", func(r *tokens.Record) { r.Verified = "life-2" }), tokens.LandedHealed, tokens.InDoubt, "fp4"},
		"the store went back a generation":                    {change(tokens.Ready, "", func(r *tokens.Record) { r.Generation = 2 }), tokens.LandedHealed, tokens.InDoubt, "fp4"},
		"the store lost the org":                              {tokens.Record{}, tokens.LandedHealed, tokens.InDoubt, "fp4"},
		"the store has a newer answer":                        {change(tokens.Ready, "", func(r *tokens.Record) { r.Generation = 5; r.Fingerprint = "fp5" }), tokens.LandedNowhere, tokens.Ready, "fp5"},
		"our own commit, repeated":                            {change(tokens.Ready, "", func(r *tokens.Record) { r.Generation = 4; r.Fingerprint = "fp4" }), tokens.LandedAlready, tokens.Ready, "fp4"},
		"its place taken by another token":                    {change(tokens.Ready, "", func(r *tokens.Record) { r.Generation = 4; r.Fingerprint = "fpX" }), tokens.LandedContested, tokens.Ready, "fpX"},
		"a person authorised meanwhile":                       {change(tokens.Ready, "", func(r *tokens.Record) { r.Place = tokens.Place{Epoch: 6, Generation: 1}; r.Fingerprint = "fpY" }), tokens.LandedOrphaned, tokens.Ready, "fpY"},
		"a person revoked meanwhile":                          {change(tokens.ReauthRequired, tokens.ReasonRevoked, func(r *tokens.Record) { r.Place = tokens.Place{Epoch: 6} }), tokens.LandedOrphaned, tokens.ReauthRequired, "fp3"},
	} {
		t.Run(name, func(t *testing.T) {
			n, l := committed().Over(c.store, tokens.Sight{Identity: "life-1"})
			if l != c.landing || n.State != c.state || n.Fingerprint != c.finger {
				t.Errorf("landing %d, %s, %s; want %d, %s, %s", l, n.State, n.Fingerprint, c.landing, c.state, c.finger)
			}
			if n.Place.Compare(c.store.Place) < 0 {
				t.Errorf("went back from %v to %v", c.store.Place, n.Place)
			}
			if l == tokens.LandedHealed && n.Verified != "" {
				t.Error("a heal left the record verified")
			}
			if (l == tokens.LandedOrphaned || l == tokens.LandedContested) && !n.Knows("fp4") {
				t.Error("the orphan's token was dropped")
			}
			if again, l2 := committed().Over(n, tokens.Sight{Identity: "life-1"}); l != tokens.LandedNowhere && (l2 != tokens.LandedAlready || again.Revision != n.Revision) {
				t.Errorf("committing twice landed %d at revision %d, want nothing new", l2, again.Revision)
			}
		})
	}
}

func TestAnEnrolmentKeepsTheOldTokenAsideAndItsSessionServing(t *testing.T) {
	store := grant(tokens.InDoubt, tokens.ReasonNoAnswer)
	n := tokens.Record{Schema: tokens.Schema, Org: "acme", SingleUse: true, Place: tokens.Place{Epoch: 7, Generation: 1}, State: tokens.Ready,
		Refresh: []byte("sealed new"), Fingerprint: "fpN"}
	got, l := tokens.Committed{Attempt: "enrol", Record: n, Enrolment: true}.Over(store, tokens.Sight{Identity: "life-1"})
	if l != tokens.LandedReady || got.State != tokens.Ready {
		t.Fatalf("landing %d in %s", l, got.State)
	}
	if len(got.Orphans) != 1 || got.Orphans[0].Fingerprint != "fp3" {
		t.Errorf("orphans %v, want the older token", got.Orphans)
	}
	if !got.SameAccess(store) {
		t.Error("the older access token is no longer served")
	}
	if !got.Knows("fp2") || !got.Knows("fp3") {
		t.Error("an earlier fingerprint was forgotten")
	}
}

func TestAHealNeverMakesAGrantReady(t *testing.T) {
	store := grant(tokens.Ready, "")
	memory := grant(tokens.Ready, "")
	memory.Generation = 4
	n, ok := tokens.Heal(store, memory, noon)
	if !ok || n.State != tokens.InDoubt || n.Verified != "" || n.Revision <= memory.Revision {
		t.Errorf("healed %v to %s, verified %q, revision %d", ok, n.State, n.Verified, n.Revision)
	}
	if _, ok := tokens.Heal(memory, store, noon); ok {
		t.Error("an older memory was written over a newer record")
	}
	revoked := grant(tokens.ReauthRequired, tokens.ReasonRevoked)
	revoked.Epoch = 6
	if n, ok := tokens.Heal(store, revoked, noon); !ok || !n.Revoked() {
		t.Error("a revocation that the store lost wasn't healed as one")
	}
}

func TestAnAccessTokensEnd(t *testing.T) {
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for name, c := range map[string]struct {
		lease tokens.Lease
		end   time.Duration
	}{
		"nobody told: Salesforce's default":         {tokens.Lease{Obtained: noon}, 2 * time.Hour},
		"the org's session timeout":                 {tokens.Lease{Obtained: noon, Session: time.Hour}, time.Hour},
		"a call resets the inactivity clock":        {tokens.Lease{Obtained: noon, Session: time.Hour, Used: at(30 * time.Minute)}, 90 * time.Minute},
		"a JWT has a fixed end":                     {tokens.Lease{Obtained: noon, Session: time.Hour, Used: at(time.Minute), Fixed: at(10 * time.Minute)}, 10 * time.Minute},
		"introspection knows better, later":         {tokens.Lease{Obtained: noon, Session: time.Hour, Learned: at(3 * time.Hour), LearnedAt: at(time.Minute)}, 3 * time.Hour},
		"introspection knows better, sooner":        {tokens.Lease{Obtained: noon, Session: time.Hour, Used: at(time.Minute), Learned: at(15 * time.Minute), LearnedAt: at(2 * time.Minute)}, 15 * time.Minute},
		"a call after introspection extends it":     {tokens.Lease{Obtained: noon, Session: time.Hour, Used: at(50 * time.Minute), Learned: at(time.Hour), LearnedAt: at(10 * time.Minute)}, 110 * time.Minute},
		"a call doesn't shorten what it had before": {tokens.Lease{Obtained: noon, Session: time.Hour, Used: at(20 * time.Minute), Learned: at(3 * time.Hour), LearnedAt: at(10 * time.Minute)}, 3 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.lease.End().Sub(noon); got != c.end {
				t.Errorf("ends after %s, want %s", got, c.end)
			}
		})
	}
	l := tokens.Lease{Obtained: noon, Session: 100 * time.Minute}
	if first, last := l.LookAt(0.2, 0), l.LookAt(0.2, 1); first != at(80*time.Minute) || last != at(78*time.Minute) {
		t.Errorf("looked at between %s and %s", last, first)
	}
}

func TestHeartbeatsAreSpreadAndNeverLate(t *testing.T) {
	p := tokens.Policy{HeartbeatAfter: 600 * time.Hour}
	seen := map[time.Duration]bool{}
	for i := range 1000 {
		r := grant(tokens.Ready, "")
		r.Org, r.EnrolledAt = tokens.OrgID("org-"+time.Duration(i).String()), noon
		after := p.HeartbeatDue(r).Sub(noon)
		if after < 600*time.Hour || after > 672*time.Hour {
			t.Fatalf("due after %s, want 25 to 28 days", after)
		}
		seen[after.Truncate(time.Hour)] = true
	}
	if len(seen) < 40 {
		t.Errorf("1000 grants that were authorised together are due within %d distinct hours", len(seen))
	}
	r := grant(tokens.ReauthRequired, tokens.ReasonDead)
	if due := p.HeartbeatDue(r); due.Before(noon.AddDate(100, 0, 0)) {
		t.Errorf("a dead grant is due at %s", due)
	}
}

func TestADoubtIsAskedAboutAsLateAsIsFree(t *testing.T) {
	const hour = time.Hour
	doubt := grant(tokens.InDoubt, tokens.ReasonNoAnswer)
	doubt.Attempt.Takeover, doubt.LastExchange = 7*time.Minute, noon.Add(-hour)
	misconfigured := grant(tokens.InDoubt, tokens.ReasonMisconfigured)
	misconfigured.LastExchange = noon.Add(-hour)
	idle := grant(tokens.InDoubt, tokens.ReasonNoAnswer)
	idle.LastExchange = noon.Add(-28*24*hour + 10*time.Minute)
	for name, c := range map[string]struct {
		r    tokens.Record
		how  tokens.DoubtPolicy
		end  time.Time
		want time.Duration
	}{
		"ask: after the holder's own takeover wait":             {doubt, tokens.AskSoon, noon.Add(2 * hour), 7 * time.Minute},
		"late: when a tenth of the access token's life is left": {doubt, tokens.AskLate, noon.Add(2 * hour), 108 * time.Minute},
		"late: at once where no access token lives":             {doubt, tokens.AskLate, time.Time{}, 7 * time.Minute},
		"late: before the idle limit ends the refresh token":    {idle, tokens.AskLate, noon.Add(2 * hour), 10 * time.Minute},
		"a refusal as configuration left nothing under way":     {misconfigured, tokens.AskSoon, noon.Add(2 * hour), 0},
		"send: as late": {doubt, tokens.AskSend, noon.Add(2 * hour), 108 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			p := tokens.Policy{Doubt: c.how, TakeoverAfter: 5 * time.Minute}
			if got := p.AskAt(c.r, noon, c.end, 2*hour).Sub(noon); got != c.want {
				t.Errorf("asked after %s, want %s", got, c.want)
			}
		})
	}
	if at := (tokens.Policy{Doubt: tokens.AskHold}).AskAt(doubt, noon, time.Time{}, 0); at.Before(noon.AddDate(100, 0, 0)) {
		t.Errorf("hold asks at %s", at)
	}
}
