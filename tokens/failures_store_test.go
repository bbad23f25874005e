package tokens_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

func TestFailure04AStoreThatForgotTheNewTokenIsHealed(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.store.Regress(1)
		if r := b.kept(); r.Generation != 1 {
			t.Fatalf("the store is still at generation %d", r.Generation)
		}
		b.token()
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.token()
		if r := b.kept(); r.Generation != 3 {
			t.Errorf("the store is at generation %d, want 3", r.Generation)
		}
		b.expect(2)
	})
}

func TestFailure15TwoReplicasAtOnceMakeOneExchange(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.air.silence(true) // who waits for the lock learns under it that it is done
		fl.sf.Latency = time.Second
		var wg sync.WaitGroup
		for _, b := range append(fl.others, fl.Broker) {
			for range 20 {
				wg.Go(func() {
					if tok, err := b.Token(fl.t.Context(), acme); err != nil || !fl.sf.Call(tok) {
						t.Error("a caller got no live token:", err)
					}
				})
			}
		}
		wg.Wait()
		fl.expect(1)
	})
}

// Callers of one process share one flight, so that they don't queue at the lock.
func TestFailure15CallersOfOneProcessTakeTheLockOnce(t *testing.T) {
	enrolled(t, func(b *bench) {
		var mu sync.Mutex
		holds := 0
		b.store.SetHooks(func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
			mu.Lock()
			defer mu.Unlock()
			if op == tokenstest.OpHold {
				holds++
			}
			return nil
		}, nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { _, _ = b.Token(b.t.Context(), acme) })
		}
		wg.Wait()
		if holds != 1 {
			t.Errorf("50 callers took the lock %d times", holds)
		}
		b.expect(1)
	})
}

func TestFailure16WhoWaitsForTheLockInVainExchangesNothing(t *testing.T) {
	enrolled(t, func(b *bench) {
		free := make(chan struct{})
		go func() { // ends once free is closed
			_ = b.store.Hold(context.Background(), acme, func(context.Context, tokens.Hold) error { <-free; return nil })
		}()
		wait(time.Millisecond)
		var wg sync.WaitGroup
		for _, after := range []time.Duration{0, 20 * time.Second} { // the second one comes while the first waits
			wg.Go(func() {
				<-time.After(after)
				start := time.Now()
				_, err := b.Token(b.t.Context(), acme)
				if d := time.Since(start); d > 30*time.Second {
					t.Errorf("waited %s, want 30 s at most", d)
				}
				if e := (*tokens.Error)(nil); code(err) != tokens.CodeUnavailable || !asError(err, &e) || !e.Temporary || e.RetryAfter <= 0 {
					t.Errorf("told %+v, want that another try helps", err)
				}
			})
		}
		wg.Wait()
		b.expect(0)
		close(free)
		b.token()
		b.expect(1)
	})
}

func TestFailure17AStoreThatIsAwayCostsNoCallerALivingToken(t *testing.T) {
	enrolled(t, func(b *bench) {
		first := b.token()
		b.storeFails(storeOps...)
		for range 11 {
			wait(10 * time.Minute)
			start := time.Now()
			if got := b.token(); got.Place != first.Place || time.Since(start) > 0 {
				t.Errorf("served %v after %s", got.Place, time.Since(start))
			}
		}
		wait(20 * time.Minute)
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("once it is dead callers are told %v", err)
		}
		b.expect(1)
		b.store.SetHooks(nil, nil)
		wait(2 * time.Minute)
		b.token()
		b.expect(2)
	})
}

func TestFailure18AStoreThatTakesNoIntentGetsNoExchange(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.storeFails(tokenstest.OpSave)
		if _, err := b.Refresh(b.t.Context(), acme); err == nil {
			t.Error("an exchange without an intent")
		}
		b.expect(0)
		b.store.SetHooks(nil, nil)
		b.token()
		b.expect(1)
	})
}

