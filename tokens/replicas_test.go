package tokens_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

func TestReplicasNeedOneExchangeBetweenThem(t *testing.T) {
	replicas(t, 4, func(fl *fleet) {
		fl.sf.Latency = time.Second
		var wg sync.WaitGroup
		for _, b := range append(fl.others, fl.Broker) {
			for range 50 {
				wg.Go(func() {
					if _, err := b.Token(fl.t.Context(), acme); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		fl.expect(1)
		for _, e := range fl.store.Exchanges() {
			if e.Race == "lost" && (e.Winner == "" || e.Winner == e.Replica) {
				t.Errorf("%s lost the race to %q", e.Replica, e.Winner)
			}
		}
	})
}

// A waiter learns of the commit by the news of it, not by getting the lock.
func TestAWaiterHearsTheTokenBeforeTheLockIsFree(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.sf.Latency = time.Second
		slow := fl.others[0]
		free := make(chan struct{})
		go func() { // holds the lock beyond the commit, until free
			_ = fl.store.Hold(fl.t.Context(), acme, func(ctx context.Context, h tokens.Hold) error {
				<-free
				return nil
			})
		}()
		synctest.Wait()
		got := make(chan error, 1)
		go func() {
			_, err := slow.Token(fl.t.Context(), acme)
			got <- err
		}()
		synctest.Wait()
		r, err := fl.store.Load(fl.t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := fl.keys.Seal([]byte("00D-another-replica's"), string(acme), tokens.FieldAccess)
		if err != nil {
			t.Fatal(err)
		}
		r.Generation, r.Revision, r.Access, r.AccessAt = r.Generation+1, r.Revision+1, sealed, time.Now()
		r.AccessPlace = r.Place
		start := time.Now()
		fl.air.say(r)
		if err := <-got; err != nil || time.Since(start) > 0 {
			t.Errorf("the waiter has %v after %v, want the token at once", err, time.Since(start))
		}
		close(free)
		synctest.Wait()
		fl.expect(0)
	})
}

func TestAReplicaThatJustStartedAsksBeforeItsFirstExchange(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.token()
		synctest.Wait() // the other has heard of it
		before := fl.sf.Questions()
		fl.sf.Kill(acme)
		old, err := fl.others[0].Token(fl.t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fl.others[0].Replace(fl.t.Context(), acme, old); err != nil {
			t.Fatal(err)
		}
		// It heard of the first exchange, so that it knows the record as written.
		if asked := fl.sf.Questions() - before; asked != 0 {
			t.Errorf("a replica that heard of the grant asked %d times, want 0", asked)
		}
		fl.sf.Kill(acme)
		late := fl.join("late", fl.on)
		if old, err = late.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if _, err := late.Replace(fl.t.Context(), acme, old); err != nil {
			t.Fatal(err)
		}
		if asked := fl.sf.Questions() - before; asked != 1 {
			t.Errorf("a replica that just started asked %d times before its first exchange, want 1", asked)
		}
		fl.expect(3)
	})
}

// A store that went back under an unchanged identity fools whoever wasn't there.
func TestAReplicaThatJustStartedNeverReplaysWhatAStaleStoreShows(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		fl.token()
		stale, err := fl.store.Load(fl.t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		old := fl.token()
		fl.sf.Kill(acme)
		if _, err := fl.Replace(fl.t.Context(), acme, old); err != nil {
			t.Fatal(err)
		}
		if err := fl.store.Plant(stale); err != nil {
			t.Fatal(err)
		}
		late := fl.join("late", fl.on)
		fl.sf.Kill(acme)
		if old, err = late.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		_, err = late.Replace(fl.t.Context(), acme, old)
		if code(err) != tokens.CodeReauthRequired {
			t.Errorf("got %v, want reauth_required: introspection says that the token is spent", err)
		}
		fl.expect(2)
	})
}

func TestAReplacedStoreSettlesBeforeAnyoneAsksOrExchanges(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		old := fl.token()
		fl.store.Restart()
		fl.sf.Kill(acme)
		asked := fl.sf.Questions()
		if _, err := fl.Replace(fl.t.Context(), acme, old); code(err) != tokens.CodeUnavailable {
			t.Errorf("got %v, want token_unavailable while the store settles", err)
		}
		if _, err := fl.Refresh(fl.t.Context(), acme); err == nil {
			t.Error("a person's command skipped the settling time")
		}
		if err := fl.Settle(fl.t.Context(), acme); err == nil {
			t.Error("grant settle skipped the settling time")
		}
		if err := fl.Confirm(fl.t.Context(), acme, true); err == nil {
			t.Error("grant confirm skipped the settling time")
		}
		if n := fl.sf.Questions() - asked; n != 0 {
			t.Errorf("%d questions while the store settles, want none", n)
		}
		fl.expect(1)
		wait(6 * time.Minute)
		fl.token()
		if n := fl.sf.Questions() - asked; n != 2 {
			t.Errorf("%d questions after it settled, want two with a pause between", n)
		}
		fl.expect(2)
	})
}

