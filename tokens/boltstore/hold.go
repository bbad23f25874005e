package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport/sallyport/tokens"
)

// locks are one lock an org, within the process: no other has the file.
type locks struct {
	// mu guards orgs and the users of each lock.
	mu   sync.Mutex
	orgs map[tokens.OrgID]*orgLock
}

type orgLock struct {
	held  chan struct{} // has room for one: the holder
	users int           // holder and waiters
}

// lock waits for org's lock until ctx ends or closed is closed.
func (l *locks) lock(ctx context.Context, closed <-chan struct{}, org tokens.OrgID) (unlock func(), err error) {
	l.mu.Lock()
	if l.orgs == nil {
		l.orgs = make(map[tokens.OrgID]*orgLock)
	}
	o := l.orgs[org]
	if o == nil {
		o = &orgLock{held: make(chan struct{}, 1)}
		l.orgs[org] = o
	}
	o.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if o.users--; o.users == 0 {
			delete(l.orgs, org)
		}
	}
	select {
	case o.held <- struct{}{}:
		return func() { <-o.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("wait for the lock of org %s: %w", org, ctx.Err())
	case <-closed:
		leave()
		return nil, ErrClosed
	}
}

// hold is one hold of an org's lock.
type hold struct {
	s      *Store
	org    tokens.OrgID
	fence  uint64
	record tokens.Record
	sight  tokens.Sight
	raw    []byte // the stored record as last read or saved
	ended  atomic.Bool
}

// Hold implements [tokens.Store]. fn must not hold the same org again: it would
// wait for itself. The lock ends with fn; it is lost only by [Store.Close].
func (s *Store) Hold(ctx context.Context, org tokens.OrgID, fn func(context.Context, tokens.Hold) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	unlock, err := s.locks.lock(ctx, s.closed, org)
	if err != nil {
		return err
	}
	defer unlock()
	h := &hold{s: s, org: org}
	if err := h.take(); err != nil {
		return fmt.Errorf("hold org %s: %w", org, err)
	}
	defer h.ended.Store(true)
	return fn(ctx, h)
}

// take reads the record and takes the next fence, in one step.
func (h *hold) take() error {
	return h.s.update(func(tx *bbolt.Tx) error {
		raw := tx.Bucket(bucketRecords).Get([]byte(h.org))
		r, err := decode(h.org, raw)
		if err != nil {
			return err
		}
		h.record, h.raw, h.sight = r, bytes.Clone(raw), h.s.sight()
		last := max(lastFence(tx, h.org), r.Fence)
		h.fence = max(last+1, uint64(max(h.s.now().UnixMicro(), 0)))
		return tx.Bucket(bucketFences).Put([]byte(h.org), binary.BigEndian.AppendUint64(nil, h.fence))
	})
}

func lastFence(tx *bbolt.Tx, org tokens.OrgID) uint64 {
	b := tx.Bucket(bucketFences).Get([]byte(org))
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Record implements [tokens.Hold].
func (h *hold) Record() (tokens.Record, tokens.Sight) { return h.record, h.sight }

// Fence implements [tokens.Hold].
func (h *hold) Fence() uint64 { return h.fence }

// Lost implements [tokens.Hold]. It is closed by [Store.Close].
func (h *hold) Lost() <-chan struct{} { return h.s.closed }

// Save implements [tokens.Hold]. After the end of the hold it fails with
// [tokens.ErrFenced].
func (h *hold) Save(ctx context.Context, r tokens.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if h.ended.Load() {
		return fmt.Errorf("org %s: the hold has ended: %w", h.org, tokens.ErrFenced)
	}
	var next []byte
	err := h.s.update(func(tx *bbolt.Tx) error {
		records := tx.Bucket(bucketRecords)
		raw := records.Get([]byte(h.org))
		if !bytes.Equal(raw, h.raw) || lastFence(tx, h.org) != h.fence {
			return tokens.ErrFenced
		}
		r.Revision = max(r.Revision, h.record.Revision) + 1
		r.Fence = max(r.Fence, h.fence)
		var err error
		if next, err = encode(h.org, h.record, r); err != nil {
			return err
		}
		return records.Put([]byte(h.org), next)
	})
	if err != nil {
		return fmt.Errorf("save the record of org %s: %w", h.org, err)
	}
	// What a reader would see, not what the caller may go on to change.
	if h.record, err = decode(h.org, next); err != nil {
		return err
	}
	h.raw = next
	return nil
}
