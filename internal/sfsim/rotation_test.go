package sfsim_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/sfsim"
)

func TestReplayOfARotatedTokenEndsTheFamily(t *testing.T) {
	f := setup(t)
	g := f.grant()
	r := f.refresh(g.RefreshToken)
	f.refresh(g.RefreshToken).want(t, 400, expired)
	f.alive(false, g.AccessToken, r.field("access_token"))
	f.refresh(r.field("refresh_token")).want(t, 400, expired)

	l := f.Ledger()
	if l.Exchanges != 1 || l.Replays != 1 || len(l.Losses) != 0 {
		t.Errorf("exchanges %d, replays %d, losses %v", l.Exchanges, l.Replays, l.Losses)
	}
	var states []string
	for _, x := range l.Tokens {
		states = append(states, x.Presented.State)
	}
	if d := cmp.Diff([]string{"current", "rotated", "dead"}, states); d != "" {
		t.Error(d)
	}
	if x := l.Tokens[0]; !x.Spent || x.Replay || !x.Delivered || x.Issued.Index != 1 || x.Presented.Fingerprint != sfsim.Fingerprint(g.RefreshToken) {
		t.Errorf("first entry %+v", x)
	}
	if l.Grants[0].Dead != "replay" {
		t.Errorf("the grant ended by %q", l.Grants[0].Dead)
	}
	f.violations(map[sfsim.ViolationKind]int{sfsim.Replay: 1})
}

func TestReplayIsToleratedUnderTheSwitch(t *testing.T) {
	f := setup(t)
	f.switches(func(w *sfsim.Switches) { w.ReplayKillsFamily = false })
	g := f.grant()
	r := f.refresh(g.RefreshToken)
	f.refresh(g.RefreshToken).want(t, 400, expired)
	f.alive(true, g.AccessToken, r.field("access_token"))
	f.refresh(r.field("refresh_token")).want(t, 200, "")
	f.violations(map[sfsim.ViolationKind]int{sfsim.Replay: 1})
}

// overlapped sends second while the exchange of first is held under its lock.
func overlapped(f *fixture, first, second string) (winner, other reply) {
	release, at := make(chan struct{}), make(chan struct{})
	held := sfsim.Hold(release)
	held.Reached = func() { close(at) }
	f.Inject(held)
	done := make(chan reply)
	go func() { done <- f.refresh(first) }()
	<-at
	other = f.refresh(second)
	close(release)
	return <-done, other
}

func TestOverlappingExchangesOfOneToken(t *testing.T) {
	t.Run("the second is told that the first is being processed", func(t *testing.T) {
		f := setup(t)
		token := f.grant().RefreshToken
		winner, loser := overlapped(f, token, token)
		loser.want(t, 400, busy)
		winner.want(t, 200, "")
		f.refresh(winner.field("refresh_token")).want(t, 200, "")
		f.violations(map[sfsim.ViolationKind]int{sfsim.ConcurrentExchange: 1})
	})
	t.Run("or, in the old words, that a code expired", func(t *testing.T) {
		f := setup(t)
		f.switches(func(w *sfsim.Switches) { w.OldLockWording = true })
		token := f.grant().RefreshToken
		winner, loser := overlapped(f, token, token)
		loser.want(t, 400, `"expired authorization code"`)
		winner.want(t, 200, "")
	})
	t.Run("and takes the family with it under the switch", func(t *testing.T) {
		f := setup(t)
		f.switches(func(w *sfsim.Switches) { w.LoserKillsFamily = true })
		token := f.grant().RefreshToken
		winner, loser := overlapped(f, token, token)
		loser.want(t, 400, busy)
		winner.want(t, 400, expired)
	})
	t.Run("two tokens of an app don't meet unless the lock is the app's", func(t *testing.T) {
		f := setup(t)
		winner, other := overlapped(f, f.grant().RefreshToken, f.grant().RefreshToken)
		winner.want(t, 200, "")
		other.want(t, 200, "")
	})
	t.Run("and do if it is", func(t *testing.T) {
		f := setup(t)
		f.switches(func(w *sfsim.Switches) { w.LockPerApp = true })
		_, loser := overlapped(f, f.grant().RefreshToken, f.grant().RefreshToken)
		loser.want(t, 400, busy)
		f.violations(nil)
	})
}

func TestOldAccessTokenOutlivesTheExchangeUnlessSwitched(t *testing.T) {
	f := setup(t)
	g := f.grant()
	r := f.refresh(g.RefreshToken)
	f.alive(true, g.AccessToken)
	f.switches(func(w *sfsim.Switches) { w.OldAccessDiesOnRefresh = true })
	r2 := f.refresh(r.field("refresh_token"))
	f.alive(false, g.AccessToken, r.field("access_token"))
	f.alive(true, r2.field("access_token"))
}

