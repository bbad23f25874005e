package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

// Commit implements [tokens.Store]. What becomes of the record is decided here,
// by the pure function, and written over the very bytes that it was decided on;
// where they changed meanwhile it is decided anew. It claims the token's
// fingerprint for org, unless another org has it: an answer isn't refused for
// that. With [tokens.ErrShort] it has landed, and the record is returned.
func (s *Store) Commit(ctx context.Context, org tokens.OrgID, c tokens.Committed) (tokens.Record, tokens.Landing, error) {
	if err := ctx.Err(); err != nil {
		return tokens.Record{}, tokens.LandedNowhere, err
	}
	k := &commit{s: s, org: org, c: c}
	// Under a hold of ours its bytes are known: the write can go first.
	k.seen, k.guess = s.held(org)
	r, landing, err := k.run(ctx)
	if err != nil {
		err = fmt.Errorf("commit the answer of org %s: %w", org, err)
		if !errors.Is(err, tokens.ErrShort) {
			return tokens.Record{}, tokens.LandedNowhere, err
		}
	}
	return r, landing, err
}

// commit is one under way.
type commit struct {
	s   *Store
	org tokens.OrgID
	c   tokens.Committed

	seen  view
	known bool // seen was read by us
	guess bool // seen is what a hold has read

	// Of the writes whose answer never came, any may have landed.
	doubted map[string]tokens.Landing
	lost    int
}

func (k *commit) run(ctx context.Context) (tokens.Record, tokens.Landing, error) {
	for {
		r, landing, done, err := k.step(ctx)
		switch {
		case err == nil && done, errors.Is(err, tokens.ErrShort):
			return r, landing, err
		case err == nil:
			if err := ctx.Err(); err != nil {
				return r, landing, k.ends(err)
			}
			continue // another wrote meanwhile
		case !lost(err):
			return r, landing, k.ends(err)
		}
		k.guess, k.known = false, false
		if k.lost++; k.lost > lostTries || !k.s.pause(ctx, 20*time.Millisecond) {
			return r, landing, k.ends(err)
		}
	}
}

// ends is err, as it is for the caller where an earlier write is in doubt.
func (k *commit) ends(err error) error {
	if len(k.doubted) > 0 && !errors.Is(err, tokens.ErrUnknown) {
		return fmt.Errorf("%w: %w", tokens.ErrUnknown, err)
	}
	return err
}

// step looks, where it must, and writes once. done is false where another's
// write came between.
func (k *commit) step(ctx context.Context) (r tokens.Record, landing tokens.Landing, done bool, err error) {
	if !k.guess && !k.known {
		if err := k.s.on(ctx, k.s.k.record(k.org), func(c *redis.Conn) (err error) {
			k.seen, err = k.s.look(ctx, c, k.org)
			return err
		}); err != nil {
			return r, landing, false, err
		}
		k.known = true
	}
	if landed, ok := k.doubted[k.seen.raw]; ok {
		r, err = decode(k.org, k.seen.raw)
		return r, landed, err == nil, errors.Join(err, k.again(ctx))
	}
	old, err := decode(k.org, k.seen.raw)
	if err != nil {
		return r, landing, false, err
	}
	r, landing = k.c.Over(old, k.seen.sight)
	if landing == tokens.LandedNowhere || landing == tokens.LandedAlready {
		if k.guess { // a hold's bytes may be old: look
			k.guess = false
			return r, landing, false, nil
		}
		if landing == tokens.LandedAlready {
			err = k.again(ctx)
		}
		return r, landing, err == nil, err
	}
	next, err := encode(k.org, old, r)
	if err != nil {
		return r, landing, false, err
	}
	if done, err = k.write(ctx, next, landing); done && err == nil || errors.Is(err, tokens.ErrShort) {
		var derr error
		r, derr = decode(k.org, next)
		err = errors.Join(err, derr)
	}
	return r, landing, done, err
}

// write swaps the record, and claims the token beside it.
func (k *commit) write(ctx context.Context, next string, landing tokens.Landing) (done bool, err error) {
	s := k.s
	if err := s.index(ctx, k.org, k.seen.raw == ""); err != nil {
		return false, err
	}
	told, err := s.tell(ctx, k.org, k.seen.sight.Identity, next)
	if err != nil {
		return false, err
	}
	w := swap{org: k.org, identity: k.seen.sight.Identity, next: next, over: []string{k.seen.raw}, told: told}
	claim, apart := k.claim()
	if !apart {
		w.with = claim
	}
	done, found, err := s.swap(ctx, w)
	if apart && (err == nil && done || errors.Is(err, tokens.ErrShort)) {
		// In a Cluster the claims have a node of their own, which must not
		// hinder the answer.
		if cerr := k.claimApart(ctx, claim); cerr != nil {
			err = errors.Join(err, cerr)
		}
	}
	switch {
	case err == nil && !done:
		k.seen, k.known, k.guess = found, true, false
	case errors.Is(err, tokens.ErrUnknown) && !errors.Is(err, tokens.ErrShort):
		if k.doubted == nil {
			k.doubted = map[string]tokens.Landing{}
		}
		k.doubted[next] = landing
	}
	return done, err
}

// claim is the step that claims the token, if there is one, and whether it needs
// another node.
func (k *commit) claim() (steps []step, apart bool) {
	if f := k.c.Record.Fingerprint; f != "" {
		steps = []step{command("HSETNX", k.s.k.claims(), f, string(k.org))}
	}
	return steps, k.s.d.cluster != nil && steps != nil
}

func (k *commit) claimApart(ctx context.Context, claim []step) error {
	_, err := k.s.write(ctx, k.s.k.claims(), claim...)
	if err == nil || errors.Is(err, tokens.ErrUnknown) {
		return err
	}
	return fmt.Errorf("%w: the record was written, the token not claimed: %w", tokens.ErrUnknown, err)
}

// again makes sure of a commit that has landed before: of its claim, and of the
// acknowledgements.
func (k *commit) again(ctx context.Context) error {
	s := k.s
	told, err := s.tell(ctx, k.org, k.seen.sight.Identity, k.seen.raw)
	if err != nil {
		return err
	}
	if claim, _ := k.claim(); claim != nil {
		if err := k.claimApart(ctx, claim); err != nil {
			return err
		}
	}
	if s.wait == 0 && k.doubted == nil {
		return nil
	}
	return s.on(ctx, s.k.record(k.org), func(c *redis.Conn) error { return s.confirm(ctx, c, k.org, told) })
}