// While its access token lives there is no hurry to ask about a token that may
// be spent.
func TestAReplacedStoreIsAskedAboutLate(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		fl.sf.Session = 2 * time.Hour
		fl.token()
		wait(60 * time.Minute)
		fl.store.Restart()
		if _, err := fl.Realign(fl.t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := fl.sf.Questions()
		for range 4 { // to the 100th minute of 120
			wait(10 * time.Minute)
			if _, err := fl.Token(fl.t.Context(), acme); err != nil {
				t.Fatal(err)
			}
		}
		wait(2 * time.Minute)
		if n := fl.sf.Questions() - asked; n != 0 {
			t.Errorf("%d questions with a sixth of the access token's life left, want none", n)
		}
		wait(7 * time.Minute)
		if _, err := fl.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		wait(5 * time.Minute)
		if n := fl.sf.Questions() - asked; n != 2 {
			t.Errorf("%d questions with under a tenth left, want 2", n)
		}
		fl.token()
		fl.expect(2)
	})
}

func TestAStoreThatWentBackIsHealedAsSoonAsItIsNoticed(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.token()
		synctest.Wait()     // the other has heard of it
		fl.store.Regress(2) // the answer, and what came right before it
		if _, err := fl.others[0].Realign(fl.t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := fl.store.Load(fl.t.Context(), acme)
		if err != nil || r.Generation != 2 || r.State != tokens.InDoubt || r.Verified != "" {
			t.Errorf("the store shows generation %d, %s, verified %q (%v); want 2, in doubt and unverified", r.Generation, r.State, r.Verified, err)
		}
	})
}

func TestACopyThatNobodyRemembersIsQuarantined(t *testing.T) {
	for name, vouched := range map[string]bool{"nobody remembers it": false, "a living replica vouches for it": true} {
		t.Run(name, func(t *testing.T) {
			replicas(t, 2, func(fl *fleet) {
				fl.token()
				synctest.Wait()
				fl.store.Restart()
				if vouched {
					if _, err := fl.others[0].Realign(fl.t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				fl.air.silence(true)
				late := fl.join("late", fl.on)
				if _, err := late.Realign(fl.t.Context()); err != nil {
					t.Fatal(err)
				}
				wait(7 * time.Minute)
				fl.sf.Kill(acme)
				tok, err := late.Token(fl.t.Context(), acme)
				if err != nil {
					t.Fatal(err)
				}
				_, err = late.Replace(fl.t.Context(), acme, tok)
				st, _ := late.Status(acme)
				switch {
				case vouched && err != nil:
					t.Errorf("got %v, want a token", err)
				case !vouched && (err == nil || st.State != tokens.Quarantined):
					t.Errorf("the grant is %s (%v), want quarantined", st.State, err)
				}
				want := 1
				if vouched {
					want = 2
				}
				fl.expect(want)
			})
		})
	}
}

// A replica whose address isn't verified lets one that may exchange do it, and
// says egress_unverified only where nobody does.
func TestAReplicaThatMayNotExchangeLetsAnotherDoIt(t *testing.T) {
	for name, mayOther := range map[string]bool{"another may": true, "nobody may": false} {
		t.Run(name, func(t *testing.T) {
			replicas(t, 1, func(fl *fleet) {
				closed := func(org tokens.OrgID) error {
					return &tokens.Error{Org: org, Code: tokens.CodeEgressUnverified, Temporary: true, RetryAfter: time.Minute, What: "not verified"}
				}
				shut := fl.join("shut", func(o *tokens.Options) {
					fl.on(o)
					o.Gate = closed
				})
				synctest.Wait() // everybody listens
				if !mayOther {
					fl.air.mu.Lock()
					fl.air.able = nil
					fl.air.mu.Unlock()
				}
				start := time.Now()
				_, err := shut.Token(fl.t.Context(), acme)
				switch {
				case mayOther && err != nil:
					t.Errorf("got %v, want the token that another replica got", err)
				case !mayOther && code(err) != tokens.CodeEgressUnverified:
					t.Errorf("got %v, want egress_unverified", err)
				case !mayOther && time.Since(start) > 10*time.Second:
					t.Errorf("told after %v", time.Since(start))
				}
				want := 0
				if mayOther {
					want = 1
				}
				fl.expect(want)
				if st, _ := shut.Status(acme); st.State != tokens.Ready {
					t.Errorf("the grant is %s, want ready", st.State)
				}
				// So is an exchange that a person asks for, although a token lives.
				switch e, err := shut.Refresh(fl.t.Context(), acme); {
				case mayOther && (err != nil || e.Winner == "" || e.Winner == "shut" || e.Generation != 3):
					t.Errorf("got %+v, %v, want to be told who made the exchange", e, err)
				case !mayOther && code(err) != tokens.CodeEgressUnverified:
					t.Errorf("got %v, want egress_unverified", err)
				}
				fl.expect(2 * want)
				if err := shut.Revoke(fl.t.Context(), acme); code(err) != tokens.CodeEgressUnverified {
					t.Errorf("got %v, want egress_unverified: ended here, it couldn't be revoked there", err)
				}
				fl.state(tokens.Ready, "")
			})
		})
	}
}

// A session may be locked to the address that minted it: refused elsewhere, it
// lives.
func TestATokenThatIsRefusedElsewhereAndLivesStartsNoExchange(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		tok := fl.token()
		synctest.Wait() // the other hears of it
		fl.dir[acme] = func() tokens.Settings { s := fl.dir[acme]; s.Address = "203.0.113.9"; return s }()
		tok.Address = "203.0.113.7"
		for range 3 {
			_, err := fl.others[0].Replace(fl.t.Context(), acme, tok)
			if code(err) != tokens.CodeSessionRejected {
				t.Errorf("got %v, want session_rejected: the token lives at the address that minted it", err)
			}
		}
		fl.expect(1)
		fl.token() // others are served
		fl.sf.Kill(acme)
		wait(2 * time.Minute)
		if _, err := fl.others[0].Replace(fl.t.Context(), acme, tok); err != nil {
			t.Errorf("got %v, want another token: this one is dead", err)
		}
		fl.expect(2)
	})
}

