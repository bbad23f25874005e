package tokens_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

func TestFailure44AnIntrospectionThatIsDownSaysNothing(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostBefore)
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		for range 11 {
			wait(10 * time.Minute)
			b.token()
		}
		wait(30 * time.Minute)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		b.sf.Introspecting(tokenstest.IntrospectionTrue)
		wait(time.Hour)
		b.state(tokens.Ready, "")
		b.token()
		b.expect(2)
	})
}

// After a restart one question has to do, and nothing else vouches for the answer.
func TestFailure44SilenceOnVerificationIsNotADeadToken(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.with(func(*tokens.Options) { wait(3 * time.Hour) }) // no access token lives
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		_, _ = b.Token(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonSilent)
		b.expect(1)
		b.sf.Introspecting(tokenstest.IntrospectionTrue)
		wait(10 * time.Minute)
		b.token()
		b.expect(2)
	})
}

func TestFailure45LiveIsNotBelievedWhileTheRequestMayStillBeWorkedOn(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.with(func(o *tokens.Options) { o.Exchanger = &late{b.sf, 2 * time.Minute} })
		_, _ = b.Token(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		if err := b.Settle(b.t.Context(), acme); err == nil {
			t.Error("the token was called live while its request was under way")
		}
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(10 * time.Minute)
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		b.expect(1)
	})
}

func TestFailure45TwoQuestionsMustBeAnsweredAlike(t *testing.T) {
	enrolled(t, func(b *bench) {
		// Salesforce works on the request between the two questions.
		b.with(func(o *tokens.Options) { o.Exchanger = &late{b.sf, 5*time.Minute + 10*time.Second} })
		_, _ = b.Token(b.t.Context(), acme)
		wait(5*time.Minute + 25*time.Second)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(10 * time.Minute)
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		b.expect(1)
	})
}

func TestFailure46APersonWhoExchangedByHandImportsWhatCame(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.token()
		first, before := fl.plain(), fl.kept()
		byHand := fl.spend(first)
		done, err := fl.others[0].Import(fl.t.Context(), acme, byHand)
		if err != nil {
			t.Fatal(err)
		}
		if done.Place.Epoch <= before.Epoch {
			t.Errorf("epoch %d after %d", done.Place.Epoch, before.Epoch)
		}
		// The other replica's journal has never seen the older token.
		if _, err := fl.others[0].Import(fl.t.Context(), acme, first); code(err) != tokens.CodeConflict || !strings.Contains(err.Error(), "rotated out or replaced") {
			t.Errorf("the token that was exchanged by hand entered again: %v", err)
		}
		if _, err := fl.Refresh(fl.t.Context(), acme); err != nil {
			t.Error(err)
		}
		fl.token()
		fl.expect(3) // one of them by hand
	})
}

// cut is a store that one replica is cut off from once its intent is written.
type cut struct {
	heardStore
	off *atomic.Bool
}

func (s cut) Commit(ctx context.Context, org tokens.OrgID, c tokens.Committed) (tokens.Record, tokens.Landing, error) {
	if s.off.Load() {
		return tokens.Record{}, tokens.LandedNowhere, errAway
	}
	return s.heardStore.Commit(ctx, org, c)
}

func TestFailure47AnAnswerThatReturnsFromExileRevivesALostOrg(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		var off atomic.Bool
		exile := fl.join("exile", func(o *tokens.Options) {
			fl.on(o)
			o.Store = cut{heardStore{fl.store, fl.air}, &off}
		})
		off.Store(true)
		if _, err := exile.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if err := fl.Settle(fl.t.Context(), acme); err == nil {
			t.Error("a person is told that nothing was lost")
		}
		fl.state(tokens.ReauthRequired, tokens.ReasonLost)
		off.Store(false)
		wait(2 * time.Minute)
		fl.state(tokens.Ready, "")
		fl.token()
		if _, err := fl.Refresh(fl.t.Context(), acme); err != nil {
			t.Error(err)
		}
		fl.expect(2)
	})
}

func TestFailure52AnInactiveOfAnAppThatNeverSaidTrueIsSilence(t *testing.T) {
	world(t, func(b *bench) {
		b.with(func(o *tokens.Options) { o.Exchanger = codes{b.sf} })
		b.sf.Introspecting(tokenstest.IntrospectionDenied)
		if done, err := b.Authorize(b.t.Context(), acme, anyCode); err != nil || done.Truthful {
			t.Fatalf("%+v, %v", done, err)
		}
		b.token()
		b.doubt(tokenstest.FaultLostBefore)
		wait(150 * time.Minute) // asked with no access token left to compare with
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		b.expect(1)
	})
}

func TestFailure52AnInactiveOfAnAppThatCallsALiveSessionDeadIsSilence(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.doubt(tokenstest.FaultLostBefore)
		b.sf.Introspecting(tokenstest.IntrospectionDenied)
		wait(115 * time.Minute) // asked while the access token still lives
		b.token()
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		b.expect(1)
	})
}

// fails makes a question about the refresh token meet a fault of the store.
type fails struct {
	tokens.Exchanger
	after int // so many answers about the refresh token, at least one
	then  func()
}

func (x *fails) Introspect(ctx context.Context, org tokens.OrgID, s tokens.Subject) (tokens.Liveness, error) {
	l, err := x.Exchanger.Introspect(ctx, org, s)
	if f := x.then; f != nil && s.Refresh {
		if x.after--; x.after <= 0 {
			x.then = nil
			f()
		}
	}
	return l, err
}

func TestFailure53AVerdictThatAFailoverOvertookIsDropped(t *testing.T) {
	for name, c := range map[string]struct {
		fault tokenstest.Fault
		after int // answers
	}{
		"live, between the questions":  {tokenstest.FaultLostBefore, 1},
		"live, after the second":       {tokenstest.FaultLostBefore, 2},
		"spent, between the questions": {tokenstest.FaultLostAfter, 1},
		"spent, after the second":      {tokenstest.FaultLostAfter, 2},
	} {
		t.Run(name, func(t *testing.T) {
			x := &fails{after: c.after}
			enrolled(t, func(b *bench) {
				x.Exchanger = b.sf
				b.with(func(o *tokens.Options) { o.Exchanger = x })
				b.token()
				b.doubt(c.fault)
				wait(6 * time.Minute)
				before := b.kept()
				x.then = b.store.Restart
				if err := b.Settle(b.t.Context(), acme); err == nil {
					t.Error("the person is told that it is settled")
				}
				if now := b.kept(); now.State != tokens.InDoubt || now.Revision != before.Revision {
					t.Errorf("the store shows %s at revision %d, was %d", now.State, now.Revision, before.Revision)
				}
				b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
				for e, err := range b.journal.Entries() {
					if err == nil && before.Attempt != nil && e.Attempt == before.Attempt.ID && e.Settled {
						t.Error("the journal calls the attempt settled")
					}
				}
			})
		})
	}
}
