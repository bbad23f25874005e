package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/tokens"
)

// hold is one hold of an org's lock.
type hold struct {
	s     *Store
	org   tokens.OrgID
	owner string // a random token
	taken time.Time
	fence uint64
	sight tokens.Sight
	lost  chan struct{}
	ended atomic.Bool

	// Guarded by Store.mu, since a Commit reads raw; else used by one goroutine.
	raw     string // the stored record as last read or saved
	record  tokens.Record
	doubted []string // what was saved without an answer: any of it may be there, or come to be
	top     int64    // the greatest revision of doubted
}

// Hold implements [tokens.Store]. fn must not hold the same org again: it would
// wait for itself. The lock is renewed at each third of its life, and released
// when fn returns.
func (s *Store) Hold(ctx context.Context, org tokens.OrgID, fn func(context.Context, tokens.Hold) error) error {
	h := &hold{s: s, org: org, owner: rand.Text(), lost: make(chan struct{})}
	if err := s.acquire(ctx, h); err != nil {
		return fmt.Errorf("hold org %s: %w", org, err)
	}
	stop := make(chan struct{})
	kept := make(chan struct{})
	go func() { // ends with stop, which is closed below
		defer close(kept)
		s.keep(h, stop)
	}()
	s.mu.Lock()
	s.holds[org] = h
	s.mu.Unlock()
	defer func() {
		h.ended.Store(true)
		s.mu.Lock()
		if s.holds[org] == h {
			delete(s.holds, org)
		}
		s.mu.Unlock()
		close(stop)
		<-kept
		select {
		case <-h.lost:
			return
		default:
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
		defer cancel()
		if err := s.release(end, h); err != nil {
			s.log.DebugContext(ctx, "a lock wasn't released: it ends by itself", "org", org, "error", err)
		}
	}()
	var err error
	if h.record, err = decode(org, h.raw); err != nil {
		return fmt.Errorf("hold org %s: %w", org, err)
	}
	age, err := s.age(ctx, h.sight.Identity, h.sight.Stamped == 0)
	if err != nil {
		return fmt.Errorf("hold org %s: %w", org, err)
	}
	h.sight.Stamped = max(h.sight.Stamped, age)
	return fn(ctx, h)
}

// held is what the hold of org in this process knows, if there is one.
func (s *Store) held(org tokens.OrgID) (view, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holds[org]
	if h == nil {
		return view{}, false
	}
	return view{h.raw, h.sight}, true
}

// Record implements [tokens.Hold].
func (h *hold) Record() (tokens.Record, tokens.Sight) { return h.record, h.sight }

// Fence implements [tokens.Hold].
func (h *hold) Fence() uint64 { return h.fence }

// Lost implements [tokens.Hold]. It is closed when a renewal finds the lock gone,
// when renewals failed for as long as it lives, and by [Store.Close].
func (h *hold) Lost() <-chan struct{} { return h.lost }

// Save implements [tokens.Hold]. Where no answer came, the record is read back:
// nil when it is there, [tokens.ErrFenced] when another is, else
// [tokens.ErrUnknown], since what is under way may yet arrive; a further Save of
// this hold goes over it all the same.
func (h *hold) Save(ctx context.Context, r tokens.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if h.ended.Load() {
		return fmt.Errorf("org %s: the hold has ended: %w", h.org, tokens.ErrFenced)
	}
	r.Revision = max(r.Revision, h.record.Revision, h.top) + 1
	r.Fence = max(r.Fence, h.fence)
	next, err := encode(h.org, h.record, r)
	if err != nil {
		return err
	}
	if err := h.save(ctx, next, r.Revision); err != nil {
		return fmt.Errorf("save the record of org %s: %w", h.org, err)
	}
	return nil
}

func (h *hold) save(ctx context.Context, next string, revision int64) error {
	s := h.s
	if err := s.index(ctx, h.org, h.raw == ""); err != nil {
		return err
	}
	told, err := s.tell(ctx, h.org, h.sight.Identity, next)
	if err != nil {
		return err
	}
	w := swap{org: h.org, identity: h.sight.Identity, fence: strconv.FormatUint(h.fence, 10), next: next,
		over: append([]string{h.raw}, h.doubted...), told: told}
	done, found, err := s.swap(ctx, w)
	switch {
	case err == nil && !done && found.raw == next:
		return h.readBack(ctx, w, revision, &Error{Kind: tokens.ErrUnknown, Err: errors.New("it was there already")})
	case errors.Is(err, tokens.ErrShort), err == nil && done:
		return errors.Join(h.saved(next), err)
	case err == nil:
		return tokens.ErrFenced
	case !errors.Is(err, tokens.ErrUnknown):
		return err
	}
	return h.readBack(ctx, w, revision, err)
}

// saved takes what a reader would see, not what the caller may go on to change.
func (h *hold) saved(next string) error {
	r, err := decode(h.org, next)
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	h.raw, h.record, h.doubted, h.top = next, r, nil, 0
	return err
}

// readBackWait bounds the look at what became of a write without an answer. It
// is made even where the caller's context has ended.
const readBackWait = 2 * time.Second

// readBack decides what became of a save whose answer never came.
func (h *hold) readBack(ctx context.Context, w swap, revision int64, cause error) error {
	s := h.s
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBackWait)
	defer cancel()
	var found view
	var short error
	err := s.on(look, s.k.record(h.org), func(c *redis.Conn) (err error) {
		if found, err = s.look(look, c, h.org); err == nil && found.raw == w.next && found.sight.Identity == w.identity {
			short = s.confirm(look, c, h.org, w.told)
		}
		return err
	})
	switch {
	case err == nil && found.raw == w.next && found.sight.Identity == w.identity:
		return errors.Join(h.saved(w.next), short)
	case err == nil && found.raw != w.next && !slices.Contains(w.over, found.raw):
		return fmt.Errorf("%w (%w)", tokens.ErrFenced, notUnknown(cause))
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	h.doubted, h.top = append(h.doubted, w.next), revision
	return cause
}

// notUnknown is the cause of err without its kind.
func notUnknown(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// head is how a record begins, up to its fence: no other write of a place begins
// so.
func head(raw string) string {
	h, _, _ := strings.Cut(raw, `,"state":`)
	return h
}