func TestFailure18AStoreThatIsFullAfterTheRotationGetsTheAnswerOnceItTakesIt(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.storeFails(tokenstest.OpCommit)
		b.token()
		for range 3 {
			if _, err := b.Refresh(b.t.Context(), acme); err == nil {
				t.Error("the next token was spent before the last one was kept")
			}
			wait(time.Minute)
		}
		b.expect(1)
		b.store.SetHooks(nil, nil)
		wait(2 * time.Minute)
		if r := b.kept(); r.State != tokens.Ready || r.Generation != 2 {
			t.Errorf("the store shows %s at generation %d", r.State, r.Generation)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.expect(2)
	})
}

func TestFailure28ACopyOfTheStoreWaitsForAPerson(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.disk = crashfs.New(2) // staging was given production's store, and not its state directory
		b.restart()
		b.state(tokens.Quarantined, "")
		wait(100 * time.Hour)
		if _, err := b.Token(b.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("callers are told %v", err)
		}
		b.expect(1)
		if err := b.Confirm(b.t.Context(), acme, false); err != nil {
			t.Fatal(err)
		}
		b.token()
		b.expect(2)
	})
}

func TestFailure28ACopyOfASharedStoreWaitsForAPerson(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		fl.token()
		fl.store.Restart() // a copy has another identity, and nobody who was there
		fl.air.silence(true)
		copied := fl.join("copy", fl.on)
		wait(3 * time.Hour)
		if _, err := copied.Token(fl.t.Context(), acme); code(err) != tokens.CodeUnavailable {
			t.Errorf("callers are told %v", err)
		}
		if st, _ := copied.Status(acme); st.State != tokens.Quarantined {
			t.Errorf("the copy's grant is %s", st.State)
		}
		fl.expect(1)
	})
}

func TestFailure29ARestoredBackupIsHealedByWhoeverRemembersMore(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		backup := b.store.Snapshot()
		for range 3 {
			if _, err := b.Refresh(b.t.Context(), acme); err != nil {
				t.Fatal(err)
			}
		}
		b.store.Restore(backup)
		if _, err := b.Realign(b.t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := b.kept(); r.Generation != 5 || r.State != tokens.InDoubt || r.Verified != "" {
			t.Errorf("the store shows %s at generation %d, verified %q; want 5, in doubt, unverified", r.State, r.Generation, r.Verified)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.token()
		b.expect(5)
	})
}

func TestFailure41ARecordOfANewerVersionIsLeftAlone(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		r := b.kept()
		r.Schema = tokens.Schema + 1
		if err := b.store.Plant(r); err != nil {
			t.Fatal(err)
		}
		_, err := b.Refresh(b.t.Context(), acme)
		if e := (*tokens.Error)(nil); !asError(err, &e) || e.Temporary || e.What != tokens.ErrSchema.Error() {
			t.Errorf("the person is told %v, want to upgrade", err)
		}
		b.token()
		b.expect(1)
		if now := b.kept(); now.Schema != r.Schema || now.State != tokens.Ready {
			t.Errorf("the record was changed: schema %d, %s", now.Schema, now.State)
		}
	})
}

func TestFailure48AJournalThatIsBehindMakesNoGrantReady(t *testing.T) {
	enrolled(t, func(b *bench) {
		backup := b.store.Snapshot()
		for range 2 {
			if _, err := b.Refresh(b.t.Context(), acme); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.journal.Forget("nobody"); err != nil { // which leaves the newest answer alone
			t.Fatal(err)
		}
		b.stop()
		b.spend(b.plain()) // another replica's exchange, whose journal is gone
		b.store.Restore(backup)
		b.start()
		b.state(tokens.InDoubt, tokens.ReasonHealed)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		b.expect(3)
	})
}

func TestFailure49ACommitThatTheStoreLostIsInTheJournal(t *testing.T) {
	enrolled(t, func(b *bench) {
		tok := b.token()
		b.stop()
		b.store.Regress(1)
		b.start()
		if r := b.kept(); r.Generation != 2 || r.State != tokens.Ready {
			t.Errorf("the store shows %s at generation %d", r.State, r.Generation)
		}
		if got := b.token(); got.Place != tok.Place {
			t.Errorf("served %v, want %v", got.Place, tok.Place)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.expect(2)
	})
}

func TestFailure50AnEnrolmentThatTheStoreLostIsInTheJournal(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.stop()
		b.store.Restore(tokenstest.Snapshot{})
		b.start()
		b.token()
		b.expect(1)
	})
}

