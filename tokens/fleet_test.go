package tokens_test

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
	"github.com/sallyport/sallyport/tokens/journal"
	"github.com/sallyport/sallyport/tokens/tokenstest"
	"github.com/sallyport/sallyport/tokens/tokenstest/crashfs"
)

// fleet is several replicas on one store, each with a disk of its own.
type fleet struct {
	*bench // the replica r1, and what all share
	air    *air
	others []*tokens.Broker
}

// replicas runs f with n replicas that share a store that isn't exclusive, and
// hear each other. acme is enrolled through the first.
func replicas(t *testing.T, n int, f func(*fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		json, err := secret.NewKeyset()
		if err != nil {
			t.Fatal(err)
		}
		keys, err := secret.ParseKeyring(json)
		if err != nil {
			t.Fatal(err)
		}
		a := &air{}
		store := tokenstest.NewMem(tokenstest.MemOptions{})
		b := &bench{t: t, sf: tokenstest.NewForce(), store: store, disk: crashfs.New(1), keys: keys,
			dir: directory{acme: {Name: "acme", Kind: "refresh_token", SingleUse: true, SessionTimeout: 2 * time.Hour, ClientID: "app"}}}
		fl := &fleet{bench: b, air: a}
		b.startWith(fl.on)
		if _, err := b.Import(t.Context(), acme, secret.NewText(b.sf.Authorise(acme))); err != nil {
			t.Fatal(err)
		}
		for i := range n - 1 {
			fl.join("r"+string(rune('2'+i)), fl.on)
		}
		f(fl)
		b.stop()
	})
}

func (fl *fleet) on(o *tokens.Options) {
	o.Store, o.Watcher, o.Asker = heardStore{fl.store, fl.air}, fl.air, fl.air
}

// join starts another replica on a disk of its own; it is drained at the end.
func (fl *fleet) join(name string, change func(*tokens.Options)) *tokens.Broker {
	fl.t.Helper()
	j, err := journal.Open(journal.Options{Dir: "/state/journal", Sealer: fl.keys, FS: crashfs.New(2)})
	if err != nil {
		fl.t.Fatal(err)
	}
	o := tokens.Options{Store: fl.store, Claims: fl.store, Journal: j, Exchanger: fl.sf, Sealer: fl.keys, Fingerprint: hashes{},
		Directory: fl.dir, History: fl.store, Replica: name, Deployment: "d1", Policy: fl.policy, Logger: slog.New(slog.DiscardHandler)}
	change(&o)
	b, err := tokens.NewBroker(o)
	if err != nil {
		fl.t.Fatal(err)
	}
	if err := b.Recover(fl.t.Context()); err != nil {
		fl.t.Fatal(err)
	}
	fl.others = append(fl.others, b)
	fl.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := b.Drain(ctx); err != nil {
			fl.t.Error(err)
		}
		if err := j.Close(); err != nil {
			fl.t.Error(err)
		}
	})
	return b
}

// air carries what is written to all that listen.
type air struct {
	mu   sync.Mutex
	ears map[chan tokens.Record]bool // guarded by mu
	able []func(tokens.Want)         // guarded by mu: who hears wants
	dead bool                        // guarded by mu: nothing is carried
}

func (a *air) Watch(ctx context.Context, heard func(tokens.Record)) error {
	ear := make(chan tokens.Record, 100)
	a.mu.Lock()
	if a.ears == nil {
		a.ears = map[chan tokens.Record]bool{}
	}
	a.ears[ear] = true
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.ears, ear)
	}()
	for {
		select {
		case r := <-ear:
			heard(r)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *air) Ask(_ context.Context, w tokens.Want) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.able {
		go f(w) // ends with the broker's own goroutine begun
	}
	return nil
}

func (a *air) Asked(ctx context.Context, wanted func(tokens.Want)) error {
	a.mu.Lock()
	a.able = append(a.able, wanted)
	a.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (a *air) say(r tokens.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ear := range a.ears {
		if !a.dead {
			ear <- r
		}
	}
}

func (a *air) silence(yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dead = yes
}

// heardStore says what is written, as stores that replicas share do.
type heardStore struct {
	*tokenstest.Mem
	air *air
}

func (s heardStore) Commit(ctx context.Context, org tokens.OrgID, c tokens.Committed) (tokens.Record, tokens.Landing, error) {
	r, l, err := s.Mem.Commit(ctx, org, c)
	if err == nil {
		s.air.say(r)
	}
	return r, l, err
}

func (s heardStore) Hold(ctx context.Context, org tokens.OrgID, fn func(context.Context, tokens.Hold) error) error {
	return s.Mem.Hold(ctx, org, func(ctx context.Context, h tokens.Hold) error { return fn(ctx, heardHold{h, s.air}) })
}

type heardHold struct {
	tokens.Hold
	air *air
}

func (h heardHold) Save(ctx context.Context, r tokens.Record) error {
	err := h.Hold.Save(ctx, r)
	if err == nil {
		r, _ = h.Record()
		h.air.say(r)
	}
	return err
}

// spool is a tokens.Spool in memory.
type spool struct {
	mu sync.Mutex
	m  map[tokens.AttemptID]tokens.Entry // guarded by mu
}

func (s *spool) n() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

func (s *spool) Keep(_ context.Context, e tokens.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[tokens.AttemptID]tokens.Entry{}
	}
	s.m[e.Attempt] = e
	return nil
}

func (s *spool) Kept(context.Context) iter.Seq2[tokens.Entry, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []tokens.Entry
	for _, e := range s.m {
		all = append(all, e)
	}
	return func(yield func(tokens.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *spool) Drop(_ context.Context, _ tokens.OrgID, id tokens.AttemptID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, id)
	return nil
}
