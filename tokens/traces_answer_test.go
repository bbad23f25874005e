package tokens_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// V1: r1 has 9 in its journal and is away. r0 takes over, waits, is told that 8
// is spent, and declares the org lost; then r1 returns.
func TestTraceV01ALateAnswerIsNotRefused(t *testing.T) {
	lost := func(r0 *bench) {
		r0.served(115 * time.Minute)
		r0.state(tokens.ReauthRequired, tokens.ReasonLost)
		r0.token() // to the end of the access token
		wait(10 * time.Minute)
		r0.refused(tokens.CodeReauthRequired)
	}
	returned := func(r0 *bench) {
		wait(2 * time.Minute)
		r0.state(tokens.Ready, "")
		r0.token()
		r0.refresh()
		r0.unharmed(4)
	}
	t.Run("it was cut off from the store", func(t *testing.T) {
		replicas(t, 1, func(fl *fleet) {
			var off atomic.Bool
			r1 := fl.at(fl.join("r1", func(o *tokens.Options) {
				fl.on(o)
				o.Store = cut{heardStore{fl.store, fl.air}, &off}
			}))
			fl.token()
			off.Store(true)
			r1.refresh()
			lost(fl.bench)
			off.Store(false)
			returned(fl.bench)
			r1.state(tokens.Ready, "")
		})
	})
	t.Run("it was killed", func(t *testing.T) {
		replicas(t, 2, func(fl *fleet) {
			r0 := fl.at(fl.others[0])
			fl.token()
			fl.storeFails(tokenstest.OpCommit)
			fl.refresh()
			fl.fall()
			lost(r0)
			fl.rise()
			returned(r0)
			fl.state(tokens.Ready, "")
		})
	})
}

// V4: Salesforce refuses for the client's or the address's sake, and has spent
// 8 all the same, or not.
func TestTraceV04ARefusalIsNoProofThatTheTokenIsUnspent(t *testing.T) {
	for name, fault := range map[string]tokenstest.Fault{"invalid_client": tokenstest.FaultClient, "ip restricted": tokenstest.FaultAddress} {
		t.Run(name+", spent", func(t *testing.T) {
			enrolled(t, func(b *bench) {
				b.sf.ConfigSpends = true
				b.token()
				b.sf.Next(fault)
				_, _ = b.Refresh(b.t.Context(), acme)
				b.state(tokens.InDoubt, tokens.ReasonMisconfigured)
				b.served(119 * time.Minute)
				b.state(tokens.ReauthRequired, tokens.ReasonLost)
				wait(100 * time.Hour)
				b.refused(tokens.CodeReauthRequired)
				b.unharmed(2)
			})
		})
		t.Run(name+", unspent", func(t *testing.T) {
			enrolled(t, func(b *bench) {
				b.token()
				b.sf.Next(fault)
				_, _ = b.Refresh(b.t.Context(), acme)
				b.state(tokens.InDoubt, tokens.ReasonMisconfigured)
				b.served(107 * time.Minute)
				wait(15 * time.Minute) // Salesforce is asked
				b.state(tokens.Ready, "")
				b.token()
				b.unharmed(3)
			})
		})
	}
}

// V4, second: r1's request hangs at Salesforce, r1 dies, and the store loses its
// intent. r1 doesn't send 8 again.
func TestTraceV04ARequestThatHangsIsNotRepeated(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Next(tokenstest.FaultLate)
		refreshing(b.Broker)
		wait(time.Second)
		b.end((*crashfs.FS).Kill, func() {
			b.store.Regress(1)
			b.shown(2, tokens.Ready)
		})
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.served(118 * time.Minute)
		b.state(tokens.ReauthRequired, tokens.ReasonLost) // Salesforce answered nobody
		wait(100 * time.Hour)
		b.refused(tokens.CodeReauthRequired)
		b.unharmed(2)
	})
}

// V4, third: another request with 8 hangs at Salesforce, and nobody here knows of
// it. "Already being processed" doesn't say that 8 is unspent.
func TestTraceV04BusyIsADoubt(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.token()
		b.sf.Next(tokenstest.FaultLate)
		first, came := b.plain(), make(chan secret.Text, 1)
		go func() { came <- b.spend(first) }() // ends with Salesforce's work, four minutes later
		wait(time.Second)
		_, _ = b.Refresh(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonBusy)
		b.served(119 * time.Minute)
		<-came
		b.state(tokens.ReauthRequired, tokens.ReasonLost)
		wait(100 * time.Hour)
		b.expect(3)
		b.unrevoked()
	})
}

// V6: r1 commits 9 and dies before its mark; r0 exchanges 9 for 10 and loses its
// disk; an old dump is restored; r1 comes back with 9 in its journal.
func TestTraceV06StaleJournal(t *testing.T) {
	for name, c := range map[string]struct{ older, oneKey bool }{
		"the dump is what 9 was got from":                            {false, false},
		"the dump is older":                                          {true, false},
		"one key of it is put back, and the store's identity stands": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			replicas(t, 2, func(fl *fleet) {
				r0, requests := fl.at(fl.others[0]), 2
				dump, key := fl.store.Snapshot(), fl.kept()
				if c.older {
					fl.refresh() // whose answer is dropped from the journal
					fl.refresh()
					requests += 2
				}
				fl.again(func(o *tokens.Options) { o.Journal = unsettled{o.Journal} })
				fl.refresh()
				synctest.Wait()
				if err := fl.journal.Forget("nobody"); err != nil { // written anew
					t.Fatal(err)
				}
				fl.fall()
				r0.refresh()
				fl.gone(r0.Broker)
				if !c.oneKey {
					fl.store.Restore(dump)
				} else if err := fl.store.Plant(key); err != nil {
					t.Fatal(err)
				}
				fl.rise()
				fl.served(119 * time.Minute)
				fl.state(tokens.ReauthRequired, tokens.ReasonLost) // 10 was on a disk that is gone
				wait(100 * time.Hour)
				fl.refused(tokens.CodeReauthRequired)
				fl.unharmed(requests)
			})
		})
	}
}

// V7: r1 commits 9 and marks its entry; the store loses that commit; r1 dies. The
// journal has been written anew meanwhile.
func TestTraceV07AMarkedEntryStillHoldsTheNewestToken(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		tok := fl.token()
		if err := fl.journal.Forget("nobody"); err != nil {
			t.Fatal(err)
		}
		fl.store.Regress(2) // the commit, and the intent
		fl.shown(1, tokens.Ready)
		fl.fall()
		fl.rise()
		fl.shown(2, tokens.Ready)
		if got := fl.token(); got.Place != tok.Place {
			t.Errorf("served %v, want %v", got.Place, tok.Place)
		}
		fl.settles()
		fl.refresh()
		fl.token()
		fl.state(tokens.Ready, "")
		fl.unharmed(2)
	})
}
