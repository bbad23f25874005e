package tokens_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// putBack leaves 9 in the journal of r1, which has fallen, and the store with the
// record of before it; r0 has exchanged 9 for 10, and is gone.
func (fl *fleet) putBack() {
	fl.t.Helper()
	r0 := fl.at(fl.others[0])
	old := fl.kept()
	fl.again(func(o *tokens.Options) { o.Journal = unsettled{o.Journal} })
	fl.refresh() // 8 for 9
	synctest.Wait()
	fl.fall()
	r0.refresh() // 9 for 10
	fl.gone(r0.Broker)
	if err := fl.store.Plant(old); err != nil {
		fl.t.Fatal(err)
	}
}

// V6 where one key is put back by hand, so that the store's identity is the same
// (R3): r1 hasn't seen the record since its own start, and asks first.
func TestTraceV06AJournalsAnswerIsNoAcquaintance(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.putBack()
		fl.rise()
		fl.served(90 * time.Minute)
		_, _ = fl.Refresh(fl.t.Context(), acme)
		fl.unharmed(2)
	})
}

// A replica that was begun on the record that was put back hears r1's answer, and
// has seen it no more than r1 has.
func TestTraceV06AJournalsAnswerThatIsHeardIsNoAcquaintance(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		fl.putBack()
		r2 := fl.at(fl.join("r2", fl.on))
		synctest.Wait() // r2 listens
		fl.rise()
		synctest.Wait() // r2 hears of 9
		_, _ = r2.Refresh(fl.t.Context(), acme)
		fl.unharmed(2)
	})
}

// An answer that lands beside a record that was put back writes it anew, and
// that says nothing of its token.
func TestTraceV06WhatIsWrittenBesideIsNoAcquaintance(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		r0 := fl.at(fl.others[0])
		fl.again(func(o *tokens.Options) { o.Journal = unsettled{o.Journal} })
		fl.refresh() // 8 for 9
		synctest.Wait()
		fl.fall()
		if _, err := r0.Import(fl.t.Context(), acme, secret.NewText(fl.sf.Authorise(acme))); err != nil { // a newer epoch
			t.Fatal(err)
		}
		old := fl.kept()
		old.Attempts, old.Earlier, old.Orphans = nil, nil, nil // as it was before it knew of 9
		r0.refresh()
		fl.gone(r0.Broker)
		if err := fl.store.Plant(old); err != nil {
			t.Fatal(err)
		}
		r2 := fl.at(fl.join("r2", fl.on))
		synctest.Wait() // r2 listens
		fl.rise()
		synctest.Wait()
		if len(fl.kept().Orphans) == 0 {
			t.Error("r1's answer landed nowhere")
		}
		_, _ = r2.Refresh(fl.t.Context(), acme)
		_, _ = fl.Refresh(fl.t.Context(), acme)
		fl.unharmed(2)
	})
}
