package tokens_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

func TestACachedTokenCostsNothing(t *testing.T) {
	enrolled(t, func(b *bench) {
		first := b.token()
		for range 1000 {
			if got := b.token(); got.Place != first.Place {
				t.Fatalf("another token, %v", got.Place)
			}
		}
		b.expect(1)
	})
}

func TestACachedTokenAllocatesNothing(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		ctx := b.t.Context()
		if n := testing.AllocsPerRun(100, func() {
			tok, _ := b.Token(ctx, acme)
			b.Used(acme, tok)
		}); n != 0 {
			t.Errorf("%v allocations a look-up", n)
		}
	})
}

func TestManyCallersCauseOneExchange(t *testing.T) {
	enrolled(t, func(b *bench) {
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				if tok, err := b.Token(b.t.Context(), acme); err != nil || !b.sf.Call(tok) {
					t.Error("a caller got no live token:", err)
				}
			})
		}
		wg.Wait()
		b.expect(1)
		if h := b.store.Exchanges(); len(h) != 1 || h[0].Outcome != "issued" || h[0].Waiters != 500 {
			t.Errorf("history %+v, want one exchange with 500 waiters", h)
		}
	})
}

func TestADeadSessionIsReplacedOnce(t *testing.T) {
	enrolled(t, func(b *bench) {
		old := b.token()
		b.Used(acme, old)
		b.sf.Kill(acme)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if tok, err := b.Replace(b.t.Context(), acme, old); err != nil || !b.sf.Call(tok) {
					t.Error("no live token after a dead session:", err)
				}
			})
		}
		wg.Wait()
		b.expect(2)
		// A straggler that still names the older token gets the newer one.
		if _, err := b.Replace(b.t.Context(), acme, old); err != nil {
			t.Error(err)
		}
		b.expect(2)
	})
}

func TestTokensRefusedRightAfterIssueStartNoStorm(t *testing.T) {
	enrolled(t, func(b *bench) {
		var last error
		start := time.Now()
		for range 50 {
			tok, err := b.Token(b.t.Context(), acme)
			if err != nil {
				last = err
				continue
			}
			if _, err = b.Replace(b.t.Context(), acme, tok); err != nil {
				last = err
			}
		}
		if requests, _ := b.sf.Seen(); requests > 2+int(time.Since(start)/(5*time.Second)) {
			t.Errorf("%d token requests in %s for tokens that are all refused", requests, time.Since(start))
		}
		if code(last) != tokens.CodeSessionRejected && code(last) != tokens.CodeUnavailable {
			t.Errorf("callers are told %v", last)
		}
	})
}

func TestTheEndIsLookedAtAheadOfItAndNobodyWaits(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		// The clock says 80 % of two hours; Salesforce confirms it.
		for range 118 {
			wait(time.Minute)
			start := time.Now()
			b.token()
			if d := time.Since(start); d > 0 {
				t.Fatalf("a caller waited %s", d)
			}
		}
		synctest.Wait()
		b.expect(2)
	})
}

func TestAClockOfOursNeverBeginsAnExchangeThatSalesforceSaysIsEarly(t *testing.T) {
	world(t, func(b *bench) {
		b.sf.Session = 8 * time.Hour // ours says two
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		b.token()
		for range 6 {
			wait(time.Hour)
			b.token()
		}
		b.expect(1)
	})
}

func TestAnIdleGrantIsExchangedBeforeItsLimit(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		wait(24 * 24 * time.Hour)
		b.expect(1)
		wait(4 * 24 * time.Hour)
		b.expect(2)
		wait(29 * 24 * time.Hour)
		b.expect(3)
	})
}

func TestCallersWaitNoLongerThanTheyAreTold(t *testing.T) {
	enrolled(t, func(b *bench) {
		release := b.sf.Hold()
		start := time.Now()
		_, err := b.Token(b.t.Context(), acme)
		if d := time.Since(start); d != 30*time.Second || code(err) != tokens.CodeUnavailable {
			t.Errorf("waited %s and got %v", d, err)
		}
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		if _, err := b.Token(ctx, acme); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's own deadline", err)
		}
		release()
		b.token()
		b.expect(1)
	})
}

func TestACallerThatGoesAwayDoesNotCancelTheExchange(t *testing.T) {
	enrolled(t, func(b *bench) {
		ctx, cancel := context.WithCancel(b.t.Context())
		go func() { _, _ = b.Token(ctx, acme) }()
		<-time.After(10 * time.Millisecond) // it is under way
		cancel()
		wait(time.Second)
		b.expect(1)
		b.state(tokens.Ready, "")
		b.token()
		b.expect(1)
	})
}

