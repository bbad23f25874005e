package redisstore_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/redisstore"
)

// trips counts round trips: a command, or a pipeline, each.
type trips struct{ n atomic.Int64 }

func (*trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmds)
	}
}

// exchange is what one exchange asks of a store.
func exchange(ctx context.Context, s *redisstore.Store) error {
	return s.Hold(ctx, "acme", func(ctx context.Context, h tokens.Hold) error {
		r, sight := h.Record()
		r.State, r.Verified = tokens.Exchanging, sight.Identity
		if err := h.Save(ctx, r); err != nil {
			return err
		}
		r, _ = h.Record()
		c := tokens.Committed{Base: r.Place, Identity: sight.Identity, Record: r}
		c.Record.Generation++
		c.Record.State = tokens.Ready
		_, _, err := s.Commit(ctx, "acme", c)
		return err
	})
}

func TestAnExchangeCostsFourRoundTrips(t *testing.T) {
	t.Parallel()
	s := open(t, redisstore.Options{})
	if _, err := s.MetaOnce(t.Context(), "deployment", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	enrol(t, s)
	if err := exchange(t.Context(), s); err != nil { // what a first one asks once
		t.Fatal(err)
	}
	c := &trips{}
	s.AddHook(c)
	for range 3 {
		before := c.n.Load()
		if err := exchange(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if n := c.n.Load() - before; n != 4 {
			t.Errorf("%d round trips", n)
		}
	}
	if r := load(t, s); r.Generation != 5 || r.State != tokens.Ready {
		t.Errorf("generation %d, %s", r.Generation, r.State)
	}
}

func BenchmarkExchange(b *testing.B) {
	s := open(b, redisstore.Options{})
	if _, err := s.MetaOnce(b.Context(), "deployment", []byte("ours")); err != nil {
		b.Fatal(err)
	}
	enrol(b, s)
	for b.Loop() {
		if err := exchange(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
