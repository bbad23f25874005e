package tokens_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// Under one reading of Salesforce's rules, to ask about a spent token is to use
// it again: whoever has lost the lock between the two questions doesn't ask the
// second, since another may have exchanged the token by now.
func TestWhoLostTheLockAsksNothingMore(t *testing.T) {
	enrolled(t, func(b *bench) {
		b.sf.Next(tokenstest.FaultLostAfter)
		_, _ = b.Token(b.t.Context(), acme)
		b.state(tokens.InDoubt, tokens.ReasonNoAnswer)
		wait(6 * time.Minute)
		before := b.sf.Questions()
		done := make(chan error, 1)
		go func() { done <- b.Settle(b.t.Context(), acme) }()
		synctest.Wait()
		if !b.store.Expire(acme) {
			t.Fatal("nobody holds the org")
		}
		if err := <-done; err == nil {
			t.Error("a doubt was settled without the lock")
		}
		if n := b.sf.Questions() - before; n != 1 {
			t.Errorf("%d questions, want the first alone", n)
		}
	})
}
