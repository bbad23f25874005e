package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

// swap is one write of a record over what its writer knows.
type swap struct {
	org      tokens.OrgID
	identity tokens.StoreIdentity
	fence    string // of the hold, empty where any will do
	next     string
	over     []string // what may be there, an empty string for no record
	told     step
	with     []step // run beside it, whatever comes of it
}

// swap writes, tells everyone, and waits for acknowledgements, in one round trip
// on one connection. done is false where something else is there: found. An
// error that is no [tokens.ErrUnknown] means that nothing was written;
// [tokens.ErrShort], that it was.
func (s *Store) swap(ctx context.Context, w swap) (done bool, found view, err error) {
	args := []any{string(w.identity), w.fence, w.next}
	for _, raw := range w.over {
		args = append(args, raw)
	}
	steps := append([]step{eval(&scriptSwap, []string{s.k.record(w.org), s.k.fence(w.org), s.k.stamp(w.org)}, args...)}, w.with...)
	steps = append(steps, w.told)
	told := len(steps) - 1
	steps = append(steps, s.await()...)
	var out replies
	if err := s.on(ctx, s.k.record(w.org), func(c *redis.Conn) error {
		out = batch(ctx, c, steps...)
		return out.err(ctx, 0)
	}); err != nil {
		return false, view{}, err
	}
	v, err := out[0].Slice()
	if err != nil || len(v) == 0 {
		return false, view{}, errAnswer(v)
	}
	if code, _ := v[0].(int64); code == 0 {
		found, err := viewOf(v[1:])
		return false, found, err
	}
	for i := range w.with {
		if err := out.err(ctx, 1+i); err != nil {
			return true, view{}, &Error{Kind: tokens.ErrUnknown, Err: err}
		}
	}
	if err := out.err(ctx, told); err != nil {
		s.log.WarnContext(ctx, "a record was written and not told to the other replicas: they see it when they look", "org", w.org, "error", err)
	}
	return true, view{}, s.enough(ctx, out[told+1:])
}

// look reads what the store holds of org.
func (s *Store) look(ctx context.Context, c *redis.Conn, org tokens.OrgID) (view, error) {
	out := batch(ctx, c, eval(&scriptLook, []string{s.k.record(org), s.k.stamp(org)}))
	if err := out.first(ctx); err != nil {
		return view{}, readFault(err)
	}
	return parseView(out[0])
}
