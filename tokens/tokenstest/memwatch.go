package tokenstest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/tokens"
)

// Written is one write of a record, as [Mem.Observe] tells it.
type Written struct {
	Op       Op
	Org      tokens.OrgID
	Old, New tokens.Record
	// Landing is what became of a commit. One that wrote nothing is told too.
	Landing tokens.Landing
}

// Observe makes seen be told of each write of a record, and of each commit,
// within the very step, with the context of whoever writes. It must not use the
// store.
func (m *Mem) Observe(seen func(context.Context, Written)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = seen
}

// tell tells the observer and the watchers. The caller holds m.mu.
func (m *Mem) tell(ctx context.Context, w Written) {
	if m.seen != nil {
		m.seen(ctx, w)
	}
	if w.New.Revision == w.Old.Revision && w.Op == OpCommit {
		return
	}
	for _, l := range m.watchers {
		l.queue = append(l.queue, w.New)
		select {
		case l.more <- struct{}{}:
		default:
		}
	}
}

// watcher is one call of Watch.
type watcher struct {
	more  chan struct{}   // has room for one
	queue []tokens.Record // guarded by Mem.mu
}

// Watch implements [tokens.Watcher]. The hooks are called beside each message,
// by [OpWatch]: an error of the first one drops it.
func (m *Mem) Watch(ctx context.Context, heard func(tokens.Record)) error {
	w := &watcher{more: make(chan struct{}, 1)}
	m.mu.Lock()
	m.watchers = append(m.watchers, w)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = slices.DeleteFunc(m.watchers, func(o *watcher) bool { return o == w })
	}()
	for {
		select {
		case <-w.more:
		case <-ctx.Done():
			return ctx.Err()
		}
		m.mu.Lock()
		queue := w.queue
		w.queue = nil
		m.mu.Unlock()
		for _, r := range queue {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if m.do(ctx, OpWatch, r.Org, func() error { return nil }) == nil {
				heard(r)
			}
		}
	}
}

// Keep implements [tokens.Spool].
func (m *Mem) Keep(ctx context.Context, e tokens.Entry) error {
	return m.do(ctx, OpKeep, e.Org, func() error {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		m.put(false, map[string]string{keySpool + string(e.Attempt): string(raw)})
		return nil
	})
}

// Kept implements [tokens.Spool].
func (m *Mem) Kept(ctx context.Context) iter.Seq2[tokens.Entry, error] {
	return func(yield func(tokens.Entry, error) bool) {
		var all []string
		if err := m.do(ctx, OpKept, "", func() error {
			for _, k := range slices.Sorted(maps.Keys(m.kept)) {
				if strings.HasPrefix(k, keySpool) && m.kept[k] != "" {
					all = append(all, m.kept[k])
				}
			}
			return nil
		}); err != nil {
			yield(tokens.Entry{}, err)
			return
		}
		for _, s := range all {
			var e tokens.Entry
			err := json.Unmarshal([]byte(s), &e)
			if err != nil {
				err = fmt.Errorf("spool: %w", err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Drop implements [tokens.Spool].
func (m *Mem) Drop(ctx context.Context, org tokens.OrgID, id tokens.AttemptID) error {
	return m.do(ctx, OpDrop, org, func() error {
		if m.kept[keySpool+string(id)] != "" {
			m.put(false, map[string]string{keySpool + string(id): ""})
		}
		return nil
	})
}