func TestWhatAnAnswerMeans(t *testing.T) {
	for name, c := range map[string]struct {
		fault  tokenstest.Fault
		state  tokens.State
		reason tokens.Reason
		code   tokens.Code // of a caller without a live token, right then
	}{
		"no connection":              {tokenstest.FaultConnect, tokens.Ready, "", ""},
		"nothing was written":        {tokenstest.FaultUnwritten, tokens.Ready, "", ""},
		"rate limited":               {tokenstest.FaultRate, tokens.Ready, "", ""},
		"the request was lost":       {tokenstest.FaultLostBefore, tokens.InDoubt, tokens.ReasonNoAnswer, tokens.CodeUnavailable},
		"the answer was lost":        {tokenstest.FaultLostAfter, tokens.InDoubt, tokens.ReasonNoAnswer, tokens.CodeUnavailable},
		"the answer was cut":         {tokenstest.FaultTruncated, tokens.InDoubt, tokens.ReasonUnclear, tokens.CodeUnavailable},
		"a 5xx after it rotated":     {tokenstest.FaultUnclear, tokens.InDoubt, tokens.ReasonUnclear, tokens.CodeUnavailable},
		"already being processed":    {tokenstest.FaultBusy, tokens.InDoubt, tokens.ReasonBusy, tokens.CodeUnavailable},
		"refused as configuration":   {tokenstest.FaultClient, tokens.InDoubt, tokens.ReasonMisconfigured, tokens.CodeMisconfigured},
		"called dead":                {tokenstest.FaultDead, tokens.ReauthRequired, tokens.ReasonDead, tokens.CodeReauthRequired},
		"an org that doesn't rotate": {tokenstest.FaultNoRotation, tokens.Ready, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			enrolled(t, func(b *bench) {
				b.sf.Next(c.fault)
				_, err := b.Token(b.t.Context(), acme)
				if code(err) != c.code {
					t.Errorf("the caller is told %v, want code %q", err, c.code)
				}
				b.state(c.state, c.reason)
				if c.state != tokens.Ready && c.reason != tokens.ReasonMisconfigured {
					before, _ := b.sf.Seen()
					for range 20 {
						_, _ = b.Token(b.t.Context(), acme)
					}
					b.expect(before)
				}
			})
		})
	}
}

func TestWhileTheAccessTokenLivesCallersAreServedWhateverTheState(t *testing.T) {
	for _, fault := range []tokenstest.Fault{tokenstest.FaultLostAfter, tokenstest.FaultClient, tokenstest.FaultDead, tokenstest.FaultConnect} {
		enrolled(t, func(b *bench) {
			first := b.token()
			b.sf.Next(fault)
			_, _ = b.Refresh(b.t.Context(), acme)
			for range 60 {
				wait(time.Minute)
				if got := b.token(); got.Place != first.Place && fault != tokenstest.FaultConnect {
					t.Fatalf("another token, %v", got.Place)
				}
				b.Used(acme, first)
			}
		})
	}
}

func TestALostAnswerIsSettledByAskingLateAndNeverBySending(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		asked := b.sf.Questions()
		b.sf.Next(tokenstest.FaultLostAfter)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(100 * time.Minute)
		if q := b.sf.Questions(); q != asked {
			t.Errorf("asked %d times while the access token had long to live", q-asked)
		}
		b.token()
		wait(9 * time.Minute)
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		if q := b.sf.Questions(); q != asked+2 {
			t.Errorf("asked %d times, want twice", q-asked)
		}
		b.token() // still served
		b.expect(2)
	})
}

func TestALostRequestIsFoundLiveAndServesAgain(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Next(tokenstest.FaultLostBefore)
		_, _ = b.Refresh(b.t.Context(), acme)
		wait(109 * time.Minute)
		b.state(tokens.Ready, "")
		b.token()
		wait(3 * time.Hour)
		b.token()
		b.expect(3)
	})
}

func TestSilenceEndsUndecidedAndAnAnswerRevives(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		b.sf.Next(tokenstest.FaultLostBefore)
		_, _ = b.Refresh(b.t.Context(), acme)
		wait(2 * time.Hour)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(3 * time.Hour)
		b.state(tokens.ReauthRequired, tokens.ReasonUndecided)
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeReauthRequired {
			t.Errorf("callers are told %v", err)
		}
		b.sf.Introspecting(tokenstest.IntrospectionTrue)
		wait(2 * time.Hour)
		b.state(tokens.Ready, "")
		b.token()
		b.expect(2)
	})
}

func TestAnActiveFalseOfAnAppThatMayNotAskIsNotBelieved(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Introspecting(tokenstest.IntrospectionDenied)
		b.sf.Next(tokenstest.FaultLostBefore)
		_, _ = b.Refresh(b.t.Context(), acme)
		wait(119 * time.Minute)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
	})
}

func TestHoldNeverAsks(t *testing.T) {
	world(t, func(b *bench) {
		b.stop()
		b.policy.Doubt = tokens.AskHold
		b.start()
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		b.token()
		asked := b.sf.Questions()
		b.sf.Next(tokenstest.FaultLostBefore)
		_, _ = b.Refresh(b.t.Context(), acme)
		wait(100 * time.Hour)
		if q := b.sf.Questions(); q != asked {
			t.Errorf("asked %d times", q-asked)
		}
		b.state(tokens.ReauthRequired, tokens.ReasonUndecided)
		if err := b.Settle(b.t.Context(), acme); err != nil {
			t.Errorf("a person's settle: %v", err)
		}
		b.state(tokens.Ready, "")
	})
}

