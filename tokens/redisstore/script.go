package redisstore

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed prelude.lua
var prelude string

//go:embed hold.lua
var holdSource string

//go:embed look.lua
var lookSource string

//go:embed swap.lua
var swapSource string

//go:embed publish.lua
var publishSource string

//go:embed renew.lua
var renewSource string

//go:embed release.lua
var releaseSource string

//go:embed claim.lua
var claimSource string

//go:embed registry.lua
var registrySource string

// script is a script that the server may know by its hash.
type script struct{ source, hash string }

func newScript(source string) script {
	source = prelude + source
	return script{source, redis.NewScript(source).Hash()}
}

var (
	scriptHold     = newScript(holdSource)
	scriptLook     = newScript(lookSource)
	scriptSwap     = newScript(swapSource)
	scriptPublish  = newScript(publishSource)
	scriptRenew    = newScript(renewSource)
	scriptRelease  = newScript(releaseSource)
	scriptClaim    = newScript(claimSource)
	scriptRegistry = newScript(registrySource)
)

// step is one command of a batch. Each one may be run twice.
type step struct {
	script *script
	keys   []string
	args   []any
}

func command(args ...any) step { return step{args: args} }

func eval(s *script, keys []string, args ...any) step { return step{s, keys, args} }

// add puts the step into a pipeline, a script with its source where full.
func (s step) add(ctx context.Context, p redis.Pipeliner, full bool) *redis.Cmd {
	switch {
	case s.script == nil:
		return p.Do(ctx, s.args...)
	case full:
		return p.Eval(ctx, s.script.source, s.keys, s.args...)
	}
	return p.EvalSha(ctx, s.script.hash, s.keys, s.args...)
}

// replies are the answers to a batch.
type replies []*redis.Cmd

// err is what became of step i.
func (r replies) err(ctx context.Context, i int) error {
	err := r[i].Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return fault(ctx, err)
}

// first is the first error of all steps.
func (r replies) first(ctx context.Context) error {
	for i := range r {
		if err := r.err(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// batch sends all steps at once on c and reads all answers: one round trip, and
// one more where the server doesn't know a script.
func batch(ctx context.Context, c *redis.Conn, steps ...step) replies {
	for full := false; ; full = true {
		p := c.Pipeline()
		out := make(replies, len(steps))
		for i, s := range steps {
			out[i] = s.add(ctx, p, full)
		}
		_, _ = p.Exec(ctx) // each answer has its own error
		unknown := false
		for _, cmd := range out {
			unknown = unknown || redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT")
		}
		if !unknown || full {
			return out
		}
	}
}

// on runs fn with one connection to the node that has key. Where another node
// has it by now, fn is run again there: nothing was written.
func (s *Store) on(ctx context.Context, key string, fn func(*redis.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		client := s.d.alone
		if s.d.cluster != nil {
			var err error
			if client, err = s.d.cluster.MasterForKey(ctx, key); err != nil {
				if errors.As(err, new(redis.Error)) {
					return refused(err)
				}
				return &Error{Kind: ErrUnavailable, Hint: "no node of the Cluster could be asked", Err: late(ctx, err)}
			}
		}
		c := client.Conn()
		err := fn(c)
		_ = c.Close() // gives the connection back
		if s.d.cluster == nil || tries == movedTries || !errors.As(err, new(movedError)) {
			return err
		}
		s.d.cluster.ReloadState(ctx)
		if !s.pause(ctx, 20*time.Millisecond<<tries) {
			return err
		}
	}
}

// How often a command is tried again.
const (
	movedTries = 4 // where the Cluster moved the key
	lostTries  = 2 // where the connection was lost and the command may be repeated
)

// pause waits for about d, and reports whether ctx and the store live on.
func (s *Store) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-s.closed:
	}
	return false
}

// repeat runs steps that may be run again on the node that has key, up to three
// times where a connection was lost.
func (s *Store) repeat(ctx context.Context, key string, steps ...step) (out replies, err error) {
	for tries := 0; ; tries++ {
		err = s.on(ctx, key, func(c *redis.Conn) error {
			out = batch(ctx, c, steps...)
			return out.first(ctx)
		})
		if err == nil || tries == lostTries || !lost(err) || !s.pause(ctx, 20*time.Millisecond) {
			return out, err
		}
	}
}

// lost reports whether err is of the network, not of the server.
func lost(err error) bool {
	var e *Error
	var reply redis.Error
	return errors.As(err, &e) && !errors.Is(e.Kind, ErrClosed) && !errors.As(err, &reply)
}

// write is [Store.repeat] of a write, with its acknowledgements. Where it finds
// its work done it writes nothing, so that something else is written for them.
func (s *Store) write(ctx context.Context, key string, steps ...step) (replies, error) {
	if s.wait > 0 {
		steps = append(steps, s.touch(key))
	}
	out, err := s.repeat(ctx, key, append(steps, s.await()...)...)
	if err == nil {
		err = s.enough(ctx, out[len(steps):])
	}
	return out, err
}

// read is [Store.repeat] of what writes nothing.
func (s *Store) read(ctx context.Context, key string, steps ...step) (replies, error) {
	out, err := s.repeat(ctx, key, steps...)
	return out, readFault(err)
}

// errAnswer says that a script answered in a way that it never does.
func errAnswer(v any) error {
	return fmt.Errorf("redisstore: a script answered %T of an unknown shape: another program uses these keys, or the server isn't Redis", v)
}
