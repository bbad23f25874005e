// Package tokenstest holds what every implementation of a port of tokens is
// tested with: [TestStore], the contract of a store as a test, and [Mem], a
// store in memory that can be restarted, taken back and made to fail, for
// simulations.
package tokenstest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

// MemOptions of a [Mem].
type MemOptions struct {
	// Now is the store's clock; nil: [time.Now].
	Now func() time.Time
	// Exclusive is what [tokens.Sight] says.
	Exclusive bool
}

// Mem is a store in memory for any number of replicas in one process. It is
// safe for concurrent use, and deterministic: it starts no goroutine and reads
// no clock but its own.
type Mem struct {
	now       func() time.Time
	exclusive bool

	// mu guards all below.
	mu       sync.Mutex
	kept     map[string]string // records, claims and fences, by prefix and name
	undo     []undo
	history  []tokens.Exchange
	locks    map[tokens.OrgID]*memLock
	starts   int
	born     int       // the start under which the store was new
	stamped  time.Time // zero: nobody has held anything under this identity
	before   Hook
	after    Hook
	seen     func(context.Context, Written)
	watchers []*watcher
}

var (
	_ tokens.Store   = (*Mem)(nil)
	_ tokens.Claims  = (*Mem)(nil)
	_ tokens.History = (*Mem)(nil)
	_ tokens.Watcher = (*Mem)(nil)
	_ tokens.Spool   = (*Mem)(nil)
)

// The prefixes of Mem.kept.
const (
	keyRecord = "record/"
	keyClaim  = "claim/"
	keyFence  = "fence/"
	keySpool  = "spool/"
)

// undo takes one write back: what was there, an empty string for nothing.
type undo struct {
	was  map[string]string
	hold bool // only a fence was taken
}

// NewMem returns an empty store.
func NewMem(o MemOptions) *Mem {
	m := &Mem{now: o.Now, exclusive: o.Exclusive, kept: map[string]string{}, locks: map[tokens.OrgID]*memLock{}, starts: 1, born: 1}
	if m.now == nil {
		m.now = time.Now
	}
	return m
}

// put writes in one step. The caller holds m.mu.
func (m *Mem) put(hold bool, values map[string]string) {
	was := make(map[string]string, len(values))
	for k, v := range values {
		was[k] = m.kept[k]
		m.kept[k] = v
	}
	m.undo = append(m.undo, undo{was, hold})
}

func (m *Mem) identity() tokens.StoreIdentity {
	return tokens.StoreIdentity(fmt.Sprint("mem-", m.starts))
}

func (m *Mem) sight() tokens.Sight {
	s := tokens.Sight{Identity: m.identity(), Exclusive: m.exclusive}
	if m.starts == m.born { // nothing was in it before
		s.Stamped = math.MaxInt64
	} else if !m.stamped.IsZero() {
		s.Stamped = m.now().Sub(m.stamped)
	}
	return s
}

// decodeRecord reads a record, the zero record where there is none.
func decodeRecord(org tokens.OrgID, s string) (r tokens.Record, err error) {
	if s == "" {
		return r, nil
	}
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		return r, fmt.Errorf("org %s: %w", org, err)
	}
	return r, nil
}

// encodeRecord refuses what must not be written over old.
func encodeRecord(org tokens.OrgID, old, r tokens.Record) (string, error) {
	if max(old.Schema, r.Schema) > tokens.Schema {
		return "", fmt.Errorf("org %s: %w", org, tokens.ErrSchema)
	}
	if r.Org != org || !r.Known() {
		return "", fmt.Errorf("org %s: the record is of org %q and schema %d", org, r.Org, r.Schema)
	}
	return encodeJSON(r)
}

func encodeJSON(r tokens.Record) (string, error) {
	b, err := json.Marshal(r)
	return string(b), err
}

// Load implements [tokens.Store].
func (m *Mem) Load(ctx context.Context, org tokens.OrgID) (r tokens.Record, err error) {
	err = m.do(ctx, OpLoad, org, func() error {
		r, err = decodeRecord(org, m.kept[keyRecord+string(org)])
		if err == nil && !r.Known() {
			err = fmt.Errorf("org %s: %w", org, tokens.ErrUnknownOrg)
		}
		return err
	})
	return r, err
}

// All implements [tokens.Store], in the order of the orgs.
func (m *Mem) All(ctx context.Context) iter.Seq2[tokens.Record, error] {
	return func(yield func(tokens.Record, error) bool) {
		var all []string
		if err := m.do(ctx, OpAll, "", func() error {
			for _, k := range slices.Sorted(maps.Keys(m.kept)) {
				if strings.HasPrefix(k, keyRecord) && m.kept[k] != "" {
					all = append(all, m.kept[k])
				}
			}
			return nil
		}); err != nil {
			yield(tokens.Record{}, err)
			return
		}
		for _, s := range all {
			if !yield(decodeRecord("", s)) {
				return
			}
		}
	}
}

// Commit implements [tokens.Store].
func (m *Mem) Commit(ctx context.Context, org tokens.OrgID, c tokens.Committed) (r tokens.Record, l tokens.Landing, err error) {
	err = m.do(ctx, OpCommit, org, func() error {
		old, err := decodeRecord(org, m.kept[keyRecord+string(org)])
		if err != nil {
			return err
		}
		values := map[string]string{}
		switch r, l = c.Over(old, m.sight()); l {
		case tokens.LandedNowhere:
			m.tell(ctx, Written{OpCommit, org, old, old, l})
			return nil
		case tokens.LandedAlready:
		default:
			if values[keyRecord+string(org)], err = encodeRecord(org, old, r); err != nil {
				return err
			}
		}
		if name := keyClaim + c.Record.Fingerprint; name != keyClaim && m.kept[name] == "" {
			values[name] = string(org)
		}
		if len(values) > 0 {
			m.put(false, values)
		}
		m.tell(ctx, Written{OpCommit, org, old, r, l})
		return nil
	})
	if err != nil {
		return tokens.Record{}, tokens.LandedNowhere, err
	}
	return r, l, nil
}

// Claim implements [tokens.Claims].
func (m *Mem) Claim(ctx context.Context, org tokens.OrgID, names []string) error {
	return m.do(ctx, OpClaim, org, func() error {
		values := map[string]string{}
		for _, name := range names {
			switch who := m.kept[keyClaim+name]; {
			case name == "" || who == string(org):
			case who != "":
				return fmt.Errorf("org %s, held by %s: %w", org, who, tokens.ErrClaimed)
			default:
				values[keyClaim+name] = string(org)
			}
		}
		if len(values) > 0 {
			m.put(false, values)
		}
		return nil
	})
}

// Claimant implements [tokens.Claims].
func (m *Mem) Claimant(ctx context.Context, name string) (who tokens.OrgID, err error) {
	err = m.do(ctx, OpClaimant, "", func() error {
		who = tokens.OrgID(m.kept[keyClaim+name])
		return nil
	})
	return who, err
}

// Append implements [tokens.History]. It keeps everything.
func (m *Mem) Append(ctx context.Context, e tokens.Exchange) error {
	return m.do(ctx, OpAppend, e.Org, func() error {
		m.history = append(m.history, e)
		return nil
	})
}

// Exchanges returns the history, in the order in which it came.
func (m *Mem) Exchanges() []tokens.Exchange {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.history)
}
