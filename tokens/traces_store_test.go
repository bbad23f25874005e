package tokens_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// V2: r1's intent is written, and lost by the replica of the store that is
// promoted. r0 heard nothing and reads a grant that is ready.
func TestTraceV02AFailoverIsNoticedByTheHoldItself(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		r0 := fl.at(fl.others[0])
		fl.token()
		synctest.Wait()
		fl.air.silence(true)
		release := fl.sf.Hold()
		refreshing(fl.Broker)
		wait(time.Second)
		fl.store.Regress(1)
		fl.shown(2, tokens.Ready)
		if _, err := r0.Refresh(fl.t.Context(), acme); err == nil {
			t.Error("r0 exchanged at once")
		}
		r0.token()
		release()
		wait(time.Second)
		fl.unharmed(2)
		fl.state(tokens.Ready, "")
		r0.token()
		wait(7 * time.Minute)
		r0.refresh()
		r0.state(tokens.Ready, "")
		r0.token()
		fl.token()
		fl.unharmed(3)
	})
}

// V3: 8 is exchanged, a dump of before is restored, and all replicas restart.
func TestTraceV03AnOldDumpAfterWhichAllRestart(t *testing.T) {
	t.Run("its own journal remembers", func(t *testing.T) {
		replicas(t, 1, func(fl *fleet) {
			fl.token()
			dump := fl.store.Snapshot()
			fl.refresh()
			fl.again(func(*tokens.Options) { fl.store.Restore(dump) })
			fl.shown(3, tokens.Ready)
			fl.settles()
			fl.served(30 * time.Minute)
			fl.refresh()
			fl.token()
			fl.unharmed(3)
		})
	})
	t.Run("whoever exchanged it is gone with its disk", func(t *testing.T) {
		replicas(t, 2, func(fl *fleet) {
			fl.token()
			dump := fl.store.Snapshot()
			fl.at(fl.others[0]).refresh()
			fl.gone(fl.others[0])
			fl.again(func(*tokens.Options) { fl.store.Restore(dump) })
			fl.shown(2, tokens.Ready)
			fl.settles()
			fl.served(112 * time.Minute)
			fl.state(tokens.ReauthRequired, tokens.ReasonLost)
			wait(100 * time.Hour)
			fl.refused(tokens.CodeReauthRequired)
			fl.unharmed(2)
		})
	})
}

// V5: r1's intent is written, the store is emptied, and r0, which didn't hear of
// it, shows the store what it remembers.
func TestTraceV05AHealMakesNothingReady(t *testing.T) {
	t.Run("the store is emptied", func(t *testing.T) {
		replicas(t, 2, func(fl *fleet) {
			r0 := fl.at(fl.others[0])
			fl.token()
			synctest.Wait()
			fl.air.silence(true)
			release := fl.sf.Hold()
			refreshing(fl.Broker)
			wait(time.Second)
			fl.store.Restore(tokenstest.Snapshot{})
			if _, err := r0.Realign(fl.t.Context()); err != nil {
				t.Error(err)
			}
			fl.shown(2, tokens.InDoubt)
			if _, err := r0.Refresh(fl.t.Context(), acme); err == nil {
				t.Error("r0 exchanged at once")
			}
			r0.token()
			release()
			wait(time.Second)
			fl.shown(3, tokens.InDoubt) // r1's answer, over something older
			fl.served(100 * time.Minute)
			wait(20 * time.Minute) // Salesforce is asked
			fl.state(tokens.Ready, "")
			fl.token()
			r0.token()
			if _, replays := fl.sf.Seen(); replays != 0 || len(fl.sf.Misuse()) != 0 {
				t.Errorf("%d replays, %v", replays, fl.sf.Misuse())
			}
		})
	})
	// Here nothing but the memory of those who were there shows that it went back.
	t.Run("one key is gone, and the store's identity the same", func(t *testing.T) {
		replicas(t, 1, func(fl *fleet) {
			w := &way{Exchanger: fl.sf}
			r1 := fl.at(fl.join("r1", func(o *tokens.Options) { fl.on(o); o.Exchanger = w }))
			fl.token()
			synctest.Wait()
			fl.air.silence(true)
			w.after = func(*sentBack) { <-time.After(40 * time.Second) } // its answer is long under way
			refreshing(r1.Broker)
			wait(time.Second)
			if err := fl.store.Plant(tokens.Record{Org: acme}); err != nil {
				t.Fatal(err)
			}
			fl.store.Expire(acme)
			if _, err := fl.Refresh(fl.t.Context(), acme); err == nil {
				t.Error("r0 got a token for one that was spent")
			}
			fl.token()
			fl.unharmed(2)
			wait(time.Minute) // the answer is there
			fl.shown(3, tokens.InDoubt)
			fl.token()
			if err := fl.Settle(fl.t.Context(), acme); err != nil {
				t.Error(err)
			}
			fl.state(tokens.Ready, "")
			fl.refresh()
			fl.unharmed(3)
		})
	})
}

