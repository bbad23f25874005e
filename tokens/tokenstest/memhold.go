package tokenstest

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/tokens"
)

// memLock is an org's lock. Its users are the holder and the waiters.
type memLock struct {
	held   chan struct{} // has room for one: the holder
	holder *memHold
	users  int
}

// memHold is one hold.
type memHold struct {
	m        *Mem
	org      tokens.OrgID
	lock     *memLock
	identity tokens.StoreIdentity
	fence    uint64
	raw      string
	record   tokens.Record
	sight    tokens.Sight
	lost     chan struct{}
	gone     bool // lost or ended; guarded by Mem.mu
	ended    bool // guarded by Mem.mu
}

// Hold implements [tokens.Store].
func (m *Mem) Hold(ctx context.Context, org tokens.OrgID, fn func(context.Context, tokens.Hold) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	l := m.locks[org]
	if l == nil {
		l = &memLock{held: make(chan struct{}, 1)}
		m.locks[org] = l
	}
	l.users++
	m.mu.Unlock()
	defer m.leave(org, l)
	select {
	case l.held <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the lock of org %s: %w", org, ctx.Err())
	}
	h := &memHold{m: m, org: org, lock: l, lost: make(chan struct{})}
	m.mu.Lock()
	l.holder = h
	m.mu.Unlock()
	defer h.end()
	if err := m.do(ctx, OpHold, org, h.take); err != nil {
		return err
	}
	return fn(ctx, h)
}

func (m *Mem) leave(org tokens.OrgID, l *memLock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(m.locks, org)
	}
}

// take reads the record and takes the next fence.
func (h *memHold) take() error {
	m := h.m
	if m.stamped.IsZero() {
		m.stamped = m.now()
	}
	h.raw, h.identity, h.sight = m.kept[keyRecord+string(h.org)], m.identity(), m.sight()
	var err error
	if h.record, err = decodeRecord(h.org, h.raw); err != nil {
		return err
	}
	last := max(m.fence(h.org), h.record.Fence)
	h.fence = max(last+1, uint64(max(m.now().UnixMicro(), 0)))
	m.put(true, map[string]string{keyFence + string(h.org): strconv.FormatUint(h.fence, 10)})
	return nil
}

// fence is the last one that was handed out. The caller holds m.mu.
func (m *Mem) fence(org tokens.OrgID) uint64 {
	n, err := strconv.ParseUint(m.kept[keyFence+string(org)], 10, 64)
	if err != nil {
		return 0 // none yet
	}
	return n
}

// end ends the hold, and lets the next one in unless it was lost before.
func (h *memHold) end() {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.ended = true
	h.release()
}

// release frees the lock once. The caller holds m.mu.
func (h *memHold) release() {
	if h.gone {
		return
	}
	h.gone = true
	h.lock.holder = nil
	<-h.lock.held
}

// Record implements [tokens.Hold].
func (h *memHold) Record() (tokens.Record, tokens.Sight) { return h.record, h.sight }

// Fence implements [tokens.Hold].
func (h *memHold) Fence() uint64 { return h.fence }

// Lost implements [tokens.Hold].
func (h *memHold) Lost() <-chan struct{} { return h.lost }

// Save implements [tokens.Hold].
func (h *memHold) Save(ctx context.Context, r tokens.Record) error {
	return h.m.do(ctx, OpSave, h.org, func() error {
		m, key := h.m, keyRecord+string(h.org)
		if h.ended || m.identity() != h.identity || m.kept[key] != h.raw || m.fence(h.org) > h.fence {
			return fmt.Errorf("org %s: %w", h.org, tokens.ErrFenced)
		}
		r.Revision = max(r.Revision, h.record.Revision) + 1
		r.Fence = max(r.Fence, h.fence)
		raw, err := encodeRecord(h.org, h.record, r)
		if err != nil {
			return err
		}
		old := h.record
		if h.record, err = decodeRecord(h.org, raw); err != nil {
			return err
		}
		h.raw = raw
		m.put(false, map[string]string{key: raw})
		m.tell(ctx, Written{Op: OpSave, Org: h.org, Old: old, New: h.record})
		return nil
	})
}

// Expire takes the lock of org from its holder, who learns it by
// [tokens.Hold.Lost], and reports whether there was one.
func (m *Mem) Expire(org tokens.OrgID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.locks[org]
	if l == nil || l.holder == nil {
		return false
	}
	l.holder.lose()
	return true
}

// lose ends the lock and not the hold. The caller holds m.mu.
func (h *memHold) lose() {
	close(h.lost)
	h.release()
}