func TestFailure51AnImportIsRetriedAfterItsTokenWasSpent(t *testing.T) {
	world(t, func(b *bench) {
		first := secret.NewText(b.sf.Authorise(acme))
		if _, err := b.Import(b.t.Context(), acme, first); err != nil {
			t.Fatal(err)
		}
		release := b.sf.Hold()
		refreshing(b.Broker)
		wait(time.Second)
		b.store.Expire(acme) // mid-exchange, and the lock is no hindrance
		if done, err := b.Import(b.t.Context(), acme, first); err != nil || !done.Already {
			t.Errorf("mid-exchange: %+v, %v; want that it is held", done, err)
		}
		release()
		wait(time.Second)
		if _, err := b.Import(b.t.Context(), acme, first); code(err) != tokens.CodeConflict {
			t.Errorf("after it: %v", err)
		}
		b.token()
		b.expect(1)
	})
}

func TestFailure51ASeedMeetsAStoreThatWasEmptied(t *testing.T) {
	world(t, func(b *bench) {
		seed := secret.NewText(b.sf.Authorise(acme))
		if used, err := b.Seed(b.t.Context(), acme, seed); err != nil || !used {
			t.Fatalf("%t, %v", used, err)
		}
		b.token()
		b.store.Restore(tokenstest.Snapshot{})
		if used, err := b.Seed(b.t.Context(), acme, seed); err != nil || used {
			t.Errorf("a seed that was rotated out: used %t, %v", used, err)
		}
		if _, err := b.Import(b.t.Context(), acme, seed); code(err) != tokens.CodeConflict {
			t.Errorf("and imported by hand: %v", err)
		}
		if _, err := b.Refresh(b.t.Context(), acme); err != nil {
			t.Error(err)
		}
		b.expect(2)
	})
}

// An answer that lands while an import of its own token is being committed.
func TestFailure51AnEnrolmentThatAnAnswerOvertookStaysOut(t *testing.T) {
	store := grant(tokens.Ready, "") // which rotated fp2 out
	n := tokens.Record{Schema: tokens.Schema, Org: "acme", SingleUse: true, Place: tokens.Place{Epoch: 7, Generation: 1}, State: tokens.Ready,
		Refresh: []byte("sealed old"), Fingerprint: "fp2"}
	if got, l := (tokens.Committed{Attempt: "import", Record: n, Enrolment: true}).Over(store, tokens.Sight{Identity: "life-1"}); l != tokens.LandedNowhere || got.Fingerprint != "fp3" {
		t.Errorf("landing %d, and the grant holds %s", l, got.Fingerprint)
	}
}

func TestFailure54AReplacedStoreIsNotUsedBeforeEverybodyHasSpoken(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		fl.token()
		fl.store.Restart()
		asked := fl.sf.Questions()
		_, err := fl.Refresh(fl.t.Context(), acme)
		if e := (*tokens.Error)(nil); !asError(err, &e) || e.RetryAfter < 5*time.Minute {
			t.Errorf("the person is told %v, want to wait for the settling time", err)
		}
		fl.expect(1)
		if n := fl.sf.Questions() - asked; n != 0 {
			t.Errorf("asked %d times meanwhile", n)
		}
	})
}

func TestFailure56AnAnswerOnADiskThatDoesNotLastIsInTheStoreToo(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		kept := &spool{}
		onTmpfs := fl.join("tmpfs", func(o *tokens.Options) { fl.on(o); o.Spool = kept })
		fl.storeFails(tokenstest.OpCommit)
		if _, err := onTmpfs.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if kept.n() != 1 {
			t.Errorf("%d answers are kept in the store, want 1", kept.n())
		}
		fl.store.SetHooks(nil, nil)
		next := fl.join("next", func(o *tokens.Options) { fl.on(o); o.Spool = kept })
		if st, _ := next.Status(acme); st.Place.Generation != 2 || kept.n() != 0 {
			t.Errorf("the next process is at generation %d, and %d answers are still kept", st.Place.Generation, kept.n())
		}
		fl.expect(1)
	})
}
