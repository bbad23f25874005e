package tokenstest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// Op is what a [Hook] is asked about.
type Op string

// The operations of a [Mem].
const (
	OpLoad     Op = "load"
	OpAll      Op = "all"
	OpHold     Op = "hold" // once the lock is there: fence and record
	OpSave     Op = "save"
	OpCommit   Op = "commit"
	OpClaim    Op = "claim"
	OpClaimant Op = "claimant"
	OpAppend   Op = "append"
	OpWatch    Op = "watch" // a message, for one who watches
	OpKeep     Op = "keep"
	OpKept     Op = "kept"
	OpDrop     Op = "drop"
)

// Hook is called beside an operation, without a lock, so that it may wait or
// use the store. Its error becomes the operation's.
type Hook func(ctx context.Context, op Op, org tokens.OrgID) error

// SetHooks sets what is called before each operation, whose error means that
// nothing was done, and after each that succeeded, whose error hides that
// everything was: return [tokens.ErrUnknown] from either. Both may be nil.
func (m *Mem) SetHooks(before, after Hook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before, m.after = before, after
}

// do runs one operation, in one step, between the hooks.
func (m *Mem) do(ctx context.Context, op Op, org tokens.OrgID, fn func() error) error {
	m.mu.Lock()
	before, after := m.before, m.after
	m.mu.Unlock()
	if before != nil {
		if err := before(ctx, op, org); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	err := fn()
	m.mu.Unlock()
	if err != nil || after == nil {
		return err
	}
	return after(ctx, op, org)
}

// Restart gives the store another identity and loses all locks.
func (m *Mem) Restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.restart()
}

func (m *Mem) restart() {
	m.starts++
	m.stamped = time.Time{}
	for _, l := range m.locks {
		if l.holder != nil {
			l.holder.lose()
		}
	}
}

// Regress takes the last n writes of records and claims back, with the fences
// that were taken since, and restarts, as a failover to a replica that lacks
// them does. It reports how many there were.
func (m *Mem) Regress(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	done := 0
	for done < n && len(m.undo) > 0 {
		last := m.undo[len(m.undo)-1]
		m.undo = m.undo[:len(m.undo)-1]
		maps.Copy(m.kept, last.was)
		if !last.hold {
			done++
		}
	}
	m.restart()
	return done
}

// Snapshot is what a [Mem] held at one moment, but for its locks.
type Snapshot struct {
	kept map[string]string
	undo []undo
}

// Snapshot takes one.
func (m *Mem) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Snapshot{maps.Clone(m.kept), slices.Clone(m.undo)}
}

// Restore puts a snapshot in place of what is there, the zero one to empty the
// store, and restarts. The history of exchanges stays, for whoever checks it.
func (m *Mem) Restore(s Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept, m.undo = maps.Clone(s.kept), slices.Clone(s.undo)
	if m.kept == nil {
		m.kept = map[string]string{}
	}
	m.restart()
}

// Plant writes a record as it is, past every check.
func (m *Mem) Plant(r tokens.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, err := encodeJSON(r)
	if err != nil {
		return err
	}
	m.put(false, map[string]string{keyRecord + string(r.Org): raw})
	return nil
}
