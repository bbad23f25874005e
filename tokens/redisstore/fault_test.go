package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/redistest"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

// calls finds the calls of a script on the wire.
func calls(hash string) func([]byte) bool {
	return func(b []byte) bool { return bytes.Contains(b, []byte(hash)) }
}

// behind opens a store behind a proxy, and one with the same prefix that isn't.
func behind(t *testing.T, s *redistest.Server, o redisstore.Options) (*redistest.Proxy, *redisstore.Store, *redisstore.Store) {
	t.Helper()
	o.Prefix = prefix()
	o.URL = s.URL()
	straight := open(t, o)
	p := redistest.StartProxy(t, s.Addr())
	o.URL = "redis://" + p.Addr()
	return p, open(t, o), straight
}

func TestFailure08TheAnswerToASaveIsLost(t *testing.T) {
	t.Parallel()
	p, s, straight := behind(t, server(t), redisstore.Options{})
	before := enrol(t, straight)
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		r, _ := h.Record()
		done, twice := p.LoseReply(calls(redisstore.HashSwap)), p.LoseReply(calls(redisstore.HashSwap))
		if err := h.Save(ctx, r); err != nil {
			t.Errorf("Save: %v", err)
		}
		await(t, "the server's answer", done)
		select {
		case <-twice:
			t.Error("the write was sent twice")
		default:
		}
		saved, _ := h.Record()
		if saved.Revision != before.Revision+1 {
			t.Errorf("revision %d after %d", saved.Revision, before.Revision)
		}
		if diff := cmp.Diff(saved, load(t, straight)); diff != "" {
			t.Error(diff)
		}
		if err := h.Save(ctx, saved); err != nil {
			t.Errorf("the next Save: %v", err)
		}
	})
}

// TestASaveThatArrivesLate: nobody can say whether it will. Whatever the hold
// saves next goes over it, or keeps it out.
func TestASaveThatArrivesLate(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"the late one", "the next one"} {
		t.Run(first+" comes first", func(t *testing.T) {
			t.Parallel()
			p, s, straight := behind(t, server(t), redisstore.Options{})
			enrol(t, straight)
			hold(t, s, func(ctx context.Context, h tokens.Hold) {
				intent, _ := h.Record()
				intent.State, intent.Detail = tokens.Exchanging, "late"
				hit, deliver := p.Withhold(calls(redisstore.HashSwap))
				if err := h.Save(ctx, intent); !errors.Is(err, tokens.ErrUnknown) || errors.Is(err, tokens.ErrShort) {
					t.Fatalf("Save: %v", err)
				}
				await(t, "the request", hit)
				if first == "the late one" {
					deliver()
					if r := load(t, straight); r.Detail != "late" {
						t.Fatalf("it didn't arrive: %+v", r)
					}
				}
				back := intent
				back.State, back.Detail = tokens.Ready, "taken back"
				if err := h.Save(ctx, back); err != nil {
					t.Errorf("the next Save: %v", err)
				}
				if first != "the late one" {
					deliver()
				}
				if r := load(t, straight); r.State != tokens.Ready || r.Detail != "taken back" || r.Revision != 3 {
					t.Errorf("what is there: %s %q at revision %d", r.State, r.Detail, r.Revision)
				}
			})
		})
	}
}

func TestASaveWithoutAnAnswerThatAnotherOvertook(t *testing.T) {
	t.Parallel()
	p, s, straight := behind(t, server(t), redisstore.Options{})
	enrol(t, straight)
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		r, _ := h.Record()
		_, deliver := p.Withhold(calls(redisstore.HashSwap))
		if _, _, err := straight.Commit(ctx, "acme", tokens.Committed{Record: record(2)}); err != nil {
			t.Fatal(err)
		}
		if err := h.Save(ctx, r); !errors.Is(err, tokens.ErrFenced) || errors.Is(err, tokens.ErrUnknown) {
			t.Errorf("Save: %v", err)
		}
		deliver()
		if r := load(t, straight); r.Generation != 2 {
			t.Errorf("generation %d", r.Generation)
		}
	})
}

func TestTheAnswerToACommitIsLost(t *testing.T) {
	t.Parallel()
	for _, under := range []bool{true, false} {
		p, s, straight := behind(t, server(t), redisstore.Options{})
		enrol(t, straight)
		commit := func(ctx context.Context, h tokens.Hold) {
			c := tokens.Committed{Attempt: "a", Record: record(2), Base: record(1).Place}
			if h != nil {
				r, sight := h.Record()
				r.Verified = sight.Identity
				if err := h.Save(ctx, r); err != nil {
					t.Fatal(err)
				}
				c.Identity = sight.Identity
			}
			done := p.LoseReply(calls(redisstore.HashSwap))
			r, landed, err := s.Commit(ctx, "acme", c)
			want := tokens.LandedReady
			if h == nil {
				want = tokens.LandedHealed
			}
			if err != nil || landed != want {
				t.Errorf("Commit: landed %d, %v; want %d", landed, err, want)
			}
			await(t, "the server's answer", done)
			if diff := cmp.Diff(r, load(t, straight)); diff != "" {
				t.Error(diff)
			}
			again, landed, err := s.Commit(ctx, "acme", c)
			if diff := cmp.Diff(r, again); err != nil || landed != tokens.LandedAlready || diff != "" {
				t.Errorf("the same again: landed %d, %v %s", landed, err, diff)
			}
			if who, err := straight.Claimant(ctx, "fp2"); who != "acme" || err != nil {
				t.Errorf("claimed by %q, %v", who, err)
			}
		}
		if under {
			hold(t, s, commit)
		} else {
			commit(t.Context(), nil)
		}
	}
}