// V15: a replica knows that there is a successor, and hasn't got it: it would
// show the store what nobody can exchange, for ever.
func TestTraceV15WhoeverRemembersARecordHasAllOfIt(t *testing.T) {
	ends := func(fl *fleet) { // with the one exchange that is due then, of the successor
		fl.shown(2, tokens.InDoubt)
		healed := fl.kept().Revision
		for range 10 {
			wait(10 * time.Minute)
			fl.token()
			if _, err := fl.Realign(fl.t.Context()); err != nil {
				t.Error(err)
			}
		}
		if n := fl.kept().Revision - healed; n > 2 {
			t.Errorf("the record was written %d times more, and nothing happened", n)
		}
		wait(19 * time.Minute) // Salesforce is asked
		fl.state(tokens.Ready, "")
		fl.token()
		fl.unharmed(2)
	}
	t.Run("it heard of it", func(t *testing.T) {
		replicas(t, 2, func(fl *fleet) {
			fl.at(fl.others[0]).token()
			fl.gone(fl.others[0])
			fl.store.Regress(2)
			fl.shown(1, tokens.Ready)
			if _, err := fl.Realign(fl.t.Context()); err != nil {
				t.Error(err)
			}
			ends(fl)
		})
	})
	t.Run("its journal has an intent that came after", func(t *testing.T) {
		replicas(t, 2, func(fl *fleet) {
			dump := fl.store.Snapshot()
			w := &way{Exchanger: fl.sf}
			fl.again(func(o *tokens.Options) { o.Exchanger = w })
			fl.at(fl.others[0]).token()
			fl.gone(fl.others[0])
			w.before = func() { <-time.After(10 * time.Second) }
			refreshing(fl.Broker)
			wait(time.Second)
			fl.fall() // before it sent anything
			fl.store.Restore(dump)
			fl.rise()
			ends(fl)
		})
	})
}

// V16: r0 heard of r1's intent; then the store shows the record of before again,
// which is of the same generation.
func TestTraceV16AMarkerIsNotForgottenForAnOlderRecordOfItsGeneration(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		r1 := fl.at(fl.others[0])
		fl.token()
		before := fl.kept()
		release := fl.sf.Hold()
		refreshing(r1.Broker)
		wait(time.Second)
		fl.shown(2, tokens.Exchanging)
		if err := fl.store.Plant(before); err != nil { // under the same identity
			t.Fatal(err)
		}
		fl.store.Expire(acme)
		if _, err := fl.Refresh(fl.t.Context(), acme); err == nil {
			t.Error("r0 exchanged at once")
		}
		fl.shown(2, tokens.InDoubt)
		fl.token()
		release()
		wait(time.Second)
		fl.served(107 * time.Minute)
		wait(15 * time.Minute) // Salesforce is asked
		fl.state(tokens.Ready, "")
		fl.token()
		r1.token()
		fl.unharmed(3)
	})
}
