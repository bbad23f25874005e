package tokenstest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokens"
)

func testExcludes(t *testing.T, f fixture) {
	in, second := make(chan struct{}), make(chan error, 1)
	f.hold("acme", func(_ context.Context, h tokens.Hold) {
		go func() { // ends with the hold that it waits for, within waitMax
			ctx, cancel := context.WithTimeout(t.Context(), waitMax)
			defer cancel()
			second <- f.Hold(ctx, "acme", func(context.Context, tokens.Hold) error { close(in); return nil })
		}()
		f.hold("umbrella", func(context.Context, tokens.Hold) {}) // another org is free
		select {
		case <-in:
			t.Error("two hold one org")
		case <-h.Lost():
			t.Error("the lock was lost at once")
		case <-time.After(50 * time.Millisecond):
		}
	})
	if err := <-second; err != nil {
		t.Errorf("the one who waited: %v", err)
	}
	<-in
}

func testManyHolders(t *testing.T, f fixture) {
	const holders, each = 8, 5
	f.save(sample("acme", place(1)), func(r *tokens.Record) { r.HourCount = 0 })
	var wg sync.WaitGroup
	for range holders {
		wg.Go(func() {
			for range each {
				ctx, cancel := context.WithTimeout(t.Context(), waitMax)
				if err := f.Hold(ctx, "acme", func(ctx context.Context, h tokens.Hold) error {
					r, _ := h.Record()
					r.HourCount++
					return h.Save(ctx, r)
				}); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if r := f.load("acme"); r.HourCount != holders*each || r.Revision != holders*each+1 {
		t.Errorf("counted %d at revision %d, want %d", r.HourCount, r.Revision, holders*each)
	}
}

func testWaitEnds(t *testing.T, f fixture) {
	f.hold("acme", func(context.Context, tokens.Hold) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := f.Hold(ctx, "acme", func(context.Context, tokens.Hold) error { t.Error("got in"); return nil })
		f.is("Hold", err, context.DeadlineExceeded)
	})
	f.hold("acme", func(context.Context, tokens.Hold) {}) // and left no trace
}

func testFrees(t *testing.T, f fixture) {
	want := errors.New("what fn says")
	err := f.Hold(t.Context(), "acme", func(context.Context, tokens.Hold) error { return want })
	f.is("Hold", err, want)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic was swallowed")
			}
		}()
		if err := f.Hold(t.Context(), "acme", func(context.Context, tokens.Hold) error { panic("as it may happen") }); err != nil {
			t.Error(err)
		}
	}()
	f.hold("acme", func(context.Context, tokens.Hold) {})
}

func testFences(t *testing.T, f fixture) {
	var last uint64
	for i := range 6 {
		f.hold("acme", func(ctx context.Context, h tokens.Hold) {
			if h.Fence() <= last {
				t.Errorf("fence %d after %d", h.Fence(), last)
			}
			last = h.Fence()
			if i%2 == 1 { // a hold that writes nothing has its fence all the same
				r := sample("acme", place(1))
				if err := h.Save(ctx, r); err != nil {
					t.Fatal(err)
				}
				if r, _ := h.Record(); r.Fence != last {
					t.Errorf("the record has fence %d, the hold %d", r.Fence, last)
				}
			}
		})
	}
	// A record from before the store went back may have a greater one.
	r := f.load("acme")
	ahead := last + 1e12
	f.save(r, func(r *tokens.Record) { r.Fence = ahead })
	f.hold("acme", func(_ context.Context, h tokens.Hold) {
		if h.Fence() <= ahead {
			t.Errorf("fence %d after a record with %d", h.Fence(), ahead)
		}
	})
}

func testSaveCompares(t *testing.T, f fixture) {
	f.hold("acme", func(ctx context.Context, h tokens.Hold) {
		for i := range int64(3) {
			r, _ := h.Record()
			if i == 0 {
				r = sample("acme", place(1))
			}
			r.Detail += "x"
			if err := h.Save(ctx, r); err != nil {
				t.Fatal(err)
			}
			if r, _ := h.Record(); r.Revision != i+1 {
				t.Errorf("revision %d after %d writes", r.Revision, i+1)
			}
		}
		// A healed record brings a revision of its own.
		r, _ := h.Record()
		r.Revision = 40
		if err := h.Save(ctx, r); err != nil {
			t.Fatal(err)
		}
		if r, _ := h.Record(); r.Revision != 41 {
			t.Errorf("revision %d over 40", r.Revision)
		}
		r.Revision = 0 // of whoever made it anew
		if err := h.Save(ctx, r); err != nil {
			t.Fatal(err)
		}
		if r, _ := h.Record(); r.Revision != 42 {
			t.Errorf("revision %d over 41", r.Revision)
		}
		// A change that compares equal by place, revision and fence is one.
		p, ok := f.Store.(Planter)
		if !ok {
			return
		}
		r, _ = h.Record()
		mine := r
		r.Detail = "another wrote this"
		if err := p.Plant(r); err != nil {
			t.Fatal(err)
		}
		f.is("Save over what it didn't read", h.Save(ctx, mine), tokens.ErrFenced)
		f.same("the record", f.load("acme"), r)
	})
}

