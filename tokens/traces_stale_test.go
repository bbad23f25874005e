package tokens_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// V6 where one key is put back by hand, so that the store's identity is the same
// (R3): r1 hasn't seen the record since its own start, and asks first.
func TestTraceV06AJournalsAnswerIsNoAcquaintance(t *testing.T) {
	replicas(t, 2, func(fl *fleet) {
		r0 := fl.at(fl.others[0])
		old := fl.kept()
		fl.again(func(o *tokens.Options) { o.Journal = unsettled{o.Journal} })
		fl.refresh() // 8 for 9
		synctest.Wait()
		fl.fall()
		r0.refresh() // 9 for 10
		fl.gone(r0.Broker)
		if err := fl.store.Plant(old); err != nil {
			t.Fatal(err)
		}
		fl.rise()
		fl.served(90 * time.Minute)
		_, _ = fl.Refresh(fl.t.Context(), acme)
		fl.unharmed(2)
	})
}
