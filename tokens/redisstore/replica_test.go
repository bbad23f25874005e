package redisstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

// TestFailure03TooFewReplicas: what is written is written, and known to be
// short of copies. Asking again for a commit asks again for them, of a
// connection that has written.
func TestFailure03TooFewReplicas(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	replica := redistest.Start(t, redistest.Options{ReplicaOf: srv})
	if err := srv.AwaitReplicas(1); err != nil {
		t.Fatal(err)
	}
	// Half of the longest answer is how long replicas are waited for.
	o := redisstore.Options{URL: srv.URL() + "?read_timeout=1500ms", Prefix: prefix(), Wait: 1}
	s := open(t, o)
	enrol(t, s)
	if _, err := s.MetaOnce(t.Context(), "kept", []byte("1")); err != nil {
		t.Fatal(err)
	}
	c := tokens.Committed{Attempt: "a", Record: record(2)}
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		if err := replica.Stop(); err != nil {
			t.Fatal(err)
		}
		r, _ := h.Record()
		if err := h.Save(ctx, r); !errors.Is(err, tokens.ErrShort) {
			t.Errorf("Save: %v", err)
		}
		saved, _ := h.Record()
		if diff := cmp.Diff(saved, load(t, s)); diff != "" || saved.Revision != r.Revision+1 {
			t.Errorf("it didn't land: %s", diff)
		}
		// Who starts now finds what was made once.
		if kept, err := unprobed(t, o).MetaOnce(ctx, "kept", []byte("2")); err != nil || string(kept) != "1" {
			t.Errorf("MetaOnce: %q, %v", kept, err)
		}
		if _, err := s.MetaOnce(ctx, "new", []byte("1")); !errors.Is(err, tokens.ErrShort) {
			t.Errorf("MetaOnce of something new: %v", err)
		}
		got, landed, err := s.Commit(ctx, "acme", c)
		if !errors.Is(err, tokens.ErrShort) || landed != tokens.LandedHealed || got.Generation != 2 {
			t.Errorf("Commit: %d, %v", landed, err)
		}
		if r := load(t, s); r.Generation != 2 {
			t.Error("it didn't land")
		}
		if _, landed, err := s.Commit(ctx, "acme", c); !errors.Is(err, tokens.ErrShort) || landed != tokens.LandedAlready {
			t.Errorf("the same again: %d, %v", landed, err)
		}
		// Connections that have written nothing have nothing to wait for.
		fresh := unprobed(t, o)
		if _, landed, err := fresh.Commit(ctx, "acme", c); !errors.Is(err, tokens.ErrShort) || landed != tokens.LandedAlready {
			t.Errorf("the same again by another: %d, %v", landed, err)
		}
		plain := tokens.Committed{Record: record(1), Enrolment: true}
		plain.Record.Org, plain.Record.Fingerprint, plain.Record.SingleUse = "plain", "", false
		for i, s := range []*redisstore.Store{s, unprobed(t, o)} {
			want := []tokens.Landing{tokens.LandedReady, tokens.LandedAlready}[i]
			if _, landed, err := s.Commit(ctx, "plain", plain); !errors.Is(err, tokens.ErrShort) || landed != want {
				t.Errorf("without a claim: %d, %v", landed, err)
			}
		}
		for range 2 {
			if err := fresh.Claim(ctx, "acme", []string{"name"}); !errors.Is(err, tokens.ErrShort) {
				t.Errorf("Claim: %v", err)
			}
		}
	})
	if err := replica.Cont(); err != nil {
		t.Fatal(err)
	}
	if _, landed, err := s.Commit(t.Context(), "acme", c); err != nil || landed != tokens.LandedAlready {
		t.Errorf("with the replica back: %d, %v", landed, err)
	}
	facts, err := s.Check(t.Context())
	if err != nil || facts.Short() || len(facts.Nodes) != 1 || facts.Nodes[0].Replicas != 1 {
		t.Errorf("Check: %+v, %v", facts, err)
	}
}

// TestFailure03AFailover: the new master has another identity, nothing that was
// begun under the old one is saved, and the stamp begins anew.
func TestFailure03AFailover(t *testing.T) {
	t.Parallel()
	c := redistest.StartSentinel(t, redistest.Options{}, 1)
	s := open(t, redisstore.Options{URL: c.URL(), LockTTL: 2 * time.Second})
	enrol(t, s)
	if err := c.Servers[0].AwaitReplicas(1); err != nil {
		t.Fatal(err)
	}
	heard := watch(t, s)
	before, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		if _, err := c.KillMaster(ctx); err != nil {
			t.Fatal(err)
		}
		r, _ := h.Record()
		// The first attempts may meet connections to the dead server.
		for {
			err := h.Save(ctx, r)
			if errors.Is(err, tokens.ErrFenced) {
				break
			}
			if err == nil {
				t.Fatal("saved under another identity")
			}
			await(t, "a while", time.After(20*time.Millisecond))
		}
		if ctx.Err() != nil {
			t.Error("fn's context ended")
		}
	})
	hold(t, s, func(_ context.Context, h tokens.Hold) {
		r, sight := h.Record()
		if sight.Identity == before || sight.Stamped > 5*time.Second || r.Generation != 1 {
			t.Errorf("after the failover: %+v, generation %d", sight, r.Generation)
		}
	})
	if _, landed, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(2), Base: record(1).Place, Identity: before}); err != nil || landed != tokens.LandedHealed {
		t.Errorf("Commit: %d, %v", landed, err)
	}
	for r := range heard { // the watch found the new master
		if r.Generation == 2 {
			break
		}
	}
}

// TestAKeyThatMoves: a Cluster gives an org's slot to another node in the middle
// of a hold.
func TestAKeyThatMoves(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.Options{})
	p := prefix()
	s := open(t, redisstore.Options{URL: c.URL(), Prefix: p, LockTTL: time.Second})
	enrol(t, s)
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		if err := c.Move(ctx, p+":{acme}:record"); err != nil {
			t.Fatal(err)
		}
		r, _ := h.Record()
		if err := h.Save(ctx, r); !errors.Is(err, tokens.ErrFenced) {
			t.Errorf("Save: %v", err)
		}
	})
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		r, sight := h.Record()
		if r.Generation != 1 || sight.Stamped > time.Second {
			t.Errorf("after the move: %+v, generation %d", sight, r.Generation)
		}
		if err := h.Save(ctx, r); err != nil {
			t.Error(err)
		}
	})
	facts, err := s.Check(t.Context())
	if err != nil || len(facts.Nodes) != 3 {
		t.Errorf("Check: %+v, %v", facts, err)
	}
}
