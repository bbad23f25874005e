package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// The first caller of Token makes the one exchange; whoever comes while the
// access token lives is served from memory. Recover comes before the first.
func ExampleNewBroker() {
	ctx, sf := context.Background(), tokenstest.NewForce()
	o, end, err := ports(sf)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer end()
	b, err := tokens.NewBroker(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	recovered := b.Recover(ctx)
	enrolled, err := b.Import(ctx, acme, secret.NewText(sf.Authorise(acme)))
	fmt.Println("generation", enrolled.Place.Generation, err, recovered)
	for range 2 {
		t, err := b.Token(ctx, acme)
		fmt.Println("generation", t.Place.Generation, t.Access, sf.Call(t), err)
	}
	requests, replays := sf.Seen()
	fmt.Println(requests, "token request,", replays, "replays, drained:", b.Drain(ctx))
	// Output:
	// generation 1 <nil> <nil>
	// generation 2 [redacted] true <nil>
	// generation 2 [redacted] true <nil>
	// 1 token request, 0 replays, drained: <nil>
}

// ports is what a broker needs: a store in memory, the real journal on a disk
// in memory, and sf as Salesforce. end closes the journal.
func ports(sf *tokenstest.Force) (o tokens.Options, end func() error, err error) {
	keyset, err := secret.NewKeyset()
	if err != nil {
		return o, nil, err
	}
	keys, err := secret.ParseKeyring(keyset)
	if err != nil {
		return o, nil, err
	}
	j, err := journal.Open(journal.Options{Dir: "/state/journal", Sealer: keys, FS: crashfs.New(1)})
	if err != nil {
		return o, nil, err
	}
	store := tokenstest.NewMem(tokenstest.MemOptions{Exclusive: true})
	return tokens.Options{
		Store: store, Claims: store, History: store, Journal: j, Exchanger: sf, Sealer: keys, Fingerprint: hashes{},
		Directory: directory{acme: {Name: "acme", Kind: "refresh_token", SingleUse: true, SessionTimeout: 2 * time.Hour, ClientID: "app"}},
		Replica:   "r1", Deployment: "d1",
	}, j.Close, nil
}

// An intent is written before anything is sent, and no second one goes beside
// it. The record that Apply was called on stays as it was.
func ExampleRecord_Apply() {
	ready := tokens.Record{Schema: tokens.Schema, Org: acme, State: tokens.Ready, Verified: "the store's identity"}
	begun, err := ready.Apply(tokens.Began{Attempt: tokens.Attempt{ID: "a1"}})
	fmt.Println(ready.State, "→", begun.State, err)
	_, err = begun.Apply(tokens.Began{Attempt: tokens.Attempt{ID: "a2"}})
	var unfit *tokens.TransitionError
	fmt.Println(errors.As(err, &unfit), err)
	doubted, err := begun.Apply(tokens.Doubted{Attempt: *begun.Attempt, Reason: tokens.ReasonNoAnswer})
	fmt.Println(begun.State, "→", doubted.State, doubted.Reason, err)
	// Output:
	// ready → exchanging <nil>
	// true org acme: tokens.Began doesn't apply to a grant that is exchanging
	// exchanging → in_doubt no_answer <nil>
}

// An answer is the only copy of its token, so it goes over everything older,
// but never over a newer authorisation: beside that it is kept as an orphan.
func ExampleCommitted_Over() {
	at := func(epoch, generation int64, token string) tokens.Record {
		return tokens.Record{Schema: tokens.Schema, Org: acme, SingleUse: true, State: tokens.Ready, Verified: "s1",
			Place: tokens.Place{Epoch: epoch, Generation: generation}, Refresh: []byte("sealed"), Fingerprint: token}
	}
	answer := tokens.Committed{Base: tokens.Place{Epoch: 1, Generation: 4}, Identity: "s1", Record: at(1, 5, "five")}
	said := map[tokens.Landing]string{tokens.LandedReady: "ready", tokens.LandedHealed: "healed", tokens.LandedOrphaned: "orphaned"}
	for _, held := range []tokens.Record{at(1, 4, "four"), at(1, 3, "three"), at(2, 1, "another")} {
		r, landing := answer.Over(held, tokens.Sight{Identity: "s1"})
		fmt.Printf("%s: %v → %v %s %q\n", said[landing], held.Place, r.Place, r.State, r.Reason)
	}
	// Output:
	// ready: {1 4} → {1 5} ready ""
	// healed: {1 3} → {1 5} in_doubt "healed"
	// orphaned: {2 1} → {2 1} ready ""
}
