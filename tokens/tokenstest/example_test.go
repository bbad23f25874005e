package tokenstest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/tokenstest"
)

// A store's own test is one line. Each call of open returns an empty store.
func ExampleTestStore() {
	_ = func(t *testing.T) { // TestMemIsAStore, in a file of the store's package
		tokenstest.TestStore(t, func(*testing.T) tokens.Store {
			return tokenstest.NewMem(tokenstest.MemOptions{})
		})
	}
}

// A store that goes back shows an older record, and says so by another identity.
func ExampleNewMem() {
	ctx, m := context.Background(), tokenstest.NewMem(tokenstest.MemOptions{})
	var first tokens.StoreIdentity
	err := m.Hold(ctx, "acme", func(ctx context.Context, h tokens.Hold) error {
		_, sight := h.Record()
		first = sight.Identity
		for generation := range int64(3) {
			r := tokens.Record{Schema: tokens.Schema, Org: "acme", Place: tokens.Place{Epoch: 1, Generation: generation + 1}}
			if err := h.Save(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
	fmt.Println("writes taken back:", m.Regress(2), err)
	err = m.Hold(ctx, "acme", func(_ context.Context, h tokens.Hold) error {
		r, sight := h.Record()
		fmt.Println("generation", r.Generation, "same identity:", sight.Identity == first)
		return nil
	})
	fmt.Println(err)
	// Output:
	// writes taken back: 2 <nil>
	// generation 1 same identity: false
	// <nil>
}

// A refresh token is traded once. The second time is a replay, which the ledger
// counts.
func ExampleNewForce() {
	ctx, sf := context.Background(), tokenstest.NewForce()
	old := tokens.Credential{Kind: "refresh_token", SingleUse: true, Secret: secret.NewText(sf.Authorise("acme"))}
	for range 2 {
		line, err := sf.Connect(ctx, "acme")
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, sent, err := line.Send(ctx, old, func() error { return nil })
		_, refusal := sf.Parse(answer)
		fmt.Println("sent:", sent, err, "refused:", refusal)
	}
	requests, replays := sf.Seen()
	fmt.Println(requests, "requests,", replays, "replay")
	// Output:
	// sent: true <nil> refused: <nil>
	// sent: true <nil> refused: the token endpoint answered 400 invalid_grant: as scripted
	// 2 requests, 1 replay
}
