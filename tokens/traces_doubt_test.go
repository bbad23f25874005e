package tokens_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// V11: Salesforce takes a question about a spent token for its reuse. r1 died
// with 9 in its journal; r0, which could ask, waits as long as that is free.
func TestTraceV11TheQuestionIsNotTheReplay(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.sf.ReuseOnIntrospect = true
		r0 := fl.at(fl.others[0])
		fl.token()
		fl.storeFails(tokenstest.OpCommit)
		fl.refresh()
		fl.fall()
		asked := fl.sf.Questions()
		r0.served(time.Hour)
		r0.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		if n := fl.sf.Questions() - asked; n != 0 {
			t.Errorf("r0 asked %d times about a token that may be spent", n)
		}
		fl.rise()
		fl.state(tokens.Ready, "")
		wait(time.Minute)
		r0.state(tokens.Ready, "")
		r0.token()
		r0.refresh()
		fl.token()
		fl.unharmed(3)
	})
}

// V12: r1's request is lost, and its app may not introspect, which looks as if 8
// were spent.
func TestTraceV12DeniedIsNotSpent(t *testing.T) {
	t.Run("the app was never told the truth", func(t *testing.T) {
		world(t, func(b *bench) {
			b.sf.Codes = true
			b.sf.Introspecting(tokenstest.IntrospectionDenied)
			if done, err := b.Authorize(b.t.Context(), acme, anyCode); err != nil || done.Truthful {
				t.Fatalf("%+v, %v", done, err)
			}
			b.token()
			b.doubt(tokenstest.FaultLostBefore)
			b.served(119 * time.Minute)
			wait(time.Hour)
			b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
			b.refused(tokens.CodeUnavailable)
			wait(time.Hour)
			b.state(tokens.ReauthRequired, tokens.ReasonUndecided)
			b.sf.Introspecting(tokenstest.IntrospectionTrue) // somebody mended the app
			wait(2 * time.Hour)
			b.state(tokens.Ready, "")
			b.token()
			b.unharmed(2)
		})
	})
	t.Run("the app is told that a living session is dead", func(t *testing.T) {
		enrolled(t, func(b *bench) {
			b.token()
			b.doubt(tokenstest.FaultLostBefore)
			b.sf.Introspecting(tokenstest.IntrospectionDenied)
			b.served(109 * time.Minute)
			b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
			b.sf.Introspecting(tokenstest.IntrospectionTrue)
			wait(5 * time.Minute)
			b.state(tokens.Ready, "")
			b.token()
			b.unharmed(2)
		})
	})
}

// V13: nobody may ask, and no access token lives: somebody has to be told that a
// person is needed.
func TestTraceV13AHeldDoubtEnds(t *testing.T) {
	ends := func(fl *fleet, asked int) {
		fl.served(119 * time.Minute)
		wait(30 * time.Minute)
		fl.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		fl.refused(tokens.CodeUnavailable)
		wait(time.Hour)
		fl.refused(tokens.CodeReauthRequired)
		fl.state(tokens.ReauthRequired, tokens.ReasonUndecided)
		wait(100 * time.Hour)
		fl.state(tokens.ReauthRequired, tokens.ReasonUndecided)
		if n := fl.sf.Questions() - asked; n != 0 {
			t.Errorf("%d questions, and it was to hold", n)
		}
	}
	hold := func(o *tokens.Options) { o.Policy.Doubt = tokens.AskHold }
	t.Run("an answer turns up", func(t *testing.T) {
		replicas(t, 1, func(fl *fleet) {
			fl.again(hold)
			var off atomic.Bool
			r1 := fl.at(fl.join("r1", func(o *tokens.Options) {
				fl.on(o)
				hold(o)
				o.Store = cut{heardStore{fl.store, fl.air}, &off}
			}))
			fl.token()
			off.Store(true)
			r1.refresh()
			ends(fl, fl.sf.Questions())
			off.Store(false)
			wait(2 * time.Minute)
			fl.state(tokens.Ready, "")
			fl.token()
			fl.unharmed(3)
		})
	})
	t.Run("a person asks once it is mended", func(t *testing.T) {
		replicas(t, 1, func(fl *fleet) {
			fl.again(hold)
			fl.token()
			fl.sf.Introspecting(tokenstest.IntrospectionDenied)
			fl.doubt(tokenstest.FaultLostBefore)
			ends(fl, fl.sf.Questions())
			fl.sf.Introspecting(tokenstest.IntrospectionTrue)
			if err := fl.Settle(fl.t.Context(), acme); err != nil {
				t.Error(err)
			}
			fl.state(tokens.Ready, "")
			fl.token()
			fl.unharmed(2)
		})
	})
}

// V14: r0 asks about 8, and both answers say that it is live; r1 exchanges 8 for
// 9; the store loses what r1 wrote, so that the record is byte for byte as r0 read
// it. Only the identity of the store says that r0's question is void.
func TestTraceV14AVerdictThatAnotherLifeOfTheStoreOvertookIsVoid(t *testing.T) {
	replicas(t, 1, func(fl *fleet) {
		x := &fails{Exchanger: fl.sf}
		r0 := fl.at(fl.join("r0", func(o *tokens.Options) { fl.on(o); o.Exchanger = x }))
		fl.token()
		fl.doubt(tokenstest.FaultLostBefore)
		wait(6 * time.Minute)
		fl.air.silence(true)
		asked := fl.kept()
		x.then = func() { // after the first answer
			x.then = func() { // after the second
				before := fl.store.Snapshot()
				fl.store.Expire(acme)
				fl.refresh() // r1 asks for itself
				fl.store.Restore(before)
			}
		}
		if _, err := r0.Refresh(fl.t.Context(), acme); err == nil {
			t.Error("r0 exchanged what r1 had spent")
		}
		if x.then != nil {
			t.Fatal("r0 didn't ask twice")
		}
		if now := fl.kept(); now.State != tokens.InDoubt || now.Revision != asked.Revision || now.Verified != asked.Verified {
			t.Errorf("the store shows %s at revision %d, verified %q: a void verdict was written", now.State, now.Revision, now.Verified)
		}
		r0.token()
		fl.unharmed(2)
		fl.settles() // r1 remembers
		fl.shown(3, tokens.InDoubt)
		if _, err := r0.Refresh(fl.t.Context(), acme); err != nil {
			t.Error(err)
		}
		r0.state(tokens.Ready, "")
		r0.token()
		fl.unharmed(3)
	})
}
