package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

func TestAWantReachesTheOthersOfItsDeployment(t *testing.T) {
	url := server(t).URL()
	open := func(replica, prefix string) *redisstore.Store {
		t.Helper()
		s, err := redisstore.Open(t.Context(), redisstore.Options{URL: url, Prefix: prefix, Replica: replica})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	prefix := "want-" + t.Name()
	asker, other := open("r1", prefix), open("r2", prefix)
	if _, err := asker.MetaOnce(t.Context(), "deployment", []byte("d1")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	own, heard := make(chan tokens.Want, 100), make(chan tokens.Want, 100)
	go func() { _ = asker.Asked(ctx, func(w tokens.Want) { own <- w }) }()   // ends with ctx
	go func() { _ = other.Asked(ctx, func(w tokens.Want) { heard <- w }) }() // ends with ctx
	want := tokens.Want{Org: "acme", Stale: tokens.Place{Epoch: 1, Generation: 7}, Cause: tokens.CauseRejected}
	again := time.NewTicker(50 * time.Millisecond) // until the subscription stands
	defer again.Stop()
	for {
		if err := asker.Ask(ctx, want); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			select {
			case w := <-own:
				t.Errorf("a replica heard its own want %v", w)
			default:
			}
			return
		case <-again.C:
		case <-ctx.Done():
			t.Fatal("nobody heard it")
		}
	}
}