func TestRefusalsThatSpendUnderTheSwitch(t *testing.T) {
	cases := []struct {
		name   string
		fault  sfsim.Fault
		change func(*sfsim.Switches)
		want   string
	}{
		{"ip restricted", sfsim.IPRestricted(), func(w *sfsim.Switches) { w.IPRestrictedSpends = true }, "ip restricted"},
		{"invalid_client", sfsim.InvalidClient(), func(w *sfsim.Switches) { w.InvalidClientSpends = true }, "invalid client credentials"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t)
			g := f.grant()
			f.Inject(c.fault)
			f.refresh(g.RefreshToken).want(t, 400, c.want)
			if s := f.Lookup(g.RefreshToken).State; s != "current" {
				t.Errorf("spent without the switch: %s", s)
			}
			f.switches(c.change)
			f.Inject(c.fault)
			f.refresh(g.RefreshToken).want(t, 400, c.want)
			if s := f.Lookup(g.RefreshToken).State; s != "rotated" {
				t.Errorf("not spent under the switch: %s", s)
			}
			if l := f.Ledger(); len(l.Losses) != 1 || !l.Tokens[1].Spent || l.Grants[0].Given {
				t.Errorf("losses %v", l.Losses)
			}
			f.refresh(g.RefreshToken).want(t, 400, expired)
			f.violations(map[sfsim.ViolationKind]int{sfsim.Replay: 1})
		})
	}
}

func TestSixthApprovalEndsTheOldest(t *testing.T) {
	f := setup(t)
	var all []sfsim.Grant
	for range 6 {
		all = append(all, f.grant())
	}
	must(f.Authorize("key", host, "ann@acme.test"))(t) // another user's doesn't count
	f.alive(false, all[0].AccessToken)
	f.refresh(all[0].RefreshToken).want(t, 400, expired)
	f.refresh(all[1].RefreshToken).want(t, 200, "")
	f.violations(nil)
}

func TestFreezingAUserEndsItsGrants(t *testing.T) {
	f := setup(t)
	g, ann := f.grant(), must(f.Authorize("key", host, "ann@acme.test"))(t)
	cc := f.form("/services/oauth2/token", "grant_type", "client_credentials", "client_id", "key", "client_secret", "secret").field("access_token")
	check(t, f.Freeze(host, "bot@acme.test"))
	f.alive(false, g.AccessToken, cc)
	f.refresh(g.RefreshToken).want(t, 400, expired)
	f.form("/services/oauth2/token", "grant_type", "client_credentials", "client_id", "key", "client_secret", "secret").want(t, 400, "inactive_user")
	f.refresh(ann.RefreshToken).want(t, 200, "")
	if _, err := f.Authorize("key", host, "bot@acme.test"); err == nil {
		t.Error("a frozen user authorised")
	}
	check(t, f.Unfreeze(host, "bot@acme.test"))
	f.grant()
	if f.Freeze("nowhere", "") == nil {
		t.Error("an unknown org was frozen")
	}
}

func TestKillingAccessTokensLeavesTheGrant(t *testing.T) {
	f := setup(t)
	g := f.grant()
	r := f.refresh(g.RefreshToken)
	if !f.KillAccess(g.AccessToken) || f.KillAccess(g.AccessToken) || f.KillAccess("nonsense") {
		t.Error("KillAccess reports whether the token was alive")
	}
	f.alive(true, r.field("access_token"))
	if n := f.KillGrantAccess(g.ID); n != 1 {
		t.Errorf("killed %d, want the one that lived", n)
	}
	r = f.refresh(r.field("refresh_token"))
	r.want(t, 200, "")
	check(t, f.RevokeGrant(g.ID))
	f.alive(false, r.field("access_token"))
	f.refresh(r.field("refresh_token")).want(t, 400, expired)
}

func TestAHandlerGoesOnWhenItsCallerHasGone(t *testing.T) {
	f := setup(t)
	g := f.grant()
	release, at, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	held := sfsim.Hold(release)
	held.Reached = func() { close(at) }
	f.Inject(held)
	f.hook = func(e sfsim.Exchange) {
		if e.Phase == sfsim.PhaseAnswered {
			close(answered)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan reply)
	r := request(t, "POST", base+"/services/oauth2/token", values(refreshParams(g.RefreshToken)...).Encode(), "Content-Type", "application/x-www-form-urlencoded")
	go func() { gone <- do(f.client, r.WithContext(ctx)) }()
	<-at
	cancel()
	if r := <-gone; r.err == nil {
		t.Error("the caller got an answer")
	}
	close(release)
	<-answered
	if l := f.Ledger(); l.Tokens[0].Delivered || !l.Tokens[0].Spent || len(l.Losses) != 1 || l.Losses[0].Index != 1 {
		t.Errorf("losses %+v of %+v", l.Losses, l.Tokens)
	}
}