func testSaveAfterCommit(t *testing.T, f fixture) {
	for _, known := range []bool{true, false} {
		org := tokens.OrgID(map[bool]string{true: "acme", false: "new"}[known])
		var old tokens.Record
		if known {
			old = f.save(sample(org, place(1)), nil)
		}
		f.hold(org, func(ctx context.Context, h tokens.Hold) {
			won, _, err := f.Commit(ctx, org, answer(sample(org, place(2)), old))
			if err != nil {
				t.Fatal(err)
			}
			mine := sample(org, place(1))
			mine.State = tokens.InDoubt
			f.is("Save", h.Save(ctx, mine), tokens.ErrFenced)
			f.same("the record", f.load(org), won)
			r, _ := h.Record()
			if r.Known() != known {
				t.Error("a failed Save changed what the hold shows")
			}
		})
	}
}

func testSaveAfterEnd(t *testing.T, f fixture) {
	var kept tokens.Hold
	f.hold("acme", func(_ context.Context, h tokens.Hold) { kept = h })
	f.is("Save after the hold", kept.Save(t.Context(), sample("acme", place(1))), tokens.ErrFenced)
	_, err := f.Load(t.Context(), "acme")
	f.is("Load", err, tokens.ErrUnknownOrg)
}

func testSaveIdentity(t *testing.T, f fixture) {
	s, ok := f.Store.(Restarter)
	if !ok {
		return // an identity that lasts as long as the store is open
	}
	saved := f.save(sample("acme", place(1)), nil)
	f.hold("acme", func(ctx context.Context, h tokens.Hold) {
		s.Restart()
		f.is("Save", h.Save(ctx, saved), tokens.ErrFenced)
	})
	f.same("the record", f.load("acme"), saved)
	f.hold("acme", func(_ context.Context, h tokens.Hold) {
		if r, s := h.Record(); s.Identity == r.Verified {
			t.Error("the identity is the same after a restart")
		}
	})
}

func testSaveFenced(t *testing.T, f fixture) {
	s, ok := f.Store.(Expirer)
	if !ok {
		return // a lock that is lost with the store alone
	}
	saved := f.save(sample("acme", place(1)), nil)
	f.hold("acme", func(ctx context.Context, h tokens.Hold) {
		if !s.Expire("acme") {
			t.Fatal("nobody holds the lock")
		}
		<-h.Lost()
		f.hold("acme", func(context.Context, tokens.Hold) {}) // writes nothing
		f.is("Save", h.Save(ctx, saved), tokens.ErrFenced)
	})
	f.same("the record", f.load("acme"), saved)
}

func testSaveRefuses(t *testing.T, f fixture) {
	f.hold("acme", func(ctx context.Context, h tokens.Hold) {
		newer := sample("acme", place(1))
		newer.Schema++
		f.is("Save of a newer schema", h.Save(ctx, newer), tokens.ErrSchema)
		for what, r := range map[string]tokens.Record{"another org's": sample("umbrella", place(1)), "no": {Org: "acme"}} {
			if err := h.Save(ctx, r); err == nil {
				t.Errorf("Save took %s record", what)
			}
		}
	})
	p, ok := f.Store.(Planter)
	if !ok {
		return
	}
	newer := sample("acme", place(1))
	newer.Schema++
	if err := p.Plant(newer); err != nil {
		t.Fatal(err)
	}
	f.hold("acme", func(ctx context.Context, h tokens.Hold) {
		f.is("Save over a newer schema", h.Save(ctx, sample("acme", place(1))), tokens.ErrSchema)
	})
	f.same("the record", f.load("acme"), newer)
}

func testCanceled(t *testing.T, f fixture) {
	saved := f.save(sample("acme", place(1)), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := f.Commit(ctx, "acme", answer(sample("acme", place(2)), saved))
	f.is("Commit", err, context.Canceled)
	f.is("Hold", f.Hold(ctx, "acme", func(context.Context, tokens.Hold) error { return nil }), context.Canceled)
	f.hold("acme", func(_ context.Context, h tokens.Hold) { f.is("Save", h.Save(ctx, saved), context.Canceled) })
	f.same("the record", f.load("acme"), saved)
}
