package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

// pollMost is the longest that a waiter doesn't look at the lock by itself.
const pollMost = 250 * time.Millisecond

// releaseWait is the longest that a release takes: the lock ends by itself.
const releaseWait = time.Second

// waiters are those of this process that wait for a lock.
type waiters struct {
	mu   sync.Mutex // guards orgs
	orgs map[tokens.OrgID][]chan struct{}
}

// join adds one who is woken by a release, one release one waiter.
func (w *waiters) join(org tokens.OrgID) (woken chan struct{}, leave func()) {
	woken = make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.orgs == nil {
		w.orgs = map[tokens.OrgID][]chan struct{}{}
	}
	w.orgs[org] = append(w.orgs[org], woken)
	return woken, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.orgs[org] = slices.DeleteFunc(w.orgs[org], func(c chan struct{}) bool { return c == woken }); len(w.orgs[org]) == 0 {
			delete(w.orgs, org)
		}
	}
}

// wake wakes the one of org who has waited longest and wasn't woken yet.
func (w *waiters) wake(org tokens.OrgID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.orgs[org] {
		select {
		case c <- struct{}{}:
			return
		default:
		}
	}
}

// hearReleases wakes waiters until ctx ends.
func (s *Store) hearReleases(ctx context.Context) {
	err := s.listen(ctx, s.k.chanReleased(), nil, func(org string) { s.waiters.wake(tokens.OrgID(org)) })
	_ = err // ctx's: it ends with the store
}

// acquire takes the lock, the fence and the record, and waits for whoever has
// the lock: for the news of its release, and behind that with a slow poll.
func (s *Store) acquire(ctx context.Context, h *hold) error {
	woken, leave := s.waiters.join(h.org)
	defer leave()
	for lostConns := 0; ; {
		left, err := s.take(ctx, h)
		switch {
		case err == nil && left < 0:
			return nil
		case err != nil:
			if lostConns++; lostConns <= lostTries && lost(err) && s.pause(ctx, 20*time.Millisecond) {
				continue // by the same owner: it may be repeated
			}
			s.forget(h)
			select {
			case <-s.closed:
				return ErrClosed
			default:
			}
			return readFault(err) // a lock ends by itself: nothing of worth was written
		}
		poll := min(left+time.Millisecond, pollMost/2+rand.N(pollMost/2))
		t := time.NewTimer(poll)
		select {
		case <-woken:
		case <-t.C:
		case <-ctx.Done():
			err = fmt.Errorf("wait for the lock of org %s: %w", h.org, ctx.Err())
		case <-s.closed:
			err = ErrClosed
		}
		t.Stop()
		if err != nil {
			return err
		}
	}
}

// take tries once. left is how long another's lock lives, below zero where the
// lock is ours.
func (s *Store) take(ctx context.Context, h *hold) (left time.Duration, err error) {
	began := time.Now()
	var out replies
	err = s.on(ctx, s.k.lock(h.org), func(c *redis.Conn) error {
		out = batch(ctx, c, eval(&scriptHold, []string{s.k.lock(h.org), s.k.fence(h.org), s.k.record(h.org), s.k.stamp(h.org)},
			h.owner, s.ttl.Milliseconds()))
		return out.first(ctx)
	})
	if err != nil {
		return 0, err
	}
	v, err := out[0].Slice()
	if err != nil || len(v) < 2 {
		return 0, errAnswer(v)
	}
	if got, _ := v[0].(int64); got == 0 {
		ms, _ := v[1].(int64)
		return max(time.Duration(ms)*time.Millisecond, 0), nil
	}
	if len(v) != 5 {
		return 0, errAnswer(v)
	}
	fence, ok := number(v[2])
	seen, err := viewOf([]any{v[1], v[3], v[4]})
	if err != nil || !ok {
		return 0, errors.Join(err, errAnswer(v))
	}
	h.fence, h.sight, h.raw, h.taken = uint64(fence), seen.sight, seen.raw, began
	return -1, nil
}

// release frees the lock where it is still h's, and tells who waits.
func (s *Store) release(ctx context.Context, h *hold) error {
	return s.on(ctx, s.k.lock(h.org), func(c *redis.Conn) error {
		return batch(ctx, c,
			eval(&scriptRelease, []string{s.k.lock(h.org)}, h.owner),
			command("PUBLISH", s.k.chanReleased(), string(h.org)),
		).first(ctx)
	})
}

// forget releases a lock that may have been taken, without making anyone wait.
func (s *Store) forget(h *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return
	default:
	}
	s.work.Go(func() { // ends with releaseWait
		ctx, cancel := context.WithTimeout(context.Background(), releaseWait)
		defer cancel()
		if err := s.release(ctx, h); err != nil {
			s.log.DebugContext(ctx, "a lock that may have been taken wasn't released: it ends by itself", "org", h.org, "error", err)
		}
	})
}

// keep renews the lock until stop is closed, and closes h.lost when it is no
// longer h's, or can't be known to be.
func (s *Store) keep(h *hold, stop <-chan struct{}) {
	renewed, next := h.taken, s.ttl/3
	for {
		t := time.NewTimer(min(next, max(s.ttl-elapsed(renewed), 0)))
		select {
		case <-stop:
			t.Stop()
			return
		case <-s.closed:
			t.Stop()
			close(h.lost)
			return
		case <-t.C:
		}
		left := s.ttl - elapsed(renewed)
		if left <= 0 {
			close(h.lost)
			return
		}
		began := time.Now()
		switch ours, err := s.renew(h, min(left, max(s.ttl/3, 50*time.Millisecond))); {
		case err != nil:
			next = min(s.ttl/10, time.Second)
		case !ours:
			close(h.lost)
			return
		default:
			renewed, next = began, s.ttl/3
		}
	}
}

func (s *Store) renew(h *hold, limit time.Duration) (ours bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err = s.on(ctx, s.k.lock(h.org), func(c *redis.Conn) error {
		out := batch(ctx, c, eval(&scriptRenew, []string{s.k.lock(h.org)}, h.owner, s.ttl.Milliseconds()))
		n, nerr := out[0].Int()
		if err := out.first(ctx); err != nil {
			return err
		}
		ours = n == 1
		return nerr
	})
	return ours, err
}

// elapsed is the time since t by the larger of wall and monotonic clock: the
// monotonic one stands still while a machine is suspended.
func elapsed(t time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}