func TestSendSendsOnceMoreAndOnlyOnce(t *testing.T) {
	world(t, func(b *bench) {
		b.stop()
		b.policy.Doubt = tokens.AskSend
		b.start()
		if _, err := b.Import(b.t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		b.token()
		b.sf.Introspecting(tokenstest.IntrospectionDown)
		b.sf.Next(tokenstest.FaultLostBefore, tokenstest.FaultLostBefore)
		_, _ = b.Refresh(b.t.Context(), acme)
		wait(4 * time.Hour)
		_, _ = b.Token(b.t.Context(), acme)
		wait(100 * time.Hour)
		_, err := b.Token(b.t.Context(), acme)
		b.state(tokens.ReauthRequired, tokens.ReasonUndecided)
		if code(err) != tokens.CodeReauthRequired {
			t.Errorf("callers are told %v", err)
		}
		b.expect(0 + 1) // both further requests were lost on their way
	})
}

func TestTheCapEndsAStorm(t *testing.T) {
	enrolled(t, func(b *bench) {
		for range 200 {
			tok, err := b.Token(b.t.Context(), acme)
			if err != nil {
				break
			}
			b.Used(acme, tok)
			b.sf.Kill(acme)
			if _, err = b.Replace(b.t.Context(), acme, tok); err != nil {
				break
			}
		}
		b.expect(60)
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Errorf("a person's refresh beyond the cap: %v", err)
		}
		wait(61 * time.Minute)
		b.token()
	})
}

func TestClientCredentialsNeedNoIntentAndAreNeverDead(t *testing.T) {
	world(t, func(b *bench) {
		b.dir["app"] = tokens.Settings{Name: "app", Kind: "client_credentials", SessionTimeout: time.Hour}
		if err := b.Ensure(b.t.Context(), "app"); err != nil {
			t.Fatal(err)
		}
		tok, err := b.Token(b.t.Context(), "app")
		if err != nil || !b.sf.Call(tok) {
			t.Fatal("no live token:", err)
		}
		for e, err := range b.journal.Entries() {
			t.Errorf("a journal entry %s %v", e.Kind, err)
		}
		b.Used("app", tok)
		b.sf.Kill("app")
		b.sf.Next(tokenstest.FaultClient)
		if _, err := b.Replace(b.t.Context(), "app", tok); code(err) != tokens.CodeMisconfigured {
			t.Errorf("callers are told %v", err)
		}
		wait(2 * time.Second)
		if tok, err = b.Token(b.t.Context(), "app"); err != nil || !b.sf.Call(tok) {
			t.Error("not tried again:", err)
		}
	})
}

func TestDrainWaitsForAnExchangeAndBeginsNone(t *testing.T) {
	enrolled(t, func(b *bench) {
		release := b.sf.Hold()
		go func() { _, _ = b.Token(b.t.Context(), acme) }()
		<-time.After(time.Second)
		drained := make(chan error, 1)
		go func() { drained <- b.Drain(context.Background()) }()
		<-time.After(20 * time.Second)
		select {
		case <-drained:
			t.Error("drained while an answer was awaited")
		default:
		}
		release()
		if err := <-drained; err != nil {
			t.Error(err)
		}
		b.expect(1)
		if _, err := b.Replace(b.t.Context(), acme, tokens.Token{Place: tokens.Place{Epoch: 1 << 60}}); code(err) != tokens.CodeShuttingDown {
			t.Errorf("callers are told %v", err)
		}
		b.state(tokens.Ready, "")
	})
}

func TestATokenThatIsAboutToEndIsLookedAtBeforeABodyIsSpent(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		wait(2*time.Hour - 30*time.Second)
		b.sf.Next(tokenstest.FaultConnect) // the look ahead of this came to nothing
		first := b.token()
		wait(5 * time.Second)
		got, err := b.Lasting(b.t.Context(), acme)
		if err != nil || got.Place.Generation != first.Place.Generation+1 {
			t.Errorf("got generation %d (%v), want one newer than %d", got.Place.Generation, err, first.Place.Generation)
		}
		again, err := b.Lasting(b.t.Context(), acme)
		if err != nil || again != got {
			t.Errorf("a fresh token was looked at again: %v %v", again.Place, err)
		}
		b.expect(2)
	})
}

func TestALookThatFailsCostsNobodyTheLivingToken(t *testing.T) {
	enrolled(t, func(b *bench) {
		first := b.token()
		wait(2*time.Hour - 30*time.Second)
		b.sf.Next(tokenstest.FaultConnect, tokenstest.FaultConnect, tokenstest.FaultConnect)
		if got, err := b.Lasting(b.t.Context(), acme); err != nil || got.Place != first.Place {
			t.Errorf("got %v %v, want the token that lives", got.Place, err)
		}
	})
}