func TestACommitThatArrivesLate(t *testing.T) {
	t.Parallel()
	p, s, straight := behind(t, server(t), redisstore.Options{})
	enrol(t, straight)
	_, deliver := p.Withhold(calls(redisstore.HashSwap))
	first, landed, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(2)})
	if err != nil || landed != tokens.LandedHealed {
		t.Fatalf("Commit: %d, %v", landed, err)
	}
	deliver()
	if diff := cmp.Diff(first, load(t, straight)); diff != "" {
		t.Error(diff)
	}
}

func TestFailure17NoConnectionMeansNothingWritten(t *testing.T) {
	t.Parallel()
	p, s, straight := behind(t, server(t), redisstore.Options{})
	enrol(t, straight)
	if _, err := s.MetaOnce(t.Context(), "deployment", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		r, _ := h.Record()
		if err := h.Save(ctx, r); err != nil {
			t.Fatal(err)
		}
		before := load(t, straight)
		p.Close()
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if _, err := s.Load(ctx, "acme"); !errors.Is(err, redisstore.ErrUnavailable) || errors.Is(err, tokens.ErrUnknown) {
			t.Errorf("Load: %v", err)
		}
		// By now each connection was found to be closed.
		if err := h.Save(ctx, r); !errors.Is(err, redisstore.ErrUnavailable) || errors.Is(err, tokens.ErrUnknown) {
			t.Errorf("Save: %v", err)
		}
		if _, _, err := s.Commit(ctx, "acme", tokens.Committed{Record: record(2)}); !errors.Is(err, redisstore.ErrUnavailable) || errors.Is(err, tokens.ErrUnknown) {
			t.Errorf("Commit: %v", err)
		}
		if err := s.Claim(ctx, "acme", []string{"x"}); err == nil {
			t.Error("Claim without a server")
		}
		if diff := cmp.Diff(before, load(t, straight)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheAnswerToAHoldIsLost(t *testing.T) {
	t.Parallel()
	p, s, _ := behind(t, server(t), redisstore.Options{})
	done := p.LoseReply(calls(redisstore.HashHold))
	began := time.Now()
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		if err := h.Save(ctx, record(1)); err != nil {
			t.Error(err)
		}
	})
	await(t, "the server's answer", done)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it waited %v for a lock of its own", d)
	}
}

func TestTheServerForgetsItsScripts(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{URL: srv.URL()})
	flush := func() {
		if _, err := srv.Do(t.Context(), "SCRIPT", "FLUSH"); err != nil {
			t.Fatal(err)
		}
	}
	enrol(t, s)
	heard := watch(t, s)
	flush()
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		flush()
		r, _ := h.Record()
		if err := h.Save(ctx, r); err != nil {
			t.Error(err)
		}
		flush()
		if _, landed, err := s.Commit(ctx, "acme", tokens.Committed{Record: record(2)}); err != nil || landed != tokens.LandedHealed {
			t.Errorf("Commit: %d, %v", landed, err)
		}
		flush()
	})
	for r := range heard {
		if r.Generation == 2 {
			return
		}
	}
}

// TestFailure04TheStoreIsEmptied: nobody's save lands in what is no longer the
// store that it was.
func TestFailure04TheStoreIsEmptied(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{URL: srv.URL(), LockTTL: 600 * time.Millisecond})
	enrol(t, s)
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		if err := srv.FlushAll(ctx); err != nil {
			t.Fatal(err)
		}
		r, _ := h.Record()
		if err := h.Save(ctx, r); !errors.Is(err, tokens.ErrFenced) {
			t.Errorf("Save: %v", err)
		}
		await(t, "Lost", h.Lost())
	})
	hold(t, s, func(ctx context.Context, h tokens.Hold) {
		if r, sight := h.Record(); r.Known() || sight.Stamped > time.Second {
			t.Errorf("after FLUSHALL: %+v, %+v", r, sight)
		}
		if err := srv.FlushAll(ctx); err != nil {
			t.Fatal(err)
		}
		if err := h.Save(ctx, record(1)); !errors.Is(err, tokens.ErrFenced) {
			t.Errorf("Save over nothing, emptied: %v", err)
		}
	})
}

func TestFailure28TheStoreIsRestored(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{URL: srv.URL()})
	old := enrol(t, s)
	dump, err := srv.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Commit(t.Context(), "acme", tokens.Committed{Record: record(2)}); err != nil {
		t.Fatal(err)
	}
	if err := srv.Restore(dump); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Identity(t.Context()); err != nil || now == id {
		t.Errorf("the identity is %q, %v; it was %q", now, err, id)
	}
	hold(t, s, func(_ context.Context, h tokens.Hold) {
		r, sight := h.Record()
		if diff := cmp.Diff(old, r); diff != "" || sight.Identity == id || sight.Stamped > time.Second {
			t.Errorf("%+v %s", sight, diff)
		}
	})
}