// A replica that has left the address at which it got a session moves it along.
func TestAReplicaThatChangedItsAddressGetsAnotherSession(t *testing.T) {
	enrolled(t, func(b *bench) {
		tok := b.token()
		b.dir[acme] = func() tokens.Settings { s := b.dir[acme]; s.Address = "203.0.113.9"; return s }()
		tok.Address = "203.0.113.7"
		if _, err := b.Replace(b.t.Context(), acme, tok); err != nil {
			t.Errorf("got %v, want another token", err)
		}
		b.expect(2)
	})
}

// Where a person moved the org, nobody would move its session back.
func TestAnOrgThatWasMovedGetsASessionOfItsNewAddress(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		tok := fl.token()
		synctest.Wait() // the other hears of it
		fl.dir[acme] = func() tokens.Settings { s := fl.dir[acme]; s.Address, s.Pinned = "203.0.113.9", true; return s }()
		tok.Address = "203.0.113.7"
		if _, err := fl.others[0].Replace(fl.t.Context(), acme, tok); err != nil {
			t.Errorf("got %v, want another token", err)
		}
		fl.expect(2)
	})
}

func TestAFleetForgetsTogether(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.token()
		other := fl.others[0]
		tok, err := other.Token(fl.t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		fl.sf.Kill(acme)
		if _, err := other.Replace(fl.t.Context(), acme, tok); err != nil { // its journal has an answer now
			t.Fatal(err)
		}
		synctest.Wait()
		if err := other.Forget(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for e, err := range fl.journal.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Answer) > 0 || len(e.Record.Refresh) > 0 {
				t.Errorf("the first replica's journal still holds a secret of %s", e.Attempt)
			}
		}
	})
}

// On a disk that may not outlive the process the store keeps the answer too.
func TestAnAnswerOutlivesADiskThatDoesNotLast(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		kept := &spool{}
		lost := fl.join("tmpfs", func(o *tokens.Options) {
			fl.on(o)
			o.Spool = kept
		})
		fl.store.SetHooks(func(_ context.Context, op tokenstest.Op, _ tokens.OrgID) error {
			if op == tokenstest.OpCommit {
				return tokens.ErrUnknown
			}
			return nil
		}, nil)
		if _, err := lost.Token(fl.t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if kept.n() != 1 {
			t.Fatalf("%d answers are kept in the store, want 1", kept.n())
		}
		fl.store.SetHooks(nil, nil)
		// Before the process tries again, another takes it up from the store alone.
		next := fl.join("next", func(o *tokens.Options) {
			fl.on(o)
			o.Spool = kept
		})
		st, _ := next.Status(acme)
		if diff := cmp.Diff(int64(2), st.Place.Generation); diff != "" || kept.n() != 0 {
			t.Errorf("the answer was not taken up, or is still kept (%d): %s", kept.n(), diff)
		}
		fl.expect(1)
	})
}

func TestAnIdleGrantIsExchangedOnceHoweverManyReplicasLookAfterIt(t *testing.T) {
	replicas(t, 4, func(fl *fleet) {
		fl.sf.Latency = time.Second
		fl.token()
		wait(24 * 24 * time.Hour)
		fl.expect(1)
		wait(4 * 24 * time.Hour) // never later than 28 days
		fl.expect(2)
		wait(20 * 24 * time.Hour)
		fl.expect(2)
	})
}
