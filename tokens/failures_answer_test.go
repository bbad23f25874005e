package tokens_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

func TestFailure08ALostAnswerIsNeverReplayed(t *testing.T) {
	enrolled(t, func(b *bench) {
		first := b.token()
		b.doubt(tokenstest.FaultLostAfter)
		for range 11 {
			wait(10 * time.Minute)
			if got := b.token(); got.Place != first.Place {
				t.Errorf("served %v, want what lives", got.Place)
			}
		}
		wait(100 * time.Hour)
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		_, _ = b.Token(b.t.Context(), acme)
		b.expect(2)
	})
}

func TestFailure09ACutAnswerStaysInTheJournal(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.sf.Next(tokenstest.FaultTruncated)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonUnclear)
		n := 0
		for e, err := range b.journal.Entries() {
			if err == nil && len(e.Answer) > 0 {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the journal keeps %d answers, want the cut one", n)
		}
		wait(100 * time.Hour)
		b.expect(1)
	})
}

func TestFailure09ACutAnswerThatStillHoldsTheTokenCounts(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		w.after = func(s *sentBack) { s.err = errGone }
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Errorf("the token came and was dropped: %v", err)
		}
		b.state(tokens.Ready, "")
		b.token()
		b.expect(1)
	})
}

func TestFailure10A5xxAfterTheRotationIsADoubt(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Next(tokenstest.FaultUnclear)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonUnclear)
		wait(100 * time.Hour)
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		b.expect(2)
	})
}

func TestFailure14ACallerThatGoesAwayLeavesTheExchangeRunning(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		w.connect = func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		ctx, cancel := context.WithTimeout(b.t.Context(), 500*time.Millisecond)
		defer cancel()
		_, _ = b.Token(ctx, acme)
		wait(2 * time.Second)
		b.expect(1)
		b.state(tokens.Ready, "")
		if st, _ := b.Status(acme); !st.Live {
			t.Error("the next caller has to wait all the same")
		}
	})
}

func TestFailure25SomebodyElsesExchangeIsToldAndWaitedFor(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		b.sf.Next(tokenstest.FaultBusy)
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("callers are told %v", err)
		}
		b.state(tokens.InDoubt, tokens.ReasonBusy)
		if !w.log.has("someone else holds it") {
			t.Error("nobody is alarmed")
		}
		_, _ = b.Token(b.t.Context(), acme)
		b.expect(1)
		wait(6 * time.Minute)
		b.state(tokens.Ready, "")
		b.token()
		b.expect(2)
	})
}

func TestFailure26ADeadTokenUnderANewerRecordIsALostRace(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		b.sf.Next(tokenstest.FaultDead)
		w.after = func(*sentBack) { b.plantNewer() }
		asked := b.sf.Questions()
		_, _ = b.Refresh(b.t.Context(), acme)
		w.after = nil
		b.state(tokens.Ready, "")
		if !w.log.has("another exchange had already spent") {
			t.Error("nobody is alarmed")
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		if n := b.sf.Questions() - asked; n != 1 {
			t.Errorf("asked %d times before the newer token was sent, want once: it is adopted unverified", n)
		}
		b.token()
		b.expect(2)
	})
}

// plantNewer puts another's newer grant in the store, as a race that was lost
// would find it.
func (b *bench) plantNewer() {
	b.t.Helper()
	r, plain := b.kept(), b.sf.Authorise(acme)
	sealed, err := b.keys.Seal([]byte(plain), string(acme), tokens.FieldRefresh)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Generation++
	r.Revision++
	r.State, r.Attempt, r.Refresh, r.Fingerprint = tokens.Ready, nil, sealed, hashes{}.Of(plain)
	if err := b.store.Plant(r); err != nil {
		b.t.Fatal(err)
	}
}

func TestFailure27ADeadTokenIsNotSentAgainAndItsSessionServesOn(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Next(tokenstest.FaultDead)
		if _, err := b.Refresh(b.t.Context(), acme); code(err) != tokens.CodeConflict {
			t.Errorf("the person is told %v", err)
		}
		b.state(tokens.ReauthRequired, tokens.ReasonDead)
		for range 11 {
			wait(10 * time.Minute)
			b.token()
		}
		for range 30 {
			wait(time.Hour)
			if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeReauthRequired {
				t.Fatalf("callers are told %v", err)
			}
		}
		b.expect(2)
	})
}

func TestFailure33ARefusedClientIsAskedAboutBeforeItsTokenIsSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fault  tokenstest.Fault
		state  tokens.State
		reason tokens.Reason
		sends  int
	}{
		"the token was unspent": {tokenstest.FaultClient, tokens.Ready, "", 2},
		"the token was spent":   {tokenstest.FaultClientSpent, tokens.ReauthRequired, tokens.ReasonLost, 1},
	} {
		t.Run(name, func(t *testing.T) {
			enrolled(t, func(b *bench) {
				b.sf.Next(c.fault)
				if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeMisconfigured {
					t.Errorf("callers are told %v", err)
				}
				b.state(tokens.InDoubt, tokens.ReasonMisconfigured)
				b.expect(1)
				_ = b.Settle(b.t.Context(), acme) // a person has mended it
				b.state(c.state, c.reason)
				_, _ = b.Token(b.t.Context(), acme)
				b.expect(c.sends)
			})
		})
	}
}

func TestFailure37BothTokensOfAnAnswerAreKeptOrNeither(t *testing.T) {
	w := new(way)
	through(t, w, func(b *bench) {
		w.issue = func(i *tokens.Issue) { i.Access = secret.Text{} } // of a cut answer
		_, _ = b.Refresh(b.t.Context(), acme)
		w.issue = nil
		for range 3 {
			if _, err := b.Refresh(b.t.Context(), acme); err != nil {
				t.Fatal(err)
			}
			r := b.kept()
			if r.AccessPlace != r.Place || r.Fingerprint != (hashes{}).Of(b.plain().Reveal()) {
				t.Errorf("the access token is of %v and the grant at %v", r.AccessPlace, r.Place)
			}
		}
		b.expect(4)
	})
}

func TestFailure38AnAnswerWithoutARefreshTokenKeepsTheOldOne(t *testing.T) {
	enrolled(t, func(b *bench) {
		old := b.plain()
		for range 3 {
			b.sf.Next(tokenstest.FaultNoRotation)
			if _, err := b.Refresh(b.t.Context(), acme); err != nil {
				t.Fatal(err)
			}
		}
		if b.plain() != old {
			t.Error("the refresh token was replaced by none")
		}
		if st, _ := b.Status(acme); st.Rotation != tokens.DoesNotRotate {
			t.Errorf("the org %s, as it is shown", st.Rotation)
		}
		b.token()
		b.expect(3)
	})
}
