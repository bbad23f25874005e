package redisstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

// ackWait is the longest that replicas are waited for.
const ackWait = time.Second

// await asks the connection of a write for its acknowledgements: one step, none
// where the deployment asks for none. It goes into the write's own batch.
func (s *Store) await() []step {
	if s.wait == 0 {
		return nil
	}
	limit := min(ackWait, s.d.read/2) // an answer that is late would be a lost one
	return []step{command("WAIT", s.wait, limit.Milliseconds())}
}

// touch is a write to the slot of key.
func (s *Store) touch(key string) step {
	slot, _, _ := strings.Cut(key, "}")
	return command("SET", slot+"}:ack", "1", "PX", time.Minute.Milliseconds())
}

// enough says whether as many replicas as asked for have acknowledged. r is
// what came of [Store.await].
func (s *Store) enough(ctx context.Context, r replies) error {
	if s.wait == 0 {
		return nil
	}
	if err := r.err(ctx, 0); err != nil {
		return fmt.Errorf("%w: %w", tokens.ErrShort, err)
	}
	if n, err := r[0].Int(); err != nil || n < s.wait {
		return fmt.Errorf("%w: %d of %d", tokens.ErrShort, n, s.wait)
	}
	return nil
}

// confirm tells what is stored of org once more, and asks for acknowledgements
// of a write that another connection made: WAIT speaks of its own connection's
// writes, so that one comes first.
func (s *Store) confirm(ctx context.Context, c *redis.Conn, org tokens.OrgID, told step) error {
	steps := []step{told}
	if s.wait > 0 {
		steps = append(steps, s.touch(s.k.record(org)))
	}
	n := len(steps)
	out := batch(ctx, c, append(steps, s.await()...)...)
	if s.wait > 0 {
		if err := out.err(ctx, 1); err != nil {
			return fmt.Errorf("%w: %w", tokens.ErrShort, err)
		}
	}
	return s.enough(ctx, out[n:])
}
